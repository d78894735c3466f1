import { minutes } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/** First wait; each next one is twice as long, up to `MAX_MS`. */
const FIRST_MS = minutes(2);
const MAX_MS = minutes(10);

/**
 * Prunes again while something that was decided on is left: a program that seeds it lets go without telling anybody, and until then
 * nothing else may go in its place. By a timer, not by a job of later: such a job would keep an urgent one from being stored, and a run
 * until idle from ending.
 */
export interface FollowUp {
  /** From now on it asks; before, as in a command, nothing follows. */
  begin(): void;
  /** A prune or a start is over. */
  note(isAnythingLeft: boolean): void;
  /** Whoever seeds is back. */
  hurry(): void;
  stop(): void;
}

/** See `FollowUp`. */
export function createFollowUp({ clock, ask }: { clock: Pick<Clock, 'after'>; ask: () => void }): FollowUp {
  let isAlive = false;
  let waitMs = FIRST_MS;
  let cancel = (): void => {};
  return {
    begin() {
      isAlive = true;
    },
    note(isAnythingLeft) {
      cancel();
      if (!isAnythingLeft) waitMs = FIRST_MS;
      else if (isAlive) {
        cancel = clock.after(waitMs, ask);
        waitMs = Math.min(waitMs * 2, MAX_MS);
      }
    },
    hurry() {
      waitMs = FIRST_MS;
      if (isAlive) ask();
    },
    stop() {
      isAlive = false;
      cancel();
    },
  };
}
