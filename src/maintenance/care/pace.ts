// Not through the index: a thread that starts in a tenth of a second must not load zod.
import { RetryableError } from '../../lib/errors.ts';

/** What a task needs from the thread it runs in: time, a way to pause, and to hear that it should end. */
export interface Pace {
  monotonicMs(): number;
  pause(ms: number): Promise<void>;
  /** @throws Interrupted when the task was asked to end */
  throwIfStopped(): void;
  /** Tells how far it is, after each step. */
  onStep(note: StepNote): void;
}

/** One step of a task that changes the database. */
export interface StepNote {
  /** Counted from 1. */
  step: number;
  /** Rows or pages so far. */
  done: number;
  /** How long this step held the write lock. */
  tookMs: number;
}

/** What a task in steps did. */
export interface Stepped {
  steps: number;
  /** Rows or pages, whichever the task counts. */
  done: number;
  /** The longest time one step held the write lock: the longest time anybody had to wait for it. */
  longestStepMs: number;
}

/**
 * A step should hold the write lock for about 3 ms. The writers of the main thread are synchronous: while they wait for
 * the lock the event loop stands still, so this is what all jobs together may lose at once.
 */
const STEP_TARGET_MS = 3;
/**
 * Five sixths of the time belong to others, and never less than 10 ms at a stretch. Whoever found the lock taken looks again after 1, 2, 5, 10, 15, …
 * ms: with a third of the time taken it was found taken up to seven times in a row, 95 ms.
 */
const PAUSE_FACTOR = 5;
const PAUSE_MIN_MS = 10;
/** Somebody else may write for long: a migration, a full VACUUM. 100 waits of the connection's busy timeout. */
const BUSY_MAX = 100;

/**
 * Repeats a short write until it has nothing left to do, with pauses in which others write. The size of a step follows
 * the time the last one took.
 * @param options.find looks, without the lock, for what at most `size` rows or pages are to be written; its time is nobody's wait and is not counted
 * @param options.write writes them in one transaction and says how many; fewer than `size` means that nothing is left
 * @throws RetryableError `database_busy` when the write lock was not to be had for a long time
 */
export async function inSmallSteps<T>(
  pace: Pace,
  options: {
    firstSize: number;
    maxSize: number;
    find: (size: number) => T;
    write: (found: T, size: number) => number;
  },
): Promise<Stepped> {
  const result: Stepped = { steps: 0, done: 0, longestStepMs: 0 };
  let size = options.firstSize;
  let busy = 0;
  for (;;) {
    pace.throwIfStopped();
    const found = options.find(size);
    const startedMs = pace.monotonicMs();
    const count = withoutBusy(() => options.write(found, size));
    if (count === null) {
      busy += 1;
      if (busy > BUSY_MAX)
        throw new RetryableError('database_busy', 'another process keeps the database locked');
      await pace.pause(50);
      continue;
    }
    busy = 0;
    const tookMs = pace.monotonicMs() - startedMs;
    result.steps += 1;
    result.done += count;
    result.longestStepMs = Math.max(result.longestStepMs, tookMs);
    pace.onStep({ step: result.steps, done: result.done, tookMs });
    if (count < size) return result;
    size = nextSize(size, { tookMs, maxSize: options.maxSize });
    await pace.pause(Math.max(PAUSE_MIN_MS, tookMs * PAUSE_FACTOR));
  }
}

/** At most twice as much as before, at least a quarter: one slow step, such as an fsync, is no trend. Pure. */
export function nextSize(size: number, facts: { tookMs: number; maxSize: number }): number {
  const factor = Math.min(2, Math.max(0.25, STEP_TARGET_MS / Math.max(facts.tookMs, 0.01)));
  return Math.max(1, Math.min(facts.maxSize, Math.floor(size * factor)));
}

/** Null when the database was busy. */
export function withoutBusy<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (isBusy(error)) return null;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY');
}
