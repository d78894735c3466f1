import { AlreadyRunningError, isAbort, UsageError } from '../lib/index.ts';

/** What an exit code of `wikiseed` means; `wikiseed --help` lists them. */
export const EXIT = { ok: 0, failed: 1, usage: 2, gaps: 3, alreadyRunning: 11, interrupted: 130 } as const;

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof AlreadyRunningError) return EXIT.alreadyRunning;
  if (error instanceof UsageError) return EXIT.usage;
  if (isAbort(error)) return EXIT.interrupted;
  return EXIT.failed;
}
