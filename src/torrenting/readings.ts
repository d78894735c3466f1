import type { AlignedFile, Arrangement } from './arrangement.ts';
import type { PayloadFile } from './payload/payload.ts';

/** Files that are read once, end to end. */
export interface Stretch {
  kind: 'stretch';
  files: readonly PayloadFile[];
  firstPiece: number;
  /** First bytes, which end a piece of the stretch before. */
  headBytes: number;
  /** Files of the stretch after, for the rest of the last piece. */
  following: readonly PayloadFile[];
  /** Zeros after the last file. */
  paddingBytes: number;
  /** The stretch whose head ends the last piece of this one; null: it has no such piece. */
  next: Stretch | null;
}

/** The last piece of an aligned file, whose other pieces were hashed at the download. */
export interface Tail {
  kind: 'tail';
  aligned: AlignedFile;
  /** SHA-1 of what the file has of the piece, 20 bytes. */
  expected: Uint8Array;
  /** As of a stretch: what the piece goes on with, where there is no padding. */
  following: readonly PayloadFile[];
  next: Stretch | null;
}

/** One thing to be read. */
export type Reading = Stretch | Tail;

/** Pieces in a stretch: the last of them is read twice in part, so this many make that less than 2 % of the whole. */
const STRETCH_PIECES = 32;
/** With small pieces, more: each stretch is a message to a thread and back. */
const STRETCH_BYTES_MIN = 8 * 2 ** 20;

/**
 * An aligned file that is read as a whole.
 * @param next the stretch whose head ends its last piece; null = padding does, or nothing
 */
export function wholeFile({ file, firstPiece, padding }: AlignedFile, next: Stretch | null): Stretch {
  return {
    kind: 'stretch',
    files: [file],
    firstPiece,
    headBytes: 0,
    following: next === null ? [] : headOf(next),
    paddingBytes: padding?.sizeBytes ?? 0,
    next,
  };
}

/** The last piece of an aligned file of which the others are known; `next` as of `wholeFile`. */
export function tailOf(aligned: AlignedFile, expected: Uint8Array, next: Stretch | null): Tail {
  return { kind: 'tail', aligned, expected, following: next === null ? [] : headOf(next), next };
}

/** Cuts what lies end to end into stretches of whole files, so that several threads can read it. */
export function stretchesOf({ rest, pieceLength, firstPieceOfRest, restOffset }: Arrangement): Stretch[] {
  const stretchBytes = Math.max(STRETCH_BYTES_MIN, STRETCH_PIECES * pieceLength);
  const stretches: Stretch[] = [];
  let files: PayloadFile[] = [];
  let sizeBytes = 0;
  // From the beginning of the first piece.
  let start = restOffset;
  const close = (): void => {
    // A piece that begins before the stretch is not ours.
    const headBytes = Math.min(sizeBytes, (pieceLength - (start % pieceLength)) % pieceLength);
    stretches.push({
      kind: 'stretch',
      files,
      firstPiece: firstPieceOfRest + Math.ceil(start / pieceLength),
      headBytes,
      following: [],
      paddingBytes: 0,
      next: null,
    });
    start += sizeBytes;
    files = [];
    sizeBytes = 0;
  };
  for (const file of rest) {
    files.push(file);
    sizeBytes += file.sizeBytes;
    if (sizeBytes >= stretchBytes) close();
  }
  if (files.length > 0) close();
  for (const [index, stretch] of stretches.entries()) {
    const next = stretches[index + 1];
    if (next === undefined || next.headBytes === 0) continue;
    stretch.next = next;
    stretch.following = headOf(next);
  }
  return stretches;
}

/** The files that hold the first `headBytes` of a stretch. */
function headOf({ files, headBytes }: Stretch): PayloadFile[] {
  const head: PayloadFile[] = [];
  let left = headBytes;
  for (const file of files) {
    if (left <= 0) break;
    head.push(file);
    left -= file.sizeBytes;
  }
  return head;
}
