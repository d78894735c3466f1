import { expect, test } from 'vitest';
import { suspectsOf } from './suspects.ts';

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
