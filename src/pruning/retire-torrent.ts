import { dirname, join, relative } from 'node:path';
import { type Catalog, HELD_STATUSES, type Torrent } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import { describeError, type TorrentId } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Disk, Log } from '../ports/index.ts';
import { fileOfTorrent, isStoredTree, type Layout, torrentFolder } from '../storage/index.ts';
import { isDumpFolderThere } from './dump-folder.ts';
import type { EndedSeeding } from './ended-seeding.ts';
import { isOfTheDisk, type Stuck } from './stuck.ts';
import { isUnpackedBusy } from './unpacked.ts';

/**
 * What becomes of a torrent that lost a file: its record, its .torrent file and its texts stay, everything else of it ends. The texts are a
 * few MB that nobody else has: without them nobody could fetch the whole torrent, from wherever its dump files may be.
 */
export interface TorrentRetirement {
  /** Tries to. Idempotent; a torrent that is not seeded is no error. Never rejects: while it may be seeded, no file of it goes. */
  stopSeeding(id: TorrentId): Promise<void>;
  /**
   * Removes its hard links, and of a torrent of unpacked files everything, since nobody can make it whole any more; the bytes of files that
   * are held have another name. A torrent of a wiki's run has no folder of its own. One that may still be seeded keeps all, and so does
   * one of which a deletion is open: it may be taken back, and then the torrent is seeded again. Idempotent; what the disk refuses is
   * logged and tried again with the next start or prune.
   */
  removeFolder(id: TorrentId): Promise<void>;
  /**
   * Retires a torrent of unpacked files and removes them. @returns what was freed; `waiting`: it may still be seeded, so they go later;
   * `stuck`: the disk refuses; null: it is retired already, or a job is at it
   */
  retireUnpacked(id: TorrentId): Promise<{ files: number; sizeBytes: number } | 'waiting' | 'stuck' | null>;
  /** What is still there of retired torrents and should not: the process died between. One that the disk refuses holds up no other. */
  removeLeftFolders(): Promise<void>;
}

interface LinkRow {
  id: number;
  pathInTorrent: string;
  localPath: string | null;
  ourStatus: (typeof HELD_STATUSES)[number];
  sizeBytes: number;
  isUnpacked: 0 | 1;
}

/** Unpacked files that went. */
interface Freed {
  files: number;
  sizeBytes: number;
}

/** Folders within that of a torrent, in which its dump files lie, as they are or unpacked; beside them lie its texts. */
const FILE_FOLDERS = ['compressed', 'uncompressed'];
/** Rows of a torrent read in one turn: a few milliseconds. */
const ROWS = 2000;

