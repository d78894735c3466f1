import type { Socket as UdpSocket } from 'node:dgram';
import type { EventEmitter } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A running tracker: HTTP and UDP on the same port of 127.0.0.1. */
export interface Tracker {
  readonly port: number;
  /** `http://127.0.0.1:<port>/announce`. */
  readonly announceUrl: string;
  /** `udp://127.0.0.1:<port>`. */
  readonly udpAnnounceUrl: string;
  counters(): { announces: number };
  /** Idempotent. */
  stop(): Promise<void>;
}

/** What is used of the bittorrent-tracker package, which has no types of its own. */
interface TrackerServer extends EventEmitter {
  http: HttpServer;
  udp4: UdpSocket;
  udp6: UdpSocket | null;
  listening: boolean;
  close(done: (error?: Error | null) => void): void;
}

/**
 * Starts a real tracker that takes every torrent.
 * @param preferredPort tried first; 0 or a taken one means any port free for both HTTP and UDP
 */
export async function startTracker(preferredPort = 0): Promise<Tracker> {
  const moduleName = 'bittorrent-tracker/server';
  const { default: Server } = (await import(moduleName)) as {
    default: new (options: object) => TrackerServer;
  };
  const ports = [preferredPort, 0, 0, 0, 0];
  for (const [i, port] of ports.entries()) {
    const server = new Server({ http: true, udp: { reuseAddr: false }, ws: false, stats: false });
    // It would listen on every address; the sandbox is for this machine only.
    server.udp6?.close();
    server.udp6 = null;
    server.on('warning', () => undefined);
    try {
      return running(server, await bind(server, port));
    } catch (error) {
      await close(server);
      const { code } = error as NodeJS.ErrnoException;
      if (i === ports.length - 1 || (code !== 'EADDRINUSE' && code !== 'EACCES')) throw error;
    }
  }
  throw new Error('no port for the tracker');
}

function running(server: TrackerServer, port: number): Tracker {
  let announces = 0;
  for (const event of ['start', 'update', 'complete', 'stop', 'pause']) {
    server.on(event, () => {
      announces += 1;
    });
  }
  server.on('error', () => undefined);
  let stopped: Promise<void> | undefined;
  return {
    port,
    announceUrl: `http://127.0.0.1:${port}/announce`,
    udpAnnounceUrl: `udp://127.0.0.1:${port}`,
    counters: () => ({ announces }),
    stop: () => {
      stopped ??= close(server);
      return stopped;
    },
  };
}

async function bind(server: TrackerServer, preferredPort: number): Promise<number> {
  const bound = (socket: HttpServer | UdpSocket, start: () => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(error);
      socket.once('error', fail);
      socket.once('listening', () => {
        socket.off('error', fail);
        resolve();
      });
      start();
    });
  // The package passes socket errors on as its own event, which would be fatal without a listener.
  server.once('error', () => undefined);
  await bound(server.http, () => server.http.listen(preferredPort, '127.0.0.1'));
  const { port } = server.http.address() as AddressInfo;
  await bound(server.udp4, () => server.udp4.bind(port, '127.0.0.1'));
  server.listening = true;
  return port;
}

function close(server: TrackerServer): Promise<void> {
  const httpClosed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.http.closeAllConnections();
  return httpClosed;
}
