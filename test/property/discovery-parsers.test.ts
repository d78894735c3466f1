import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultConfig } from '../../src/config/index.ts';
import { createClassicSource } from '../../src/discovery/classic-source.ts';
import { readStatus } from '../../src/discovery/dump-status.ts';
import { type DumpFileName, formatFileName, parseFileName } from '../../src/discovery/file-name.ts';
import { readIndex } from '../../src/discovery/index-stream.ts';
import type { RunId, Selection } from '../../src/discovery/source.ts';
import { parseJsonSums, parseSums } from '../../src/discovery/sums.ts';
import { WikiSeedError } from '../../src/lib/index.ts';
import { createLayout, isSafeName } from '../../src/storage/index.ts';
import { fixtures } from '../helpers/needs.ts';
import { damaged, swapped } from './mutate.ts';

/**
 * Whatever upstream sends: parsers throw only what they say, no name or address leads out of its run's folder, every file of a
 * run gets exactly one verdict. Inputs are real documents, damaged; listings and the site matrix have a file of their own. `WIKISEED_PROPERTY_SEED` repeats a run,
 * `WIKISEED_PROPERTY_RUNS` changes its length.
 */
const folder = fixtures();
const { WIKISEED_PROPERTY_SEED, WIKISEED_PROPERTY_RUNS } = process.env;
const seed =
  WIKISEED_PROPERTY_SEED === 'random'
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(WIKISEED_PROPERTY_SEED ?? 20261123);
const numRuns = WIKISEED_PROPERTY_RUNS === undefined ? 400 : Number(WIKISEED_PROPERTY_RUNS);
const options = { seed, numRuns };
console.info(`properties of the parsers: ${numRuns} inputs each, WIKISEED_PROPERTY_SEED=${seed}`);

const read = (path: string): string => (folder === null ? '' : readFileSync(join(folder, path), 'utf8'));
const BASE_URL = 'https://dumps.wikimedia.org';
const source = createClassicSource({ baseUrl: BASE_URL });
const layout = createLayout('/data');
const selections: fc.Arbitrary<Selection> = fc.record({
  regularTypes: fc.constantFrom<readonly string[]>(
    defaultConfig().dumps.regularTypes,
    ['pages-articles-multistream', 'abstract', 'all-titles-in-ns0'],
    [],
  ),
  historyTypes: fc.constant(defaultConfig().dumps.historyTypes),
  includesHistory: fc.boolean(),
  historyFormat: fc.constantFrom('7z', 'bz2', 'both'),
  splitFiles: fc.constantFrom('prefer_whole', 'prefer_parts'),
  isUrgent: fc.boolean(),
});

/** What it gives, or null when it throws the one error that it may throw. */
function orTorn<T>(code: string, act: () => T): T | null {
  try {
    return act();
  } catch (error) {
    if (error instanceof WikiSeedError && error.code === code) return null;
    throw error;
  }
}

function judgeDecision(text: string, run: RunId, selection: Selection): 'torn' | 'read' {
  const decision = orTorn('torn_status', () => source.decide(text, run, selection));
  if (decision === null) return 'torn';
  const status = readStatus(JSON.parse(text));
  const listed = new Set([...(status?.jobs.values() ?? [])].flatMap((job) => [...job.files.keys()]));
  expect(decision.files.map((file) => file.filename)).toEqual([...listed]);
  const directory = `/data/dumps/${run.wikiDbName}/${run.runDate}`;
  for (const file of decision.files) {
    expect(file.reason).not.toBe('');
    const path = `/${run.wikiDbName}/${run.runDate}/${file.filename}`;
    if (!isSafeName(file.filename)) expect(file.reason).toMatch(/^refused: /);
    if (file.action === 'take') expect(file.url).not.toBeNull();
    if (file.url !== null) expect(file.url).toBe(`${BASE_URL}${path}`);
    if (file.action !== 'take') continue;
    expect(posix.dirname(layout.dumpFile({ ...run, source: 'classic', filename: file.filename }))).toBe(
      directory,
    );
    expect(new URL(file.file.wikimediaUrl).pathname).toBe(path);
    expect(file.file.wikimediaStatus).toBe('done');
    expect(Number.isSafeInteger(file.file.sizeBytes) && file.file.sizeBytes >= 0).toBe(true);
    expect(file.filename).not.toMatch(/latest|inprog|truncated|empty|tmp/);
  }
  // A configured type is taken, awaited, or its absence has a reason; nobody is left to wonder.
  if (decision.isFinished) {
    const wanted = [...selection.regularTypes, ...(selection.includesHistory ? selection.historyTypes : [])];
    const told = new Set([
      ...decision.notices.map((notice) => notice.dumpType),
      ...decision.files.flatMap((file) => (file.action === 'take' ? [file.file.dumpType] : [])),
    ]);
    expect(wanted.filter((dumpType) => !told.has(dumpType))).toEqual([]);
  }
  return 'read';
}

const STATUSES: readonly [string, RunId][] = [
  ['aawiki/20260101/dumpstatus.json', { wikiDbName: 'aawiki', runDate: '20260101' }],
  ['enwikivoyage/20170801/dumpstatus.json', { wikiDbName: 'enwikivoyage', runDate: '20170801' }],
  [
    '_states/aawiki-20260120-missing-file-and-no-files-key.dumpstatus.json',
    { wikiDbName: 'aawiki', runDate: '20260120' },
  ],
];

