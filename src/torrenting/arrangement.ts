import { byBytes } from './byte-order.ts';
import type { DumpPayloadFile, PayloadFile } from './payload/payload.ts';
import { choosePieceLength } from './piece-length.ts';

/** The settings that decide where in a torrent a file lies, and with it the infohash. */
export interface PieceSettings {
  /** Power of two; small torrents take less, see `choosePieceLength`. */
  pieceLengthBytes: number;
  /** Dump files at least this long begin on a piece. */
  alignFilesFromBytes: number;
}

/** Zeros up to the next piece (BEP 47). It is in the info dictionary and nowhere else: never on disk, in no list for people. */
export interface Padding {
  kind: 'padding';
  path: string;
  sizeBytes: number;
}

/** A dump file that begins on a piece. */
export interface AlignedFile {
  file: DumpPayloadFile;
  firstPiece: number;
  pieceCount: number;
  /** The last piece ends with it. null: the size is a multiple of the piece length, or there is no padding in the torrent. */
  padding: Padding | null;
  /** The last piece holds nothing else: no padding, and no byte of another file. */
  endsAlone: boolean;
}

/** Where in a torrent each file lies. */
export interface Arrangement {
  pieceLength: number;
  pieceCount: number;
  /** With padding. */
  totalSizeBytes: number;
  /** Size of the smallest aligned file; null when none is. */
  alignFilesFromBytes: number | null;
  /** First in the torrent. */
  aligned: readonly AlignedFile[];
  /** After them, end to end, in byte order of the path. */
  rest: readonly PayloadFile[];
  /** The piece that `rest` begins in, and how many bytes of it are before that: they end the last aligned file. */
  firstPieceOfRest: number;
  restOffset: number;
  /** In torrent order, as the info dictionary lists them. */
  entries: readonly (PayloadFile | Padding)[];
}

/**
 * From which size on files of a new torrent are aligned. It is the size of the smallest such file and not the setting, so
 * that operators whose settings choose the same files share a swarm. A torrent of fewer than 64 pieces has none: its
 * pieces are smaller than those that were hashed at the download, and reading it costs little.
 * @param sizes of the dump files
 * @returns bytes; null when no file is aligned
 */
export function alignmentOf(sizes: readonly number[], settings: PieceSettings): number | null {
  const { pieceLengthBytes, alignFilesFromBytes } = settings;
  const totalSizeBytes = sizes.reduce((sum, size) => sum + size, 0);
  if (choosePieceLength(totalSizeBytes, pieceLengthBytes) !== pieceLengthBytes) return null;
  let smallest: number | null = null;
  for (const size of sizes)
    if (size > 0 && size >= alignFilesFromBytes && size < (smallest ?? Number.POSITIVE_INFINITY))
      smallest = size;
  return smallest;
}

/**
 * Lays the files of a run out as every mirror has them, without padding: the largest first, so that it begins on a piece, then
 * all others in byte order of the path. Pure; nothing but the files decides.
 */
export function arrangePlain(
  files: readonly PayloadFile[],
  { pieceLength }: { pieceLength: number },
): Arrangement {
  const sorted = [...files].sort((a, b) => byBytes(a.path, b.path));
  let largest: DumpPayloadFile | null = null;
  for (const file of sorted)
    if (file.kind === 'dump' && file.sizeBytes > (largest?.sizeBytes ?? 0)) largest = file;
  const rest = sorted.filter((file) => file !== largest);
  const restBytes = rest.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const firstBytes = largest?.sizeBytes ?? 0;
  const restOffset = firstBytes % pieceLength;
  const aligned =
    largest === null
      ? []
      : [
          {
            ...{
              file: largest,
              firstPiece: 0,
              pieceCount: Math.ceil(firstBytes / pieceLength),
              padding: null,
            },
            endsAlone: restOffset === 0 || restBytes === 0,
          },
        ];
  return {
    pieceLength,
    pieceCount: Math.ceil((firstBytes + restBytes) / pieceLength),
    totalSizeBytes: firstBytes + restBytes,
    alignFilesFromBytes: null,
    aligned,
    rest,
    firstPieceOfRest: Math.floor(firstBytes / pieceLength),
    restOffset,
    entries: [...aligned.map(({ file }) => file), ...rest],
  };
}

/**
 * Lays the files of a torrent out: the aligned ones, each followed by padding, then all others end to end. Pure.
 * @param files in byte order of the path
 * @param options.alignFilesFromBytes null: nothing is aligned
 */
export function arrange(
  files: readonly PayloadFile[],
  { pieceLength, alignFilesFromBytes }: { pieceLength: number; alignFilesFromBytes: number | null },
): Arrangement {
  const aligned: AlignedFile[] = [];
  const rest: PayloadFile[] = [];
  const entries: (PayloadFile | Padding)[] = [];
  let pieces = 0;
  for (const file of [...files].sort((a, b) => byBytes(a.path, b.path))) {
    if (file.kind !== 'dump' || alignFilesFromBytes === null || file.sizeBytes < alignFilesFromBytes) {
      rest.push(file);
      continue;
    }
    const pieceCount = Math.ceil(file.sizeBytes / pieceLength);
    const padding = paddingOf(pieceCount * pieceLength - file.sizeBytes);
    aligned.push({ file, firstPiece: pieces, pieceCount, padding, endsAlone: padding === null });
    entries.push(file, ...(padding === null ? [] : [padding]));
    pieces += pieceCount;
  }
  const restBytes = rest.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    pieceLength,
    pieceCount: pieces + Math.ceil(restBytes / pieceLength),
    totalSizeBytes: pieces * pieceLength + restBytes,
    alignFilesFromBytes: aligned.length === 0 ? null : alignFilesFromBytes,
    aligned,
    rest,
    firstPieceOfRest: pieces,
    restOffset: 0,
    entries: [...entries, ...rest],
  };
}

/** Named by its size, as BEP 47 recommends: paddings of one size are one file, where a client does write them. */
function paddingOf(sizeBytes: number): Padding | null {
  return sizeBytes === 0 ? null : { kind: 'padding', path: `.pad/${sizeBytes}`, sizeBytes };
}
