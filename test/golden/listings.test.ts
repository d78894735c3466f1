import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createContentSource } from '../../src/discovery/content-source.ts';
import { readListing, runDatesOf } from '../../src/discovery/listing.ts';
import type { Look } from '../../src/discovery/source.ts';
import { createUpstream } from '../../src/discovery/upstream.ts';
import { createHttp, silentLog } from '../../src/ports/index.ts';
import { startDumpSite } from '../../src/sandbox/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { fixtures } from '../helpers/needs.ts';
import { expectGolden } from './golden-file.ts';
import { planText } from './plan-text.ts';
import { POLICIES } from './policies.ts';

/**
 * What real listings say, as it was reviewed; see plans.test.ts. Content exports have no document but their folder's listing: the
 * real files are served as upstream serves them, and the source asks as it does in a look. No policy touches other listings: they say
 * which runs there are.
 */
const folder = fixtures();
const LISTINGS = join(import.meta.dirname, 'listings');
const RUN_DATE = '2026-01-01';
const KINDS = ['content_current', 'content_history'] as const;
/** `isInIndex`: whether the listing of all exports names the wiki; null: it could not be read. */
const EXPORTS = [
  { wikiDbName: 'aawiki', isInIndex: true },
  { wikiDbName: 'enwiki', isInIndex: false },
  { wikiDbName: 'enwiki', isInIndex: null },
];

function listingText(html: string): string {
  const { entries, refused } = readListing(html);
  return [
    `runs of classic dumps: ${runDatesOf(entries).join(' ') || 'none'}`,
    `runs of content exports: ${runDatesOf(entries, 'dashed').join(' ') || 'none'}`,
    `refused: ${refused.join(' ') || 'none'}`,
    '',
    ...entries.map(({ name, isDirectory, sizeBytes, modifiedAt }) => {
      const at = modifiedAt === null ? 'no time' : new Date(modifiedAt).toISOString();
      return `${isDirectory ? 'folder' : 'file'} ${name} ${sizeBytes ?? '?'} ${at}`;
    }),
    '',
  ].join('\n');
}

/** The source's own look at one export of the real files. */
async function lookAt(kind: (typeof KINDS)[number], wiki: (typeof EXPORTS)[number]) {
  const clock = new FakeClock('2026-01-10T00:00:00Z');
  const site = await startDumpSite({ root: folder ?? '', now: () => clock.now() });
  onTestFinished(() => site.stop());
  const http = createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock });
  const look: Look = {
    cycle: { cycleDate: RUN_DATE, includesHistory: true },
    runDate: RUN_DATE,
    ...{ attempt: 1, nowMs: clock.now(), isOpen: true, sumsLeft: 200, scanned: null, log: silentLog },
    signal: new AbortController().signal,
    upstream: createUpstream({ http, clock }),
    onListing: () => {},
  };
  const sighting = await createContentSource({ baseUrl: site.baseUrl, kind }).askOne(look, wiki, null);
  // The plan is of upstream's addresses, not of this one's.
  const source = createContentSource({ baseUrl: 'https://dumps.wikimedia.org', kind });
  return { sighting, source };
}

describe.skipIf(folder === null)('golden listings', () => {
  const names = folder === null ? [] : readdirSync(join(folder, '_listings'));

  test.each(names)('%s', (name) => {
    const html = readFileSync(join(folder ?? '', '_listings', name), 'utf8');
    expectGolden(join(LISTINGS, `${name.replace(/\.html$/, '')}.txt`), listingText(html));
  });

  test.each(
    Object.entries(POLICIES),
  )('the content export of aawiki, policy %s', async (policy, selectionOf) => {
    const { sighting, source } = await lookAt('content_current', { wikiDbName: 'aawiki', isInIndex: true });
    if (sighting.kind !== 'document') throw new Error(`the export was sighted as ${sighting.kind}`);
    const run = { wikiDbName: 'aawiki', runDate: RUN_DATE };
    const selection = selectionOf(RUN_DATE);
    const decision = source.decide(sighting.document, run, selection);
    const addresses = decision.files.map(({ filename, url }) => `address of ${filename}: ${url ?? 'none'}`);
    const text = `${planText(decision, run, selection)}${addresses.join('\n')}\n`;
    expectGolden(join(LISTINGS, `content_current-aawiki-${RUN_DATE}.${policy}.txt`), text);
  });

  test('exports that there are, and those that there are not', async () => {
    const lines: string[] = [];
    for (const kind of KINDS)
      for (const wiki of EXPORTS) {
        const { sighting } = await lookAt(kind, wiki);
        const listed = { true: 'listed', false: 'not listed', null: 'listing unreadable' }[
          String(wiki.isInIndex)
        ];
        const words = 'reason' in sighting ? `${sighting.kind}: ${sighting.reason}` : sighting.kind;
        lines.push(`${kind} ${wiki.wikiDbName} ${RUN_DATE} (${listed}): ${words}`);
      }
    expectGolden(join(LISTINGS, 'content-sightings.txt'), `${lines.join('\n')}\n`);
  });

  test('every golden file has its test', () => {
    const expected = [
      ...names.map((name) => name.replace(/\.html$/, '')),
      ...Object.keys(POLICIES).map((policy) => `content_current-aawiki-${RUN_DATE}.${policy}`),
      'content-sightings',
    ].map((name) => `${name}.txt`);
    expect(readdirSync(LISTINGS).sort()).toEqual(expected.sort());
  });
});
