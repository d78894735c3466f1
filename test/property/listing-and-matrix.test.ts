import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ContentExport,
  decideExport,
  describeExport,
  parseSha256Sums,
} from '../../src/discovery/content-export.ts';
import { readListing, runDatesOf } from '../../src/discovery/listing.ts';
import { parseSiteMatrix } from '../../src/discovery/site-matrix.ts';
import type { Selection } from '../../src/discovery/source.ts';
import { parseWikistats } from '../../src/discovery/wikistats.ts';
import { RetryableError } from '../../src/lib/index.ts';
import { fixtures } from '../helpers/needs.ts';

/**
 * What comes from the network is cut, repeated, overwritten and spiked with hostile text: readers either give what is safe, or
 * throw the one error they promise. The matrix is mutated at a smaller size, so that runs are many.
 */
const folder = fixtures();
const read = (path: string): string => readFileSync(join(folder ?? '', path), 'utf8');

const HOSTILE = fc.constantFrom(
  '../',
  '..%2f',
  '%2e%2e/',
  '/etc/passwd',
  '\0',
  '\\',
  '.',
  '..',
  '-rf',
  '%',
  '%ff',
  '&#46;',
  '"',
  '<',
  '>',
  '</a>',
  '<a href="',
  '__proto__',
  'constructor',
  'toString',
  '99999999999999999999',
  '-1',
  '1e9',
  'null',
  '{}',
  '[]',
  '\u202e',
  '\ud800',
  'x'.repeat(300),
);

type Mutation = {
  kind: 'cut' | 'drop' | 'repeat' | 'put' | 'flip';
  at: number;
  length: number;
  text: string;
};
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('cut', 'drop', 'repeat', 'put', 'flip'),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  length: fc.nat(60),
  text: fc.oneof({ weight: 3, arbitrary: HOSTILE }, fc.string({ unit: 'binary', maxLength: 20 })),
});
const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });

function mutate(text: string, list: readonly Mutation[]): string {
  return list.reduce((current, { kind, at, length, text: put }) => {
    const start = Math.floor(at * current.length);
    const [before, piece, after] = [
      current.slice(0, start),
      current.slice(start, start + length),
      current.slice(start + length),
    ];
    if (kind === 'cut') return before;
    if (kind === 'drop') return before + after;
    if (kind === 'repeat') return before + piece + piece + after;
    if (kind === 'put') return before + put + piece + after;
    return before + put + after;
  }, text);
}

type Edit = { node: number; kind: 'replace' | 'delete' | 'rename'; value: unknown; key: string };
const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.record({
    node: fc.nat(),
    kind: fc.constantFrom('replace', 'delete', 'rename'),
    value: fc.oneof({ weight: 3, arbitrary: HOSTILE }, fc.jsonValue({ maxDepth: 2 })),
    key: fc.oneof(HOSTILE, fc.constantFrom('code', 'site', 'dbname', 'lang', 'error', 'continue', '7')),
  }),
  { minLength: 1, maxLength: 5 },
);

