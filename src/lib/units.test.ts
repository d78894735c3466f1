import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  days,
  durationText,
  formatBytes,
  formatDuration,
  formatRate,
  hours,
  minutes,
  parseDuration,
  parseRate,
  parseSize,
  rateText,
  seconds,
  sizeText,
  UnitError,
} from './units.ts';

describe('parseSize', () => {
  test.each([
    ['100MB', 100e6],
    ['1.5GB', 1.5e9],
    ['16 MiB', 16 * 2 ** 20],
    ['1kB', 1000],
    ['1KB', 1000],
    ['1KiB', 1024],
    ['2TB', 2e12],
    ['1TiB', 2 ** 40],
    ['1GiB', 2 ** 30],
    ['12B', 12],
    ['1234', 1234],
    [0, 0],
    [5_000, 5_000],
  ])('reads %s as %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    '',
    'GB',
    '1.5',
    '-1GB',
    '1e9',
    '10 XB',
    '5GBs',
    '1GB/s',
    '99999999TB',
    1.5,
    -1,
    Number.NaN,
  ])('refuses %s', (text) => {
    expect(() => parseSize(text)).toThrow(UnitError);
  });

  test('says how a unit in the wrong case is written, instead of guessing bits or bytes', () => {
    expect(() => parseSize('5Mb')).toThrow('"5Mb" is not a size: the unit Mb is written MB.');
  });
});

describe('parseRate', () => {
  test('reads bytes per second', () => {
    expect(parseRate('20MB/s')).toBe(20e6);
    expect(parseRate('512 KiB/s')).toBe(512 * 1024);
  });

  test('refuses a size without /s, because a size is not a rate', () => {
    expect(() => parseRate('20MB')).toThrow('"20MB" is not a rate: write bytes per second, such as 20MB/s');
    expect(() => parseRate(20)).toThrow(UnitError);
  });

  test('refuses bits and gives the sum', () => {
    expect(() => parseRate('8Mbit/s')).toThrow('counts bits');
    expect(() => parseRate('8 Mbps')).toThrow('counts bits');
  });
});

describe('parseDuration', () => {
  test.each([
    ['500ms', 500],
    ['90s', seconds(90)],
    ['5m', minutes(5)],
    ['4h', hours(4)],
    ['7d', days(7)],
    ['1.5h', minutes(90)],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['5', 5, '5M', '1w', 'h', '-5m', '1h30m'])('refuses %s', (text) => {
    expect(() => parseDuration(text)).toThrow('is not a duration: write a number with a unit');
  });
});

describe('writing for people', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 kB'],
    [1.5e9, '1.5 GB'],
    [999_499, '999 kB'],
    [999_500, '1 MB'],
    [99_950, '100 kB'],
    [123.4e9, '123 GB'],
    [-2_000, '-2 kB'],
    [5e18, '5000 PB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test('writes rates, and null as unlimited', () => {
    expect(formatRate(20e6)).toBe('20 MB/s');
    expect(formatRate(null)).toBe('unlimited');
  });

  test.each([
    [-5, '0 ms'],
    [450, '450 ms'],
    [999.6, '1 s'],
    [1_500, '1.5 s'],
    [9_960, '10 s'],
    [59_600, '1 m'],
    [200_000, '3 m 20 s'],
    [hours(1) + 5_000, '1 h'],
    [days(2) + hours(3) + minutes(59), '2 d 3 h'],
  ])('writes %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe('writing exactly', () => {
  test.each([
    [16 * 2 ** 20, '16MiB'],
    [100e6, '100MB'],
    [5e9, '5GB'],
    [1.5e9, '1500MB'],
    [0, '0'],
    [1234567, '1234567'],
  ])('writes %d as %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  test('reads back to the same number, whatever the number', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (amount) => {
        expect(parseSize(sizeText(amount))).toBe(amount);
        expect(parseRate(rateText(amount))).toBe(amount);
        expect(parseDuration(durationText(amount))).toBe(amount);
      }),
    );
  });
});
