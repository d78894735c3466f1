import { describe, expect, test } from 'vitest';
import { type ContentExport, decideExport, describeExport, parseSha256Sums } from './content-export.ts';
import type { ListingEntry } from './listing.ts';
import type { Selection } from './source.ts';

const RUN = { wikiDbName: 'aawiki', runDate: '2026-01-01' };
const FOLDER = 'https://dumps.example/other/mediawiki_content_current/aawiki/2026-01-01/xml/bzip2/';
const PART = 'aawiki-2026-01-01-p1p2.xml.bz2';
const HASH = 'ab'.repeat(32);
const selection: Selection = {
  regularTypes: ['pages-articles', 'pages-meta-current'],
  historyTypes: ['pages-meta-history'],
  includesHistory: true,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
  isUrgent: false,
};
const file = (name: string, sizeBytes: number | null = 10): ListingEntry => ({
  name,
  isDirectory: false,
  sizeBytes,
  modifiedAt: 1000,
});
const SUCCESS = file('_SUCCESS', 0);
const SUMS = file('SHA256SUMS', 97);
const describeFiles = (entries: ListingEntry[], sums: string | null, refused: string[] = []): string =>
  describeExport({ entries, refused }, sums === null ? null : parseSha256Sums(sums));
const decide = (
  document: string,
  change: Partial<Selection> = {},
  kind: 'content_current' | 'content_history' = 'content_current',
) => decideExport(document, { kind, folder: FOLDER, run: RUN }, { ...selection, ...change });

describe('sums', () => {
  test('both modes of sha256sum, a leading ./, and nothing else', () => {
    const { hashes, refused } = parseSha256Sums(
      [
        `${HASH}  a`,
        `${HASH.toUpperCase()} *b`,
        `${HASH}  ./c\r`,
        `${HASH}   d`,
        `${HASH.slice(1)}  e`,
        `\\${HASH}  f`,
        `${HASH}  ../g`,
        `${HASH}  /etc/h`,
        `${HASH}  .`,
        'x',
        '',
      ].join('\n'),
    );
    expect([...hashes]).toEqual([
      ['a', HASH],
      ['b', HASH],
      ['c', HASH],
    ]);
    expect(refused).toEqual(['../g', '/etc/h', '.']);
  });

  test('a name with two hashes has none, whatever comes third', () => {
    const other = 'cd'.repeat(32);
    expect(parseSha256Sums(`${HASH}  a\n${other}  a\n${other}  a`).hashes.get('a')).toBeNull();
    expect(parseSha256Sums(`${HASH}  a\n${HASH}  a`).hashes.get('a')).toBe(HASH);
  });
});

describe('description', () => {
  test('the same state gives the same text, in whatever order it is listed', () => {
    const entries = [SUCCESS, file('b'), SUMS, file('a')];
    const sums = `${HASH}  b\n${HASH}  gone`;
    const text = describeFiles(entries, sums);
    expect(text).toBe(describeFiles(entries.toReversed(), sums));
    expect(JSON.parse(text)).toEqual({
      kind: 'content-export',
      files: [
        { name: 'a', size: 10, modified: 1000 },
        { name: 'b', size: 10, modified: 1000, sha256: HASH },
      ],
      missing: ['gone'],
      refused: [],
      isComplete: true,
    } satisfies ContentExport);
  });

  test('a folder called _SUCCESS does not make it complete', () => {
    expect(JSON.parse(describeFiles([{ ...SUCCESS, isDirectory: true }], null)).isComplete).toBe(false);
  });
});

