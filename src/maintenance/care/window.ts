/** Hours of the day in UTC, minutes after midnight; may go over midnight. */
export interface Window {
  readonly fromMinute: number;
  readonly toMinuteExclusive: number;
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

const minuteOfDay = (at: number): number => Math.floor(at / MINUTE_MS) % DAY_MINUTES;
const lengthMinutes = (window: Window): number =>
  (window.toMinuteExclusive - window.fromMinute + DAY_MINUTES) % DAY_MINUTES;

/** True within the window; pure. */
export function isInWindow(window: Window, at: number): boolean {
  return (minuteOfDay(at) - window.fromMinute + DAY_MINUTES) % DAY_MINUTES < lengthMinutes(window);
}

/** Milliseconds until the window opens; 0 within it. Pure. */
export function msUntilWindow(window: Window, at: number): number {
  if (isInWindow(window, at)) return 0;
  const minutes = (window.fromMinute - minuteOfDay(at) + DAY_MINUTES) % DAY_MINUTES;
  return minutes * MINUTE_MS - (at % MINUTE_MS);
}

/** Cron expression, once a day, of the moment that lies so far into the window; `share` from 0 up to, but without, 1. Pure. */
export function dailyInWindow(window: Window, share: number): string {
  const minute = (window.fromMinute + Math.floor(lengthMinutes(window) * share)) % DAY_MINUTES;
  return `${minute % 60} ${Math.floor(minute / 60)} * * *`;
}
