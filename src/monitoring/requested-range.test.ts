import { expect, test } from 'vitest';
import { isRangeMeant, requestedRange } from './requested-range.ts';

test.each([
  ['bytes=0-0', 10, { from: 0, sizeBytes: 1 }],
  ['bytes=3-', 10, { from: 3, sizeBytes: 7 }],
  ['bytes=-3', 10, { from: 7, sizeBytes: 3 }],
  ['bytes=-30', 10, { from: 0, sizeBytes: 10 }],
  ['bytes=5-99', 10, { from: 5, sizeBytes: 5 }],
  ['Bytes=5-6', 10, { from: 5, sizeBytes: 2 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=0-0', 0, null],
  ['bytes=-5', 0, null],
  ['bytes=6-5', 10, null],
  ['bytes=-', 10, null],
  ['bytes=0-1,3-4', 10, null],
  ['items=0-1', 10, null],
  [undefined, 10, null],
])('%s of %i bytes', (header, size, range) => {
  expect(requestedRange(header, size)).toEqual(range);
});

test('a range is meant for the very bytes that its validator names', () => {
  expect(isRangeMeant(undefined, '"a"', null)).toBe(true);
  expect(isRangeMeant('"a"', '"a"', null)).toBe(true);
  expect(isRangeMeant('W/"a"', '"a"', null)).toBe(false);
  expect(isRangeMeant('Mon, 01 Jan 2024 00:00:00 GMT', '"a"', null)).toBe(false);
  expect(isRangeMeant('Mon, 01 Jan 2024 00:00:00 GMT', '"a"', 'Mon, 01 Jan 2024 00:00:00 GMT')).toBe(true);
});