describe('decision', () => {
  test('a complete export is taken, with the one hash that there is', () => {
    const decision = decide(describeFiles([SUCCESS, SUMS, file(PART, 5_000_000_000)], `${HASH}  ${PART}`));
    expect(decision).toEqual({
      files: [
        {
          filename: PART,
          dumpType: 'pages-meta-current',
          sizeBytes: 5_000_000_000,
          url: `${FOLDER}${PART}`,
          action: 'take',
          reason: 'pages-meta-current is configured',
          file: {
            dumpType: 'pages-meta-current',
            filename: PART,
            isHistory: false,
            sizeBytes: 5_000_000_000,
            hashes: { sha256: HASH },
            wikimediaUrl: `${FOLDER}${PART}`,
            wikimediaStatus: 'done',
            wikimediaDate: 1000,
          },
        },
      ],
      notices: [],
      isFinished: true,
      mayChange: false,
      refused: [],
    });
  });

  test('without _SUCCESS everything waits', () => {
    const decision = decide(describeFiles([file(PART)], null));
    expect(decision.files).toMatchObject([
      { action: 'wait', reason: 'the export is not complete yet (_SUCCESS is missing)' },
    ]);
    expect(decision).toMatchObject({ notices: [], isFinished: false });
    expect(decide(describeFiles([], null))).toMatchObject({ files: [], notices: [], isFinished: false });
  });

  test('history is of its own type, and only taken with the cycles that take it', () => {
    const document = describeFiles([SUCCESS, file(PART)], `${HASH}  ${PART}`);
    expect(decide(document, {}, 'content_history').files).toMatchObject([
      { action: 'take', dumpType: 'pages-meta-history', file: { isHistory: true } },
    ]);
    expect(decide(document, { includesHistory: false }, 'content_history')).toMatchObject({
      files: [{ action: 'skip', reason: 'pages-meta-history is only taken in cycles with history' }],
      notices: [],
      isFinished: true,
    });
    const both = { regularTypes: ['pages-meta-history'], includesHistory: false };
    expect(decide(document, both, 'content_history').files).toMatchObject([
      { action: 'take', file: { isHistory: false } },
    ]);
  });

  test('a type that nobody configured is skipped, without a notice', () => {
    expect(
      decide(describeFiles([SUCCESS, file(PART)], ''), { regularTypes: ['pages-articles'] }),
    ).toMatchObject({
      files: [{ action: 'skip', reason: 'pages-meta-current is not configured' }],
      notices: [],
    });
  });

  test.each([
    ['aawiki-2026-01-01-p1p2.xml.gz'],
    ['aawiki-2026-01-02-p1p2.xml.bz2'],
    ['aawiki-20260101-p1p2.xml.bz2'],
    ['bawiki-2026-01-01-p1p2.xml.bz2'],
    ['aawiki-2026-01-01-p1p.xml.bz2'],
    ['aawiki-2026-01-01-p1p2.xml.bz2.inprog'],
    ['aawiki-2026-01-01-pages.xml.bz2'],
    ['README'],
  ])('%s is skipped, and does not keep the export open', (name) => {
    const decision = decide(describeFiles([SUCCESS, file(name), file(PART)], `${HASH}  ${PART}`));
    expect(decision.files.find(({ filename }) => filename === name)).toMatchObject({
      action: 'skip',
      dumpType: null,
      url: null,
      reason: 'its name is not aawiki-2026-01-01-p<first>p<last>.xml.bz2',
    });
    expect(decision).toMatchObject({ notices: [], isFinished: true });
  });

  test('an export that disagrees with its own sums is taken as far as it goes, said, and looked at again', () => {
    const [other, gone] = ['aawiki-2026-01-01-p3p4.xml.bz2', 'aawiki-2026-01-01-p5p6.xml.bz2'];
    const decision = decide(
      describeFiles([SUCCESS, file(PART), file(other)], `${HASH}  ${PART}\n${HASH}  ${gone}`),
    );
    expect(decision.files.map(({ action }) => action)).toEqual(['take', 'take']);
    expect(decision.files).toMatchObject([{ file: { hashes: { sha256: HASH } } }, { file: { hashes: {} } }]);
    expect(decision.notices).toEqual([
      {
        ...{ dumpType: 'pages-meta-current', kind: 'waiting' },
        reason: `listed, but without one certain hash in SHA256SUMS: ${other}`,
      },
      {
        ...{ dumpType: 'pages-meta-current', kind: 'lacking' },
        reason: `named in SHA256SUMS, but not listed: ${gone}`,
      },
    ]);
    expect(decision).toMatchObject({ isFinished: false, mayChange: false });
  });

  test('files without bytes or without a size are not taken', () => {
    const other = 'aawiki-2026-01-01-p3p4.xml.bz2';
    const sums = `${HASH}  ${PART}\n${HASH}  ${other}`;
    const decision = decide(describeFiles([SUCCESS, file(PART, 0), file(other, null)], sums));
    expect(decision.files).toMatchObject([
      { action: 'skip', reason: 'it is empty upstream' },
      { action: 'wait', reason: 'upstream does not tell its size' },
    ]);
    expect(decision.notices.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
      `lacking: empty upstream, not taken: ${PART}`,
      `waiting: upstream does not tell the size: ${other}`,
    ]);
    expect(decision.isFinished).toBe(false);
  });

  test('a complete export without files is a notice', () => {
    expect(decide(describeFiles([SUCCESS, SUMS], ''))).toMatchObject({
      files: [],
      notices: [{ reason: 'the export is complete, but has no files', kind: 'lacking' }],
      isFinished: true,
    });
  });

  test('hostile names are refused and are skips', () => {
    const decision = decide(
      describeFiles([SUCCESS, file(PART)], `${HASH}  ${PART}\n${HASH}  ../../x`, ['a/b']),
    );
    expect(decision.refused.map(({ filename }) => filename)).toEqual(['../../x', 'a/b']);
    expect(decision.files.filter(({ action }) => action === 'skip').map(({ filename }) => filename)).toEqual([
      '../../x',
      'a/b',
    ]);
    // Nothing of a type that is configured is lacking.
    expect(decision.notices).toEqual([]);
  });

  test('a name that is described twice is taken once', () => {
    const document = JSON.parse(describeFiles([SUCCESS, file(PART)], `${HASH}  ${PART}`)) as ContentExport;
    document.files.push(...document.files);
    const { files } = decide(JSON.stringify(document));
    expect(files.map(({ action, reason }) => `${action}: ${reason}`)).toEqual([
      'take: pages-meta-current is configured',
      'skip: it is listed twice',
    ]);
  });

  test.each([
    '',
    '{',
    '{}',
    '[]',
    'null',
    '{"kind":"content-export","files":[{"name":"a","size":-1}]}',
  ])('%j is no description', (text) => {
    expect(() => decide(text)).toThrow(/description of aawiki's content export of 2026-01-01/);
  });
});
