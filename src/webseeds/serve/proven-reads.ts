import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { DiskFile } from '../../ports/index.ts';
import { createSharedTurns, type Reader } from './shared-turns.ts';

/** SHA-1 of each piece of a file from its own start, 20 bytes each; the last piece is short. */
export interface PieceHashes {
  pieceLength: number;
  sha1s: Uint8Array;
}

/** A file whose bytes are to be proved. */
export interface ProvableFile {
  /** Names file and state: a piece of it is read once for all who want it meanwhile. */
  key: string;
  file: Pick<DiskFile, 'read'>;
  sizeBytes: number;
  hashes: PieceHashes;
}

/** The bytes of a file are not those of its hashes. */
export class DamagedBytesError extends Error {
  constructor(piece: number) {
    super(`piece ${piece} of the stored file is not what was downloaded`);
    this.name = 'DamagedBytesError';
  }
}

/** Reads bytes that nobody gets unproved. */
export interface ProvenReads {
  /** Fills the target, which lies within the file. @throws DamagedBytesError; Interrupted when the reader is gone */
  read(from: ProvableFile, target: Uint8Array, position: number, reader: Reader): Promise<number>;
}

/** Limits; those of tests are others. */
export interface ProvenReadLimits {
  /** Each reads a whole piece, 64 MiB at most, for however little was asked for. */
  proofsAtOnce: number;
  /** Of the checksums of pieces that were proved: 4 bytes for 64 KiB. */
  checksumBytes: number;
}

/** Enough for some 200 GiB of what is asked for most. */
const LIMITS: ProvenReadLimits = { proofsAtOnce: 2, checksumBytes: 16 * 2 ** 20 };
const BLOCK_BYTES = 2 ** 16;
/** Read, and summed up, in one turn: a millisecond's worth. To hand whole pieces to another thread costs this one more. */
const AT_ONCE_BYTES = 2 ** 20;
/** What an entry takes beside its checksums. */
const ENTRY_BYTES = 200;
const DIGEST_BYTES = 20;

/**
 * See `ProvenReads`. The first touch of a piece reads all of it and compares its SHA-1; from then on CRC-32 of its blocks tell whether
 * the disk still gives the same. Those are named by the SHA-1, so they stay right whatever happens to the file.
 */
export function createProvenReads(limits: ProvenReadLimits = LIMITS): ProvenReads {
  /** Used longest ago first. */
  const checksums = new Map<string, Uint32Array>();
  let checksumBytes = 0;
  const proofs = createSharedTurns<Uint32Array | null>(limits.proofsAtOnce);

  function remember(sha1: string, crcs: Uint32Array): void {
    const before = checksums.get(sha1);
    if (before !== undefined) checksumBytes -= before.byteLength + ENTRY_BYTES;
    checksums.delete(sha1);
    checksums.set(sha1, crcs);
    checksumBytes += crcs.byteLength + ENTRY_BYTES;
    for (const [oldest, { byteLength }] of checksums) {
      if (checksumBytes <= limits.checksumBytes || oldest === sha1) return;
      checksums.delete(oldest);
      checksumBytes -= byteLength + ENTRY_BYTES;
    }
  }

  /** null: the piece is not what it must be. */
  async function prove(from: ProvableFile, index: number, sha1: string): Promise<Uint32Array | null> {
    const length = lengthOf(from, index);
    const crcs = new Uint32Array(Math.ceil(length / BLOCK_BYTES));
    const hash = createHash('sha1');
    const content = Buffer.allocUnsafe(Math.min(AT_ONCE_BYTES, length));
    for (let at = 0; at < length; at += AT_ONCE_BYTES) {
      const part = content.subarray(0, Math.min(AT_ONCE_BYTES, length - at));
      if (!(await readFully(from.file, part, index * from.hashes.pieceLength + at))) return null;
      hash.update(part);
      for (let block = 0; block * BLOCK_BYTES < part.length; block += 1)
        crcs[at / BLOCK_BYTES + block] = crc32(part.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    }
    if (hash.digest('hex') !== sha1) return null;
    remember(sha1, crcs);
    return crcs;
  }

  /** Within one piece. */
  async function readPart(
    from: ProvableFile,
    index: number,
    target: Uint8Array,
    at: number,
    reader: Reader,
  ): Promise<void> {
    const { pieceLength, sha1s } = from.hashes;
    const sha1 = Buffer.from(sha1s.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)).toString(
      'hex',
    );
    const first = Math.floor(at / BLOCK_BYTES);
    const begin = first * BLOCK_BYTES;
    const end = Math.min(Math.ceil((at + target.length) / BLOCK_BYTES) * BLOCK_BYTES, lengthOf(from, index));
    const blocks = Buffer.allocUnsafe(end - begin);
    const known = checksums.get(sha1);
    if (known !== undefined) remember(sha1, known);
    // A second time when the disk gave something else than at the proof: all of the piece has to say whether it is to blame.
    for (let crcs = known ?? null, tries = 0; tries < 2; tries += 1, crcs = null) {
      crcs ??= await proofs.share(`${from.key}:${index}`, reader, () => prove(from, index, sha1));
      if (crcs === null) break;
      if (!(await readFully(from.file, blocks, index * pieceLength + begin))) break;
      if (!isSame(blocks, crcs, first)) continue;
      target.set(blocks.subarray(at - begin, at - begin + target.length));
      return;
    }
    throw new DamagedBytesError(index);
  }

  return {
    async read(from, target, position, reader) {
      const { pieceLength } = from.hashes;
      for (let done = 0; done < target.length; ) {
        const index = Math.floor((position + done) / pieceLength);
        const at = position + done - index * pieceLength;
        const part = target.subarray(done, done + Math.min(target.length - done, pieceLength - at));
        await readPart(from, index, part, at, reader);
        done += part.length;
      }
      return target.length;
    },
  };
}

function lengthOf({ sizeBytes, hashes }: ProvableFile, index: number): number {
  return Math.min(hashes.pieceLength, sizeBytes - index * hashes.pieceLength);
}

/** False when the file ends before. */
async function readFully(
  file: Pick<DiskFile, 'read'>,
  target: Uint8Array,
  position: number,
): Promise<boolean> {
  for (let done = 0; done < target.length; ) {
    const got = await file.read(target.subarray(done), position + done);
    if (got === 0) return false;
    done += got;
  }
  return true;
}

function isSame(blocks: Buffer, crcs: Uint32Array, first: number): boolean {
  for (let at = 0, block = first; at < blocks.length; at += BLOCK_BYTES, block += 1)
    if (crc32(blocks.subarray(at, at + BLOCK_BYTES)) !== crcs[block]) return false;
  return true;
}
