import { readFileSync } from 'node:fs';
import type { Environment } from '../config/index.ts';

/** Where a command reads and writes; tests pass their own. */
export interface CliIo {
  out: NodeJS.WriteStream | { write(text: string): unknown; isTTY?: boolean; columns?: number };
  err: NodeJS.WriteStream | { write(text: string): unknown; isTTY?: boolean; columns?: number };
  env: Environment;
  cwd: string;
  readTextFile(path: string): string | null;
  /** Aborts at the first SIGINT or SIGTERM. */
  signal: AbortSignal;
}

/**
 * The process's own streams.
 * @param stop aborted by the signals of the process
 */
export function createProcessIo(stop: AbortController = new AbortController()): CliIo {
  // `wikiseed jobs | head` closes the pipe early: what is left goes nowhere and that is fine. Long work ends in order.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop.abort();
  });
  // Whoever closed standard error does not want to hear of it either; a daemon goes on.
  process.stderr.on('error', () => {});
  return {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: stop.signal,
    readTextFile(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
        throw error;
      }
    },
  };
}

/** Prints one JSON document for scripts. */
export function printJson(io: CliIo, value: unknown): void {
  io.out.write(`${JSON.stringify(value, null, 2)}\n`);
}