/** See `TorrentRetirement`. */
export function createTorrentRetirement(deps: {
  db: Db;
  catalog: Pick<Catalog, 'torrent' | 'torrents' | 'retireUnpacked'>;
  disk: Disk;
  layout: Layout;
  log: Log;
  ended: Pick<EndedSeeding, 'of'>;
  stuck: Pick<Stuck, 'note' | 'over'>;
  /** Unpacked files went. */
  onUnpackedRemoved: (freedBytes: number) => void;
}): TorrentRetirement {
  const { db, catalog, disk, layout, log } = deps;
  const links = db.sqlite.prepare<[number, number, number], LinkRow & { rowId: number }>(
    `SELECT f.id AS rowId, d.id, f.path_in_torrent AS pathInTorrent, d.local_path AS localPath, d.our_status AS ourStatus,
            f.size_bytes AS sizeBytes, f.sha1 IS NOT NULL AS isUnpacked
       FROM torrent_files f JOIN dumps d ON d.id = f.dump_id WHERE f.torrent_id = ? AND f.id > ? ORDER BY f.id LIMIT ?`,
  );

  const openDeletion = db.sqlite.prepare<[number], 1>(
    `SELECT 1 FROM deletions x JOIN torrent_files f ON f.dump_id = x.dump_id AND f.torrent_id = ? WHERE x.removed_at IS NULL LIMIT 1`,
  );

  /** True when a folder on the way was made a link: what lies there is none of this torrent's names, it may be the stored copy itself. */
  async function leadsOutside(torrent: Torrent, link: string): Promise<boolean> {
    const folder = torrentFolder(layout, torrent);
    const [root, place] = [await disk.realPath(folder), await disk.realPath(dirname(link))];
    return root === null || place !== join(root, relative(folder, dirname(link)));
  }

  /** @returns false when this name must stay */
  async function removeLink(torrent: Torrent, row: LinkRow, freed: Freed): Promise<boolean> {
    const link = fileOfTorrent(layout, torrent, row.pathInTorrent);
    const found = await disk.stat(link);
    if (found === null) return true;
    if (await leadsOutside(torrent, link)) return false;
    if (torrent.isUncompressed && row.isUnpacked === 1) {
      await disk.remove(link);
      freed.files += 1;
      if (found.linkCount === 1) freed.sizeBytes += found.sizeBytes;
      step('pruning:unpacked_removed');
      return true;
    }
    // A file whose deletion is under way goes with its deletion, not here.
    if (row.ourStatus === 'deleted' && row.localPath !== null) return false;
    const isHeld = HELD_STATUSES.includes(row.ourStatus) && row.localPath !== null;
    if (isHeld && row.localPath !== null) {
      const own = layout.absolute(row.localPath);
      const there = await disk.stat(own);
      if (there === null) {
        // The only name of bytes that are recorded as held: it gets its place back.
        if (found.sizeBytes !== row.sizeBytes || !(await isDumpFolderThere(disk, layout))) return false;
        await linkDurably(link, own);
      }
    } else if (found.linkCount < 2 && row.ourStatus !== 'deleted') return false;
    await disk.remove(link);
    step('pruning:link_removed');
    return true;
  }

  /** On the disk before the other name goes, with every folder that was missing. */
  async function linkDurably(from: string, to: string): Promise<void> {
    const folders = [dirname(to)];
    for (let folder = dirname(to); (await disk.stat(folder)) === null && folder !== layout.dataDir; ) {
      folder = dirname(folder);
      folders.push(folder);
    }
    await disk.makeDirectory(dirname(to));
    await disk.link(from, to);
    for (const folder of folders) await disk.syncDirectory(folder);
  }

  /** One torrent's trouble is no other's. @returns null when there was some */
  async function tryToRemoveFolderOf(torrent: Torrent): Promise<Freed | null> {
    const { id, name, infoHash } = torrent;
    try {
      const freed = await removeFolderOf(torrent);
      deps.stuck.over(`torrent:${id}`);
      return freed;
    } catch (error) {
      if (isOfTheDisk(error)) deps.stuck.note(`torrent:${id}`, torrentFolder(layout, torrent), error);
      else
        log.error(
          { name, infohash: infoHash, err: describeError(error) },
          'the folder of a retired torrent could not be removed; tried again',
        );
      return null;
    }
  }

  async function removeFolderOf(torrent: Torrent): Promise<Freed> {
    const freed: Freed = { files: 0, sizeBytes: 0 };
    // Its files are the stored copies themselves, and beside them lies every other run of the wiki.
    if (isStoredTree(torrent)) return freed;
    const folder = torrentFolder(layout, torrent);
    const going: string[] = [];
    for (const path of torrent.isUncompressed ? [folder] : FILE_FOLDERS.map((name) => join(folder, name)))
      if ((await disk.stat(path)) !== null) going.push(path);
    // Asked for every retired torrent at every start: of those whose turn was long ago no row is read.
    if (going.length === 0) return freed;
    // What is unpacked is not seeded again, whatever becomes of the files it was unpacked from.
    if (!torrent.isUncompressed && openDeletion.get(torrent.id) !== undefined) return freed;
    // A program that serves them would miss them, or fetch them.
    if (!(await deps.ended.of(torrent))) return freed;
    let isClear = true;
    try {
      for (let after = 0; ; ) {
        const rows = links.all(torrent.id, after, ROWS);
        for (const row of rows) if (!(await removeLink(torrent, row, freed))) isClear = false;
        const last = rows.at(-1);
        if (last === undefined) break;
        after = last.rowId;
      }
    } finally {
      if (freed.sizeBytes > 0) deps.onUnpackedRemoved(freed.sizeBytes);
    }
    for (const name of FILE_FOLDERS) if (isClear && (await hasFiles(join(folder, name)))) isClear = false;
    if (!isClear) {
      log.warn(
        { name: torrent.name, folder },
        'the folder of a retired torrent holds files that have no other name; it stays',
      );
      return freed;
    }
    for (const path of going) {
      await disk.removeTree(path);
      await disk.syncDirectory(dirname(path));
    }
    step('pruning:folder_removed');
    log.info({ name: torrent.name, infohash: torrent.infoHash }, 'a torrent was retired');
    return freed;
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
      if (torrent !== null) await deps.ended.of(torrent);
    },
    async removeFolder(id) {
      const torrent = catalog.torrent(id);
      if (torrent !== null && torrent.retiredAt !== null) await tryToRemoveFolderOf(torrent);
    },
    async retireUnpacked(id) {
      const torrent = catalog.torrent(id);
      const isRetired =
        torrent !== null &&
        db.transaction(() => !isUnpackedBusy(db.sqlite, id) && catalog.retireUnpacked(id));
      if (!isRetired) return null;
      step('pruning:unpacked_retired');
      if (!(await deps.ended.of(torrent))) return 'waiting';
      return (await tryToRemoveFolderOf(torrent)) ?? 'stuck';
    },
    async removeLeftFolders() {
      for (const torrent of catalog.torrents())
        if (torrent.retiredAt !== null) await tryToRemoveFolderOf(torrent);
    },
  };
}
