import { dirname } from 'node:path';
import type { DumpFile } from '../../catalog/index.ts';
import { errorCode, RetryableError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk, FileFacts, Log } from '../../ports/index.ts';
import type { Layout, SpaceGuard } from '../../storage/index.ts';
import { storeReadOnly } from '../stored-file.ts';
import { fetchWhole } from './fetch-whole.ts';
import type { HeldHasher } from './hash-thread.ts';
import { healPieces, UnwritableSpot } from './heal-pieces.ts';
import { localGiver } from './local-pieces.ts';
import { copiesInTorrents, type NamesDeps, nameFromTorrents, renewOtherNames } from './other-names.ts';
import type { PieceGiver, PieceSource } from './piece-source.ts';
import type { ServerDeps } from './server-pieces.ts';
import { type HeldFile, type HeldReading, type Pieces, pieceCount } from './types.ts';
import { type ReadTask, verifyFile } from './verify-file.ts';

/** What mending needs. */
export interface MendDeps extends NamesDeps {
  disk: Disk;
  layout: Layout;
  space: Pick<SpaceGuard, 'reserve' | 'onHardStop'>;
  servers: ServerDeps;
  /** Asked in this order for each piece. */
  sources: readonly PieceSource[];
  /** Upstream is known to have other bytes of it now. */
  isContested: (row: DumpFile) => boolean;
  /** Piece length where none is stored. */
  pieceLength: number;
}

/** One damaged or missing file. */
export interface MendTask {
  row: DumpFile;
  file: HeldFile;
  reading: Exclude<HeldReading, { kind: 'sound' }>;
  hasher: HeldHasher;
  signal: AbortSignal;
  log: Log;
  onProgress?: (doneBytes: number, totalBytes: number, label: string) => void;
}

/** What was done to it; whether it is sound now, its next reading says. */
export interface Mended {
  /** Pieces that were put right. */
  healed: number;
  /** Pieces that nobody had; null = the whole file, of which no pieces are known. */
  left: number | null;
}

/** Nothing of a file that we do not know the pieces of could be had. */
const NOBODY: Mended = { healed: 0, left: null };

/**
 * Puts a held file right as far as anybody has the bytes. Only proved bytes are written, in place where the disk allows it, so
 * that every name of the file heals at once; else into a new file that takes the place of the old one when all of it is
 * proved. Bytes on disk are never given up before better ones are there. Safe to repeat from any point.
 */
export async function mendFile(deps: MendDeps, task: MendTask): Promise<Mended> {
  const { row, file, reading } = task;
  if (reading.kind === 'missing' && (await nameFromTorrents(deps, row.id, file)))
    return { healed: 0, left: 0 };
  const copies = await copiesInTorrents(deps, row.id, file);
  const givers = [
    ...copies.map((path) => localGiver(deps.disk, path)),
    ...deps.sources.map((source) => source.giverFor(row)),
  ];
  const bad = reading.kind === 'missing' ? null : reading.badPieces;
  if (file.pieces === null || (bad === null && reading.kind === 'damaged')) return mendUnknown(deps, task);
  if (bad === null) return makeAnew(deps, task, { pieces: file.pieces, givers });
  try {
    return await mendInPlace(deps, task, { pieces: file.pieces, bad, givers });
  } catch (error) {
    if (!(error instanceof UnwritableSpot) && errorCode(error) !== 'EIO') throw error;
    task.log.warn(
      { path: file.path, reason: error instanceof Error ? error.message : '' },
      'the disk does not take bytes where a file is damaged; it is made anew beside',
    );
    return makeAnew(deps, task, {
      pieces: file.pieces,
      givers: [localGiver(deps.disk, file.path), ...givers],
    });
  }
}

interface Known {
  pieces: Pieces;
  givers: readonly PieceGiver[];
}

async function mendInPlace(
  deps: MendDeps,
  task: MendTask,
  { pieces, bad, givers }: Known & { bad: readonly number[] },
): Promise<Mended> {
  const { disk } = deps;
  const { file } = task;
  const target = await openHeld(disk, file.path);
  try {
    await assertAsRead(deps, task, { isUntouched: true });
    const { healed, left } = await healPieces({
      ...task,
      target,
      sizeBytes: file.sizeBytes,
      pieces,
      bad,
      givers,
      ...progressOf(task),
    });
    const facts = await disk.stat(file.path);
    // What is too much goes last, when all that belongs to the file is proved.
    if (left.length === 0 && facts !== null && facts.sizeBytes > file.sizeBytes) {
      await target.truncate(file.sizeBytes);
      await target.sync();
    }
    return { healed: healed.length, left: left.length };
  } finally {
    await target.close();
  }
}

/**
 * Bytes go only over those that were read and found wrong: never into another file that got the name meanwhile.
 * @throws RetryableError `held_file_changed`
 */
async function assertAsRead(
  { disk }: MendDeps,
  { file, reading }: MendTask,
  { isUntouched }: { isUntouched: boolean },
): Promise<FileFacts | null> {
  const now = await disk.stat(file.path).catch(() => null);
  const isSame =
    reading.kind === 'missing'
      ? now?.isFile !== true
      : now === null || (now.inode === reading.inode && (!isUntouched || now.mtimeMs === reading.mtimeMs));
  if (isSame) return now;
  throw new RetryableError('held_file_changed', `${file.path} was changed while it was repaired`);
}

/** Held files are read-only; whoever opened one may go on writing. */
async function openHeld(disk: Disk, path: string) {
  await disk.chmod(path, 0o644);
  try {
    return await disk.open(path, 'update');
  } finally {
    await disk.chmod(path, 0o444);
  }
}

