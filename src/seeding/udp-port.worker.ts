import { createSocket } from 'node:dgram';

/**
 * Takes a UDP port for a moment.
 * @param port 0 = any free one
 * @param host null = all addresses
 * @returns why it cannot be had, with the code that Node gives: `EADDRINUSE`; null = it can
 */
export function tryUdpPort(
  port: number,
  host: string | null,
): Promise<{ code: string | null; message: string } | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close(() => resolve({ code: error.code ?? null, message: error.message }));
    });
    socket.bind(host === null ? { port } : { port, address: host }, () => socket.close(() => resolve(null)));
  });
}
