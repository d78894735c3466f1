/** The small world the histories play in: what there is to do, and the figures both sides know. */

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** What the reference model knows of a job type. */
export interface Kind {
  targets: readonly string[];
  concurrency: number;
  maxAttempts: number;
  leaseMs: number;
  timeoutMs: number;
}

/** `fetch` is followed by `parse`; a `parse` that ends badly by `send`; a group that settled by `settled`. */
export const KINDS = {
  fetch: { targets: ['web'], concurrency: 2, maxAttempts: 3, leaseMs: 120_000, timeoutMs: 10 * MINUTE_MS },
  parse: {
    targets: ['disk', 'web'],
    concurrency: 2,
    maxAttempts: 2,
    leaseMs: 60_000,
    timeoutMs: 5 * MINUTE_MS,
  },
  send: { targets: ['disk'], concurrency: 2, maxAttempts: 5, leaseMs: 120_000, timeoutMs: 12 * HOUR_MS },
  settled: { targets: ['notes'], concurrency: 9, maxAttempts: 5, leaseMs: 120_000, timeoutMs: HOUR_MS },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;
export const WORK_KINDS = ['fetch', 'parse', 'send'] as const;

/** Groups whose end is a barrier; the second one contains the first. */
export const GROUPS: readonly (readonly KindName[])[] = [
  ['fetch', 'parse'],
  ['fetch', 'parse', 'send'],
];

export interface Wish {
  type: KindName;
  key: string;
  cycle: string | null;
  priority: number;
  delayMs: number;
}

/** What follows a job; `ended` is true when it completed. */
export function followUps(type: KindName, key: string, cycle: string | null, ended: boolean): Wish[] {
  const name = key.split(':')[1] as string;
  const wish = (next: KindName): Wish => ({
    type: next,
    key: `${next}:${name}`,
    cycle,
    priority: 100,
    delayMs: 0,
  });
  if (type === 'fetch' && ended) return [wish('parse')];
  if (type === 'parse' && !ended) return [wish('send')];
  return [];
}

/** How a handler ends; the test decides. */
export type How =
  | { end: 'complete' }
  /** It returns, but writing its facts fails. */
  | { end: 'hookThrows' }
  | { end: 'retryable'; retryAfterMs?: number }
  | { end: 'corrupt' | 'unknown' | 'permanent' | 'interrupted' }
  | { end: 'halt'; scope?: string; pauseMs: number; isNeverOwnFault: boolean }
  | { end: 'unavailable'; retryAfterMs?: number; pauseMs?: number }
  | { end: 'snooze'; delayMs: number; cursor?: number };

/** Waits after attempts 1 to 5, ms; a tenth is added at most. */
export const WAITS_MS = [0, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS] as const;
/** A server cannot ask for more. */
export const ASKED_MAX_MS = 6 * HOUR_MS;
/** A handler that goes on for so long after its abort is given up. */
export const STUCK_MS = 60_000;
/** Its job waits for so long at a time, until it has returned. */
export const STUCK_REST_MS = 5 * MINUTE_MS;
