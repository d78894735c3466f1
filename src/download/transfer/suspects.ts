import type { GivenRange } from './held-ranges.ts';

/** A segment of a file that is wrong somewhere, and its first giver. */
export interface Doubt extends GivenRange {
  /** Sources that gave all of it again. */
  askedAt: string[];
  /** Two sources had different bytes. */
  isDisputed: boolean;
}

/** What is to be asked for again, the most doubtful first; nobody was asked yet. */
export function doubtsOf(given: readonly GivenRange[], segmentBytes: number): Doubt[] {
  return suspectsOf(given, segmentBytes).map((range) => ({ ...range, askedAt: [], isDisputed: false }));
}

/**
 * The segments of a file in the order in which they are to be doubted when the whole is wrong, cut where another source goes on:
 * first those of the source that gave least, since for the fewest bytes it is known whether it lied; what the origin gave comes
 * last. Pure.
 */
export function suspectsOf(given: readonly GivenRange[], segmentBytes: number): GivenRange[] {
  const bytesOf = new Map<string, number>();
  for (const { giver, startBytes, endBytes } of given)
    bytesOf.set(giver, (bytesOf.get(giver) ?? 0) + endBytes - startBytes);
  const rank = ({ giver }: GivenRange): number =>
    giver === 'origin' ? Number.MAX_SAFE_INTEGER : (bytesOf.get(giver) ?? 0);
  const units = given.flatMap((range) => {
    const cut: GivenRange[] = [];
    for (let startBytes = range.startBytes; startBytes < range.endBytes; ) {
      const border = (Math.floor(startBytes / segmentBytes) + 1) * segmentBytes;
      const endBytes = Math.min(border, range.endBytes);
      cut.push({ startBytes, endBytes, giver: range.giver });
      startBytes = endBytes;
    }
    return cut;
  });
  return units.sort((a, b) => rank(a) - rank(b) || a.startBytes - b.startBytes);
}

/**
 * Order of doubts when a look at the container met damage that lies somewhere before this place: the nearest before it first; what
 * lies behind it, and what the origin gave, as before. Pure, for a stable sort.
 */
export function nearestBefore(placeBytes: number): (a: Doubt, b: Doubt) => number {
  const farness = ({ startBytes, giver }: Doubt): number =>
    startBytes >= placeBytes || giver === 'origin' ? placeBytes + 1 : placeBytes - startBytes;
  return (a, b) => farness(a) - farness(b);
}
