import { errorCode, Interrupted, PermanentError, RetryableError } from '../../lib/index.ts';
import type { Disk, DiskFile, FileFacts } from '../../ports/index.ts';
import { SLOT_BYTES, type WholeDigests } from './hash-protocol.ts';
import type { HeldHasher } from './hash-thread.ts';
import {
  type HeldFile,
  type HeldReading,
  pieceCount,
  type ReadSoFar,
  rangeOfPiece,
  SHA1_BYTES,
  sha1OfPiece,
} from './types.ts';

/** What a reading needs, and whom it tells. */
export interface ReadTask {
  disk: Pick<Disk, 'stat' | 'open'>;
  hasher: HeldHasher;
  signal: AbortSignal;
  /** Piece length where none is stored. */
  pieceLength: number;
  /** Asked before so many bytes are read. Default: at once. */
  pace?: (bytes: number) => Promise<void>;
  /** An earlier reading of the same bytes that was cut short. */
  soFar?: ReadSoFar | null;
  /** After each piece. */
  onProgress?: (doneBytes: number, soFar: ReadSoFar) => void;
}

/** Spots that the disk cannot read: these bytes are lost. Any other error proves nothing about them. */
export const LOST_CODES: readonly string[] = ['EIO', 'EBADMSG', 'EUCLEAN'];

/**
 * Reads one held file once and compares it with what is recorded; changes nothing. Every piece is read, also behind a spot
 * that cannot be read.
 * @throws PermanentError `held_file_unreadable` when it cannot be opened or read for a reason that says nothing of its bytes
 * @throws RetryableError `held_file_changed` when somebody wrote to it meanwhile; Interrupted
 */
export async function verifyFile(file: HeldFile, task: ReadTask): Promise<HeldReading> {
  const before = await lookAt(file, task.disk);
  if (!('sizeBytes' in before)) return { kind: 'missing', reason: before.reason };
  const reader = await openFor(file, task.disk);
  const pieceLength = file.pieces?.length ?? task.pieceLength;
  const soFar = usableSoFar(task.soFar ?? null, file, before);
  let read: Read;
  try {
    read = await readPieces(reader, file, { ...task, pieceLength, soFar, before });
  } finally {
    await reader?.close();
  }
  const after = await lookAt(file, task.disk);
  if (!('sizeBytes' in after) || !isSame(before, after))
    throw new RetryableError('held_file_changed', `${file.path} was changed while it was read`);
  return judgeRead(file, read, before, pieceLength);
}

function isSame(a: FileFacts, b: FileFacts): boolean {
  return a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.mtimeMs === b.mtimeMs;
}

/** null = the disk cannot even open it. */
async function openFor(file: HeldFile, disk: Pick<Disk, 'open'>): Promise<DiskFile | null> {
  try {
    return await disk.open(file.path, 'read');
  } catch (error) {
    if (LOST_CODES.includes(errorCode(error))) return null;
    throw unreadable(file, error);
  }
}

async function lookAt(file: HeldFile, disk: Pick<Disk, 'stat'>): Promise<FileFacts | { reason: string }> {
  let facts: FileFacts | null;
  try {
    facts = await disk.stat(file.path);
  } catch (error) {
    if (LOST_CODES.includes(errorCode(error)))
      return { reason: `it cannot be looked at (${errorCode(error)})` };
    throw unreadable(file, error);
  }
  if (facts === null) return { reason: 'it is not there' };
  return facts.isFile ? facts : { reason: 'something that is no file is in its place' };
}

function unreadable(file: HeldFile, error: unknown): PermanentError {
  return new PermanentError('held_file_unreadable', `cannot read ${file.path} (${errorCode(error)})`, {
    hint: 'Run this as the user WikiSeed runs as, or give that user the data directory: chown -R <user> <data_dir>',
    cause: error,
  });
}

/** Without stored piece hashes nothing is known of single pieces, so such a file is read from its start. */
function usableSoFar(soFar: ReadSoFar | null, file: HeldFile, now: FileFacts): ReadSoFar | null {
  return file.pieces !== null && soFar?.mtimeMs === now.mtimeMs ? soFar : null;
}

interface Read {
  whole: WholeDigests | null;
  /** What was found of each piece from `firstPiece` on; 20 zero bytes where nothing could be read. */
  found: Buffer;
  firstPiece: number;
  /** Of all pieces; null = none are stored. */
  bad: number[] | null;
  unreadable: number[];
}

const NOTHING = Buffer.alloc(SHA1_BYTES);

