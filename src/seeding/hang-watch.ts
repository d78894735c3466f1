import { seconds } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

const LOOK_MS = seconds(30);
/** What is known of it is old by now. */
const SILENT_LOOKS = 2;
/**
 * Three minutes: a torrent of terabytes blocks it for a second, and a disk that wakes up or tries a bad sector again for some more. Looks are
 * counted, not time, because a program that was stopped for an hour finds its question of an hour ago, and the answer behind it.
 */
const HUNG_LOOKS = 6;
/** What was ended and is still there by then waits for a disk that does not answer. */
const UNDEAD_LOOKS = HUNG_LOOKS + 2;

/** Asks a thread or process again and again whether it answers at all. */
export interface HangWatch {
  /** It has not answered for a minute. */
  readonly isSilent: boolean;
  stop(): void;
}

/** Begins to watch, until `stop`. */
export function watchForHangs(deps: {
  clock: Clock;
  ask: () => Promise<unknown>;
  /** It has not answered for three minutes; called once. */
  onHung: () => void;
  /** It is still there a minute after that; called once. */
  onUndead: () => void;
}): HangWatch {
  let isAsked = false;
  let unanswered = 0;
  let cancel = (): void => {};

  function look(): void {
    if (!isAsked) {
      isAsked = true;
      unanswered = 0;
      deps.ask().then(
        () => {
          isAsked = false;
          unanswered = 0;
        },
        // It is over, which is heard of on its own.
        () => {},
      );
    } else {
      unanswered += 1;
      if (unanswered === HUNG_LOOKS) deps.onHung();
      if (unanswered === UNDEAD_LOOKS) deps.onUndead();
    }
    later();
  }

  function later(): void {
    cancel = deps.clock.after(LOOK_MS, look);
  }

  later();
  return {
    get isSilent() {
      return unanswered >= SILENT_LOOKS;
    },
    stop: () => cancel(),
  };
}
