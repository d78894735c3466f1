import { expect, test } from 'vitest';
import { parseWikistats } from './wikistats.ts';

const wiki = (wikiDbName: string, project: string, language: string, url: string) => ({
  wikiDbName,
  project,
  language,
  url: `https://${url}`,
});
const wikis = [
  wiki('enwiki', 'wikipedia', 'en', 'en.wikipedia.org'),
  wiki('enwiktionary', 'wiktionary', 'en', 'en.wiktionary.org'),
  wiki('be_x_oldwiki', 'wikipedia', 'be-x-old', 'be-tarask.wikipedia.org'),
  wiki('zh_yuewiki', 'wikipedia', 'zh-yue', 'zh-yue.wikipedia.org'),
  wiki('commonswiki', 'commons', 'commons', 'commons.wikimedia.org'),
  wiki('wikidatawiki', 'wikidata', 'wikidata', 'www.wikidata.org'),
  wiki('sourceswiki', 'sources', 'sources', 'wikisource.org'),
  wiki('etwikimedia', 'etwikimedia', 'et', 'ee.wikimedia.org'),
];
const HEADER =
  'rank,prefix,type,language,loclang,good,total,edits,admins,users,activeusers,images,stubratio,timestamp';
const row = (prefix: string, type: string, total: number | string): string =>
  `1,${prefix},${type},"Some, language",x,5,${total},1,1,1,1,1,,2026-01-01 00:00:00`;
const parse = (...rows: string[]) => parseWikistats([HEADER, ...rows].join('\n'), wikis);

test('every way in which a prefix names a wiki', () => {
  const { pages, ignored, unmatched } = parse(
    row('en', 'wikipedia', 60_000_000),
    row('en', 'wiktionary', 9_000_000),
    row('be-tarask', 'wikipedia', 90),
    row('zh-yue', 'wikipedia', 80),
    row('commons', 'special', 100_000_000),
    row('wikidata', 'special', 110_000_000),
    row('sources', 'special', 7),
    row('ee', 'wikimedia', 6),
    row('xx', 'wikipedia', 5),
    row('wikipedia', 'special', 4),
  );
  expect([...pages]).toEqual([
    ['enwiki', 60_000_000],
    ['enwiktionary', 9_000_000],
    ['be_x_oldwiki', 90],
    ['zh_yuewiki', 80],
    ['commonswiki', 100_000_000],
    ['wikidatawiki', 110_000_000],
    ['sourceswiki', 7],
    ['etwikimedia', 6],
  ]);
  expect(ignored).toBe(0);
  expect(unmatched).toEqual(['wikipedia:xx', 'special:wikipedia']);
});

test('columns are found by name, with a byte order mark and Windows line ends', () => {
  const text = '\uFEFFTotal, Type ,PREFIX\r\n12,wikipedia,en\r\n\r\n';
  expect([...parseWikistats(text, wikis).pages]).toEqual([['enwiki', 12]]);
});

test('broken rows are left out and counted', () => {
  const { pages, ignored } = parse(
    row('zh-yue', 'wikipedia', 'many'),
    row('zh-yue', 'wikipedia', '-3'),
    row('zh-yue', 'wikipedia', '1e9'),
    row('', 'wikipedia', 3),
    '1,zh-yue,wikipedia',
    // Cut off in the middle of the number, for all we know.
    '1,zh-yue,wikipedia,a,b,1,77',
    '1,"zh"x,wikipedia,a,b,1,2,3,4,5,6,7,8,9',
    row('en', 'wikipedia', 1),
  );
  expect([...pages]).toEqual([['enwiki', 1]]);
  expect(ignored).toBe(7);
});

test('a quote that never ends takes its own row with it and no other', () => {
  const { pages, ignored } = parse('1,"zh-yue,wikipedia', row('en', 'wikipedia', 1));
  expect([...pages]).toEqual([['enwiki', 1]]);
  expect(ignored).toBe(1);
});

test('quotes that meet across lines do not join their rows', () => {
  const text = 'prefix,type,total\n"en\nen",wikipedia,5\nzh-yue,wikipedia,2\n';
  expect(parseWikistats(text, wikis)).toEqual({
    pages: new Map([['zh_yuewiki', 2]]),
    ignored: 2,
    unmatched: [],
  });
});

test.each([
  '',
  '   ',
  '<html><body>Sorry</body></html>',
  'a,b,c\n1,2,3',
  '"',
])('%j is no such table', (text) => {
  expect(() => parseWikistats(text, wikis)).toThrow(/the Wikistats table has no column/);
});
