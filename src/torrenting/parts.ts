import type { PieceSettings } from './arrangement.ts';
import { choosePieceLength } from './piece-length.ts';

/** What one torrent may be at most: beyond it clients become slow, or refuse the file. */
export interface TorrentBounds {
  maxPieces: number;
  /** Of the `.torrent` file. */
  maxTorrentSizeBytes: number;
}

/** As the configuration has them. */
export const DEFAULT_BOUNDS: TorrentBounds = { maxPieces: 200_000, maxTorrentSizeBytes: 10_000_000 };

/** Of the `.torrent`, for what surrounds the info dictionary: it differs between operators and must not decide where they split. */
export const ENVELOPE_BYTES = 64 * 1024;
/** Of the info dictionary, beside files and pieces. */
const INFO_BYTES = 1024;
const DIGEST_BYTES = 20;

/** A dump file that is to be put into a part. */
export interface PartItem {
  /** Files of one group stay together where they can; those of a group follow each other. */
  group: string;
  path: string;
  sizeBytes: number;
  /** What the added text files may need for it at most. */
  textBytes: number;
}

/** What decides where a torrent ends; the same for all operators with the same settings. */
export interface PartRules extends PieceSettings {
  bounds: TorrentBounds;
  /** False: all files lie end to end. */
  hasPadding: boolean;
  /** What the added text files may need at most, beside their lines for files. */
  textBytes: number;
}

/**
 * How many of the files one torrent holds: as many whole groups as fit, and a part of the first one only when it does not fit
 * alone. Pure; a file that is too large by itself is a part of its own.
 * @param items in tree order
 * @returns at least 1, unless there are none
 */
export function filesInFirstPart(items: readonly PartItem[], rules: PartRules): number {
  const meter = createMeter(rules);
  let wholeGroups = 0;
  let torn = 1;
  for (const [index, item] of items.entries()) {
    meter.add(item);
    const fits = meter.fits();
    if (fits && item.group === items[0]?.group) torn = index + 1;
    if (items[index + 1]?.group === item.group) continue;
    if (!fits) return wholeGroups === 0 ? torn : wholeGroups;
    wholeGroups = index + 1;
  }
  return wholeGroups;
}

/** Counts pieces and bytes of a `.torrent` as files are added, as `arrange` and `encodeTorrent` make them. */
function createMeter(rules: PartRules) {
  const { bounds, pieceLengthBytes, alignFilesFromBytes, hasPadding } = rules;
  let entryBytes = INFO_BYTES;
  let paddingEntryBytes = 0;
  let dumpBytes = 0;
  let alignedPieces = 0;
  let restBytes = rules.textBytes;
  let textBytes = rules.textBytes;

  const piecesNow = (): { pieces: number; isAligned: boolean } => {
    const isAligned = hasPadding && choosePieceLength(dumpBytes, pieceLengthBytes) === pieceLengthBytes;
    const totalBytes = dumpBytes + textBytes;
    const pieces = isAligned
      ? alignedPieces + Math.ceil(restBytes / pieceLengthBytes)
      : Math.ceil(totalBytes / choosePieceLength(totalBytes, pieceLengthBytes));
    return { pieces, isAligned };
  };

  return {
    add({ path, sizeBytes, textBytes: ofTexts }: PartItem): void {
      entryBytes += entryBytesOf(path, sizeBytes);
      dumpBytes += sizeBytes;
      textBytes += ofTexts;
      restBytes += ofTexts;
      if (sizeBytes > 0 && sizeBytes >= alignFilesFromBytes) {
        alignedPieces += Math.ceil(sizeBytes / pieceLengthBytes);
        paddingEntryBytes += entryBytesOf(`.pad/${pieceLengthBytes}`, pieceLengthBytes) + '4:attr1:p'.length;
      } else restBytes += sizeBytes;
    },
    fits(): boolean {
      const { pieces, isAligned } = piecesNow();
      const infoBytes = entryBytes + (isAligned ? paddingEntryBytes : 0) + pieces * DIGEST_BYTES;
      return pieces <= bounds.maxPieces && infoBytes + ENVELOPE_BYTES <= bounds.maxTorrentSizeBytes;
    },
  };
}

/** Of a file in the info dictionary: `d6:lengthi7e4:pathl2:en4:fileee`. */
function entryBytesOf(path: string, sizeBytes: number): number {
  const segments = path.split('/');
  const pathBytes = segments.reduce((sum, segment) => {
    const bytes = Buffer.byteLength(segment);
    return sum + `${bytes}:`.length + bytes;
  }, 0);
  return 'd6:lengthi'.length + `${sizeBytes}`.length + 'e4:pathl'.length + pathBytes + 'ee'.length;
}
