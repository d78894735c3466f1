/** Lengths of time, ms. */
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Epoch ms of a day (`2026-01-20`), or of a time (`2026-01-20T05:00`), UTC. */
export function at(text: string): number {
  return Date.parse(text.includes('T') ? `${text}Z` : `${text}T00:00:00Z`);
}

/** `2026-01-20` */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** `20260120` */
export function compact(day: string): string {
  return day.replaceAll('-', '');
}

/** Days of the months on which upstream begins its runs, as `2026-01-01`, `2026-01-20`, …: from a day to another, the last one included. */
export function batchDays(from: string, to: string): string[] {
  const days: string[] = [];
  for (let month = new Date(at(`${from.slice(0, 7)}-01`)); dayOf(month.getTime()) <= to; ) {
    for (const day of ['01', '20']) days.push(`${dayOf(month.getTime()).slice(0, 7)}-${day}`);
    month = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1));
  }
  return days.filter((day) => day >= from && day <= to);
}

/** Chance that repeats: mulberry32. Any number of streams that have nothing to do with one another, by their names. */
export interface Dice {
  /** 0 <= x < 1 */
  next(): number;
  /** True about once in `1 / share` throws. */
  hits(share: number): boolean;
  /** A whole number, both ends included. */
  whole(from: number, to: number): number;
}

/** A stream of chance for a name. */
export function dice(seed: number, name: string): Dice {
  let state = seed >>> 0;
  for (let index = 0; index < name.length; index += 1)
    state = Math.imul(state ^ name.charCodeAt(index), 0x01000193) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  // Names that differ in their last letter only are still alike here.
  for (let turn = 0; turn < 3; turn += 1) next();
  return {
    next,
    hits: (share) => next() < share,
    whole: (from, to) => from + Math.floor(next() * (to - from + 1)),
  };
}
