import { createHash } from 'node:crypto';
import type { Metainfo, MetainfoFile } from '../lib/metainfo.ts';

/** A part of a piece: one range of one file. */
export interface PiecePart {
  file: MetainfoFile;
  /** In the file. */
  from: number;
  sizeBytes: number;
}

/** A piece to be compared with its hash. */
export interface SamplePiece {
  index: number;
  /** In torrent order; they lie end to end. */
  parts: PiecePart[];
}

/** A piece over more files than this costs too many requests. */
const PARTS_MAX = 6;

/** A number that the seed and the counter decide, 0 <= n < below. Pure. */
function draw(seed: string, counter: number, below: number): number {
  return createHash('sha1').update(`${seed}:${counter}`).digest().readUInt32BE(0) % Math.max(1, below);
}

/** The piece with that index. Pure. */
export function pieceAt(torrent: Metainfo, index: number): SamplePiece {
  const from = index * torrent.pieceLength;
  const to = Math.min(from + torrent.pieceLength, torrent.totalSizeBytes);
  const parts: PiecePart[] = [];
  for (let at = fileAt(torrent.files, from); at < torrent.files.length; at += 1) {
    const file = torrent.files[at] as MetainfoFile;
    if (file.offset >= to) break;
    const begin = Math.max(from, file.offset);
    const end = Math.min(to, file.offset + file.sizeBytes);
    if (end > begin) parts.push({ file, from: begin - file.offset, sizeBytes: end - begin });
  }
  return { index, parts };
}

/** Index of the last file that begins at or before that byte of the torrent. */
function fileAt(files: readonly MetainfoFile[], offset: number): number {
  let [low, high] = [0, files.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((files[middle]?.offset ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  // Empty files that begin at the same byte come before; they have no part in any piece.
  return Math.max(0, low);
}

/**
 * Pieces to be compared: the middle of the largest file, the beginning, the end, then drawn ones; never one that lies over
 * many files, unless all do. Pure: the same seed gives the same pieces.
 */
export function choosePieces(torrent: Metainfo, options: { seed: string; count: number }): SamplePiece[] {
  const pieceCount = Math.ceil(torrent.totalSizeBytes / torrent.pieceLength);
  const largest = torrent.files.reduce<MetainfoFile | undefined>(
    (best, file) => (!file.isPadding && file.sizeBytes > (best?.sizeBytes ?? -1) ? file : best),
    undefined,
  );
  if (largest === undefined || pieceCount === 0) return [];
  const wanted = [
    Math.floor((largest.offset + largest.sizeBytes / 2) / torrent.pieceLength),
    0,
    pieceCount - 1,
  ];
  for (let counter = 0; counter < 4 * options.count; counter += 1)
    wanted.push(draw(options.seed, counter, pieceCount));
  const chosen = new Map<number, SamplePiece>();
  let easiest: SamplePiece | null = null;
  for (const index of wanted) {
    if (chosen.size >= options.count) break;
    const piece = pieceAt(torrent, Math.min(index, pieceCount - 1));
    if (piece.parts.length <= PARTS_MAX) chosen.set(piece.index, piece);
    else if (easiest === null || piece.parts.length < easiest.parts.length) easiest = piece;
  }
  if (chosen.size === 0 && easiest !== null) return [easiest];
  return [...chosen.values()];
}

/**
 * Files to be looked at by their ends: the first, the last, the largest, the smallest, and one drawn of each size: below a
 * piece, up to 64 pieces, above. Pure.
 */
export function chooseFiles(torrent: Metainfo, seed: string): MetainfoFile[] {
  const files = torrent.files.filter(({ sizeBytes, isPadding }) => sizeBytes > 0 && !isPadding);
  const [first] = files;
  if (first === undefined) return [];
  let [smallest, largest] = [first, first];
  const classes: MetainfoFile[][] = [[], [], []];
  for (const file of files) {
    if (file.sizeBytes < smallest.sizeBytes) smallest = file;
    if (file.sizeBytes > largest.sizeBytes) largest = file;
    classes[
      file.sizeBytes < torrent.pieceLength ? 0 : file.sizeBytes < 64 * torrent.pieceLength ? 1 : 2
    ]?.push(file);
  }
  const drawn = classes.flatMap((some, at) => some[draw(seed, at, some.length)] ?? []);
  return [...new Set([first, files.at(-1) ?? first, largest, smallest, ...drawn])];
}