describe.skipIf(folder === null)('damaged real documents', () => {
  test.each(STATUSES)('%s with other values and names in it is read or torn', (path, run) => {
    const counts = { torn: 0, read: 0 };
    fc.assert(
      fc.property(swapped(JSON.parse(read(path) || '{}')), selections, (document, selection) => {
        counts[judgeDecision(JSON.stringify(document) ?? '', run, selection)] += 1;
      }),
      options,
    );
    expect(counts.read).toBeGreaterThan(counts.torn);
  });

  test.each(STATUSES)('%s with damaged bytes is read or torn', (path, run) => {
    const counts = { torn: 0, read: 0 };
    fc.assert(
      fc.property(damaged(read(path)), selections, (text, selection) => {
        counts[judgeDecision(text, run, selection)] += 1;
      }),
      options,
    );
    expect(counts.torn).toBeGreaterThan(0);
  });

  test('index.json is read or torn, whatever its chunks', async () => {
    const text = read('index.json');
    const documents = fc.oneof(
      damaged(text),
      swapped(JSON.parse(text || '{}')).map((d) => JSON.stringify(d) ?? ''),
    );
    const counts = { torn: 0, read: 0 };
    await fc.assert(
      fc.asyncProperty(documents, fc.integer({ min: 1, max: 70_000 }), async (document, chunkBytes) => {
        const bytes = Buffer.from(document);
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += chunkBytes)
          chunks.push(bytes.subarray(at, at + chunkBytes));
        const names: string[] = [];
        try {
          await readIndex(Readable.from(chunks), (name, entry) => {
            names.push(name);
            readStatus(entry);
          });
          counts.read += 1;
          // What was read as whole is what JSON.parse reads.
          const wikis = (JSON.parse(document) as { wikis: object }).wikis;
          expect([...new Set(names)].sort()).toEqual(Object.keys(wikis).sort());
        } catch (error) {
          if (!(error instanceof WikiSeedError) || error.code !== 'torn_index') throw error;
          counts.torn += 1;
        }
      }),
      { ...options, numRuns: Math.ceil(numRuns / 4) },
    );
    expect(Math.min(counts.torn, counts.read)).toBeGreaterThan(0);
  });

  test('checksum lists never throw, and give nothing but hashes', () => {
    const lists = [
      ['txt', read('aawiki/20260101/aawiki-20260101-sha1sums.txt'), parseSums],
      ['json', read('aawiki/20260101/aawiki-20260101-sha1sums.json'), parseJsonSums],
    ] as const;
    for (const [form, text, parse] of lists) {
      const other =
        form === 'json' ? swapped(JSON.parse(text)).map((d) => JSON.stringify(d) ?? '') : damaged(text);
      fc.assert(
        fc.property(fc.oneof(damaged(text), other), (list) => {
          for (const hash of parse(list, 'sha1').values()) expect(hash).toMatch(/^[0-9a-f]{40}$/);
        }),
        options,
      );
    }
  });

  test('real names, damaged: cut up and put together they are what they were', () => {
    const names = read('_samples/enwiki-20201001-filenames.txt').trimEnd().split('\n');
    let parsed = 0;
    fc.assert(
      fc.property(fc.constantFrom(...names).chain(damaged), (filename) => {
        const name = parseFileName(filename, 'enwiki');
        if (name === null) return;
        parsed += 1;
        expect(formatFileName(name)).toBe(filename);
      }),
      { ...options, numRuns: numRuns * 5 },
    );
    expect(parsed).toBeGreaterThan(0);
  });
});

test('generated names: put together and cut up they are what they were', () => {
  const splittable = fc.constantFrom(
    'pages-articles',
    'stub-meta-history',
    'pages-articles-multistream-index',
    'flow',
  );
  const anyBase = fc.constantFrom(
    'all-titles-in-ns0',
    'siteinfo2-namespacesv2',
    'page_props',
    'wb_items2',
    'abstract',
  );
  const digits = fc.stringMatching(/^\d{1,12}$/);
  const common = {
    wikiDbName: fc.stringMatching(/^[a-z][a-z0-9_]{1,20}$/),
    date: fc.oneof(fc.stringMatching(/^\d{8}$/), fc.constant('latest')),
  };
  const range = fc.option(fc.record({ first: digits, last: digits }));
  const packing = fc.constantFrom('bz2' as const, 'gz' as const, '7z' as const);
  const names: fc.Arbitrary<DumpFileName> = fc.oneof(
    fc.record({
      ...common,
      baseName: splittable,
      part: fc.option(fc.integer({ min: 1, max: 999_999 })),
      content: fc.constantFrom('xml' as const, 'txt' as const),
      ...{ range, packing: fc.option(packing) },
    }),
    fc.record({
      ...common,
      baseName: anyBase,
      part: fc.constant(null),
      content: fc.constantFrom('sql' as const, 'json' as const, null),
      ...{ range: fc.constant(null), packing },
    }),
  );
  fc.assert(
    fc.property(names, (name) => {
      expect(parseFileName(formatFileName(name), name.wikiDbName)).toEqual(name);
    }),
    { ...options, numRuns: numRuns * 5 },
  );
});

test('any text at all: never thrown at, never a path', () => {
  const run = { wikiDbName: 'aawiki', runDate: '20260101' };
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), selections, (text, selection) => {
      parseFileName(text, 'aawiki');
      parseFileName(`aawiki-20260101-${text}`, 'aawiki');
      parseSums(text, 'md5');
      parseJsonSums(text, 'md5');
      judgeDecision(text, run, selection);
      // As a name beside a good one, and as its address.
      const facts = (url: string) => ({ size: 1, url });
      for (const name of [text, `aawiki-20260101-${text}`, `aawiki-20260101-page.sql.gz${text}`]) {
        const files = {
          [name]: facts(`/aawiki/20260101/${name}`),
          'aawiki-20260101-page.sql.gz': facts(text),
        };
        judgeDecision(JSON.stringify({ jobs: { x: { status: 'done', files } } }), run, selection);
      }
    }),
    { ...options, numRuns: Math.ceil(numRuns / 2) },
  );
});
