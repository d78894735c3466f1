import { expect, test } from 'vitest';
import { headerValue, metadataHeaders, putHeaders } from './ia-headers.ts';
import { itemIdentifier, placeFile } from './ia-item.ts';
import { fileStateIn, type ItemState } from './ia-metadata.ts';
import { mayKnowKeys } from './ia-put.ts';
import { createPace } from './pace.ts';

test('header values travel plain, or as uri() when a header could not carry them', () => {
  expect(headerValue('2026-11-20')).toBe('2026-11-20');
  expect(headerValue('a b')).toBe('uri(a%20b)');
  expect(headerValue('Вікіпедія (uk)!')).toMatch(/^uri\([A-Za-z0-9%._~-]+\)$/);
  expect(headerValue("('*!)")).toBe("('*!)");
  expect(headerValue('uri(x)')).toBe('uri(uri%28x%29)');
});

test('repeated fields are numbered, empty ones left out, underscores doubled into dashes', () => {
  expect(metadataHeaders({ subject: ['a', '', 'b'], title: 'x y', empty: ' ', own_field: '1' })).toEqual({
    'x-archive-meta00-subject': 'a',
    'x-archive-meta01-subject': 'b',
    'x-archive-meta00-title': 'uri(x%20y)',
    'x-archive-meta00-own--field': '1',
  });
});

test('creation metadata goes only with the file that creates the item', () => {
  const facts = { sizeBytes: 3, md5: 'm', sha256: 's', itemSizeBytes: 9 };
  const later = putHeaders({ ...facts, metadata: null });
  expect(later).toMatchObject({ 'content-length': '3', 'content-md5': 'm', 'x-archive-size-hint': '9' });
  expect(Object.keys(later).filter((name) => name.startsWith('x-archive-meta'))).toEqual([]);
  expect(putHeaders({ ...facts, metadata: { title: 'T' } })).toMatchObject({ 'x-archive-meta00-title': 'T' });
});

test('identifiers are lower case, keep underscores and name their part', () => {
  expect(itemIdentifier({ wikiDbName: 'be_x_oldwiki', runDate: '20261120' }, 1)).toBe(
    'wikiseed-be_x_oldwiki-20261120',
  );
  expect(itemIdentifier({ wikiDbName: 'aawiki', runDate: '20261120' }, 2)).toBe('wikiseed-aawiki-20261120-2');
  expect(() => itemIdentifier({ wikiDbName: 'x'.repeat(80), runDate: '20261120' }, 1)).toThrow(/identifier/);
});

test('a run larger than an item is split in the order of names', () => {
  const files = ['c', 'a', 'b', 'd'].map((filename) => ({ filename, sizeBytes: 40 }));
  const limits = { maxItemSizeBytes: 100, maxItemFiles: 10 };
  expect(placeFile(files, 'b', limits)).toEqual({ part: 1, itemSizeBytes: 80 });
  expect(placeFile(files, 'c', limits)).toEqual({ part: 2, itemSizeBytes: 80 });
  expect(placeFile(files, 'b', { ...limits, maxItemFiles: 1 })).toEqual({ part: 2, itemSizeBytes: 40 });
});

test('only equal md5, sha1 and size of an original without pending tasks count as verified', () => {
  const own = { key: 'k', md5: 'm', sha1: 's', sizeBytes: 5 };
  const row = { name: 'k', md5: 'm', sha1: 's', size: '5', source: 'original' };
  const item: ItemState = { exists: true, isDark: false, hasTasks: false, ownWikiDbName: null, files: [row] };
  expect(fileStateIn(item, own)).toBe('verified');
  expect(fileStateIn({ ...item, hasTasks: true }, own)).toBe('present');
  expect(fileStateIn({ ...item, files: [{ ...row, source: 'derivative' }] }, own)).toBe('present');
  expect(fileStateIn({ ...item, files: [{ ...row, sha1: 'x' }] }, own)).toBe('present');
  expect(fileStateIn({ ...item, files: [{ ...row, size: '6' }] }, own)).toBe('different');
  expect(fileStateIn({ ...item, files: [] }, own)).toBe('absent');
});

test.each([
  ['https://s3.us.archive.org/a', 'https://ia600.us.archive.org/a', true],
  ['https://s3.us.archive.org/a', 'http://ia600.us.archive.org/a', false],
  ['https://s3.us.archive.org/a', 'https://archive.org.example.net/a', false],
  ['https://s3.us.archive.org/a', 'https://10.0.0.1/a', false],
  ['https://10.0.0.1/a', 'https://20.0.0.1/a', false],
  ['http://127.0.0.1:1/a', 'http://127.0.0.1:2/a', true],
  ['http://127.0.0.1:1/a', 'https://archive.org/a', false],
])('from %s to %s keys may follow: %s', (from, to, expected) => {
  expect(mayKnowKeys(new URL(from), new URL(to))).toBe(expected);
});

test('keeps the pace: new items an hour, one file at a time for each item, doubling rests', () => {
  let nowMs = 0;
  const pace = createPace({
    clock: { monotonicMs: () => nowMs },
    newItemsPerHour: 2,
    dailyFiles: 100,
    busyItemWaitMs: 30_000,
  });
  const first = pace.begin('a', true);
  expect(pace.waitMs('a', false)).toBe(30_000);
  first.done();
  expect(pace.waitMs('a', false)).toBe(0);
  nowMs = 600_000;
  pace.begin('b', true).done();
  expect(pace.waitMs('c', true)).toBe(3_000_000);
  expect(pace.waitMs('b', false)).toBe(0);
  nowMs = 3_600_001;
  expect(pace.waitMs('c', true)).toBe(0);
  expect([1, 2, 3, 4, 5, 6, 7].map(() => pace.slowDown(0))).toEqual(
    [30, 60, 120, 240, 480, 600, 600].map((s) => s * 1000),
  );
  expect(pace.mustAsk()).toBe(true);
  expect(pace.waitMs('b', false)).toBe(600_000);
  pace.relax();
  expect(pace.mustAsk()).toBe(false);
  pace.stopNewItems();
  nowMs += 600_000;
  expect(pace.waitMs('b', false)).toBe(0);
  expect(pace.waitMs('c', true)).toBe(23 * 3_600_000 + 3_000_000);
});
