import { expect, test } from 'vitest';
import { storageVerdict, storageWords, usedOf } from './storage-words.ts';
import type { StorageFacts } from './types.ts';

const facts = (more: Partial<StorageFacts> = {}): StorageFacts => ({
  ...{ usedBytes: 300e9, freeBytes: 100e9, totalBytes: 1e12, fileSystemBytes: 1e12 },
  ...{ countedBytes: 900e9, reservedBytes: 20e9, cleanupThresholdPercent: 85, pauseThresholdPercent: 90 },
  safetyMarginBytes: 5e9,
  ...more,
});

test('used is all that is not free, or below a limit what is ours; promises count', () => {
  expect(usedOf(facts())).toEqual({ usedBytes: 920e9, isLimited: false });
  expect(usedOf(facts({ totalBytes: 400e9, countedBytes: 300e9 }))).toEqual({
    usedBytes: 320e9,
    isLimited: true,
  });
  expect(usedOf(facts({ countedBytes: null }))).toEqual({ usedBytes: null, isLimited: false });
  // What only knows the three figures.
  expect(usedOf({ usedBytes: 1, freeBytes: 3, totalBytes: 5 })).toEqual({ usedBytes: 2, isLimited: false });
});

test('each mode says what happens now and what ends it', () => {
  expect(storageWords({ usedBytes: 1, freeBytes: 3, totalBytes: 5 })).toBeNull();
  expect(storageWords(facts({ mode: 'normal' }))).toMatch(/From 85 % on/);
  expect(storageWords(facts({ mode: 'cleaning' }))).toMatch(/downloads go on. From 90 % on, none starts/);
  expect(storageWords(facts({ mode: 'paused' }))).toMatch(
    /finish, none starts. They start again by themselves/,
  );
  expect(storageWords(facts({ mode: 'hard_stop' }))).toMatch(/go on by themselves .* safety margin \(5 GB\)/);
  expect(storageWords(facts({ mode: 'paused', isOnlyPromised: true }))).toMatch(/until one of them ends/);
});

test('the verdict: a full disk needs somebody now, a nearly full one this week, promises nobody', () => {
  const reason = '91 % are used';
  expect(storageVerdict(facts({ mode: 'hard_stop', reason }))?.level).toBe('stopped');
  expect(storageVerdict(facts({ mode: 'paused', reason }))).toEqual({
    level: 'attention',
    reason: 'The disk is nearly full: no new download starts (91 % are used).',
  });
  expect(storageVerdict(facts({ mode: 'paused', isOnlyPromised: true }))).toBeNull();
  expect(storageVerdict(facts({ mode: 'cleaning' }))).toBeNull();
});
