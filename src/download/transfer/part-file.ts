import { step } from '../../lib/steps.ts';
import { type Disk, type DiskFile, writeAtomically } from '../../ports/index.ts';
import type { SpaceGuard } from '../../storage/index.ts';
import type { FileDigests, HashState } from '../hashing/index.ts';
import { hasUpstreamHash, maySameBytesFit, type UpstreamFacts } from '../verdict.ts';
import { createHeldRanges, type HeldRanges } from './held-ranges.ts';
import { type PartState, readPartState, writePartState } from './part-state.ts';
import type { Doubt } from './suspects.ts';

/** A file on its way: a part file of full length, and beside it what is known of its bytes. */
export interface PartFile {
  readonly path: string;
  readonly file: DiskFile;
  readonly facts: UpstreamFacts;
  /** Bytes that were written; those of the last checkpoint are on stable storage. */
  readonly held: HeldRanges;
  /** Validators of the sources, by source. */
  readonly validators: Map<string, string>;
  /** Where hashing stood at the last checkpoint of an earlier attempt; null when it has to begin at 0. */
  readonly savedHashing: HashState | null;
  /** Of the complete file, as it is now; null while they are not known. */
  digests: FileDigests | null;
  /** What a repair still has to look at; null when the file was never found to be wrong. Kept with every checkpoint. */
  doubts: Doubt[] | null;
  /**
   * Puts what is written on stable storage, then says so in the sidecar. One runs at a time, and a call meanwhile waits for it.
   * `hashing` is asked when its turn comes, so that it speaks of the same bytes as the rest.
   */
  checkpoint(hashing: (() => HashState | null) | null): Promise<void>;
  /** The space that was promised for it. */
  release(): void;
  /** Part file and sidecar; the file is closed first. */
  remove(): Promise<void>;
  close(): Promise<void>;
}

/** Below this the call costs more than it saves. */
const ALLOCATE_FROM_BYTES = 4 * 1024 * 1024;

/** `ByteSource.id` of the origin. */
const ORIGIN = 'origin';

/** Path of the sidecar of a part file. */
export const statePathOf = (partPath: string): string => `${partPath}.state`;

/**
 * Opens the part file of an earlier attempt when its sidecar says that it is of these bytes, else makes one. Whatever cannot be
 * understood is removed: a download that begins anew costs time, a wrong byte would cost more. The space for all that is missing
 * is promised, and where the file system can do that also taken, before it returns.
 * @throws HaltPipelineError `disk_full`
 */
export async function openPartFile(
  deps: { disk: Disk; space: SpaceGuard },
  { path, facts, pieceLengthBytes }: { path: string; facts: UpstreamFacts; pieceLengthBytes: number },
): Promise<PartFile> {
  const { disk } = deps;
  const statePath = statePathOf(path);
  const earlier = await readEarlier(disk, path, { facts, pieceLengthBytes });
  if (earlier === null) await removePart(disk, path);
  const allocatedBytes = earlier === null ? 0 : ((await disk.stat(path))?.allocatedBytes ?? 0);
  const neededBytes = Math.max(0, facts.sizeBytes - allocatedBytes);
  const reservation = await deps.space.reserve(neededBytes);
  let file: DiskFile;
  let isAllocated = false;
  try {
    file = await disk.open(path, 'write');
    try {
      if (facts.sizeBytes >= ALLOCATE_FROM_BYTES) isAllocated = await disk.allocate(path, facts.sizeBytes);
      else await file.truncate(facts.sizeBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    reservation.release();
    throw error;
  }
  step('download:part_opened');
  const held = createHeldRanges(earlier?.ranges);
  const validators = new Map(Object.entries(earlier?.validators ?? {}));
  const heldAtFirst = held.bytes();
  let isOpen = true;
  let writing: Promise<void> = Promise.resolve();
  if (isAllocated) reservation.written(neededBytes);

  async function write(hashing: (() => HashState | null) | null): Promise<void> {
    if (!isOpen) return;
    // Taken before the bytes are made durable: it may name no byte that came later.
    const text = writePartState({
      facts: part.facts,
      pieceLengthBytes,
      ranges: held.list(),
      validators: Object.fromEntries(validators),
      hashing: hashing?.() ?? null,
      digests: part.digests,
      doubts: part.doubts,
    });
    if (!isAllocated) reservation.written(Math.max(0, held.bytes() - heldAtFirst));
    await file.syncData();
    step('download:checkpoint_synced');
    await writeAtomically(disk, statePath, text);
    step('download:checkpoint_written');
  }
  async function close(): Promise<void> {
    if (!isOpen) return;
    isOpen = false;
    // A sidecar that is still being written would come after its own removal.
    await writing.catch(() => {});
    await file.close();
  }
  const part: PartFile = {
    path,
    file,
    facts,
    held,
    validators,
    savedHashing: earlier?.hashing ?? null,
    digests: earlier?.digests ?? null,
    doubts: earlier?.doubts?.map((doubt) => ({ ...doubt })) ?? null,
    checkpoint(hashing) {
      writing = writing.catch(() => {}).then(() => write(hashing));
      return writing;
    },
    release: () => reservation.release(),
    async remove() {
      await close();
      await removePart(disk, path);
    },
    close,
  };
  return part;
}

/** The sidecar goes last: without the part file it means nothing, the other way round the next attempt would begin anew as well. */
export async function removePart(disk: Disk, path: string): Promise<void> {
  await disk.remove(path);
  await removeState(disk, path);
}

/** The sidecar of a part file, and what a crash left of a new one. */
export async function removeState(disk: Disk, path: string): Promise<void> {
  await disk.remove(statePathOf(path));
  await disk.remove(`${statePathOf(path)}.tmp`);
}

async function readEarlier(
  disk: Disk,
  path: string,
  { facts, pieceLengthBytes }: { facts: UpstreamFacts; pieceLengthBytes: number },
): Promise<PartState | null> {
  const [text, stat] = [await disk.readText(statePathOf(path)), await disk.stat(path)];
  const state = text === null ? null : readPartState(text);
  if (state === null || stat?.isFile !== true || stat.sizeBytes !== facts.sizeBytes) return null;
  if (!maySameBytesFit(state.facts, facts)) return null;
  const believed = hasUpstreamHash(facts) ? state : onlyOfOrigin(state);
  // Pieces of another length would not fit; the bytes do.
  return state.pieceLengthBytes === pieceLengthBytes
    ? believed
    : { ...believed, hashing: null, digests: null };
}

/** Without a hash, what others gave while there still was one cannot be told from anything else. */
function onlyOfOrigin(state: PartState): PartState {
  const ranges = state.ranges.filter(({ giver }) => giver === ORIGIN);
  if (ranges.length === state.ranges.length) return state;
  return { ...state, ranges, hashing: null, digests: null, doubts: null };
}
