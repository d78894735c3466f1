import { join } from 'node:path';
import { assertSafeName, type Layout } from './layout.ts';

/** What the place of a torrent's files depends on; a `Torrent` of the catalog will do. */
export interface TorrentPlace {
  /** Folder that holds the torrent's folder, relative to the data directory: `torrents`, or `dumps` itself. */
  contentPath: string;
  /** Name in the info dictionary, and of the folder. */
  infoName: string;
}

/**
 * The folder a torrent's files lie in, absolute. It may be `dumps/enwiki`, which holds far more than the torrent's files:
 * whoever removes folders asks `isStoredTree` first.
 * @throws PermanentError `unsafe_name`
 */
export function torrentFolder(
  layout: Pick<Layout, 'absolute'>,
  { contentPath, infoName }: TorrentPlace,
): string {
  return join(layout.absolute(contentPath), assertSafeName(infoName));
}

/**
 * Where one file of a torrent lies, absolute. All names went through the database, so they are looked at again.
 * @throws PermanentError `unsafe_name`
 */
export function fileOfTorrent(
  layout: Pick<Layout, 'absolute'>,
  place: TorrentPlace,
  pathInTorrent: string,
): string {
  return join(torrentFolder(layout, place), ...pathInTorrent.split('/').map(assertSafeName));
}

/** True for a torrent whose files are the stored copies themselves, under the names they have anyway: no folder is its own. */
export function isStoredTree({ contentPath }: Pick<TorrentPlace, 'contentPath'>): boolean {
  return contentPath === 'dumps';
}
