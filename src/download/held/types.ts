import type { DumpFile } from '../../catalog/index.ts';
import { assert } from '../../lib/index.ts';
import type { Layout } from '../../storage/index.ts';
import type { ByteRange } from '../sources/types.ts';

/** SHA-1 of each piece of `length` bytes from the file's own start, 20 bytes each; the last piece is short. */
export interface Pieces {
  length: number;
  sha1s: Buffer;
}

/** What the bytes of a held file have to be, and where they lie. */
export interface HeldFile {
  /** Absolute. */
  path: string;
  sizeBytes: number;
  md5: string | null;
  sha1: string;
  sha256: string | null;
  /** null: none are stored. */
  pieces: Pieces | null;
}

/** Length of a SHA-1, bytes. */
export const SHA1_BYTES = 20;

/** How many pieces a file has; an empty one has none. */
export function pieceCount(sizeBytes: number, pieceLength: number): number {
  return Math.ceil(sizeBytes / pieceLength);
}

/** Where a piece lies in its file. */
export function rangeOfPiece(piece: number, file: { sizeBytes: number; pieceLength: number }): ByteRange {
  const startBytes = piece * file.pieceLength;
  return { startBytes, endBytes: Math.min(startBytes + file.pieceLength, file.sizeBytes) };
}

/** The recorded SHA-1 of a piece. */
export function sha1OfPiece({ sha1s }: Pieces, piece: number): Buffer {
  return sha1s.subarray(piece * SHA1_BYTES, (piece + 1) * SHA1_BYTES);
}

/** A row of `dumps` that is held. Piece hashes of another number than the file has pieces are worth nothing. */
export function heldFileOf(
  layout: Pick<Layout, 'absolute'>,
  row: Pick<DumpFile, 'id' | 'localPath' | 'sizeBytes' | 'md5' | 'sha1' | 'sha256'>,
  stored: { pieceLength: number; sha1s: Buffer } | null,
): HeldFile {
  const { localPath, sizeBytes, md5, sha1, sha256 } = row;
  assert(
    localPath !== null && sha1 !== null,
    `dump file ${row.id} counts as held but its facts are incomplete`,
  );
  const isWhole =
    stored !== null &&
    stored.pieceLength > 0 &&
    stored.sha1s.length === pieceCount(sizeBytes, stored.pieceLength) * SHA1_BYTES;
  const pieces = isWhole ? { length: stored.pieceLength, sha1s: stored.sha1s } : null;
  return { path: layout.absolute(localPath), sizeBytes, md5, sha1, sha256, pieces };
}

/** What one reading of a held file found. */
export type HeldReading =
  | {
      kind: 'sound';
      /** Modification time while it was read, ms. */
      mtimeMs: number;
      /** To be stored: there were none, or wrong ones. */
      newPieces: Pieces | null;
    }
  | {
      kind: 'missing';
      /** One sentence, for the log and the operator. */
      reason: string;
    }
  | {
      kind: 'damaged';
      reason: string;
      /** Size on disk. */
      foundBytes: number;
      mtimeMs: number;
      /** Of the file that was read: another one may have its name later. */
      inode: number;
      /** Pieces that are not the recorded ones, in order; null: it is not known which, for want of stored piece hashes. */
      badPieces: readonly number[] | null;
      /** Those among all pieces that the disk could not read. */
      unreadablePieces: readonly number[];
    };

/** How far an earlier reading of the same bytes came; what is kept with a job. */
export interface ReadSoFar {
  /** Pieces below this were read. */
  nextPiece: number;
  /** Those of them that were wrong. */
  badPieces: number[];
  unreadablePieces: number[];
  /** Of the file when it was read. */
  mtimeMs: number;
}
