import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server of the sandbox, on 127.0.0.1. `stop` is idempotent, cuts every connection and resolves when all is closed. */
export interface RunningServer {
  readonly port: number;
  readonly baseUrl: string;
  stop(): Promise<void>;
}

/**
 * Handles one request. Errors become a 500, because a broken stand-in must not take the process with it.
 * `expectsContinue` is true when the client waits for `100 Continue` before it sends the body.
 */
export type RequestHandler = (
  req: IncomingMessage,
  res: ServerResponse,
  expectsContinue: boolean,
) => Promise<void>;

/**
 * Starts an HTTP server on loopback.
 * @param preferredPort tried first; 0 or a taken one means any free port
 */
export async function startHttpServer(preferredPort: number, handle: RequestHandler): Promise<RunningServer> {
  // A stop waits for these too: a broken-off upload still has its half file to remove.
  const active = new Set<Promise<void>>();
  const answer = (expectsContinue: boolean) => (req: IncomingMessage, res: ServerResponse) => {
    res.on('error', () => undefined);
    const handled = handle(req, res, expectsContinue).catch((error: unknown) => {
      if (res.headersSent || res.destroyed) res.destroy();
      else res.writeHead(500, { 'Content-Type': 'text/plain' }).end(`sandbox: ${String(error)}\n`);
    });
    active.add(handled);
    void handled.finally(() => active.delete(handled));
  };
  // Uploads and slow downloads take their time: Node's limits on a whole request are off.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 5_000 }, answer(false));
  server.on('checkContinue', answer(true));
  server.on('clientError', (_error, socket) => socket.destroy());
  const port = await listen(server, preferredPort);
  let stopped: Promise<void> | undefined;
  return {
    port,
    baseUrl: `http://127.0.0.1:${port}`,
    stop: () => {
      stopped ??= new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }).then(async () => {
        await Promise.all(active);
      });
      return stopped;
    },
  };
}

async function listen(server: Server, preferredPort: number): Promise<number> {
  const attempt = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  try {
    await attempt(preferredPort);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (preferredPort === 0 || (code !== 'EADDRINUSE' && code !== 'EACCES')) throw error;
    await attempt(0);
  }
  return (server.address() as AddressInfo).port;
}
