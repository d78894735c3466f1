import { createSocket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';

/** So long a program that is just ending may still have its port. */
const AGAIN_AFTER_MS = 1000;

/** Why a port cannot be had, with the code that Node gives: `EADDRINUSE`. */
export interface UdpProblem {
  code: string | null;
  message: string;
}

/**
 * Takes a UDP port for a moment; one that is taken is tried once more a second later, because who does without it does so until the
 * next start.
 * @param port 0 = any free one
 * @param host null = all addresses
 * @param wait for tests
 * @returns null = it can be had
 */
export async function tryUdpPort(
  port: number,
  host: string | null,
  wait: () => Promise<unknown> = () => pause(AGAIN_AFTER_MS),
): Promise<UdpProblem | null> {
  const problem = await tryOnce(port, host);
  if (problem?.code !== 'EADDRINUSE') return problem;
  await wait();
  return tryOnce(port, host);
}

function tryOnce(port: number, host: string | null): Promise<UdpProblem | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close(() => resolve({ code: error.code ?? null, message: error.message }));
    });
    socket.bind(host === null ? { port } : { port, address: host }, () => socket.close(() => resolve(null)));
  });
}
