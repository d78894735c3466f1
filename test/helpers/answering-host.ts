import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Answers one request. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A host on loopback that answers as a test says; stopped when the test ends. */
export interface AnsweringHost {
  url: string;
  /** Every request that came. */
  seen: {
    path: string;
    range: string | undefined;
    ifRange: string | undefined;
    encoding: string | undefined;
  }[];
  /** Connections that were ever made. */
  connections(): number;
  answer: Answer;
}

/** Starts one on an address of this machine. */
export async function answeringHost(answer: Answer, address = '127.0.0.1'): Promise<AnsweringHost> {
  let made = 0;
  const sockets = new Set<Socket>();
  const host: AnsweringHost = { url: '', seen: [], connections: () => made, answer };
  const server = createServer((request, response) => {
    const { range, 'if-range': ifRange, 'accept-encoding': encoding } = request.headers;
    host.seen.push({
      path: request.url ?? '',
      range,
      ifRange: ifRange as string | undefined,
      encoding: encoding as string | undefined,
    });
    host.answer(request, response);
  });
  server.on('connection', (socket) => {
    made += 1;
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  host.url = `http://${address}:${(server.address() as AddressInfo).port}`;
  return host;
}

/** Serves a file as nginx does: ranges, `If-Range`, a strong ETag. */
export function servingRanges(
  content: Buffer,
  etag: string | null = '"1-v1"',
  extra: Record<string, string> = {},
): Answer {
  return (request, response) => {
    const tag = { ...(etag === null ? {} : { etag }), ...extra };
    const wanted = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const ifRange = request.headers['if-range'];
    if (wanted === null || (ifRange !== undefined && ifRange !== etag && ifRange !== extra['last-modified']))
      return void response.writeHead(200, { ...tag, 'content-length': content.length }).end(content);
    const start = Number(wanted[1]);
    const end = wanted[2] === '' ? content.length : Math.min(Number(wanted[2]) + 1, content.length);
    const part = content.subarray(start, end);
    response
      .writeHead(206, {
        ...tag,
        'content-range': `bytes ${start}-${end - 1}/${content.length}`,
        'content-length': part.length,
      })
      .end(part);
  };
}
