import type { ByteRange } from '../sources/types.ts';

/** Bytes that are in a part file, and who gave them. */
export interface GivenRange extends ByteRange {
  /** `ByteSource.id`. */
  giver: string;
}

/** Which bytes of a file are there. Ranges never overlap; what is added last counts. */
export interface HeldRanges {
  add(range: GivenRange): void;
  /** Forgets what this source gave. */
  dropGiver(giver: string): void;
  clear(): void;
  /** Complete from 0 up to there. */
  watermark(): number;
  bytes(): number;
  /** In order, neighbours of one giver joined. */
  list(): readonly GivenRange[];
  /** Parts of a range that are there, cut at its ends. */
  within(range: ByteRange): GivenRange[];
  /** Parts of a range that are missing, in order. */
  missing(range: ByteRange): ByteRange[];
}

/** See `HeldRanges`. */
export function createHeldRanges(initial: readonly GivenRange[] = []): HeldRanges {
  let ranges: GivenRange[] = [];
  let bytes = 0;

  function add({ startBytes, endBytes, giver }: GivenRange): void {
    if (endBytes <= startBytes) return;
    // Nearly always it follows what the same connection brought before.
    const index = ranges.findIndex((range) => range.endBytes === startBytes && range.giver === giver);
    const next = ranges[index + 1];
    if (index >= 0 && (next === undefined || next.startBytes > endBytes)) {
      ranges[index] = { ...ranges[index]!, endBytes };
      bytes += endBytes - startBytes;
      return;
    }
    const others = ranges.flatMap((range) => outside(range, { startBytes, endBytes }));
    replace([...others, { startBytes, endBytes, giver }]);
  }

  function replace(list: GivenRange[]): void {
    ranges = [];
    bytes = 0;
    for (const range of list.sort((a, b) => a.startBytes - b.startBytes)) {
      const last = ranges.at(-1);
      bytes += range.endBytes - range.startBytes;
      if (last?.endBytes === range.startBytes && last.giver === range.giver)
        ranges[ranges.length - 1] = { ...last, endBytes: range.endBytes };
      else ranges.push(range);
    }
  }

  const within = ({ startBytes, endBytes }: ByteRange): GivenRange[] =>
    ranges
      .map((range) => ({
        giver: range.giver,
        startBytes: Math.max(range.startBytes, startBytes),
        endBytes: Math.min(range.endBytes, endBytes),
      }))
      .filter((range) => range.startBytes < range.endBytes);

  for (const range of initial) add(range);
  return {
    add,
    dropGiver: (giver) => replace(ranges.filter((range) => range.giver !== giver)),
    clear: () => replace([]),
    watermark() {
      let end = 0;
      for (const range of ranges) {
        if (range.startBytes !== end) break;
        end = range.endBytes;
      }
      return end;
    },
    bytes: () => bytes,
    list: () => ranges,
    within,
    missing(range) {
      const gaps: ByteRange[] = [];
      let at = range.startBytes;
      for (const { startBytes, endBytes } of within(range)) {
        if (startBytes > at) gaps.push({ startBytes: at, endBytes: startBytes });
        at = endBytes;
      }
      if (at < range.endBytes) gaps.push({ startBytes: at, endBytes: range.endBytes });
      return gaps;
    },
  };
}

/** What is left of a range when another one takes its place there. */
function outside(range: GivenRange, taken: ByteRange): GivenRange[] {
  const before = { ...range, endBytes: Math.min(range.endBytes, taken.startBytes) };
  const behind = { ...range, startBytes: Math.max(range.startBytes, taken.endBytes) };
  return [before, behind].filter((part) => part.startBytes < part.endBytes);
}
