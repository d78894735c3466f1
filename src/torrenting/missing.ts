import { join } from 'node:path';
import type { Catalog, Torrent } from '../catalog/index.ts';
import type { Disk } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';

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
    const folder = await disk.stat(join(layout.absolute(torrent.contentPath), torrent.name));
    const file = await disk.stat(layout.absolute(torrent.torrentFilePath));
    if (folder === null || file === null) missing.push(torrent);
  }
  return missing;
}
