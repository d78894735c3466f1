import { expect, test } from 'vitest';
import { doubtsOf, nearestBefore, suspectsOf } from './suspects.ts';

test('doubts who gave least first and the origin last, cut at segments and where another goes on', () => {
  const given = [
    { startBytes: 0, endBytes: 250, giver: 'origin' },
    { startBytes: 250, endBytes: 430, giver: 'much' },
    { startBytes: 430, endBytes: 440, giver: 'little' },
    { startBytes: 440, endBytes: 500, giver: 'much' },
  ];
  expect(suspectsOf(given, 100).map((unit) => Object.values(unit).join(' '))).toEqual([
    '430 440 little',
    '250 300 much',
    '300 400 much',
    '400 430 much',
    '440 500 much',
    '0 100 origin',
    '100 200 origin',
    '200 250 origin',
  ]);
});

test('once damage was met, what lies before it is asked for backwards, then the rest as before', () => {
  const given = [
    { startBytes: 0, endBytes: 100, giver: 'origin' },
    { startBytes: 100, endBytes: 300, giver: 'much' },
    { startBytes: 300, endBytes: 400, giver: 'little' },
    { startBytes: 400, endBytes: 600, giver: 'much' },
  ];
  const doubts = doubtsOf(given, 100).sort(nearestBefore(450));
  expect(doubts.map(({ startBytes }) => startBytes)).toEqual([400, 300, 200, 100, 500, 0]);
});
