import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createClassicSource } from '../../src/discovery/classic-source.ts';
import { fixtures } from '../helpers/needs.ts';
import { expectGolden } from './golden-file.ts';
import { planText } from './plan-text.ts';
import { POLICIES } from './policies.ts';

/**
 * Plans of real runs as they were reviewed, file by file or recounted. A change of the judge shows here as a difference to be
 * read; `WIKISEED_UPDATE_GOLDEN=1` writes them anew.
 */
const folder = fixtures();
const PLANS = join(import.meta.dirname, 'plans');
const source = createClassicSource({ baseUrl: 'https://dumps.wikimedia.org/' });

const DOCUMENTS: Readonly<Record<string, { path: string; wikiDbName: string; runDate: string }>> = {
  'enwiki-20240801': document('enwiki/20240801/dumpstatus.json', 'enwiki', '20240801'),
  'enwikivoyage-20170801': document('enwikivoyage/20170801/dumpstatus.json', 'enwikivoyage', '20170801'),
  'aawiki-20260101': document('aawiki/20260101/dumpstatus.json', 'aawiki', '20260101'),
  'aawiki-20260120-waiting': state('aawiki-20260120-waiting', 'aawiki', '20260120'),
  'aawiki-20260120-in-progress': state('aawiki-20260120-in-progress', 'aawiki', '20260120'),
  'aawiki-20260120-failed': state('aawiki-20260120-failed', 'aawiki', '20260120'),
  'aawiki-20260120-partial-complete': state('aawiki-20260120-partial-complete', 'aawiki', '20260120'),
  'aawiki-20260120-missing-file': state(
    'aawiki-20260120-missing-file-and-no-files-key',
    'aawiki',
    '20260120',
  ),
  'enwiki-20201001-waiting': state('enwiki-20201001-waiting', 'enwiki', '20201001'),
  'enwikivoyage-20170801-in-progress': state(
    'enwikivoyage-20170801-multistream-in-progress',
    'enwikivoyage',
    '20170801',
  ),
  'enwiki-20201001-two-jobs': document(
    '_excerpts/enwiki-20201001-two-jobs.dumpstatus.json',
    'enwiki',
    '20201001',
  ),
};

function document(path: string, wikiDbName: string, runDate: string) {
  return { path, wikiDbName, runDate };
}

function state(name: string, wikiDbName: string, runDate: string) {
  return document(`_states/${name}.dumpstatus.json`, wikiDbName, runDate);
}

describe.skipIf(folder === null)('golden plans', () => {
  for (const [name, { path, ...run }] of Object.entries(DOCUMENTS)) {
    test.each(Object.entries(POLICIES))(`${name}, policy %s`, (policy, selectionOf) => {
      const text = readFileSync(join(folder ?? '', path), 'utf8');
      const selection = selectionOf(run.runDate);
      const found = planText(source.decide(text, run, selection), run, selection);
      expectGolden(join(PLANS, `${name}.${policy}.txt`), found);
    });
  }

  test('every state document that there is has its plans, and every plan its document', () => {
    const states = readdirSync(join(folder ?? '', '_states')).filter((name) => name.endsWith('.json'));
    const used = Object.values(DOCUMENTS).map(({ path }) => path);
    expect(states.filter((name) => !used.includes(`_states/${name}`))).toEqual([]);
    const expected = Object.keys(DOCUMENTS).flatMap((name) =>
      Object.keys(POLICIES).map((policy) => `${name}.${policy}.txt`),
    );
    expect(readdirSync(PLANS).sort()).toEqual(expected.sort());
  });
});