/** A whole new file beside the old one, or for one that is gone; what is there of an earlier attempt is used. */
async function makeAnew(deps: MendDeps, task: MendTask, { pieces, givers }: Known): Promise<Mended> {
  const { disk } = deps;
  const { file } = task;
  const path = besidePath(deps, task.row);
  await disk.makeDirectory(dirname(path));
  const target = await disk.open(path, 'write');
  try {
    const bad = await badPiecesOf(deps, task, { ...file, path, pieces });
    const allocated = async (): Promise<number> => (await disk.stat(path))?.allocatedBytes ?? 0;
    const thereBytes = await allocated();
    const neededBytes = Math.max(0, file.sizeBytes - thereBytes);
    const { onHealed } = progressOf(task);
    const { healed, left } = await withRoom(deps, task, neededBytes, ({ signal, written }) =>
      healPieces({
        ...task,
        ...{ signal, target, pieces, bad, givers },
        sizeBytes: file.sizeBytes,
        async onHealed(pieceCount, bytes) {
          // Right bytes over wrong ones of an earlier attempt take no room.
          written((await allocated()) - thereBytes);
          onHealed?.(pieceCount, bytes);
        },
      }),
    );
    if (left.length > 0) {
      if (left.length === pieceCount(file.sizeBytes, pieces.length)) await disk.remove(path);
      return { healed: 0, left: left.length };
    }
    await target.truncate(file.sizeBytes);
    await target.sync();
    await putInPlace(deps, task, path);
    return { healed: healed.length, left: 0 };
  } finally {
    await target.close();
  }
}

/** Nothing is known of single pieces: the whole file is fetched and proved, and then gives its pieces. */
async function mendUnknown(deps: MendDeps, task: MendTask): Promise<Mended> {
  const { row, file, reading } = task;
  const path = besidePath(deps, row);
  // Begun anew by each attempt: what is there of an earlier one is no use, and its room is counted as free.
  await deps.disk.remove(path);
  const pieces = await withRoom(deps, task, file.sizeBytes, ({ signal, written }) =>
    fetchWhole(
      { ...deps.servers, ...deps },
      {
        ...task,
        ...{ path, signal, pieceLength: deps.pieceLength },
        onProgress(doneBytes) {
          written(doneBytes);
          task.onProgress?.(doneBytes, file.sizeBytes, `${row.filename}: fetching`);
        },
      },
    ),
  );
  if (pieces === null) return NOBODY;
  step('held:whole_fetched');
  const count = pieceCount(file.sizeBytes, pieces.length);
  if (reading.kind === 'missing') {
    await putInPlace(deps, task, path);
    return { healed: count, left: 0 };
  }
  const bad = await badPiecesOf(deps, task, { ...file, pieces });
  try {
    const mended = await mendInPlace(deps, task, { pieces, bad, givers: [localGiver(deps.disk, path)] });
    await deps.disk.remove(path);
    return mended;
  } catch (error) {
    if (!(error instanceof UnwritableSpot) && errorCode(error) !== 'EIO') throw error;
    await putInPlace(deps, task, path);
    return { healed: bad.length, left: 0 };
  }
}

async function badPiecesOf(deps: MendDeps, task: MendTask, file: HeldFile): Promise<readonly number[]> {
  const { disk, pieceLength } = deps;
  const { hasher, signal } = task;
  const reading = await verifyFile(file, { disk, pieceLength, hasher, signal } satisfies ReadTask);
  return reading.kind === 'damaged' ? (reading.badPieces ?? []) : [];
}

/** A whole new file takes the place of the old bytes, under all their names. */
async function putInPlace(deps: MendDeps, task: MendTask, path: string): Promise<void> {
  const { row, file } = task;
  // The attempt to mend it in place may have written to it.
  const old = await assertAsRead(deps, task, { isUntouched: false });
  step('held:storing');
  await storeReadOnly(deps, path, file.path);
  await renewOtherNames(deps, row.id, { path: file.path, oldInode: old?.inode ?? null });
}

/** Not the name a download would use: a newer version of the file may be on its way. */
function besidePath({ layout }: Pick<MendDeps, 'layout'>, row: DumpFile): string {
  return `${layout.partialFile(row)}.repair`;
}

/** Work with room that was promised for it. */
interface Roomy {
  /** Aborts as the task's own does, and when the disk becomes too full. */
  signal: AbortSignal;
  /** So many of the bytes occupy the disk by now, and need no promise any more. */
  written(sizeBytes: number): void;
}

/** Room for what is to be written is promised first, and the work ends when the disk becomes too full. */
async function withRoom<T>(
  { space }: MendDeps,
  { signal }: MendTask,
  neededBytes: number,
  work: (room: Roomy) => Promise<T>,
): Promise<T> {
  const reservation = await space.reserve(neededBytes);
  const stop = new AbortController();
  const forget = space.onHardStop((reason) => stop.abort(reason));
  try {
    return await work({
      signal: AbortSignal.any([signal, stop.signal]),
      written: (sizeBytes) => reservation.written(sizeBytes),
    });
  } catch (error) {
    throw stop.signal.aborted && !signal.aborted ? stop.signal.reason : error;
  } finally {
    forget();
    reservation.release();
  }
}

function progressOf({ row, reading, file, onProgress }: MendTask): {
  onHealed?: (pieces: number, bytes: number) => void;
} {
  if (onProgress === undefined) return {};
  const pieceLength = file.pieces?.length ?? 0;
  const totalBytes =
    reading.kind === 'damaged' && reading.badPieces !== null
      ? Math.min(reading.badPieces.length * pieceLength, file.sizeBytes)
      : file.sizeBytes;
  return { onHealed: (_, bytes) => onProgress(bytes, totalBytes, `${row.filename}: putting pieces right`) };
}
