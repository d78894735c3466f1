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

/** The process's own streams. A second signal ends the process at once. */
export function createProcessIo(): CliIo {
  const controller = new AbortController();
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    if (count > 1) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: controller.signal,
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
