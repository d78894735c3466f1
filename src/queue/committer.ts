import { step } from '../lib/steps.ts';
import type { Finished, Outcomes } from './outcomes.ts';

/** Longest list of results in one transaction: a few milliseconds. */
const BATCH_MAX = 64;

/** Results that wait for their transaction. */
export interface Committer {
  /** The result is written in the next turn of the event loop, together with whatever else is there by then. */
  add(finished: Finished): void;
  /** Writes what waits now; what cannot be written for trouble of the database stays. */
  flush(): void;
  waiting(): number;
}

/** True for what SQLite throws when the disk or the file is in trouble, rather than a statement. */
export function isDatabaseTrouble(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(FULL|IOERR|BUSY|LOCKED|CORRUPT|NOTADB|READONLY|CANTOPEN|NOMEM|PROTOCOL)/.test(code);
}

/**
 * Group commit: the results of one turn share a transaction. When one of them throws, all are rolled back and each is
 * written on its own, so that nobody pays for another's error.
 */
export function createCommitter(deps: {
  outcomes: Outcomes;
  /** The attempts are over, written or fenced. */
  onCommitted: (finished: readonly Finished[]) => void;
  onTrouble: (error: unknown) => void;
  /** After the stop the database may be closed: what comes then is taken back at the next start. */
  isStopped: () => boolean;
}): Committer {
  const { outcomes } = deps;
  let waiting: Finished[] = [];
  let isArmed = false;

  function writeAll(batch: readonly Finished[]): void {
    outcomes.transaction(() => {
      for (const finished of batch) outcomes.write(finished);
      step('job:committing');
    });
    step('job:committed');
  }

  /** What its own hooks threw becomes the error of the attempt. */
  function writeBroken({ attempt, input }: Finished, error: unknown): void {
    attempt.context.log.error({ err: error }, 'what a job found could not be recorded');
    try {
      writeAll([{ attempt, input, isOk: false, error }]);
    } catch (again) {
      if (isDatabaseTrouble(again)) throw again;
      // Its failure hooks throw, too: without an input none is called.
      writeAll([{ attempt, input: undefined, isOk: false, error }]);
    }
  }

  /** @throws what the database is in trouble with; what is not written by then still waits */
  function writeBatch(batch: readonly Finished[]): void {
    try {
      writeAll(batch);
    } catch (error) {
      if (isDatabaseTrouble(error)) throw error;
      const [only] = batch;
      if (batch.length > 1 || only === undefined) {
        for (const finished of batch) writeBatch([finished]);
        return;
      }
      writeBroken(only, error);
    }
    done(batch);
  }

  function done(batch: readonly Finished[]): void {
    waiting = waiting.slice(batch.length);
    deps.onCommitted(batch);
  }

  function flush(): void {
    if (deps.isStopped()) return;
    try {
      while (waiting.length > 0) writeBatch(waiting.slice(0, BATCH_MAX));
    } catch (error) {
      // Nothing is lost: the results stay here, and with them the leases.
      deps.onTrouble(error);
    }
  }

  return {
    add(finished) {
      waiting.push(finished);
      if (isArmed) return;
      isArmed = true;
      setImmediate(() => {
        isArmed = false;
        flush();
      });
    },
    flush,
    waiting: () => waiting.length,
  };
}