async function readPieces(
  reader: DiskFile | null,
  file: HeldFile,
  task: ReadTask & { soFar: ReadSoFar | null; before: FileFacts },
): Promise<Read> {
  const { hasher, pieceLength, soFar, before } = task;
  const firstPiece = soFar?.nextPiece ?? 0;
  const bad = [...(soFar?.badPieces ?? [])];
  const unreadable = [...(soFar?.unreadablePieces ?? [])];
  const found: Buffer[] = [];
  const onPiece = (sha1: Buffer | null): void => {
    const piece = firstPiece + found.length;
    found.push(sha1 ?? NOTHING);
    if (file.pieces !== null && sha1?.equals(sha1OfPiece(file.pieces, piece)) !== true) bad.push(piece);
    task.onProgress?.(rangeOfPiece(piece, { sizeBytes: file.sizeBytes, pieceLength }).endBytes, {
      nextPiece: piece + 1,
      badPieces: [...bad],
      unreadablePieces: unreadable.filter((each) => each <= piece),
      mtimeMs: before.mtimeMs,
    });
  };
  const count = pieceCount(file.sizeBytes, pieceLength);
  hasher.begin(pieceLength, { isWhole: firstPiece === 0, onPiece });
  for (let piece = firstPiece; piece < count; piece += 1) {
    const range = rangeOfPiece(piece, { sizeBytes: file.sizeBytes, pieceLength });
    const end = await readPiece(reader, range, { ...task, foundBytes: before.sizeBytes });
    if (end === 'lost') unreadable.push(piece);
    if (end !== 'whole') hasher.spoil();
  }
  const whole = await hasher.finish();
  const isKnown = file.pieces !== null;
  return { whole, found: Buffer.concat(found), firstPiece, bad: isKnown ? bad : null, unreadable };
}

/** `short`: the file ends before it. */
async function readPiece(
  reader: DiskFile | null,
  { startBytes, endBytes }: { startBytes: number; endBytes: number },
  { hasher, signal, pace, foundBytes }: ReadTask & { foundBytes: number },
): Promise<'whole' | 'short' | 'lost'> {
  if (reader === null) return 'lost';
  if (startBytes >= foundBytes) return 'short';
  for (let position = startBytes; position < endBytes; ) {
    if (signal.aborted) throw new Interrupted();
    const wanted = Math.min(SLOT_BYTES, endBytes - position);
    await pace?.(wanted);
    const slot = await hasher.take();
    let got = 0;
    try {
      got = await reader.read(slot.bytes.subarray(0, wanted), position);
    } catch (error) {
      if (!LOST_CODES.includes(errorCode(error))) throw error;
      return 'lost';
    } finally {
      hasher.submit(slot.index, got);
    }
    if (got === 0) return 'short';
    position += got;
  }
  return 'whole';
}

function judgeRead(file: HeldFile, read: Read, before: FileFacts, pieceLength: number): HeldReading {
  const { whole, bad, unreadable } = read;
  const isRightSize = before.sizeBytes === file.sizeBytes;
  const { mtimeMs } = before;
  if (isRightSize && whole !== null && isRecorded(file, whole)) {
    // Three hashes of the whole file outweigh piece hashes that disagree, or are not there.
    const isNew = bad === null || bad.length > 0;
    return { kind: 'sound', mtimeMs, newPieces: isNew ? { length: pieceLength, sha1s: read.found } : null };
  }
  const isRightByPieces = isRightSize && bad?.length === 0;
  // A reading that went on where an earlier one ended has no hash of the whole.
  if (isRightByPieces && whole === null) return { kind: 'sound', mtimeMs, newPieces: null };
  return {
    kind: 'damaged',
    reason: reasonOf(file, read, before, pieceLength),
    foundBytes: before.sizeBytes,
    mtimeMs,
    inode: before.inode,
    // All pieces right and the whole wrong: one of them is recorded wrongly, and it is not known which.
    badPieces: isRightByPieces ? null : bad,
    unreadablePieces: unreadable,
  };
}

function isRecorded(file: HeldFile, { md5, sha1, sha256 }: WholeDigests): boolean {
  return (
    sha1 === file.sha1 &&
    (file.md5 === null || md5 === file.md5) &&
    (file.sha256 === null || sha256 === file.sha256)
  );
}

function reasonOf(
  file: HeldFile,
  { whole, bad, unreadable }: Read,
  before: FileFacts,
  pieceLength: number,
): string {
  const said: string[] = [];
  if (before.sizeBytes !== file.sizeBytes)
    said.push(`it has ${before.sizeBytes} bytes, recorded are ${file.sizeBytes}`);
  if (unreadable.length > 0) said.push(`the disk cannot read ${pieces(unreadable.length)}`);
  if (bad !== null && bad.length > unreadable.length)
    said.push(`${bad.length} of ${pieces(pieceCount(file.sizeBytes, pieceLength))} are not what is recorded`);
  if (said.length === 0 && whole !== null) said.push(`its SHA-1 is ${whole.sha1}, recorded is ${file.sha1}`);
  return said.join('; ');
}

const pieces = (count: number): string => (count === 1 ? '1 piece' : `${count} pieces`);
