import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixtures } from '../../test/helpers/needs.ts';
import { isRunDate, parseListing, readListing, runDatesOf } from './listing.ts';

const page = (rows: string): string =>
  `<html>\n<head><title>Index of /x/</title></head>\n<body><h1>Index of /x/</h1><hr><pre><a href="../">../</a>\n${rows}\n</pre><hr></body>\n</html>\n`;
const row = (href: string, size = '12', date = '02-Sep-2020 01:29'): string =>
  `<a href="${href}">${href}</a>       ${date}       ${size}`;
const names = (rows: string): string[] => parseListing(page(rows)).map((entry) => entry.name);

describe.skipIf(fixtures() === null)('real listings', () => {
  const read = (name: string) =>
    parseListing(readFileSync(join(fixtures() ?? '', '_listings', name), 'utf8'));

  test('nginx: names, times in UTC, exact sizes beyond 32 bits', () => {
    const entries = read('other-wikidata.autoindex.html');
    expect(entries).toHaveLength(9);
    expect(entries[0]).toEqual({
      name: '20141117.json.gz',
      isDirectory: false,
      sizeBytes: 3_695_440_078,
      modifiedAt: Date.parse('2014-11-17T13:09:00Z'),
    });
  });

  test('nginx: folders have no size, and latest is no date', () => {
    const entries = read('enwiki.autoindex.html');
    expect(entries.at(-1)).toEqual({
      name: 'latest',
      isDirectory: true,
      sizeBytes: null,
      modifiedAt: Date.parse('2020-10-23T06:16:00Z'),
    });
    expect(runDatesOf(entries)).toEqual([
      '20200720',
      '20200801',
      '20200820',
      '20200901',
      '20200920',
      '20201001',
      '20201020',
    ]);
    expect(runDatesOf(read('wikidatawiki.autoindex.html'))).toHaveLength(13);
  });

  test('nginx: an empty folder', () => {
    expect(read('enwiki-empty.autoindex.html')).toEqual([]);
  });

  test('lighttpd: the same from a table', () => {
    const entries = read('other-incr-wikidatawiki.lighttpd.html');
    expect(entries).toHaveLength(14);
    expect(entries[0]).toEqual({
      name: '20140208',
      isDirectory: true,
      sizeBytes: null,
      modifiedAt: Date.parse('2014-02-08T20:35:39Z'),
    });
    expect(runDatesOf(entries)).toHaveLength(14);
  });
});

test('14.12 dates are days of the real calendar: 20260231, latest and archive/ are none, nor is a file', () => {
  const entries = parseListing(
    page(
      [
        '20260231/',
        'latest/',
        'archive/',
        '20260101/',
        '20241301/',
        '20240229/',
        '20230229/',
        '20260102',
        '2026010/',
      ]
        .map((href) => row(href, '-'))
        .join('\n'),
    ),
  );
  expect(entries).toHaveLength(9);
  expect(runDatesOf(entries)).toEqual(['20240229', '20260101']);
});

test('14.12 dates with dashes are those of content exports, and neither form passes for the other', () => {
  const entries = parseListing(
    page(['2026-02-31/', '2026-01-01/', '20260101/'].map((h) => row(h, '-')).join('\n')),
  );
  expect(runDatesOf(entries, 'dashed')).toEqual(['2026-01-01']);
  expect(runDatesOf(entries, 'compact')).toEqual(['20260101']);
  expect(
    ['00000000', '99999999', '2026-1-1', '20260101 ', '+0260101'].filter((text) => isRunDate(text)),
  ).toEqual([]);
});

test.each([
  ['/etc/passwd'],
  ['/enwiki/20260101/'],
  ['//evil.example/x'],
  ['https://evil.example/x'],
  ['javascript:alert(1)'],
  ['../'],
  ['..'],
  ['./'],
  ['?C=N;O=D'],
  ['#top'],
  [''],
])('a link to %j is no entry', (href) => {
  expect(readListing(page(row(href)))).toEqual({ entries: [], refused: [] });
});

test.each([
  ['a/b'],
  ['a/../b'],
  ['..%2f'],
  ['%2e%2e%2fx'],
  ['%2e%2e/'],
  ['a%00b'],
  ['a%5cb'],
  ['%zz'],
  ['%e0%a4'],
  ['.hidden'],
  ['-rf'],
  ['a%252fb'],
  ['a&#47;b'],
  ['x'.repeat(201)],
])('the name %j is refused, and said', (href) => {
  const { entries, refused } = readListing(page(`${row(href)}\n${row('good')}`));
  expect(entries.map((entry) => entry.name)).toEqual(['good']);
  expect(refused).toEqual([href.slice(0, 120)]);
});

test('names are decoded once', () => {
  expect(names(row('%5FSUCCESS'))).toEqual(['_SUCCESS']);
});

test.each([
  ['1.2M', null],
  ['12K', null],
  ['453B', null],
  ['-', null],
  ['', null],
  ['1,234', null],
  ['99999999999999999', null],
  ['9007199254740993', null],
  ['0', 0],
  ['5000000000', 5_000_000_000],
])('the size %j is %j', (text, sizeBytes) => {
  expect(parseListing(page(row('a', text)))[0]).toMatchObject({ sizeBytes });
});

test.each([
  ['31-Feb-2020 01:29'],
  ['02-Foo-2020 01:29'],
  ['02-Sep-2020 25:00'],
  ['2020-09-02 01:29'],
])('the time %j is none', (date) => {
  expect(parseListing(page(row('a', '12', date)))[0]).toMatchObject({ name: 'a', modifiedAt: null });
});

test('a name that is listed twice with different sizes has none', () => {
  expect(parseListing(page(`${row('a', '1')}\n${row('a', '2')}`))).toMatchObject([
    { name: 'a', sizeBytes: null },
  ]);
  expect(parseListing(page(`${row('a', '1')}\n${row('a', '1')}`))).toMatchObject([
    { name: 'a', sizeBytes: 1 },
  ]);
});

test('neither half a listing nor another page is a listing', () => {
  const whole = page(`${row('a')}\n${row('b')}`);
  expect(parseListing(whole)).toHaveLength(2);
  for (let cut = 0; cut < whole.trimEnd().length; cut += 7)
    expect(() => parseListing(whole.slice(0, cut), 'https://x/'), String(cut)).toThrow(
      'the listing of https://x/ is not complete',
    );
  expect(() => parseListing('<html><head><title>Maintenance</title></head><body></body></html>')).toThrow();
});

test('a megabyte of what looks almost like links takes no time', () => {
  for (const piece of ['<a ', '<a href="', 'href="', '<a href="x">', '01-Jan-2020 ', ' ']) {
    const text = page(piece.repeat(Math.ceil(1_000_000 / piece.length)));
    const started = performance.now();
    readListing(text);
    expect(performance.now() - started, piece).toBeLessThan(2_000);
  }
});
