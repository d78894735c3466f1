import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignmentOf, arrange, arrangePlain } from './arrangement.ts';
import { encodeTorrent } from './metainfo.ts';
import { ENVELOPE_BYTES, filesInFirstPart, type PartItem, type PartRules } from './parts.ts';
import type { PayloadFile } from './payload/payload.ts';
import { choosePieceLength } from './piece-length.ts';

/*
 * Goal: whatever the files and the bounds are, each file is in exactly one part, in order, and each part is within the bounds, or a
 * single file.
 * Method: random files and bounds; what a part comes to is told by the code that lays out and encodes the torrent itself.
 */

const PIECE = 2 ** 18;

/** All parts, as the numbers of files in each. */
function split(items: readonly PartItem[], rules: PartRules): number[] {
  const counts: number[] = [];
  for (let at = 0; at < items.length; ) {
    const count = filesInFirstPart(items.slice(at), rules);
    counts.push(count);
    at += count;
  }
  return counts;
}

/** Pieces and bytes of the real torrent. */
function measure(items: readonly PartItem[], rules: PartRules): { pieceCount: number; bytes: number } {
  const texts = rules.textBytes + items.reduce((sum, { textBytes }) => sum + textBytes, 0);
  const files: PayloadFile[] = [
    ...items.map(({ path, sizeBytes }) => ({ kind: 'dump', path, sizeBytes, content: null }) as never),
    ...(rules.hasPadding
      ? [{ kind: 'text', path: 'README.txt', sizeBytes: texts, bytes: null } as never]
      : []),
  ];
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const pieceLength = choosePieceLength(total, rules.pieceLengthBytes);
  const sizes = items.map(({ sizeBytes }) => sizeBytes);
  const { pieceCount, entries } = rules.hasPadding
    ? arrange(files, { pieceLength, alignFilesFromBytes: alignmentOf(sizes, rules) })
    : arrangePlain(files, { pieceLength });
  const envelope = { trackers: [], webseeds: [], cycleDate: '2026-11-20', createdBy: '', comment: '' };
  const { bytes } = encodeTorrent(
    {
      name: 'wikimedia-dumps-2026-11-20',
      files: entries,
      pieceLength,
      pieces: new Uint8Array(pieceCount * 20),
    },
    envelope,
  );
  return { pieceCount, bytes: bytes.length };
}

const fits = (items: readonly PartItem[], rules: PartRules): boolean => {
  const { pieceCount, bytes } = measure(items, rules);
  return pieceCount <= rules.bounds.maxPieces && bytes <= rules.bounds.maxTorrentSizeBytes;
};

const files = fc
  .array(
    fc.record({
      group: fc.constantFrom('aa/wikipedia', 'en/wikinews', 'en/wikipedia', 'zh-min-nan/wiktionary'),
      sizeBytes: fc.oneof(
        { weight: 3, arbitrary: fc.nat(5 * PIECE) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 400 }).map((pieces) => pieces * PIECE) },
      ),
      textBytes: fc.nat(20_000),
      name: fc.string({ minLength: 1, maxLength: 120, unit: fc.constantFrom('a', 'b', '7', '-', 'é') }),
    }),
    { maxLength: 60 },
  )
  .map((list) =>
    list
      .map(
        ({ group, name, ...file }, index): PartItem => ({
          ...file,
          group,
          path: `compressed/${group}/${name}${index}`,
        }),
      )
      .sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0)),
  );
const rules = fc.record({
  pieceLengthBytes: fc.constant(PIECE),
  alignFilesFromBytes: fc.constantFrom(1, PIECE, 2 ** 40),
  hasPadding: fc.boolean(),
  textBytes: fc.nat(2 ** 20),
  bounds: fc.record({
    maxPieces: fc.integer({ min: 1, max: 1000 }),
    maxTorrentSizeBytes: fc.integer({ min: ENVELOPE_BYTES, max: ENVELOPE_BYTES + 30_000 }),
  }),
});

describe('filesInFirstPart', () => {
  it('puts every file into one part, each within the bounds or a single file', () => {
    let splits = 0;
    fc.assert(
      fc.property(files, rules, (items, given) => {
        // Without added texts there is nothing else in the torrent.
        const rule = given.hasPadding ? given : { ...given, textBytes: 0 };
        const list = given.hasPadding ? items : items.map((item) => ({ ...item, textBytes: 0 }));
        const counts = split(list, rule);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(list.length);
        if (counts.length > 1) splits += 1;
        let at = 0;
        for (const count of counts) {
          const part = list.slice(at, at + count);
          if (count > 1) expect(fits(part, rule)).toBe(true);
          at += count;
          const next = list[at];
          // A group goes on in the next part only where it had this one for itself.
          if (next !== undefined && next.group === part.at(-1)?.group)
            expect(new Set(part.map(({ group }) => group)).size).toBe(1);
        }
      }),
      { numRuns: 300 },
    );
    expect(splits).toBeGreaterThan(20);
  });

  it('takes whole groups as long as they fit, and tears only one that does not fit alone', () => {
    const item = (group: string, pieces: number): PartItem => ({
      ...{ group, path: `compressed/${group}/x`, sizeBytes: pieces * PIECE, textBytes: 0 },
    });
    const of = (maxPieces: number): PartRules => ({
      ...{ pieceLengthBytes: PIECE, alignFilesFromBytes: 1, hasPadding: false, textBytes: 0 },
      bounds: { maxPieces, maxTorrentSizeBytes: 10_000_000 },
    });
    const items = [item('a', 100), item('a', 100), item('b', 100), item('b', 300), item('c', 10)];
    expect(split(items, of(1000))).toEqual([5]);
    expect(split(items, of(610))).toEqual([5]);
    expect(split(items, of(609))).toEqual([4, 1]);
    expect(split(items, of(599))).toEqual([2, 3]);
    expect(split(items, of(400))).toEqual([2, 2, 1]);
    expect(split(items, of(399))).toEqual([2, 1, 2]);
    expect(split(items, of(50))).toEqual([1, 1, 1, 1, 1]);
  });
});
