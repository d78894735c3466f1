/**
 * Sizes, rates and durations: read from what people write, written for people to read.
 *
 * Two families of writers, on purpose: `format…` rounds for a human eye (`1.5 GB`), `…Text` is exact and reads back
 * to the same number (`1500MB`), so that a printed configuration can be used as a configuration.
 */

/** A size, rate or duration that cannot be read; the message is a whole sentence for the operator. */
export class UnitError extends Error {
  override readonly name = 'UnitError';
  readonly code = 'unit_invalid';
}

// GB is 10^9 as disks are sold and Wikimedia counts; GiB is 2^30 as memory and BitTorrent pieces are counted.
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  KiB: 2 ** 10,
  MB: 1e6,
  MiB: 2 ** 20,
  GB: 1e9,
  GiB: 2 ** 30,
  TB: 1e12,
  TiB: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const NUMBER_AND_UNIT = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/;

/** Milliseconds in so many seconds. */
export const seconds = (count: number): number => count * 1_000;
/** Milliseconds in so many minutes. */
export const minutes = (count: number): number => count * 60_000;
/** Milliseconds in so many hours. */
export const hours = (count: number): number => count * 3_600_000;
/** Milliseconds in so many days of 24 hours. */
export const days = (count: number): number => count * 86_400_000;

/**
 * Reads a size.
 * @param value `100MB`, `1.5GiB`, `16 KiB`, or a whole number of bytes
 * @returns bytes, a whole number >= 0 (fractions of a byte are rounded)
 * @throws UnitError if it is not a size, or is larger than 2^53 - 1
 */
export function parseSize(value: string | number): number {
  return parseSizeFrom(value, 'a size', 'a number with a unit, such as 500MB, 1.5GB or 16MiB');
}

/**
 * Reads a transfer rate.
 * @param value `20MB/s`, `512 KiB/s`; the `/s` is required, so that nobody takes a size for a rate
 * @returns bytes per second, a whole number >= 0
 * @throws UnitError if it is not a rate, or counts bits
 */
export function parseRate(value: string | number): number {
  const wanted = 'bytes per second, such as 20MB/s or 512KiB/s';
  if (typeof value === 'number') throw new UnitError(`${value} is not a rate: write ${wanted}.`);
  const text = value.trim();
  if (/bps$|bit/i.test(text)) {
    throw new UnitError(`${quote(value)} counts bits: write ${wanted} (8 Mbit/s = 1MB/s).`);
  }
  if (!text.endsWith('/s')) throw new UnitError(`${quote(value)} is not a rate: write ${wanted}.`);
  return parseSizeFrom(text.slice(0, -2).trimEnd(), 'a rate', wanted, value);
}

/**
 * Reads a duration.
 * @param value `500ms`, `90s`, `5m`, `4h`, `7d`; a bare number is refused, because nobody can tell its unit
 * @returns milliseconds, a whole number >= 0
 * @throws UnitError if it is not a duration
 */
export function parseDuration(value: string | number): number {
  const wanted = 'a number with a unit, such as 500ms, 90s, 5m, 4h or 7d';
  const match = typeof value === 'string' ? NUMBER_AND_UNIT.exec(value.trim()) : null;
  const factor = match ? DURATION_UNITS[match[2] ?? ''] : undefined;
  if (!match || factor === undefined) {
    throw new UnitError(`${quote(value)} is not a duration: write ${wanted}.`);
  }
  return whole(Number(match[1]) * factor, value);
}

function parseSizeFrom(value: string | number, noun: string, wanted: string, shown = value): number {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new UnitError(`${value} is not ${noun}: write ${wanted}, or a whole number of bytes.`);
  }
  const match = NUMBER_AND_UNIT.exec(value.trim());
  if (!match) throw new UnitError(`${quote(shown)} is not ${noun}: write ${wanted}.`);
  const [, digits = '', unit = ''] = match;
  if (unit === '' && !digits.includes('.')) return whole(Number(digits), shown);
  const factor = SIZE_UNITS[unit];
  if (factor === undefined)
    throw new UnitError(`${quote(shown)} is not ${noun}: ${unknownUnit(unit, wanted)}`);
  return whole(Number(digits) * factor, shown);
}

