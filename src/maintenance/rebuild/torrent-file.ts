import { createHash } from 'node:crypto';
import bencode from 'bencode';
import { isSafeName } from '../../storage/index.ts';

/** What a .torrent file says (BEP 3, 12, 19). */
export interface TorrentFacts {
  /** SHA-1 of the info dictionary, 40 lower-case hex digits. */
  infoHash: string;
  name: string;
  /** In torrent order, without padding; paths with `/`. */
  files: { path: string; sizeBytes: number }[];
  /** With padding. */
  totalSizeBytes: number;
  /** Size of the smallest file that begins on a piece by its place in the torrent; null when all files lie end to end. */
  alignFilesFromBytes: number | null;
  pieceLength: number;
  pieceCount: number;
  trackers: string[];
  webseeds: string[];
}

/** Reads a .torrent of ours that lay on a disk meanwhile; null when it is damaged, or names files outside its folder. */
export function readTorrentFacts(bytes: Uint8Array): TorrentFacts | null {
  try {
    return parse(bencode.decode(bytes));
  } catch {
    return null;
  }
}

function parse(root: unknown): TorrentFacts | null {
  const { info, announce, 'announce-list': tiers, 'url-list': webseeds } = dictionary(root);
  const { name, files, pieces, 'piece length': pieceLength } = dictionary(info);
  if (!(pieces instanceof Uint8Array) || typeof pieceLength !== 'number' || !Array.isArray(files))
    return null;
  const entries = files.map((file) => {
    const { path, length, attr } = dictionary(file);
    return {
      path: (path as unknown[]).map(text).join('/'),
      sizeBytes: length as number,
      isPadding: attr !== undefined && text(attr).includes('p'),
    };
  });
  const isSafe =
    isSafeName(text(name)) &&
    entries.every(
      ({ path, sizeBytes, isPadding }) =>
        Number.isSafeInteger(sizeBytes) &&
        sizeBytes >= 0 &&
        (isPadding ? path === `.pad/${sizeBytes}` : path.split('/').every(isSafeName)),
    );
  const totalSizeBytes = entries.reduce((sum, file) => sum + file.sizeBytes, 0);
  const pieceCount = pieces.length / 20;
  if (!isSafe || pieceCount !== Math.ceil(totalSizeBytes / pieceLength)) return null;
  return {
    infoHash: createHash('sha1')
      .update(bencode.encode(info as Parameters<typeof bencode.encode>[0]))
      .digest('hex'),
    name: text(name),
    files: entries.filter(({ isPadding }) => !isPadding).map(({ path, sizeBytes }) => ({ path, sizeBytes })),
    totalSizeBytes,
    alignFilesFromBytes: alignmentOf(entries),
    pieceLength,
    pieceCount,
    trackers: Array.isArray(tiers) ? tiers.flat().map(text) : announce === undefined ? [] : [text(announce)],
    webseeds: Array.isArray(webseeds) ? webseeds.map(text) : [],
  };
}

/**
 * The aligned files come first, in byte order, then all others in byte order: where the order breaks, or after the last
 * padding, the others begin. An aligned file that needs no padding may not show; then it makes no difference.
 */
function alignmentOf(
  entries: readonly { path: string; sizeBytes: number; isPadding: boolean }[],
): number | null {
  let lastAligned = entries.findLastIndex(({ isPadding }) => isPadding);
  for (let index = lastAligned + 1; index + 1 < entries.length; index += 1) {
    const [path, next] = [entries[index]?.path ?? '', entries[index + 1]?.path ?? ''];
    if (Buffer.compare(Buffer.from(path), Buffer.from(next)) > 0) lastAligned = index;
  }
  const sizes = entries.slice(0, lastAligned + 1).filter(({ isPadding }) => !isPadding);
  return sizes.length === 0
    ? null
    : sizes.reduce((smallest, { sizeBytes }) => Math.min(smallest, sizeBytes), Number.POSITIVE_INFINITY);
}

function dictionary(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
    return value as Record<string, unknown>;
  throw new TypeError('a dictionary was expected');
}

function text(value: unknown): string {
  return Buffer.from(value as Uint8Array).toString('utf8');
}
