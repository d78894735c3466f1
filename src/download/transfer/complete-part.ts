import type { DumpFile } from '../../catalog/index.ts';
import { Interrupted } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Log } from '../../ports/index.ts';
import type { FileDigests, HashLane } from '../hashing/index.ts';
import type { RangeClient, SourceBook } from '../sources/types.ts';
import { createCheckpoints } from './checkpoints.ts';
import { fetchRest, unsafeBytes } from './fetch-rest.ts';
import { createHashFollower } from './hash-follower.ts';
import type { PartFile } from './part-file.ts';

/** What completing a part file needs from outside. */
export interface CompleteDeps {
  client: RangeClient;
  book: SourceBook;
  clock: Clock;
  pieceLengthBytes: number;
  /** `download.segment_size`: a crash may cost so many bytes. */
  segmentBytes: number;
}

/** A part file to complete. */
export interface CompleteTask {
  row: DumpFile;
  part: PartFile;
  lane: HashLane;
  signal: AbortSignal;
  log: Log;
  /** See `FetchTask`. */
  mayWait: boolean;
  /** Called whenever bytes were written. */
  onProgress(doneBytes: number): void;
}

/** Everything is in the part file and on stable storage. */
export interface Completed {
  digests: FileDigests;
  /** Address that gave the last bytes; null when all were there. */
  fetchedFromUrl: string | null;
}

/**
 * Fetches what is missing and hashes all of it on the way. However it ends, what came is kept for the next attempt.
 * @throws what `fetchRest` and `HashLane.finish` throw
 */
export async function completePart(deps: CompleteDeps, task: CompleteTask): Promise<Completed> {
  const { part, signal } = task;
  const { pieceLengthBytes, segmentBytes, clock } = deps;
  // Proved to be the complete file by an earlier attempt, which could not judge them yet.
  if (part.digests !== null) return { digests: part.digests, fetchedFromUrl: null };
  const follower = createHashFollower({ lane: task.lane, part, pieceLengthBytes, segmentBytes, clock });
  const checkpoints = createCheckpoints({
    clock,
    limitBytes: unsafeBytes(segmentBytes),
    save: () => part.checkpoint(() => follower.state()),
  });
  const heldAtFirst = part.held.bytes();
  /** The threads are too far behind. */
  let lag: Promise<void> | null = null;
  let isComplete = false;
  const follow = (): void => {
    // A failure is thrown by whoever asks for the digests.
    const over = (): void => {
      lag = null;
    };
    if (lag === null) lag = follower.grew()?.then(over, over) ?? null;
    task.onProgress(part.held.bytes());
  };
  try {
    const fetchedFromUrl = await fetchRest(deps, {
      ...{ row: task.row, part, segmentBytes, signal, log: task.log, mayWait: task.mayWait },
      room() {
        const room = checkpoints.room();
        if (room === null || lag === null) return room ?? lag;
        return Promise.all([room, lag]).then(() => {});
      },
      onWritten(bytes) {
        checkpoints.written(bytes);
        follow();
      },
      onAnew() {
        part.doubts = null;
        follower.restart();
        follow();
      },
    });
    isComplete = true;
    const [digests] = await Promise.all([follower.finish(signal), part.file.syncData()]);
    step('download:part_synced');
    part.digests = digests;
    // What is larger may take hours to be judged.
    if (part.facts.sizeBytes > segmentBytes) await part.checkpoint(null);
    return { digests, fetchedFromUrl };
  } catch (error) {
    // The disk that is the trouble cannot be asked to keep what came; the last checkpoint holds.
    const isWorthKeeping = isComplete || part.held.bytes() !== heldAtFirst;
    if (isWorthKeeping) {
      await follower.catchUp().catch(() => {});
      await checkpoints.make().catch(() => {});
    }
    throw signal.aborted ? new Interrupted() : error;
  }
}
