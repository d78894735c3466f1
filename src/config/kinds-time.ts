import { z } from 'zod';
import type { BandwidthLimit, BandwidthWindow } from './bandwidth.ts';
import { type ConfigOf, field, type Kind, section } from './fields.ts';
import { count, kind, limit, listOf, oneOf, refuse, shown } from './kinds.ts';

/** Kinds for moments and hours. All of them are UTC, as the dumps are. */

const SCHEDULE_WORDS = ['hourly', 'daily', 'weekly', 'monthly'] as const;
// minute, hour, day of month, month, day of week: lowest and highest number of each.
const CRON_RANGES = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;
const CRON_NAMES = /\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b/gi;

/** How often: `hourly`, `daily`, `weekly`, `monthly`, or a cron expression of five fields; kept as written. */
export function schedule(): Kind<string> {
  return kind(
    (raw) => {
      if (typeof raw === 'string' && (SCHEDULE_WORDS as readonly string[]).includes(raw)) return raw;
      if (typeof raw === 'string' && isCron(raw)) return raw.trim();
      return refuse(
        `must be ${oneOf(SCHEDULE_WORDS)}, or a cron expression such as "0 3 * * 1", found ${shown(raw)}.`,
      );
    },
    (value) => value,
  );
}

function isCron(raw: string): boolean {
  const parts = raw.trim().split(/\s+/);
  return parts.length === 5 && parts.every((part, index) => isCronField(part, CRON_RANGES[index]!));
}

function isCronField(part: string, [lowest, highest]: readonly [number, number]): boolean {
  // Names of months and days stand for a number that is always in range.
  const plain = part.replace(CRON_NAMES, String(lowest + 1));
  return plain.split(',').every((item) => {
    const match = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/([1-9]\d*))?$/.exec(item);
    if (match === null) return false;
    return [match[1], match[2]].every(
      (n) => n === undefined || (Number(n) >= lowest && Number(n) <= highest),
    );
  });
}

/** A time of day `HH:MM`, as the minute of the day, 0 to 1439. */
export function timeOfDay(): Kind<number> {
  return kind(
    (raw) =>
      minuteOf(raw) ?? refuse(`must be a time of day in quotes, such as "02:00", found ${shown(raw)}.`),
    timeText,
  );
}

/** Hours of the day, the end not included; an end at or before the begin is on the next day. */
export type HourRange = { readonly fromMinute: number; readonly toMinuteExclusive: number };

/** A range of hours `HH:MM-HH:MM`; `24:00` is an end. `wholeDay` allows `00:00-24:00`, which is then 0 to 1440. */
export function hourRange({ wholeDay = false } = {}): Kind<HourRange> {
  return kind(
    (raw) => readHourRange(raw, wholeDay),
    (range) => `${timeText(range.fromMinute)}-${timeText(range.toMinuteExclusive)}`,
  );
}

function readHourRange(raw: unknown, wholeDay: boolean): HourRange {
  const sides = typeof raw === 'string' ? raw.split('-').map((side) => side.trim()) : [];
  const [from, to] = [minuteOf(sides[0]), sides[1] === '24:00' ? 0 : minuteOf(sides[1])];
  if (sides.length !== 2 || from === null || to === null)
    return refuse(`must be hours in quotes, such as "22:00-07:00", found ${shown(raw)}.`);
  if (from !== to) return { fromMinute: from, toMinuteExclusive: to };
  if (wholeDay && sides[1] === '24:00') return { fromMinute: 0, toMinuteExclusive: 24 * 60 };
  return refuse(
    wholeDay
      ? `begins and ends at the same time; write "00:00-24:00" for the whole day, found ${shown(raw)}.`
      : `begins and ends at the same time, found ${shown(raw)}.`,
  );
}

function minuteOf(raw: unknown): number | null {
  const match = typeof raw === 'string' ? /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(raw) : null;
  return match === null ? null : Number(match[1]) * 60 + Number(match[2]);
}

