/** Delays before attempts 2, 3, 4 and 5 in milliseconds: 5 min, 15 min, 1 h, 4 h; attempt 1 starts at once. */
export const BACKOFF_MS = [0, 5 * 60_000, 15 * 60_000, 60 * 60_000, 4 * 60 * 60_000] as const;

/** A server may name a time, but not park a job for longer than this: 6 h. */
export const RETRY_AFTER_CAP_MS = 6 * 60 * 60_000;

/**
 * Waiting time after a failed attempt.
 * @param attempt the attempt that just failed, counted from 1
 * @param random 0 <= random < 1; adds up to 10 % so that a thousand jobs do not return together
 * @param retryAfterMs what the other side asked for; it wins, but never shortens our own backoff
 */
export function backoffMs(options: { attempt: number; random: number; retryAfterMs?: number }): number {
  const base = BACKOFF_MS[Math.min(options.attempt, BACKOFF_MS.length - 1)] ?? 0;
  const own = Math.round(base * (1 + 0.1 * options.random));
  if (options.retryAfterMs === undefined) return own;
  return Math.max(own, Math.min(options.retryAfterMs, RETRY_AFTER_CAP_MS));
}

/**
 * Reads a `Retry-After` header: seconds or an HTTP date.
 * @returns milliseconds from `nowMs`, at least 0; undefined when absent or unreadable
 */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