/** Well-formed JSON with wrong things in it: text that is mutated letter by letter is mostly none at all. */
function editJson(text: string, list: readonly Edit[]): string {
  const document: unknown = JSON.parse(text);
  for (const { node, kind, value, key } of list) {
    const places: { holder: Record<string, unknown>; name: string }[] = [];
    const visit = (holder: unknown): void => {
      if (typeof holder !== 'object' || holder === null) return;
      for (const [name, inner] of Object.entries(holder)) {
        places.push({ holder: holder as Record<string, unknown>, name });
        visit(inner);
      }
    };
    visit(document);
    const place = places[node % Math.max(1, places.length)];
    if (place === undefined) continue;
    const old = place.holder[place.name];
    if (kind !== 'replace' && !Array.isArray(place.holder)) delete place.holder[place.name];
    if (kind === 'replace') place.holder[place.name] = value;
    if (kind === 'rename')
      Object.defineProperty(place.holder, key, {
        value: old,
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return JSON.stringify(document);
}

/** One segment that stays in its folder on every system. */
const isSegment = (name: string): boolean =>
  /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name) && !name.includes('..') && name.length <= 200;

/** What it gives, or null when it throws the error it promises. */
function attempt<T>(act: () => T, codes: readonly string[]): T | null {
  try {
    return act();
  } catch (error) {
    expect(error).toBeInstanceOf(RetryableError);
    expect(codes).toContain((error as RetryableError).code);
    return null;
  }
}

/** A property over mutated texts that must come through at times: one that only ever sees refusals proves nothing. */
function over<T>(
  mutated: fc.Arbitrary<string>,
  act: (text: string) => T | null,
  judge: (result: T) => void,
  least: number,
): void {
  let came = 0;
  fc.assert(
    fc.property(mutated, (text) => {
      const result = act(text);
      if (result === null) return;
      came += 1;
      judge(result);
    }),
    { numRuns: 1_000 },
  );
  expect(came).toBeGreaterThanOrEqual(least);
}

function overMutated<T>(
  text: string,
  ...rest: Parameters<typeof over<T>> extends [unknown, ...infer R] ? R : never
): void {
  over(
    mutations.map((list) => mutate(text, list)),
    ...rest,
  );
}

/** Letter by letter, and value by value. */
function overMutatedJson<T>(
  text: string,
  act: (text: string) => T | null,
  judge: (result: T) => void,
  least: number,
): void {
  overMutated(text, act, judge, 0);
  over(
    edits.map((list) => editJson(text, list)),
    act,
    judge,
    least,
  );
}

describe.skipIf(folder === null)('mutated documents', () => {
  test.each(folder === null ? [] : readdirSync(join(folder, '_listings')))('listing %s', (name) => {
    overMutated(
      read(`_listings/${name}`),
      (text) => attempt(() => readListing(text), ['torn_listing']),
      ({ entries }) => {
        for (const entry of entries) {
          expect(isSegment(entry.name), entry.name).toBe(true);
          expect(
            entry.sizeBytes === null || (Number.isSafeInteger(entry.sizeBytes) && entry.sizeBytes >= 0),
          ).toBe(true);
          expect(entry.modifiedAt === null || Number.isSafeInteger(entry.modifiedAt)).toBe(true);
          if (entry.isDirectory) expect(entry.sizeBytes).toBeNull();
        }
        expect(new Set(entries.map((entry) => entry.name)).size).toBe(entries.length);
        for (const date of runDatesOf(entries)) {
          const dashed = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
          expect(new Date(`${dashed}T00:00:00Z`).toISOString().slice(0, 10)).toBe(dashed);
        }
      },
      100,
    );
  });

  test.each(['_api/sitematrix.json', '_api/sitematrix.formatversion2.json'])('site matrix %s', (name) => {
    const { sitematrix } = JSON.parse(read(name)) as {
      sitematrix: Record<string, unknown> & { specials: unknown[] };
    };
    const small = {
      count: 20,
      0: sitematrix[0],
      1: sitematrix[1],
      30: sitematrix[30],
      specials: sitematrix.specials.slice(0, 8),
    };
    overMutatedJson(
      JSON.stringify({ sitematrix: small }),
      (text) => attempt(() => parseSiteMatrix(text), ['torn_site_matrix', 'site_matrix_refused']),
      ({ wikis }) => {
        for (const wiki of wikis) {
          expect([wiki.wikiDbName, wiki.project, wiki.language].every(isSegment)).toBe(true);
          expect(
            [wiki.isClosed, wiki.isPrivate, wiki.isFishbowl].every((flag) => typeof flag === 'boolean'),
          ).toBe(true);
        }
        expect(new Set(wikis.map((wiki) => wiki.wikiDbName.toLowerCase())).size).toBe(wikis.length);
      },
      400,
    );
  });

  test('SHA256SUMS', () => {
    const path = 'other/mediawiki_content_current/aawiki/2026-01-01/xml/bzip2/SHA256SUMS';
    overMutated(
      read(path).repeat(3),
      (text) => parseSha256Sums(text),
      ({ hashes }) => {
        for (const [name, hash] of hashes) {
          expect(isSegment(name), name).toBe(true);
          expect(hash === null || /^[0-9a-f]{64}$/.test(hash)).toBe(true);
        }
      },
      1_000,
    );
  });
});

test('mutated Wikistats tables', () => {
  const wikis = ['en', 'de', 'fr'].map((language) => ({
    wikiDbName: `${language}wiki`,
    project: 'wikipedia',
    language,
    url: `https://${language}.wikipedia.org`,
  }));
  const rows = wikis.map(
    ({ language }, i) => `${i + 1},${language},wikipedia,"A ""B"", c",x,5,${1000 - i},1`,
  );
  overMutated(
    ['rank,prefix,type,language,loclang,good,total,edits', ...rows].join('\n'),
    (text) => attempt(() => parseWikistats(text, wikis), ['bad_wikistats']),
    ({ pages }) => {
      for (const [name, count] of pages) {
        expect(wikis.map((wiki) => wiki.wikiDbName)).toContain(name);
        expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
      }
    },
    100,
  );
});

const selection: Selection = {
  regularTypes: ['pages-meta-current'],
  historyTypes: [],
  includesHistory: false,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
  isUrgent: false,
};
const run = { wikiDbName: 'aawiki', runDate: '2026-01-01' };
const at = { kind: 'content_current', folder: 'https://dumps.example/x/', run } as const;

function judgeDecision(document: string): true | null {
  const decision = attempt(() => decideExport(document, at, selection), ['torn_status']);
  if (decision === null) return null;
  const taken = decision.files.flatMap((file) => (file.action === 'take' ? [file] : []));
  for (const { filename, url, file } of taken) {
    expect(filename).toMatch(/^aawiki-2026-01-01-p\d+p\d+\.xml\.bz2$/);
    expect(url).toBe(`https://dumps.example/x/${filename}`);
    expect(file).toMatchObject({ filename, wikimediaUrl: url });
    expect(file.sizeBytes).toBeGreaterThan(0);
  }
  expect(new Set(taken.map(({ filename }) => filename)).size).toBe(taken.length);
  for (const file of decision.files) expect(file.reason).not.toBe('');
  return true;
}

test('mutated descriptions of a content export', () => {
  const document: ContentExport = {
    kind: 'content-export',
    files: [1, 2, 3].map((n) => ({
      name: `aawiki-2026-01-01-p${n}p${n}.xml.bz2`,
      size: n * 1000,
      modified: 1,
      sha256: 'ab'.repeat(32),
    })),
    missing: [],
    refused: ['../x'],
    isComplete: true,
  };
  overMutatedJson(
    JSON.stringify(document),
    (text) => judgeDecision(text),
    () => {},
    30,
  );
});

test('whatever is listed and summed: what is taken is listed, safe and named right, and everything has its reason', () => {
  const name = fc.oneof(
    fc.constantFrom('_SUCCESS', 'SHA256SUMS'),
    fc.tuple(fc.nat(3), fc.nat(3)).map(([a, b]) => `aawiki-2026-01-01-p${a}p${b}.xml.bz2`),
    fc.tuple(fc.nat(3), HOSTILE).map(([a, bad]) => `aawiki-2026-01-01-p${a}p${bad}.xml.bz2`),
    HOSTILE,
  );
  const page = (names: readonly string[], size: number): string =>
    `<title>Index of /x/</title>${names.map((n) => `<a href="${n}">x</a> 01-Jan-2026 10:00 ${size}\n`).join('')}</html>`;
  let taken = 0;
  fc.assert(
    fc.property(fc.array(name), fc.array(name), fc.constantFrom(0, 5), (listed, summed, size) => {
      const listing = readListing(page(listed, size));
      const sums = parseSha256Sums(summed.map((n) => `${'ab'.repeat(32)}  ${n}`).join('\n'));
      const document = describeExport(listing, sums);
      expect(describeExport({ ...listing, entries: listing.entries.toReversed() }, sums)).toBe(document);
      expect(judgeDecision(document)).toBe(true);
      const { files, isFinished } = decideExport(document, at, selection);
      const known = new Set(listing.entries.map((entry) => entry.name));
      for (const file of files) {
        if (file.action !== 'take') continue;
        taken += 1;
        expect(known.has(file.filename)).toBe(true);
        if (isFinished) expect(file.file.hashes.sha256).toBeDefined();
      }
    }),
    { numRuns: 1_000 },
  );
  expect(taken).toBeGreaterThan(50);
});
