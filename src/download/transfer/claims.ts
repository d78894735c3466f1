import type { ByteRange } from '../sources/types.ts';
import type { HeldRanges } from './held-ranges.ts';

/** A range that one connection is fetching. */
export interface Claim {
  readonly startBytes: number;
  /** Moves nearer when another connection takes the rest over. */
  endBytes: number;
  /** Received so far, up to there. */
  position: number;
}

/** Who fetches what of a file. */
export interface Claims {
  /**
   * The next range to fetch, from the front: what nobody fetches, at most `maxBytes` of it, else the second half of what the slowest
   * connection has still before it.
   * @returns null when nothing is worth another connection
   */
  take(maxBytes: number): Claim | null;
  /** It came, or it failed: whatever is missing may be claimed again. */
  release(claim: Claim): void;
  isComplete(): boolean;
}

/**
 * @param options.splitFromBytes a range is taken over in part only when both halves are at least so long
 */
export function createClaims(options: {
  sizeBytes: number;
  segmentBytes: number;
  splitFromBytes: number;
  held: HeldRanges;
}): Claims {
  const { sizeBytes, segmentBytes, splitFromBytes, held } = options;
  const open = new Set<Claim>();
  const claim = (startBytes: number, endBytes: number): Claim => {
    const made = { startBytes, endBytes, position: startBytes };
    open.add(made);
    return made;
  };

  /** Missing and claimed by nobody. */
  function firstFree(): ByteRange | null {
    const taken = [...open].sort((a, b) => a.startBytes - b.startBytes);
    for (const gap of held.missing({ startBytes: 0, endBytes: sizeBytes })) {
      let at = gap.startBytes;
      for (const { startBytes, endBytes } of taken) {
        if (endBytes <= at) continue;
        if (startBytes > at) return { startBytes: at, endBytes: Math.min(startBytes, gap.endBytes) };
        at = endBytes;
        if (at >= gap.endBytes) break;
      }
      if (at < gap.endBytes) return { startBytes: at, endBytes: gap.endBytes };
    }
    return null;
  }

  return {
    take(maxBytes) {
      const free = firstFree();
      if (free !== null) {
        // Ends where a segment ends, so that ranges of many connections keep to the same borders.
        const border = (Math.floor(free.startBytes / segmentBytes) + 1) * segmentBytes;
        const limit = maxBytes >= sizeBytes ? sizeBytes : Math.min(border, free.startBytes + maxBytes);
        return claim(free.startBytes, Math.min(free.endBytes, limit));
      }
      const slowest = [...open].sort((a, b) => b.endBytes - b.position - (a.endBytes - a.position))[0];
      if (slowest === undefined || slowest.endBytes - slowest.position < 2 * splitFromBytes) return null;
      const middle = Math.ceil((slowest.position + slowest.endBytes) / 2);
      const { endBytes } = slowest;
      slowest.endBytes = middle;
      return claim(middle, endBytes);
    },
    release: (done) => void open.delete(done),
    isComplete: () => held.watermark() === sizeBytes,
  };
}
