import { seconds } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import type { FileDigests, HashLane, HashLibrary, HashState } from '../hashing/index.ts';
import type { PartFile } from './part-file.ts';

/** Lets the hashing threads read a part file behind its writers. */
export interface HashFollower {
  /** The part file grew. @returns what to wait for before more may come; null = nothing */
  grew(): Promise<void> | null;
  /** Bytes that were there are others now, or gone. */
  restart(): void;
  /** What a later attempt can go on from. */
  state(): HashState | null;
  /** Resolves when that is the state behind all that is there, but for the last piece, or at once when that would take long. */
  catchUp(): Promise<void>;
  /** Digests of the complete file. */
  finish(signal: AbortSignal): Promise<FileDigests>;
}

/**
 * Slower than this the library whose state can be saved keeps up well: it does 115 MB/s for the three SHA together, and takes 2.5
 * times the processor. On a busy machine the fast one must not be given up for a slow one because both are late.
 */
const FAST_BYTES_PER_MS = 50_000;
/** Seen of a file before its speed is judged. Less would judge how long the first answer and the threads took to get going. */
const JUDGE_MS = seconds(2);
/**
 * A fast file is looked at again and again. Below this for a minute is no hiccup any more: one long silence is a single look. Well
 * below `FAST`, because a file that becomes fast again goes no faster than the slower library from then on.
 */
const SLOW_BYTES_PER_MS = 20_000;
const LOOK_MS = seconds(30);
const SLOW_LOOKS = 2;
/** What the library whose state can be saved does at least; see decision 22. */
const SAVABLE_BYTES_PER_MS = 100_000;
/** Hashing may be so far behind: what was written is then still in the page cache, and is not read from the disk. */
const LAG_BYTES = 256 * 1024 * 1024;

/**
 * Files of up to one segment are hashed by OpenSSL. So are longer ones that come fast: after a stop they are read again, which
 * takes less time than it would cost all of them to be ready for that. What comes slowly, or becomes slow, leaves time for the
 * slower library, and takes so long that a stop on the way is to be expected; the figures are in decision 22. All begin with
 * OpenSSL: what is hashed once more because a file turns out to be slow is little and comes from memory, while waiting for the
 * judgement would hold back the fast ones. Only the rest of a file of which much is there already waits for it.
 */
export function createHashFollower(deps: {
  lane: HashLane;
  part: PartFile;
  pieceLengthBytes: number;
  segmentBytes: number;
  clock: Clock;
}): HashFollower {
  const { lane, part, pieceLengthBytes, segmentBytes, clock } = deps;
  const startedMs = clock.monotonicMs();
  const startedBytes = part.held.bytes();
  const { sizeBytes } = part.facts;
  let library: HashLibrary | null = null;
  /** Receiving does not wait until what was there before is hashed: meanwhile the other side would hang up. */
  let lagLimitBytes = LAG_BYTES;
  let look = { atMs: startedMs, heldBytes: startedBytes };
  let slowLooks = 0;

  function begin(chosen: HashLibrary, from: HashState | null = null): void {
    library = chosen;
    lane.begin({ path: part.path, pieceLengthBytes, library: chosen, from });
    lane.upTo(part.held.watermark());
    lagLimitBytes = LAG_BYTES + lagBytes();
  }
  const lagBytes = (): number => part.held.watermark() - lane.hashedBytes();
  /** By the speed so far; null while it is too early to tell. */
  function choose(): HashLibrary | null {
    const [bytes, ms] = [part.held.bytes() - startedBytes, clock.monotonicMs() - startedMs];
    if (bytes < Math.min(LAG_BYTES, 2 * segmentBytes) && ms < JUDGE_MS) return null;
    return bytes >= ms * FAST_BYTES_PER_MS ? 'openssl' : 'wasm';
  }

  /** A file that came fast is slow by now, and what is left takes longer than to hash again what is there. */
  function hasBecomeSlow(): boolean {
    const [ms, heldBytes] = [clock.monotonicMs() - look.atMs, part.held.bytes()];
    if (ms < LOOK_MS) return false;
    const bytesPerMs = Math.max(0, heldBytes - look.heldBytes) / ms;
    look = { atMs: clock.monotonicMs(), heldBytes };
    slowLooks = bytesPerMs < SLOW_BYTES_PER_MS ? slowLooks + 1 : 0;
    const isWorthIt = (sizeBytes - heldBytes) * SAVABLE_BYTES_PER_MS > heldBytes * bytesPerMs;
    return slowLooks >= SLOW_LOOKS && isWorthIt;
  }

  let isJudged = part.savedHashing !== null || sizeBytes <= segmentBytes;
  if (part.savedHashing !== null) begin('wasm', part.savedHashing);
  else if (isJudged || startedBytes <= segmentBytes) begin('openssl');
  return {
    grew() {
      const chosen = isJudged ? null : choose();
      if (chosen !== null) {
        isJudged = true;
        if (chosen !== library) begin(chosen);
      } else if (isJudged && library === 'openssl' && sizeBytes > segmentBytes && hasBecomeSlow())
        begin('wasm');
      if (library === null) return null;
      lane.upTo(part.held.watermark());
      const behindBytes = lagBytes();
      if (behindBytes <= LAG_BYTES) lagLimitBytes = LAG_BYTES;
      return behindBytes > lagLimitBytes ? lane.within(lagLimitBytes) : null;
    },
    restart() {
      if (library !== null) begin(library);
    },
    state: () => (library === 'wasm' ? lane.state() : null),
    // What would take minutes is left to the next attempt, which goes on from there.
    catchUp: () => (library === 'wasm' && lagBytes() <= LAG_BYTES ? lane.within(0) : Promise.resolve()),
    finish(signal) {
      if (library === null) begin('openssl');
      lane.upTo(part.held.watermark());
      return lane.finish(signal);
    },
  };
}
