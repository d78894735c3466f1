import { createHash } from 'node:crypto';

/** What we need to know of a .torrent file before we serve it. */
export interface TorrentFileFacts {
  /** 40 lower-case hex digits. */
  infoHash: string;
  name: string;
  pieceLength: number;
  /** SHA-1 of each piece, 20 bytes each. */
  pieces: Buffer;
  trackers: string[];
  /** In torrent order; each path as its segments. */
  files: {
    path: string[];
    sizeBytes: number;
    /** Zeros that are on no disk (BEP 47). */
    isPadding: boolean;
  }[];
}

type Bencoded = number | Buffer | Bencoded[] | Map<string, Bencoded>;

/** A .torrent file that cannot be read, or that names files outside its folder. */
export class TorrentFileError extends Error {
  readonly code = 'torrent_file_unreadable';
}

/**
 * Reads a multi-file .torrent (BEP 3). The file is our own, but it lay on a disk meanwhile: paths are checked again.
 * @throws TorrentFileError
 */
export function readTorrentFile(bytes: Buffer): TorrentFileFacts {
  const { root, infoBytes } = decode(bytes);
  const info = dictionary(dictionary(root).get('info'));
  const files = list(info.get('files')).map((entry) => {
    const file = dictionary(entry);
    const sizeBytes = file.get('length');
    if (typeof sizeBytes !== 'number') throw new TorrentFileError('a file without a length');
    const attributes = file.get('attr');
    return {
      sizeBytes,
      path: list(file.get('path')).map(segment),
      isPadding: Buffer.isBuffer(attributes) && attributes.includes('p'),
    };
  });
  const pieceLength = info.get('piece length');
  const pieces = info.get('pieces');
  if (typeof pieceLength !== 'number' || pieceLength < 1 || !Buffer.isBuffer(pieces))
    throw new TorrentFileError('a torrent without pieces');
  return {
    pieceLength,
    // What a buffer is cut from stays in memory with it.
    pieces: Buffer.from(pieces),
    trackers: trackersOf(dictionary(root)),
    infoHash: createHash('sha1').update(infoBytes).digest('hex'),
    name: segment(info.get('name')),
    files,
  };
}

/** All tiers in order (BEP 12); the single one of BEP 3 where there are no tiers. */
function trackersOf(root: Map<string, Bencoded>): string[] {
  const tiers = root.get('announce-list');
  const found = Array.isArray(tiers) ? tiers.flat() : [root.get('announce')];
  return [...new Set(found.filter(Buffer.isBuffer).map((url) => url.toString('utf8')))];
}

function dictionary(value: Bencoded | undefined): Map<string, Bencoded> {
  if (value instanceof Map) return value;
  throw new TorrentFileError('a dictionary was expected');
}

function list(value: Bencoded | undefined): Bencoded[] {
  if (Array.isArray(value)) return value;
  throw new TorrentFileError('a list was expected');
}

function segment(value: Bencoded | undefined): string {
  const text = Buffer.isBuffer(value) ? value.toString('utf8') : '';
  if (text === '' || text === '.' || text === '..' || /[/\\\0]/.test(text)) {
    throw new TorrentFileError(`${JSON.stringify(text)} cannot be a file name`);
  }
  return text;
}

/** Bencode, and where the info dictionary lies: the infohash is that of its bytes as they stand. */
function decode(bytes: Buffer): { root: Bencoded; infoBytes: Buffer } {
  let at = 0;
  let infoBytes: Buffer = bytes.subarray(0, 0);
  const until = (end: string): string => {
    const stop = bytes.indexOf(end, at);
    if (stop < 0) throw new TorrentFileError('it ends too early');
    const text = bytes.toString('latin1', at, stop);
    at = stop + 1;
    return text;
  };
  const next = (depth: number): Bencoded => {
    const sign = bytes[at];
    if (depth > 20 || sign === undefined)
      throw new TorrentFileError('it ends too early, or is nested too deep');
    if (sign === 0x69) {
      at += 1;
      return Number(until('e'));
    }
    if (sign === 0x6c) {
      const items: Bencoded[] = [];
      for (at += 1; bytes[at] !== 0x65; ) items.push(next(depth + 1));
      at += 1;
      return items;
    }
    if (sign === 0x64) {
      const map = new Map<string, Bencoded>();
      for (at += 1; bytes[at] !== 0x65; ) {
        const key = String(next(depth + 1));
        const from = at;
        map.set(key, next(depth + 1));
        if (depth === 0 && key === 'info') infoBytes = bytes.subarray(from, at);
      }
      at += 1;
      return map;
    }
    const length = Number(until(':'));
    if (!Number.isInteger(length) || length < 0 || at + length > bytes.length) {
      throw new TorrentFileError('it is not bencode');
    }
    at += length;
    return bytes.subarray(at - length, at);
  };
  return { root: next(0), infoBytes };
}
