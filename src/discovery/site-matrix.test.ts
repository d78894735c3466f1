import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fixtures } from '../../test/helpers/needs.ts';
import { RetryableError, UnavailableError } from '../lib/index.ts';
import { parseSiteMatrix, readSiteMatrix } from './site-matrix.ts';

const site = (dbname: string, code = 'wiki') => ({
  url: `https://${dbname}.example`,
  dbname,
  code,
  sitename: dbname,
});
const matrix = (groups: { code: string; site: unknown[] }[]): string =>
  JSON.stringify({ sitematrix: { count: groups.length, ...groups, specials: [] } });

test.each([
  ['a language that leaves its folder', { code: '../../x', site: [site('xwiki')] }],
  ['an empty language', { code: '', site: [site('xwiki')] }],
  ['a language with a space', { code: 'zh hans', site: [site('xwiki')] }],
  ['a project with a slash', { code: 'x', site: [site('xwiki', 'a/b')] }],
  ['a database name with dots', { code: 'x', site: [site('..')] }],
  ['a name that differs only in case', { code: 'x', site: [site('AAwiki')] }],
  ['an entry of another shape', { code: 'x', site: [{ dbname: 7 }] }],
])('%s is refused, the rest goes on', (_what, group) => {
  const { wikis, refused } = parseSiteMatrix(matrix([{ code: 'aa', site: [site('aawiki')] }, group]));
  expect(wikis.map((wiki) => wiki.wikiDbName)).toEqual(['aawiki']);
  expect(refused).toHaveLength(1);
});

test.each([
  '',
  '{',
  '[]',
  '{"sitematrix":{"count":0}}',
  '{"error":{"code":"maxlag"}}',
])('%j is no site matrix', (text) => {
  expect(() => parseSiteMatrix(text)).toThrow(/site matrix/);
});

describe('14.11 site matrix', () => {
  const one = (change: Record<string, unknown>, key: 'site' | 'specials' = 'site') => {
    const entry = { ...site('aawiki'), ...change };
    const text = JSON.stringify({
      sitematrix: {
        count: 1,
        0: { code: 'aa', site: key === 'site' ? [entry] : [] },
        specials: key === 'specials' ? [entry] : [],
      },
    });
    return parseSiteMatrix(text).wikis[0];
  };

  test.each([
    ['', true],
    [true, true],
    [1, true],
    [false, false],
    [null, false],
    [undefined, false],
  ])('14.11 the flag %j means %j, for each of the flags', (value, expected) => {
    expect(one({ closed: value })).toMatchObject({ isClosed: expected, isPrivate: false, isFishbowl: false });
    expect(one({ private: value })).toMatchObject({ isPrivate: expected, isClosed: false });
    expect(one({ fishbowl: value })).toMatchObject({ isFishbowl: expected, isClosed: false });
  });

  test('14.11 a nonglobal wiki is a wiki like others', () => {
    expect(one({ nonglobal: '' })).toEqual(one({}));
    expect(one({ nonglobal: true })).toMatchObject({ isPrivate: false, isClosed: false });
  });

  test('14.11 a language without wikis is no mistake', () => {
    const { wikis, refused } = parseSiteMatrix(
      matrix([
        { code: 'xx', site: [] },
        { code: 'aa', site: [site('aawiki')] },
      ]),
    );
    expect(wikis).toHaveLength(1);
    expect(refused).toEqual([]);
  });

  test.each([
    [{ code: 'commons', lang: 'commons' }, 'commons', 'commons'],
    [{ code: 'brwikimedia', lang: 'pt-BR' }, 'brwikimedia', 'pt-BR'],
    [{ code: 'meta' }, 'meta', 'meta'],
    [{ code: 'meta', lang: '' }, 'meta', 'meta'],
    [{ code: 'meta', lang: null }, 'meta', 'meta'],
  ])('14.11 a special %j is project %s in %s', (change, project, language) => {
    expect(one(change, 'specials')).toMatchObject({ wikiDbName: 'aawiki', project, language });
  });

  test('14.11 project and language come from the matrix, not from the database name', () => {
    const text = matrix([
      { code: 'be-x-old', site: [site('be_x_oldwiki'), site('be_x_oldwikisource', 'wikisource')] },
    ]);
    expect(parseSiteMatrix(text).wikis).toMatchObject([
      { wikiDbName: 'be_x_oldwiki', project: 'wikipedia', language: 'be-x-old' },
      { wikiDbName: 'be_x_oldwikisource', project: 'wikisource', language: 'be-x-old' },
    ]);
  });

  test('14.11 a wiki without a name has its database name', () => {
    expect(one({ sitename: undefined })).toMatchObject({ name: 'aawiki' });
    expect(one({ sitename: 7 })).toMatchObject({ name: 'aawiki' });
  });

  test.skipIf(fixtures() === null)(
    '14.11 both versions of the real matrix give the same 996 wikis, 38 of them private',
    () => {
      const read = (name: string) =>
        parseSiteMatrix(readFileSync(join(fixtures() ?? '', '_api', name), 'utf8'));
      const [first, second] = [read('sitematrix.json'), read('sitematrix.formatversion2.json')];
      expect(first).toEqual(second);
      expect(first).toMatchObject({ refused: [], announced: 996, continue: null });
      expect(first.wikis).toHaveLength(996);
      expect(first.wikis.filter((wiki) => wiki.isPrivate)).toHaveLength(38);
      expect(first.wikis.filter((wiki) => wiki.wikiDbName.includes('_')).length).toBeGreaterThan(10);
    },
  );
});

