import { createHash } from 'node:crypto';
import bencode from 'bencode';

/** One file of a torrent, in the order of the info dictionary. */
export interface TorrentFileEntry {
  /** Below the torrent's folder, with `/`. */
  path: string;
  sizeBytes: number;
  /** `padding`: zeros, which clients need neither fetch nor store (BEP 47). */
  kind?: string;
}

/** What decides the infohash, and nothing else. */
export interface InfoFacts {
  name: string;
  /** In torrent order. */
  files: readonly TorrentFileEntry[];
  pieceLength: number;
  /** 20 bytes for each piece. */
  pieces: Uint8Array;
}

/** What surrounds the info dictionary; may differ between operators without splitting the swarm. */
export interface EnvelopeFacts {
  trackers: readonly string[];
  webseeds: readonly string[];
  /** `YYYY-MM-DD`; becomes the creation date, so that the same torrent is the same file on every run. */
  cycleDate: string;
  createdBy: string;
  comment: string;
}

/**
 * Encodes a multi-file torrent (BEP 3, 12, 19, 47). `private` is left out on purpose: any value of it changes the infohash.
 * @returns the bytes of the .torrent file, and the infohash as 40 lower-case hex digits
 */
export function encodeTorrent(
  info: InfoFacts,
  envelope: EnvelopeFacts,
): { bytes: Uint8Array; infoHash: string } {
  const dictionary = {
    files: info.files.map(({ path, sizeBytes, kind }) => ({
      ...(kind === 'padding' ? { attr: 'p' } : {}),
      length: sizeBytes,
      path: path.split('/'),
    })),
    name: info.name,
    'piece length': info.pieceLength,
    pieces: info.pieces,
  };
  const [firstTracker] = envelope.trackers;
  const bytes = bencode.encode({
    // One tracker to a tier: clients go through them in this order and never take one for a mirror of another.
    ...(firstTracker === undefined
      ? {}
      : { announce: firstTracker, 'announce-list': envelope.trackers.map((tracker) => [tracker]) }),
    comment: envelope.comment,
    'created by': envelope.createdBy,
    'creation date': Date.parse(`${envelope.cycleDate}T00:00:00Z`) / 1000,
    encoding: 'UTF-8',
    info: dictionary,
    ...(envelope.webseeds.length === 0 ? {} : { 'url-list': envelope.webseeds }),
  });
  return { bytes, infoHash: createHash('sha1').update(bencode.encode(dictionary)).digest('hex') };
}
