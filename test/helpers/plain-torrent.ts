import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * A torrent over files that are there, made by a few lines of bencode that share nothing with ours.
 */

export interface PlainTorrent {
  torrentFile: string;
  infoHash: string;
  /** Folder that holds the folder of the torrent's name. */
  contentRoot: string;
  name: string;
  pieceLength: number;
  totalBytes: number;
}

/** Writes `<contentRoot>/<name>.torrent`. @param options.pieces SHA-1s, for files that nobody reads */
export function makePlainTorrent(options: {
  contentRoot: string;
  name: string;
  /** In torrent order, below the folder of the torrent's name. */
  files: readonly { path: string; sizeBytes: number }[];
  pieceLength: number;
  trackers?: readonly string[];
  pieces?: Buffer;
}): PlainTorrent {
  const { contentRoot, name, files, pieceLength, trackers = [] } = options;
  const pieces = options.pieces ?? hashPieces(options);
  const entries = files.map(
    ({ path, sizeBytes }) => `d6:lengthi${sizeBytes}e4:pathl${path.split('/').map(text).join('')}ee`,
  );
  const info = Buffer.concat([
    Buffer.from(
      `d5:filesl${entries.join('')}e4:name${text(name)}12:piece lengthi${pieceLength}e6:pieces${pieces.length}:`,
    ),
    pieces,
    Buffer.from('e'),
  ]);
  const announce =
    trackers.length === 0
      ? ''
      : `8:announce${text(trackers[0]!)}13:announce-listl${trackers.map((url) => `l${text(url)}e`).join('')}e`;
  const torrentFile = join(contentRoot, `${name}.torrent`);
  writeFileSync(torrentFile, Buffer.concat([Buffer.from(`d${announce}4:info`), info, Buffer.from('e')]));
  return {
    ...{ torrentFile, contentRoot, name, pieceLength },
    infoHash: createHash('sha1').update(info).digest('hex'),
    totalBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

function text(value: string): string {
  return `${Buffer.byteLength(value)}:${value}`;
}

function hashPieces(options: {
  contentRoot: string;
  name: string;
  files: readonly { path: string; sizeBytes: number }[];
  pieceLength: number;
}): Buffer {
  const sha1s: Buffer[] = [];
  const piece = Buffer.alloc(options.pieceLength);
  let filled = 0;
  for (const { path, sizeBytes } of options.files) {
    const file = openSync(join(options.contentRoot, options.name, path), 'r');
    for (let done = 0; done < sizeBytes; ) {
      const count = readSync(file, piece, filled, Math.min(piece.length - filled, sizeBytes - done), done);
      if (count === 0) throw new Error(`${path} is too short`);
      done += count;
      filled += count;
      if (filled < piece.length) continue;
      sha1s.push(createHash('sha1').update(piece).digest());
      filled = 0;
    }
    closeSync(file);
  }
  if (filled > 0) sha1s.push(createHash('sha1').update(piece.subarray(0, filled)).digest());
  return Buffer.concat(sha1s);
}
