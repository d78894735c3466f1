import { expect, test } from 'vitest';
import { bandwidthAt } from './bandwidth.ts';

const at = (text: string): number => Date.parse(text);
const office = { days: [1, 2, 3, 4, 5], fromMinute: 480, toMinuteExclusive: 1080, bytesPerSecond: 5 };
const fridayNight = { days: [5], fromMinute: 1320, toMinuteExclusive: 360, bytesPerSecond: null };
const sunday = { days: [0], fromMinute: 0, toMinuteExclusive: 1440, bytesPerSecond: 7 };
const limit = { defaultBytesPerSecond: 9, windows: [office, fridayNight, sunday] };

test.each([
  ['Monday before the window', '2026-06-01T07:59:59Z', 9],
  ['Monday, first minute', '2026-06-01T08:00:00Z', 5],
  ['Monday, last minute', '2026-06-01T17:59:59Z', 5],
  ['Monday, the end is not included', '2026-06-01T18:00:00Z', 9],
  ['Sunday, first minute of a whole day', '2026-06-07T00:00:00Z', 7],
  ['Sunday, last minute', '2026-06-07T23:59:59Z', 7],
  ['Saturday before it', '2026-06-06T23:59:59Z', 9],
  ['Monday after it', '2026-06-08T00:00:00Z', 9],
  ['Friday night', '2026-06-05T22:00:00Z', null],
  ['Saturday morning still belongs to Friday night', '2026-06-06T05:59:00Z', null],
  ['Saturday night does not', '2026-06-06T22:00:00Z', 9],
  ['Friday morning does not', '2026-06-05T05:00:00Z', 9],
])('%s', (_, moment, expected) => {
  expect(bandwidthAt(limit, at(moment))).toBe(expected);
});
