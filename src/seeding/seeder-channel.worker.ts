import { parentPort, workerData } from 'node:worker_threads';
import type { SeederMessage, SeederRequest, SeederSettings } from './protocol.ts';

/** The other end of a `SeederPlace`, as the seeder's script sees it. */
export interface SeederChannel {
  settings: SeederSettings;
  say(message: SeederMessage): void;
  /** To be called once; what was asked before is kept until then. */
  onRequest(listener: (request: SeederRequest) => void): void;
}

/** Finds out where this script runs; to be called once, before anything else. */
export function openSeederChannel(): SeederChannel {
  const port = parentPort;
  if (port === null) return toParentProcess();
  return {
    settings: workerData as SeederSettings,
    say: (message) => port.postMessage(message),
    onRequest: (listener) => void port.on('message', listener),
  };
}

function toParentProcess(): SeederChannel {
  // Nothing of us may outlive the program: the port would be taken at its next start. Not `exit`, which would wait for native threads.
  const end = (): void => void process.kill(process.pid, 'SIGKILL');
  process.once('disconnect', end);
  if (!process.connected) end();
  // A terminal and systemd send these to all processes; it is for the program to say when it is time, so that the swarm is told goodbye.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  return {
    settings: JSON.parse(process.argv[2] ?? '') as SeederSettings,
    // A channel that is closed ends us anyway.
    say: (message) => void process.send?.(message, () => {}),
    onRequest: (listener) => void process.on('message', (request) => listener(request as SeederRequest)),
  };
}
