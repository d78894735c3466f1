/** A limit that holds at certain hours of certain days, in UTC. */
export type BandwidthWindow = {
  /** 0 = Sunday to 6 = Saturday; the day on which the window begins. */
  readonly days: readonly number[];
  /** Minute of the day, 0 to 1439. */
  readonly fromMinute: number;
  /** Minute of the day, 0 to 1440, not included; at or before `fromMinute` the window runs past midnight. */
  readonly toMinuteExclusive: number;
  /** null = unlimited. */
  readonly bytesPerSecond: number | null;
};

/** A bandwidth limit: one for all times, and windows that override it. */
export type BandwidthLimit = {
  /** Outside all windows; null = unlimited. */
  readonly defaultBytesPerSecond: number | null;
  readonly windows: readonly BandwidthWindow[];
};

const MINUTE_MS = 60_000;
const MINUTES_PER_DAY = 1_440;

/**
 * The limit that holds at a moment; of several windows that match, the first in the list.
 * @param nowMs epoch milliseconds, read as UTC
 * @returns bytes per second, null = unlimited
 */
export function bandwidthAt(limit: BandwidthLimit, nowMs: number): number | null {
  const minuteOfEpoch = Math.floor(nowMs / MINUTE_MS);
  const minute = minuteOfEpoch % MINUTES_PER_DAY;
  const day = (Math.floor(minuteOfEpoch / MINUTES_PER_DAY) + 4) % 7; // 1 January 1970 was a Thursday.
  const window = limit.windows.find((candidate) => holdsAt(candidate, day, minute));
  return window === undefined ? limit.defaultBytesPerSecond : window.bytesPerSecond;
}

function holdsAt(window: BandwidthWindow, day: number, minute: number): boolean {
  const { days, fromMinute, toMinuteExclusive } = window;
  if (fromMinute < toMinuteExclusive) {
    return days.includes(day) && minute >= fromMinute && minute < toMinuteExclusive;
  }
  const startedYesterday = days.includes((day + 6) % 7) && minute < toMinuteExclusive;
  return startedYesterday || (days.includes(day) && minute >= fromMinute);
}
