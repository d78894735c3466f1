import { isDatabaseTrouble } from '../db/index.ts';
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

/**
 * Group commit: the results of one turn share a transaction. When one of them throws, all are rolled back and each is
 * written on its own, so that nobody pays for another's error.
 */
export function createCommitter(deps: {
  outcomes: Outcomes;
  /** The attempts are over, written or fenced. */
  onCommitted: (finished: readonly Finished[]) => void;
  onTrouble: (error: unknown) => void;
  /** Not even its failure could be written, whatever was left out: the attempt is over, its lease runs out. */
  onBroken: (attempt: Finished['attempt'], error: unknown) => void;
  /** After the stop the database may be closed: what comes then is taken back at the next start. */
  isStopped: () => boolean;
}): Committer {
  const { outcomes } = deps;
  let waiting: Finished[] = [];
  let isArmed = false;

  function writeAll(batch: readonly Finished[], options?: { isolatesBarriers: boolean }): void {
    outcomes.transaction(() => {
      for (const finished of batch) outcomes.write(finished);
      step('job:committing');
    }, options);
    step('job:committed');
  }

  /** What its own hooks threw becomes the error of the attempt; each further try leaves out more of them. */
  function writeBroken({ attempt, input }: Finished, error: unknown): void {
    attempt.context.log.error({ err: error }, 'what a job found could not be recorded');
    const failed = { attempt, input, isOk: false, error } as const;
    const tries: (() => void)[] = [
      () => writeAll([failed]),
      () => writeAll([failed], { isolatesBarriers: true }),
      // Without an input no failure hook is called.
      () => writeAll([{ ...failed, input: undefined }], { isolatesBarriers: true }),
    ];
    let last: unknown = error;
    for (const write of tries)
      try {
        write();
        return;
      } catch (again) {
        if (isDatabaseTrouble(again)) throw again;
        last = again;
      }
    deps.onBroken(attempt, last);
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
