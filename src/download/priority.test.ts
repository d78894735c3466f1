import { expect, test } from 'vitest';
import { type DownloadRisk, downloadPriority } from './priority.ts';

const GB = 1_000_000_000;
const priority = (facts: Partial<DownloadRisk> = {}) =>
  downloadPriority({ isCovered: true, isText: false, expiresInDays: null, sizeBytes: GB, ...facts });

test.each([
  ['text that nobody has, smallest', { isText: true, isCovered: false, sizeBytes: 0 }, 100],
  ['text that nobody has, largest', { isText: true, isCovered: false, sizeBytes: 2 ** 40 }, 140],
  ['the same, however near its end', { isText: true, isCovered: false, sizeBytes: 1, expiresInDays: 0 }, 100],
  ['gone any moment, smallest', { expiresInDays: 0, sizeBytes: 1 }, 200],
  ['gone already by our reckoning', { expiresInDays: -3, sizeBytes: 1 }, 200],
  ['gone in 20.9 days, largest', { expiresInDays: 20.9, sizeBytes: 2 ** 40 }, 773],
  ['three weeks left', { expiresInDays: 21, sizeBytes: 1 }, 800],
  ['nobody knows for how long', { expiresInDays: null, sizeBytes: 1 }, 800],
  ['larger than anything', { sizeBytes: 2 ** 52 }, 840],
  ['a table of a wiki that nobody has', { isCovered: false, sizeBytes: 1 }, 800],
  ['text that somebody has', { isText: true, sizeBytes: 1 }, 800],
] as [string, Partial<DownloadRisk>, number][])('%s', (_name, facts, expected) => {
  expect(priority(facts)).toBe(expected);
});

test.each([
  [0, 0],
  [1, 0],
  [2, 1],
  [3, 1],
  [4, 2],
  [1023, 9],
  [1024, 10],
  [2 ** 39, 39],
  [2 ** 40 - 1, 39],
  [2 ** 40, 40],
  [2 ** 41, 40],
])('a file of %i bytes is %i steps behind the smallest', (sizeBytes, steps) => {
  expect(priority({ sizeBytes }) - 800).toBe(steps);
});

test('closer to its end is earlier, whatever the size', () => {
  for (let days = 0; days <= 19.5; days += 1.5) {
    const largest = priority({ expiresInDays: days, sizeBytes: 2 ** 40 });
    expect(priority({ expiresInDays: days + 1.5, sizeBytes: 0 })).toBeGreaterThan(largest);
    expect(priority({ expiresInDays: days + 1.49, sizeBytes: 2 ** 40 })).toBe(largest);
  }
});

test('the three kinds of risk never overlap, and leave room before the 1,000 of a lost lease', () => {
  const sizes = Array.from({ length: 60 }, (_, power) => 2 ** power).concat(0);
  const days = [null, -100, -1, ...Array.from({ length: 500 }, (_, index) => index / 10), 1e9];
  const range = (of: (sizeBytes: number, expiresInDays: number | null) => Partial<DownloadRisk>) => {
    const all = sizes.flatMap((size) => days.map((day) => priority(of(size, day))));
    expect(all.every((value) => Number.isInteger(value))).toBe(true);
    return [Math.min(...all), Math.max(...all)] as const;
  };
  const uncovered = range((sizeBytes, expiresInDays) => ({
    sizeBytes,
    expiresInDays,
    isText: true,
    isCovered: false,
  }));
  const soon = range((sizeBytes, day) => ({ sizeBytes, expiresInDays: Math.min(day ?? 0, 20.999) }));
  const rest = range((sizeBytes, day) => ({ sizeBytes, expiresInDays: day === null ? null : day + 121 }));
  expect(uncovered[0]).toBeGreaterThanOrEqual(100);
  expect(soon[0]).toBeGreaterThan(uncovered[1]);
  expect(rest[0]).toBeGreaterThan(soon[1]);
  expect(rest[1]).toBeLessThanOrEqual(900);
});
