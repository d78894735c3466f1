import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { WikiFacts } from '../../src/catalog/index.ts';
import { crossCheck, crossCheckNotices, judgeWiki, type WikiState } from '../../src/discovery/cross-check.ts';
import { readIndex } from '../../src/discovery/index-stream.ts';
import { parseSiteMatrix } from '../../src/discovery/site-matrix.ts';
import { createWikiJudge, type WikiFilter } from '../../src/discovery/wiki-filter.ts';
import { fixtures } from '../helpers/needs.ts';
import { expectGolden } from './golden-file.ts';
import { WIKI_POLICIES } from './policies.ts';

/**
 * Every wiki of the real site matrix, whether it is taken and why, as it was reviewed; see plans.test.ts. Dumped is what the real
 * index.json names, which is an excerpt of three, and the 917 names that upstream dumped in 2020.
 */
const folder = fixtures();
const WIKIS = join(import.meta.dirname, 'wikis');
const read = (path: string): string => readFileSync(join(folder ?? '', path), 'utf8');

async function readReal(): Promise<{ wikis: WikiFacts[]; states: WikiState[]; notices: string[] }> {
  const { wikis } = parseSiteMatrix(read('_api/sitematrix.formatversion2.json'));
  const inIndex: string[] = [];
  await readIndex(createReadStream(join(folder ?? '', 'index.json')), (name) => inIndex.push(name));
  const places = [
    { place: 'index.json', names: inIndex },
    { place: 'names of 2020', names: read('_samples/wiki-dbnames-by-size-2020.txt').trim().split('\n') },
  ];
  const blank = wikis.map((wiki): WikiState => ({ ...wiki, vanishedAt: null, dumpedSeenAt: null }));
  const check = crossCheck(blank, places);
  const dumped = new Set(check.dumped);
  const states = blank.map((wiki) => (dumped.has(wiki.wikiDbName) ? { ...wiki, dumpedSeenAt: 1 } : wiki));
  return { wikis, states, notices: crossCheckNotices(check) };
}

function wikisText(
  { wikis, states, notices }: Awaited<ReturnType<typeof readReal>>,
  filter: WikiFilter,
): string {
  const judge = createWikiJudge(filter);
  const rows = states.map((state, at) => ({
    state,
    wiki: wikis[at] as WikiFacts,
    ...judgeWiki(state, judge(state.wikiDbName)),
  }));
  const verdict = ({ included, reason }: (typeof rows)[number]): string =>
    `${included ? 'taken' : 'not taken'}: ${reason}`;
  const counts = Map.groupBy(rows, verdict);
  return [
    `include: ${filter.include.join(' ')}`,
    `exclude: ${filter.exclude.join(' ') || '(nothing)'}`,
    '',
    `${rows.length} wikis, ${rows.filter(({ included }) => included).length} taken`,
    ...[...counts].map(([words, list]) => `  ${list.length} ${words}`).sort(),
    '',
    'notices:',
    ...(notices.length === 0 ? ['  none'] : notices.map((notice) => `  ${notice}`)),
    '',
    ...rows
      .map((row) => {
        const { wikiDbName, project, language, isClosed, isPrivate, isFishbowl } = row.wiki;
        const flags = [isClosed && 'closed', isPrivate && 'private', isFishbowl && 'fishbowl'].filter(
          Boolean,
        );
        return `${[wikiDbName, project, language, ...flags].join(' ')}: ${verdict(row)}`;
      })
      .sort(),
    '',
  ].join('\n');
}

describe.skipIf(folder === null)('golden wikis', () => {
  test.each(Object.entries(WIKI_POLICIES))('the real site matrix, policy %s', async (name, filter) => {
    expectGolden(join(WIKIS, `${name}.txt`), wikisText(await readReal(), filter));
  });

  test('every golden file has its policy', () => {
    const expected = Object.keys(WIKI_POLICIES).map((name) => `${name}.txt`);
    expect(readdirSync(WIKIS).sort()).toEqual(expected.sort());
  });
});
