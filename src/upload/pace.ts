import { days, hours, minutes } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { OVERLOAD_WAIT_MS } from './ia-answers.ts';

/** How gently we treat the archive: all uploads of this process share one. */
export interface Pace {
  /**
   * How long this upload must wait before it may begin; 0 = now.
   * @param createsItem whether the item does not exist yet
   */
  waitMs(identifier: string, createsItem: boolean): number;
  /** The archive is overloaded: nothing begins for a while, doubling from 30 s to 10 min. Returns that while. */
  slowDown(atLeastMs: number): number;
  /** It took a file: the doubling starts over. */
  relax(): void;
  /** True after an overload, until `relax`: ask `check_limit` first. */
  mustAsk(): boolean;
  /** Refused as spam: no new items for 24 hours. */
  stopNewItems(): void;
  /** One file at a time for each item; call `done` in the end. */
  begin(identifier: string, createsItem: boolean): { done(): void };
}

const SLOWEST_MS = minutes(10);

/** Counts live in memory: after a restart the archive's own `check_limit` still speaks. */
export function createPace(deps: {
  clock: Pick<Clock, 'monotonicMs'>;
  newItemsPerHour: number;
  dailyFiles: number;
  /** When to look again whether an item takes the next file. */
  busyItemWaitMs: number;
}): Pace {
  const now = (): number => deps.clock.monotonicMs();
  const busy = new Set<string>();
  let creations: number[] = [];
  let files: number[] = [];
  let closedUntil = Number.NEGATIVE_INFINITY;
  let newItemsClosedUntil = Number.NEGATIVE_INFINITY;
  let streak = 0;
  /** Time until the oldest of `limit` events within `spanMs` leaves it. */
  const untilRoom = (events: readonly number[], limit: number, spanMs: number): number =>
    events.length < limit ? 0 : (events[events.length - limit] ?? 0) + spanMs - now();
  return {
    waitMs(identifier, createsItem) {
      creations = creations.filter((at) => at > now() - hours(1));
      files = files.filter((at) => at > now() - days(1));
      return Math.max(
        0,
        closedUntil - now(),
        busy.has(identifier) ? deps.busyItemWaitMs : 0,
        untilRoom(files, deps.dailyFiles, days(1)),
        createsItem ? newItemsClosedUntil - now() : 0,
        createsItem ? untilRoom(creations, deps.newItemsPerHour, hours(1)) : 0,
      );
    },
    slowDown(atLeastMs) {
      const delayMs = Math.max(atLeastMs, Math.min(SLOWEST_MS, OVERLOAD_WAIT_MS * 2 ** streak));
      streak += 1;
      closedUntil = Math.max(closedUntil, now() + delayMs);
      return delayMs;
    },
    relax() {
      streak = 0;
    },
    mustAsk: () => streak > 0,
    stopNewItems() {
      newItemsClosedUntil = now() + hours(24);
    },
    begin(identifier, createsItem) {
      busy.add(identifier);
      files.push(now());
      if (createsItem) creations.push(now());
      return { done: () => void busy.delete(identifier) };
    },
  };
}