function timeText(minute: number): string {
  const two = (part: number): string => String(part).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

/** A day of the month from 1 to 28, or -1 for the last one. */
export function deadlineDay(): Kind<number> {
  return kind(
    (raw) => {
      if (raw === -1) return raw;
      const isFine = typeof raw === 'number' && Number.isInteger(raw) && raw >= 1 && raw <= 28;
      // 29 to 31 do not exist in every month; -1 says what is meant.
      return isFine
        ? raw
        : refuse(`must be a day from 1 to 28, or -1 for the last day, found ${shown(raw)}.`);
    },
    (value) => value,
  );
}

/** The days on which cycles begin: one or two, from 1 to 28, in ascending order. */
export function cycleDays(): Kind<readonly number[]> {
  const list = listOf(count(1, 28), { min: 1 }) as unknown as z.ZodType<readonly number[], unknown>;
  return list
    .refine((days) => days.length <= 2, {
      error: 'must name one or two days: each has its own publish deadline.',
    })
    .refine((days) => days.every((day, index) => index === 0 || day > days[index - 1]!), {
      error: 'must be in ascending order.',
    }) as Kind<readonly number[]>;
}

const DAY_NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** Days of the week: `mon-fri`, `sat,sun`, `daily`; 0 = Sunday. */
function weekdays(): Kind<readonly number[]> {
  return kind(
    (raw) => {
      if (raw === 'daily') return [0, 1, 2, 3, 4, 5, 6];
      const days = new Set<number>();
      for (const item of typeof raw === 'string' ? raw.split(',') : ['']) {
        const [first, last, ...rest] = item
          .trim()
          .split('-')
          .map((name) => DAY_NAMES.indexOf(name as never));
        if (first === undefined || first < 0 || (last ?? 0) < 0 || rest.length > 0) {
          return refuse(`must be days such as mon-fri, "sat,sun" or daily, found ${shown(raw)}.`);
        }
        const end = last ?? first;
        for (let day = first; ; day = (day + 1) % 7) {
          days.add(day);
          if (day === end) break;
        }
      }
      return [...days].sort((a, b) => a - b);
    },
    (days) => (days.length === 7 ? 'daily' : days.map((day) => DAY_NAMES[day]).join(',')),
  );
}

const windowSection = section({
  days: field('days', weekdays(), 'daily'),
  hours: field('hours', hourRange({ wholeDay: true }), null),
  limit: field('bytesPerSecond', limit(), null),
});

const scheduleSection = section({
  default: field('defaultBytesPerSecond', limit(), 'unlimited'),
  windows: field('windows', listOf(windowSection.schema), []),
});

type FileWindow = ConfigOf<typeof windowSection>;

/** A bandwidth limit: `unlimited`, a rate, or `{default, windows: [{days, hours, limit}]}`. */
export function bandwidth(): Kind<BandwidthLimit> {
  return z.codec(z.unknown(), z.custom<BandwidthLimit>(), {
    decode: (raw, context) => {
      const isSchedule = typeof raw === 'object' && raw !== null;
      const simple = isSchedule ? null : limit().safeDecode(raw);
      if (simple?.success) return { defaultBytesPerSecond: simple.data, windows: [] };
      const full = simple === null ? scheduleSection.schema.safeDecode(raw) : simple;
      if (!full.success) {
        for (const issue of full.error.issues) context.issues.push({ ...issue, input: raw } as never);
        return z.NEVER;
      }
      const { defaultBytesPerSecond, windows } = full.data as ConfigOf<typeof scheduleSection>;
      return { defaultBytesPerSecond, windows: windows.map(flatten) };
    },
    encode: ({ defaultBytesPerSecond, windows }) => {
      if (windows.length === 0) return limit().encode(defaultBytesPerSecond);
      return scheduleSection.schema.encode({ defaultBytesPerSecond, windows: windows.map(nest) });
    },
  }) as Kind<BandwidthLimit>;
}

function flatten({ days, hours, bytesPerSecond }: FileWindow): BandwidthWindow {
  return { days, ...hours, bytesPerSecond };
}

function nest({ days, fromMinute, toMinuteExclusive, bytesPerSecond }: BandwidthWindow): FileWindow {
  return { days, hours: { fromMinute, toMinuteExclusive }, bytesPerSecond };
}
