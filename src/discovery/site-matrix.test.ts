import { expect, test } from 'vitest';
import { parseSiteMatrix } from './site-matrix.ts';

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