test('a name that the catalog cannot keep is refused', () => {
  const { wikis, refused } = parseSiteMatrix(
    matrix([{ code: 'aa', site: [site('aawiki'), site('a'.repeat(65))] }]),
  );
  expect(wikis).toHaveLength(1);
  expect(refused).toHaveLength(1);
});

test.each([
  [
    { error: { code: 'maxlag', info: 'Waiting for db1: 5 seconds lagged', lag: 5 } },
    'maxlag: Waiting for db1',
    true,
  ],
  [{ error: { code: 'ratelimited', info: 'Too many' } }, 'ratelimited: Too many', true],
  [{ errors: [{ code: 'readonly', text: 'Maintenance' }] }, 'readonly: Maintenance', true],
  [{ errors: [{ code: 'badvalue', '*': 'Unrecognized' }] }, 'badvalue: Unrecognized', false],
  [{ error: { code: 'internal_api_error_X' }, sitematrix: { count: 0 } }, 'internal_api_error_X', false],
])('the API refuses in its own words: %j', (answer, words, isOverloaded) => {
  const error = caught(() => parseSiteMatrix(JSON.stringify(answer)));
  expect(error).toBeInstanceOf(RetryableError);
  expect(error).toMatchObject({ code: 'site_matrix_refused', message: expect.stringContaining(words) });
  expect(error instanceof UnavailableError).toBe(isOverloaded);
});

function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return null;
}

describe('an answer in pieces', () => {
  const page = (groups: { code: string; site: unknown[] }[], rest?: Record<string, unknown>): string =>
    JSON.stringify({
      ...(rest === undefined ? {} : { continue: rest }),
      sitematrix: { count: 3, ...groups, specials: [] },
    });

  test('is not the whole: it says how to go on', () => {
    const answer = parseSiteMatrix(
      page([{ code: 'aa', site: [site('aawiki')] }], { smcontinue: 'language|ab', continue: '-||' }),
    );
    expect(answer).toMatchObject({ announced: 3, continue: { smcontinue: 'language|ab', continue: '-||' } });
  });

  test('is asked for to its end and put together', async () => {
    const pages = [
      page([{ code: 'aa', site: [site('aawiki')] }], { smcontinue: 'language|ab', continue: '-||' }),
      page([{ code: 'ab', site: [] }], { smcontinue: 'special|x', continue: '-||' }),
      page([{ code: 'ac', site: [site('acwiki'), site('AAwiki')] }]),
    ];
    const asked: unknown[] = [];
    const { wikis, refused, announced } = await readSiteMatrix(async (parameters) => {
      asked.push(parameters);
      return pages[asked.length - 1] as string;
    });
    expect(wikis.map((wiki) => wiki.wikiDbName)).toEqual(['aawiki', 'acwiki']);
    expect(refused).toHaveLength(1);
    expect(announced).toBe(3);
    expect(asked).toEqual([
      {},
      { smcontinue: 'language|ab', continue: '-||' },
      { smcontinue: 'special|x', continue: '-||' },
    ]);
  });

  test('that goes in a circle, or comes to no end, is given up', async () => {
    let asked = 0;
    const circle = async () => {
      asked += 1;
      return page([{ code: 'aa', site: [site('aawiki')] }], { smcontinue: 'language|aa' });
    };
    await expect(readSiteMatrix(circle)).rejects.toThrow(/comes to no end/);
    expect(asked).toBe(2);
    const endless = async () => {
      asked += 1;
      return page([{ code: 'aa', site: [site('aawiki')] }], { smcontinue: `language|${asked}` });
    };
    await expect(readSiteMatrix(endless)).rejects.toThrow(/comes to no end/);
    expect(asked).toBe(102);
  });

  test('without any wiki is torn', async () => {
    await expect(readSiteMatrix(async (p) => page([], 'a' in p ? undefined : { a: 1 }))).rejects.toThrow(
      /names no wiki at all/,
    );
  });

  test('is given up when one of its pieces is refused', async () => {
    const refused = readSiteMatrix(async (parameters) =>
      'smcontinue' in parameters
        ? '{"error":{"code":"maxlag","info":"x"}}'
        : page([{ code: 'aa', site: [site('aawiki')] }], { smcontinue: 'y' }),
    );
    await expect(refused).rejects.toMatchObject({ code: 'site_matrix_refused' });
  });
});
