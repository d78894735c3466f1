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

/** Entries of files encoded without a pause: some 6 ms. */
const ENTRIES_AT_ONCE = 1000;

/**
 * Encodes a multi-file torrent (BEP 3, 12, 19, 47), and pauses at each `yield`: 30,000 files take a quarter of a second. `private`
 * is left out on purpose: any value of it changes the infohash.
 * @returns the bytes of the .torrent file, and the infohash as 40 lower-case hex digits
 */
export function* torrentEncoding(
  info: InfoFacts,
  envelope: EnvelopeFacts,
): Generator<void, { bytes: Uint8Array; infoHash: string }> {
  const files: Uint8Array[] = [];
  for (let from = 0; from < info.files.length; from += ENTRIES_AT_ONCE) {
    const entries = info.files.slice(from, from + ENTRIES_AT_ONCE).map(({ path, sizeBytes, kind }) => ({
      ...(kind === 'padding' ? { attr: 'p' } : {}),
      length: sizeBytes,
      path: path.split('/'),
    }));
    // The list without its `l` and `e`.
    files.push(bencode.encode(entries).subarray(1, -1));
    yield;
  }
  const { name, pieces } = info;
  const rest = bencode.encode({ name, 'piece length': info.pieceLength, pieces }).subarray(1);
  // Keys of a dictionary are sorted: what follows `files` is `rest`, with its `e`.
  const dictionary = Buffer.concat([Buffer.from('d5:filesl'), ...files, Buffer.from('e'), rest]);
  yield;
  const infoHash = createHash('sha1').update(dictionary).digest('hex');
  yield;
  const [firstTracker] = envelope.trackers;
  const before = bencode.encode({
    // One tracker to a tier: clients go through them in this order and never take one for a mirror of another.
    ...(firstTracker === undefined
      ? {}
      : { announce: firstTracker, 'announce-list': envelope.trackers.map((tracker) => [tracker]) }),
    comment: envelope.comment,
    'created by': envelope.createdBy,
    'creation date': Date.parse(`${envelope.cycleDate}T00:00:00Z`) / 1000,
    encoding: 'UTF-8',
  });
  const after = bencode.encode(envelope.webseeds.length === 0 ? {} : { 'url-list': envelope.webseeds });
  const bytes = Buffer.concat([
    ...[before.subarray(0, -1), Buffer.from('4:info'), dictionary],
    after.subarray(1),
  ]);
  return { bytes, infoHash };
}

/** The same without a pause, for small ones. */
export function encodeTorrent(
  info: InfoFacts,
  envelope: EnvelopeFacts,
): { bytes: Uint8Array; infoHash: string } {
  const encoding = torrentEncoding(info, envelope);
  for (;;) {
    const { done, value } = encoding.next();
    if (done === true) return value;
  }
}
