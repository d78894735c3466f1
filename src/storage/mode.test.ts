import { describe, expect, test } from 'vitest';
import {
  freeBytesToReturn,
  returnPercent,
  type StorageLimits,
  type StorageMode,
  storageMode,
} from './mode.ts';

const TB = 1_000_000_000_000;
const MARGIN = 5_000_000_000;
const LIMITS: StorageLimits = {
  cleanupThresholdPercent: 85,
  pauseThresholdPercent: 90,
  safetyMarginBytes: MARGIN,
  maxSizeBytes: null,
};

/** A file system of 1 TB of which so much is used. */
function at(
  used: number,
  options: {
    reserved?: number;
    previous?: StorageMode;
    limits?: Partial<StorageLimits>;
    own?: number | null;
  } = {},
) {
  return storageMode(
    {
      space: { freeBytes: TB - used, totalBytes: TB },
      ownBytes: options.own ?? null,
      reservedBytes: options.reserved ?? 0,
    },
    { ...LIMITS, ...options.limits },
    options.previous,
  ).mode;
}
const percent = (points: number): number => Math.round((points * TB) / 100);

test.each<[number, StorageMode]>([
  [0, 'normal'],
  [percent(84.999), 'normal'],
  [percent(85) - 1, 'normal'],
  [percent(85), 'cleaning'],
  [percent(89.999), 'cleaning'],
  [percent(90) - 1, 'cleaning'],
  [percent(90), 'paused'],
  [TB - MARGIN - 1, 'paused'],
  [TB - MARGIN, 'paused'],
  [TB - MARGIN + 1, 'hard_stop'],
  [TB, 'hard_stop'],
])('%d bytes of 1 TB used is %s', (used, mode) => {
  expect(at(used)).toBe(mode);
});

test('promises to running downloads count as used, but only bytes that are really gone stop them', () => {
  expect(at(percent(84), { reserved: percent(1) - 1 })).toBe('normal');
  expect(at(percent(84), { reserved: percent(1) })).toBe('cleaning');
  expect(at(percent(84), { reserved: percent(6) })).toBe('paused');
  expect(at(percent(84), { reserved: percent(15.9) })).toBe('paused');
});

describe('a mode is left one point below where it began', () => {
  test.each<[StorageMode, number, StorageMode]>([
    ['cleaning', percent(84) + 1, 'cleaning'],
    ['cleaning', percent(84), 'normal'],
    ['paused', percent(90) - 1, 'paused'],
    ['paused', percent(89) + 1, 'paused'],
    ['paused', percent(89), 'cleaning'],
    ['paused', percent(84) + 1, 'cleaning'],
    ['paused', percent(84), 'normal'],
    ['hard_stop', percent(89) + 1, 'paused'],
    ['hard_stop', percent(10), 'normal'],
    ['normal', percent(89), 'cleaning'],
  ])('%s at %d bytes becomes %s', (previous, used, mode) => {
    expect(at(used, { previous })).toBe(mode);
  });

  test('a hard stop ends at a tenth more than the margin', () => {
    const end = freeBytesToReturn(MARGIN, TB);
    expect(end).toBe(5_500_000_000);
    expect(at(TB - end + 1, { previous: 'hard_stop' })).toBe('hard_stop');
    expect(at(TB - end, { previous: 'hard_stop' })).toBe('paused');
    expect(at(TB - end + 1, { previous: 'paused' })).toBe('paused');
  });

  test('every mode ends by itself when the disk is as empty as it can be', () => {
    for (const safetyMarginBytes of [0, 1, MARGIN, TB / 2, TB - 2, TB - 1])
      for (const cleanup of [1, 1.5, 50, 98])
        for (const previous of ['cleaning', 'paused', 'hard_stop'] as const) {
          const limits = {
            safetyMarginBytes,
            cleanupThresholdPercent: cleanup,
            pauseThresholdPercent: cleanup + 1,
          };
          expect(at(0, { previous, limits })).toBe('normal');
        }
    expect(returnPercent(1)).toBe(0.5);
  });
});

describe('storage.max_size', () => {
  const max = (maxSizeBytes: number) => ({ maxSizeBytes });
  test('below the size of the file system only our own bytes count against it', () => {
    const limits = max(TB / 10);
    expect(at(percent(95), { own: percent(8.499), limits })).toBe('normal');
    expect(at(percent(95), { own: percent(8.5), limits })).toBe('cleaning');
    expect(at(0, { own: percent(9), limits })).toBe('paused');
    expect(at(0, { own: percent(8), reserved: percent(1), limits })).toBe('paused');
    expect(at(TB - MARGIN + 1, { own: 0, limits })).toBe('hard_stop');
  });

  test('that is larger than the disk, or as large, is the disk', () => {
    for (const limits of [max(TB), max(TB * 3)]) {
      expect(at(percent(84), { own: percent(99), limits })).toBe('normal');
      expect(at(percent(90), { own: 0, limits })).toBe('paused');
    }
  });

  test('nothing begins before our own size is known', () => {
    const verdict = storageMode(
      { space: { freeBytes: TB, totalBytes: TB }, ownBytes: null, reservedBytes: 0 },
      { ...LIMITS, maxSizeBytes: TB / 2 },
    );
    expect(verdict).toMatchObject({ mode: 'paused', countedBytes: null, usableBytes: TB / 2 });
    expect(verdict.reason).toMatch(/not measured yet/);
    expect(at(0, { own: Number.NaN, limits: max(TB / 2) })).toBe('paused');
  });
});

describe('what is not known counts as the worst, with its reason', () => {
  const reasonOf = (space: { freeBytes: number; totalBytes: number } | null, reservedBytes = 0) => {
    const { mode, reason } = storageMode({ space, ownBytes: 0, reservedBytes }, LIMITS);
    expect(mode).toBe('hard_stop');
    return reason;
  };
  test('a file system that does not answer, or with nonsense', () => {
    expect(reasonOf(null)).toMatch(/does not say/);
    expect(reasonOf({ freeBytes: Number.NaN, totalBytes: TB })).toMatch(/NaN of/);
    expect(reasonOf({ freeBytes: TB, totalBytes: Number.NaN })).toMatch(/of NaN/);
    expect(reasonOf({ freeBytes: -1, totalBytes: TB })).toMatch(/-1 of/);
    expect(reasonOf({ freeBytes: Number.POSITIVE_INFINITY, totalBytes: TB })).toMatch(/Infinity/);
    expect(reasonOf({ freeBytes: 2, totalBytes: 1 })).toMatch(/2 of 1 bytes/);
    expect(reasonOf({ freeBytes: 0, totalBytes: 0 })).toMatch(/no room at all/);
    expect(reasonOf({ freeBytes: TB, totalBytes: TB }, Number.NaN)).toMatch(/promised/);
  });
});

test('the reason says how full it is, rounded down', () => {
  const say = (used: number, previous?: StorageMode) =>
    storageMode(
      { space: { freeBytes: TB - used, totalBytes: TB }, ownBytes: null, reservedBytes: 0 },
      LIMITS,
      previous,
    ).reason;
  expect(say(percent(89.999))).toBe('89.9 % are used');
  expect(say(percent(89.5), 'paused')).toBe('89.5 % are used, and 89 % end the pause');
});
