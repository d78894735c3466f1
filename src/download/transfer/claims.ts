import type { Clock } from '../../ports/index.ts';
import type { ByteRange, ByteSource } from '../sources/types.ts';
import type { HeldRanges } from './held-ranges.ts';

/** A range that one connection is fetching. */
export interface Claim {
  readonly startBytes: number;
  /** Moves nearer when another connection takes the rest over. */
  endBytes: number;
  /** Received so far, up to there. */
  position: number;
  /** Aborts when another connection took over all that was left. */
  readonly lost: AbortSignal;
}

/** Who fetches what of a file. */
export interface Claims {
  /**
   * The next range to fetch, from the front: what nobody fetches, at most `maxBytes` of it, else the second half of what the slowest
   * connection has still before it.
   * @returns null when nothing is worth another connection
   */
  take(source: ByteSource, maxBytes: number): Claim | null;
  /**
   * All that is left of the range that would take longest, when this source is known to be much faster than the one that has it. So
   * the end of a file does not wait for a source that is slow, yet never silent.
   */
  takeOver(source: ByteSource): Claim | null;
  /** It came, or it failed: whatever is missing may be claimed again. */
  release(claim: Claim): void;
  isComplete(): boolean;
}

/** A connection is not judged before. */
const JUDGED_AFTER_MS = 30_000;
/** What would be over by then is not worth another connection. */
const WORTH_MS = 30_000;
const MUCH_FASTER = 4;

interface OpenClaim extends Claim {
  sourceId: string;
  startedMs: number;
  lose(): void;
}

/**
 * @param options.splitFromBytes a range is taken over in part only when both halves are at least so long
 */
export function createClaims(options: {
  sizeBytes: number;
  segmentBytes: number;
  splitFromBytes: number;
  held: HeldRanges;
  clock: Pick<Clock, 'monotonicMs'>;
}): Claims {
  const { sizeBytes, segmentBytes, splitFromBytes, held, clock } = options;
  const open = new Set<OpenClaim>();
  const claim = (source: ByteSource, startBytes: number, endBytes: number): Claim => {
    const losing = new AbortController();
    const made = {
      ...{ startBytes, endBytes, position: startBytes, sourceId: source.id },
      ...{ startedMs: clock.monotonicMs(), lost: losing.signal, lose: () => losing.abort() },
    };
    open.add(made);
    return made;
  };
  /** What is left of it would take so long, by its speed so far; 0 while that says nothing. */
  const leftMs = ({ startBytes, position, endBytes, startedMs }: OpenClaim): number => {
    const ms = clock.monotonicMs() - startedMs;
    return ms < JUDGED_AFTER_MS ? 0 : ((endBytes - position) * ms) / Math.max(1, position - startBytes);
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
    take(source, maxBytes) {
      const free = firstFree();
      if (free !== null) {
        // Ends where a segment ends, so that ranges of many connections keep to the same borders.
        const border = (Math.floor(free.startBytes / segmentBytes) + 1) * segmentBytes;
        const limit = maxBytes >= sizeBytes ? sizeBytes : Math.min(border, free.startBytes + maxBytes);
        return claim(source, free.startBytes, Math.min(free.endBytes, limit));
      }
      const slowest = [...open].sort((a, b) => b.endBytes - b.position - (a.endBytes - a.position))[0];
      if (slowest === undefined || slowest.endBytes - slowest.position < 2 * splitFromBytes) return null;
      const middle = Math.ceil((slowest.position + slowest.endBytes) / 2);
      const { endBytes } = slowest;
      slowest.endBytes = middle;
      return claim(source, middle, endBytes);
    },
    takeOver(source) {
      const bytesPerMs = (source.bytesPerSecond ?? 0) / 1000;
      const [slow] = [...open]
        .filter((one) => one.sourceId !== source.id && leftMs(one) >= WORTH_MS)
        .filter((one) => leftMs(one) * bytesPerMs >= MUCH_FASTER * (one.endBytes - one.position))
        .sort((a, b) => leftMs(b) - leftMs(a));
      if (slow === undefined) return null;
      const { position, endBytes } = slow;
      slow.endBytes = position;
      slow.lose();
      return claim(source, position, endBytes);
    },
    release: (done) => void open.delete(done as OpenClaim),
    isComplete: () => held.watermark() === sizeBytes,
  };
}
