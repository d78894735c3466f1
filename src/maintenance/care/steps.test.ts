import { describe, expect, test } from 'vitest';
import { dueCheckpoint } from './checkpoint.ts';
import { inSmallSteps, nextSize } from './pace.ts';
import { dailyInWindow, isInWindow, msUntilWindow } from './window.ts';

const LIMITS = { walWarnSizeBytes: 50_000_000, walMaxSizeBytes: 100_000_000 };

test.each([
  ['little is waiting', { fileBytes: 4_000_000, logBytes: 4_000_000, pendingBytes: 4_000_000 }, null],
  ['more is waiting', { fileBytes: 4_000_001, logBytes: 4_000_001, pendingBytes: 4_000_001 }, 'passive'],
  ['all of a large log is copied', { fileBytes: 50_000_000, logBytes: 50_000_000, pendingBytes: 0 }, null],
  ['a log never ends', { fileBytes: 50_000_001, logBytes: 50_000_001, pendingBytes: 1 }, 'restart'],
  [
    'a log grows towards the limit',
    { fileBytes: 16_700_000, logBytes: 16_700_000, pendingBytes: 1 },
    'restart',
  ],
  [
    'a file stayed large, and much is written',
    { fileBytes: 50_000_001, logBytes: 3_000_000, pendingBytes: 3_000_000 },
    null,
  ],
  ['a file stayed large', { fileBytes: 50_000_001, logBytes: 1000, pendingBytes: 1000 }, 'truncate'],
  ['a file is too large', { fileBytes: 100_000_001, logBytes: 100_000_001, pendingBytes: 5 }, 'truncate'],
] as const)('which checkpoint is due when %s', (_what, sizes, expected) => {
  expect(dueCheckpoint(sizes, LIMITS)).toBe(expected);
});

describe('the size of a step', () => {
  test.each([
    [100, 3, 100],
    [100, 6, 50],
    [100, 300, 25],
    [100, 0, 200],
    [300, 0, 500],
    [1, 500, 1],
  ])('of %i that took %f ms becomes %i', (size, tookMs, expected) => {
    expect(nextSize(size, { tookMs, maxSize: 500 })).toBe(expected);
  });

  test('between two steps there is always a pause, five times as long as the step', async () => {
    let nowMs = 0;
    const pauses: number[] = [];
    let left = 5;
    const result = await inSmallSteps(
      {
        monotonicMs: () => nowMs,
        pause: async (ms) => void pauses.push(ms),
        throwIfStopped: () => {},
        onStep: () => {},
      },
      {
        firstSize: 1,
        maxSize: 1,
        // Looking holds no lock: it makes no step longer and no pause.
        find() {
          nowMs += 500;
        },
        write() {
          nowMs += left === 3 ? 20 : 1;
          left -= 1;
          return left === 0 ? 0 : 1;
        },
      },
    );
    expect(pauses).toEqual([10, 10, 100, 10]);
    expect(result).toEqual({ steps: 5, done: 4, longestStepMs: 20 });
  });
});

describe('the maintenance window', () => {
  const at = (text: string): number => Date.parse(`2026-11-23T${text}Z`);
  const night = { fromMinute: 22 * 60, toMinuteExclusive: 4 * 60 };
  const early = { fromMinute: 120, toMinuteExclusive: 360 };

  test.each([
    [early, '01:59:59', false, 1000],
    [early, '02:00:00', true, 0],
    [early, '05:59:59', true, 0],
    [early, '06:00:00', false, 20 * 3_600_000],
    [night, '23:00:00', true, 0],
    [night, '03:59:00', true, 0],
    [night, '04:00:00', false, 18 * 3_600_000],
    [night, '21:59:30', false, 30_000],
  ])('%o at %s', (window, time, isIn, waitMs) => {
    expect(isInWindow(window, at(time))).toBe(isIn);
    expect(msUntilWindow(window, at(time))).toBe(waitMs);
  });

  test('the times in it, also over midnight', () => {
    expect(dailyInWindow(early, 0)).toBe('0 2 * * *');
    expect(dailyInWindow(early, 0.25)).toBe('0 3 * * *');
    expect(dailyInWindow(night, 0.5)).toBe('0 1 * * *');
  });
});
