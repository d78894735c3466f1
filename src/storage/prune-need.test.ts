import { expect, test } from 'vitest';
import { bytesToFree, type PruneUsage } from './prune-need.ts';

const USAGE: PruneUsage = {
  ...{ mode: 'cleaning', countedBytes: 8600, reservedBytes: 0, totalBytes: 10_000, fileSystemBytes: 10_000 },
  ...{ freeBytes: 1400, cleanupThresholdPercent: 85, pauseThresholdPercent: 90, safetyMarginBytes: 100 },
};

test.each<[string, Partial<PruneUsage>, number]>([
  ['until the mode is normal again, a point below the threshold', {}, 200],
  ['promises count as used', { reservedBytes: 50 }, 250],
  ['nothing while the mode is normal', { mode: 'normal' }, 0],
  [
    'in a hard stop until a tenth more than the margin is free',
    { mode: 'hard_stop', countedBytes: 100, freeBytes: 10 },
    100,
  ],
  ['the larger of the two', { mode: 'hard_stop', countedBytes: 9990, freeBytes: 10 }, 1590],
])('%s', (_what, changed, expected) => {
  expect(bytesToFree({ ...USAGE, ...changed })).toBe(expected);
});

test.each<[string, Partial<PruneUsage>]>([
  ['what is used', { countedBytes: null }],
  ['what is free', { freeBytes: Number.NaN }],
  ['how large it is', { totalBytes: -1 }],
])('refuses when nobody knows %s', (_what, changed) => {
  expect(() => bytesToFree({ ...USAGE, ...changed })).toThrow(/not known how full/);
});
