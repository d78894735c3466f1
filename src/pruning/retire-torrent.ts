import { join } from 'node:path';
import { type Catalog, HELD_STATUSES, type Torrent } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { TorrentId } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Disk, Log } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import { treePath } from './names.ts';

/** What becomes of a torrent that lost a file: its record and its .torrent file stay, everything else of it ends. */
export interface TorrentRetirement {
  /** Idempotent; a torrent that is not seeded is no error. */
  stopSeeding(id: TorrentId): Promise<void>;
  /** Removes its folder of hard links; the bytes of files that are held have another name. Idempotent. */
  removeFolder(id: TorrentId): Promise<void>;
  /** Folders of retired torrents that are still there: the process died between. */
  removeLeftFolders(): Promise<void>;
}

interface LinkRow {
  id: number;
  pathInTorrent: string;
  localPath: string | null;
  ourStatus: (typeof HELD_STATUSES)[number];
  sizeBytes: number;
}

/** Rows of a torrent read in one turn: a few milliseconds. */
const ROWS = 2000;

/** See `TorrentRetirement`. */
export function createTorrentRetirement(deps: {
  db: Db;
  catalog: Pick<Catalog, 'torrent' | 'torrents'>;
  disk: Disk;
  layout: Layout;
  log: Log;
  /** Ends the seeding of a torrent, by its infohash. */
  stopSeeding: (infoHash: string) => Promise<void>;
}): TorrentRetirement {
  const { db, catalog, disk, layout, log } = deps;
  const links = db.sqlite.prepare<[number, number, number], LinkRow & { rowId: number }>(
    `SELECT f.id AS rowId, d.id, f.path_in_torrent AS pathInTorrent, d.local_path AS localPath, d.our_status AS ourStatus,
            f.size_bytes AS sizeBytes
       FROM torrent_files f JOIN dumps d ON d.id = f.dump_id WHERE f.torrent_id = ? AND f.id > ? ORDER BY f.id LIMIT ?`,
  );

  /** @returns false when this name must stay */
  async function removeLink(torrent: Torrent, row: LinkRow): Promise<boolean> {
    const link = treePath(layout, torrent.name, row.pathInTorrent);
    const found = await disk.stat(link);
    if (found === null) return true;
    // A file whose deletion is under way goes with its deletion, not here.
    if (row.ourStatus === 'deleted' && row.localPath !== null) return false;
    const isHeld = HELD_STATUSES.includes(row.ourStatus) && row.localPath !== null;
    if (isHeld && row.localPath !== null) {
      const own = layout.absolute(row.localPath);
      const there = await disk.stat(own);
      if (there === null) {
        // The only name of bytes that are recorded as held: it gets its place back.
        if (found.sizeBytes !== row.sizeBytes) return false;
        await disk.link(link, own);
      }
    } else if (found.linkCount < 2 && row.ourStatus !== 'deleted') return false;
    await disk.remove(link);
    step('pruning:link_removed');
    return true;
  }

  async function removeFolderOf(torrent: Torrent): Promise<void> {
    const folder = join(layout.absolute(torrent.contentPath), torrent.name);
    if ((await disk.stat(folder)) === null) return;
    let isClear = true;
    for (let after = 0; ; ) {
      const rows = links.all(torrent.id, after, ROWS);
      for (const row of rows) if (!(await removeLink(torrent, row))) isClear = false;
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.rowId;
    }
    const dumps = join(folder, 'compressed');
    if (!isClear || (await hasFiles(dumps))) {
      log.warn(
        { name: torrent.name, folder },
        'the folder of a retired torrent holds files that have no other name; it stays',
      );
      return;
    }
    await disk.removeTree(folder);
    await disk.syncDirectory(layout.absolute(torrent.contentPath));
    step('pruning:folder_removed');
    log.info({ name: torrent.name, infohash: torrent.infoHash }, 'a torrent was retired');
  }

  async function hasFiles(folder: string): Promise<boolean> {
    for (const name of await disk.list(folder)) {
      const path = join(folder, name);
      const facts = await disk.stat(path);
      if (facts !== null && (!facts.isDirectory || (await hasFiles(path)))) return true;
    }
    return false;
  }

  return {
    async stopSeeding(id) {
      const torrent = catalog.torrent(id);
      if (torrent !== null) await deps.stopSeeding(torrent.infoHash);
    },
    async removeFolder(id) {
      const torrent = catalog.torrent(id);
      if (torrent !== null && torrent.retiredAt !== null) await removeFolderOf(torrent);
    },
    async removeLeftFolders() {
      for (const torrent of catalog.torrents()) if (torrent.retiredAt !== null) await removeFolderOf(torrent);
    },
  };
}
