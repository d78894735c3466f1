import type { DumpFile } from '../../catalog/index.ts';
import { Interrupted } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Log } from '../../ports/index.ts';
import type { FileDigests, HashLane } from '../hashing/index.ts';
import type { RangeClient, SourceBook } from '../sources/types.ts';
import { createCheckpoints } from './checkpoints.ts';
import { fetchRest } from './fetch-rest.ts';
import { createHashFollower, type HashFollower } from './hash-follower.ts';
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
    segmentBytes,
    save: () => part.checkpoint(follower.state()),
  });
  const heldAtFirst = part.held.bytes();
  /** The threads are too far behind. */
  let lag: Promise<void> | null = null;
  let isComplete = false;
  try {
    const fetchedFromUrl = await fetchRest(deps, {
      ...{ row: task.row, part, segmentBytes, signal, log: task.log },
      onReceived(bytes) {
        const room = checkpoints.received(bytes);
        if (room === null) return lag;
        return lag === null ? room : Promise.all([room, lag]).then(() => {});
      },
      onChanged(isAnew) {
        if (isAnew) follower.restart();
        lag ??= waitFor(follower, () => {
          lag = null;
        });
        task.onProgress(part.held.bytes());
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
    if (isWorthKeeping) await checkpoints.make().catch(() => {});
    throw signal.aborted ? new Interrupted() : error;
  }
}

/** The promise of `grew`, with an end that is always heard: a failure is thrown by whoever asks for the digests. */
function waitFor(follower: HashFollower, onOver: () => void): Promise<void> | null {
  const wait = follower.grew();
  if (wait === null) return null;
  return wait.then(onOver, onOver);
}