function unknownUnit(unit: string, wanted: string): string {
  const meant = Object.keys(SIZE_UNITS).find((known) => known.toLowerCase() === unit.toLowerCase());
  // Mb means megabit to many: say what we would take it for instead of guessing.
  if (meant !== undefined) return `the unit ${unit} is written ${meant}.`;
  return unit === '' ? `write ${wanted}.` : `there is no unit ${unit}; write ${wanted}.`;
}

function whole(amount: number, shown: string | number): number {
  const rounded = Math.round(amount);
  if (!Number.isSafeInteger(rounded)) throw new UnitError(`${quote(shown)} is too large to count exactly.`);
  return rounded;
}

function quote(value: string | number): string {
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/**
 * Writes bytes for a human eye, in powers of 1000 and three significant digits.
 * @param sizeBytes may be negative (a difference)
 * @returns `0 B`, `999 B`, `1.5 GB`, `12.3 TB`
 */
export function formatBytes(sizeBytes: number): string {
  const sign = sizeBytes < 0 ? '-' : '';
  let amount = Math.abs(sizeBytes);
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;
  let index = 0;
  // 999.5 would round to 1000, which belongs to the next unit.
  while (amount >= (index === 0 ? 1000 : 999.5) && index < units.length - 1) {
    amount /= 1000;
    index += 1;
  }
  const decimals = index === 0 || amount >= 99.95 ? 0 : 1;
  return `${sign}${trimZero(amount.toFixed(decimals))} ${units[index]}`;
}

/** Writes a rate for a human eye: `20 MB/s`; null is `unlimited`. */
export function formatRate(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? 'unlimited' : `${formatBytes(bytesPerSecond)}/s`;
}

/**
 * Writes a duration for a human eye, its two largest units.
 * @param durationMs milliseconds; negative counts as 0, because "in -3 s" helps nobody
 * @returns `450 ms`, `1.5 s`, `3 m 20 s`, `2 d 3 h`
 */
export function formatDuration(durationMs: number): string {
  const duration = Math.max(0, durationMs);
  if (duration < 999.5) return `${Math.round(duration)} ms`;
  if (duration < 9_950) return `${trimZero((duration / 1000).toFixed(1))} s`;
  const total = Math.round(duration / 1000);
  const parts: [number, string][] = [
    [Math.floor(total / 86_400), 'd'],
    [Math.floor(total / 3_600) % 24, 'h'],
    [Math.floor(total / 60) % 60, 'm'],
    [total % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

function trimZero(text: string): string {
  return text.endsWith('.0') ? text.slice(0, -2) : text;
}

/** Writes a size exactly, so that `parseSize` gives the same number back: `100MB`, `16MiB`, `1234567`. */
export function sizeText(sizeBytes: number): string {
  const fit = shortest(sizeBytes, SIZE_UNITS, ['TB', 'TiB', 'GB', 'GiB', 'MB', 'MiB', 'kB', 'KiB']);
  return fit ?? String(sizeBytes);
}

/** Writes a rate exactly, so that `parseRate` gives the same number back; null is `unlimited`. */
export function rateText(bytesPerSecond: number | null): string {
  if (bytesPerSecond === null) return 'unlimited';
  const fit = shortest(bytesPerSecond, SIZE_UNITS, ['GB', 'GiB', 'MB', 'MiB', 'kB', 'KiB']);
  return `${fit ?? `${bytesPerSecond}B`}/s`;
}

/** Writes a duration exactly, so that `parseDuration` gives the same number back: `90s`, `7d`. */
export function durationText(durationMs: number): string {
  return shortest(durationMs, DURATION_UNITS, ['d', 'h', 'm', 's']) ?? `${durationMs}ms`;
}

/** The unit, largest first, that divides the amount; the first of those with the smallest count wins. */
function shortest(amount: number, units: Readonly<Record<string, number>>, names: string[]): string | null {
  if (amount === 0) return null;
  const fits = names
    .map((name) => ({ name, count: amount / (units[name] ?? Number.NaN) }))
    .filter(({ count }) => Number.isInteger(count));
  const best = fits.reduce<(typeof fits)[number] | null>(
    (found, fit) => (found === null || fit.count < found.count ? fit : found),
    null,
  );
  return best === null ? null : `${best.count}${best.name}`;
}
