import { expect, test } from 'vitest';
import { longestStep, nextRun } from './next-run.ts';

/**
 * Goal: a schedule's own step is known, so that rare looks are not taken for missing ones.
 * Method: words and expressions, from days on which their next steps differ.
 */
const DAY_MS = 24 * 60 * 60_000;
const from = (time: string): number => Date.parse(`${time}Z`);

test('the longest step is that of the schedule, whatever the day', () => {
  expect(longestStep('daily', from('2026-01-05T12:00:00'))).toBe(DAY_MS);
  expect(longestStep('weekly', from('2026-01-05T12:00:00'))).toBe(7 * DAY_MS);
  // From the 31st to the 1st it is one day only.
  for (const day of ['2026-01-19T05:17:00', '2026-01-28T05:30:00', '2026-01-31T06:00:00'])
    expect(longestStep('17 5 */3 * *', from(day))).toBe(3 * DAY_MS);
});

test('a schedule that never comes has no step', () => {
  expect(nextRun('0 0 31 2 *', from('2026-01-05T12:00:00'), 0)).toBe(Number.POSITIVE_INFINITY);
  expect(longestStep('0 0 31 2 *', from('2026-01-05T12:00:00'))).toBe(0);
});
