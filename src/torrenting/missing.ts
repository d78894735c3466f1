import { join } from 'node:path';
import type { Catalog, Torrent } from '../catalog/index.ts';
import type { Disk } from '../ports/index.ts';
import { isStoredTree, type Layout, runFolder, torrentFolder } from '../storage/index.ts';

/** Recorded torrents whose folder or file is gone: both can be made again, since dump files are other names of the same bytes. */
export async function findMissingTorrents(deps: {
  catalog: Pick<Catalog, 'torrents'>;
  disk: Disk;
  layout: Layout;
}): Promise<Torrent[]> {
  const { disk, layout } = deps;
  const missing: Torrent[] = [];
  for (const torrent of deps.catalog.torrents()) {
    // A retired one lost files for good.
    if (torrent.retiredAt !== null) continue;
    const folder = await disk.stat(folderOf(layout, torrent));
    const file = await disk.stat(layout.absolute(torrent.torrentFilePath));
    if (folder === null || file === null) missing.push(torrent);
  }
  return missing;
}

/**
 * Where its dump files lie. Of the run of a wiki the folder of that run: that of the wiki holds others, too. Beside those of all other torrents
 * lie texts, which stay when a torrent is retired: alone they are no torrent.
 */
function folderOf(layout: Layout, torrent: Torrent): string {
  const folder = torrentFolder(layout, torrent);
  const { source, runDate, isUncompressed } = torrent;
  if (!isStoredTree(torrent)) return join(folder, isUncompressed ? 'uncompressed' : 'compressed');
  if (source === null || runDate === null) return folder;
  return join(folder, runFolder({ source, runDate }));
}
