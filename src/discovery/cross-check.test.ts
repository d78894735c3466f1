import { describe, expect, test } from 'vitest';
import { crossCheck, crossCheckNotices, judgeWiki, looksLikeWiki, type WikiState } from './cross-check.ts';
import { createWikiFilter, createWikiJudge } from './wiki-filter.ts';

const wiki = (wikiDbName: string, change: Partial<WikiState> = {}): WikiState => ({
  wikiDbName,
  isPrivate: false,
  isClosed: false,
  isFishbowl: false,
  vanishedAt: null,
  dumpedSeenAt: 1,
  ...change,
});

describe('cross-check', () => {
  const wikis = [
    wiki('enwiki'),
    wiki('newwiki', { dumpedSeenAt: null }),
    wiki('boardwiki', { isPrivate: true }),
    wiki('officewiki', { isPrivate: true }),
    wiki('gonewiki', { vanishedAt: 5 }),
    wiki('lostwiki', { vanishedAt: 5 }),
  ];
  const places = [
    { place: 'index.json', names: ['enwiki', 'gonewiki', 'strangewiki'] },
    {
      place: '/',
      names: ['enwiki', 'other', 'latest', '../etcwiki', 'officewiki', 'strangewiki', 'strangewiki'],
    },
  ];

  test('says where the matrix and the dumps disagree', () => {
    const check = crossCheck(wikis, places);
    expect(check).toEqual({
      dumped: ['enwiki', 'gonewiki', 'officewiki', 'strangewiki'],
      notInMatrix: [{ wikiDbName: 'strangewiki', places: ['index.json', '/'] }],
      notDumped: ['newwiki'],
      privateButDumped: ['officewiki'],
      vanishedButDumped: ['gonewiki'],
    });
    expect(crossCheckNotices(check)).toEqual([
      '1 wiki is dumped, but the site matrix does not name it, so it is not taken: strangewiki',
      '1 wiki is private, but dumped; it is not taken: officewiki',
      '1 wiki has vanished from the site matrix, but is still dumped and taken: gonewiki',
      '1 public wiki of the site matrix is not dumped: newwiki',
    ]);
  });

  test('no names are no evidence', () => {
    const check = crossCheck(wikis, [{ place: '/', names: [] }]);
    expect(check.notDumped).toEqual([]);
    expect(crossCheckNotices(check)).toEqual([]);
  });

  test('a notice names ten wikis at most', () => {
    const names = Array.from({ length: 12 }, (_, i) => `w${String.fromCharCode(97 + i)}wiki`);
    const notices = crossCheckNotices(crossCheck([], [{ place: 'index.json', names }]));
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/^12 wikis are dumped, .*: wawiki, .*, wjwiki, and 2 more$/);
  });

  test.each([
    'other',
    'archive',
    'latest',
    'index.html',
    'kiwix',
    'EnWiki',
    '..wiki',
    'wiki/x',
  ])('%s is no wiki', (name) => {
    expect(looksLikeWiki(name)).toBe(false);
  });
});

describe('globs', () => {
  const judge = createWikiJudge({ include: ['*wiki', 'de*'], exclude: ['xx*', '?awiki'] });
  test.each([
    ['enwiki', true, 'include', '*wiki'],
    ['dewiktionary', true, 'include', 'de*'],
    ['aawiki', false, 'exclude', '?awiki'],
    ['xxwiki', false, 'exclude', 'xx*'],
    ['frwiktionary', false, null, null],
  ])('%s: %j, by %s %s', (name, isWanted, list, glob) => {
    expect(judge(name)).toEqual({ isWanted, decidedBy: list === null ? null : { list, glob } });
  });

  test('a glob is no regular expression, and many stars take no time', () => {
    expect(createWikiFilter({ include: ['a.b', '[x]', 'a|b'], exclude: [] })('axb')).toBe(false);
    const slow = createWikiFilter({ include: [`${'*'.repeat(60)}b`], exclude: [] });
    const started = performance.now();
    expect(slow('a'.repeat(64))).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });
});

describe('judgement', () => {
  const judge = createWikiJudge({ include: ['*wiki'], exclude: ['de*'] });
  test.each([
    [wiki('enwiki'), true, 'included by discovery.wikis.include ("*wiki")'],
    [wiki('enwiki', { dumpedSeenAt: null }), true, 'not seen among the dumps yet'],
    [wiki('aawiki', { isClosed: true }), true, 'closed, still dumped'],
    [wiki('amwiki', { isFishbowl: true }), true, 'read by all, written by few; dumped'],
    [wiki('xwiki', { vanishedAt: 1 }), true, 'vanished from the site matrix, dumped before; kept'],
    [wiki('xwiki', { vanishedAt: 1, dumpedSeenAt: null }), true, 'vanished from the site matrix; kept'],
    [
      wiki('boardwiki', { isPrivate: true, dumpedSeenAt: null }),
      false,
      'private: upstream publishes no dumps',
    ],
    [
      wiki('boardwiki', { isPrivate: true }),
      false,
      'private according to the site matrix, although upstream dumps it',
    ],
    [wiki('dewiki'), false, 'excluded by discovery.wikis.exclude ("de*")'],
    [wiki('enwiktionary'), false, 'not included by discovery.wikis.include'],
    [wiki('xwiktionary', { vanishedAt: 1 }), false, 'not included by discovery.wikis.include'],
  ])('%o', (state, included, reason) => {
    expect(judgeWiki(state, judge(state.wikiDbName))).toEqual({ included, reason });
  });
});
