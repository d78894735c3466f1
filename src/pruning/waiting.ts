import { dirname, join } from 'node:path';
import type { Catalog } from '../catalog/index.ts';
import { formatBytes, type TorrentId } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';
import { fileOfTorrent, type Layout, torrentFolder } from '../storage/index.ts';
import { createNames, lookOf } from './names.ts';
import type { Connection } from './read-files.ts';

/** What was decided on before and is still on the disk, because a torrent that carries it may still be seeded. */
export interface Waiting {
  /** Dump files and unpacked ones. */
  files: number;
  /** What becomes free when they go. */
  sizeBytes: number;
  /** Why one of them does, as an example; null = nobody was asked. */
  reason: string | null;
}

export const NOTHING_WAITS: Waiting = { files: 0, sizeBytes: 0, reason: null };

/** Whether that `seeding.engine` is a program of its own, which goes on when WikiSeed ends. */
export const isBesideUs = (engine: string): boolean => engine === 'qbittorrent' || engine === 'transmission';

/** What is waited for, as people call it; by `seeding.engine`. */
export function seedingProgramOf(engine: string): string {
  const names: Readonly<Record<string, string>> = {
    webtorrent: 'the seeding thread',
    qbittorrent: 'qBittorrent',
    transmission: 'Transmission',
  };
  return names[engine] ?? 'whoever seeds them';
}

/** For people. */
export function waitText({ files, sizeBytes, reason }: Waiting, program: string): string {
  const isOne = files === 1;
  return `${files} ${isOne ? 'file waits' : 'files wait'} for ${program} to let go of ${isOne ? 'it' : 'them'} (${formatBytes(sizeBytes)})${reason === null ? '' : `: ${reason}`}`;
}

/** Where the unpacked files of a torrent lie in its folder. */
const UNPACKED = 'uncompressed';

/**
 * Looks what goes without any further decision. It counts as used until then, so whoever plans without it decides on as much again with each plan.
 * Only what becomes free is counted: not what has a name outside our folders, and not what is left behind a link. Nobody is asked why it
 * waits, so `reason` is null.
 * @throws whatever the disk says
 */
export async function lookForWaiting(deps: {
  sqlite: Connection;
  catalog: Pick<Catalog, 'openDeletions' | 'torrents'>;
  disk: Pick<Disk, 'stat' | 'realPath'>;
  layout: Layout;
  /** Those that wait for nobody: the disk refuses to remove them. Default: nothing is known of that. */
  isStuck?: (deletion: { id: number }) => boolean;
  /** Torrents that nobody seeds any more: what is left of one is left for another reason. */
  isEnded?: (torrent: { id: TorrentId }) => boolean;
}): Promise<Waiting> {
  const { sqlite, catalog, disk, layout } = deps;
  const waiting: Waiting = { ...NOTHING_WAITS };
  const names = createNames(sqlite, layout);
  for (const { id, dumpId, ourStatus } of catalog.openDeletions()) {
    if (dumpId === null || ourStatus !== 'deleted' || deps.isStuck?.({ id }) === true) continue;
    const { dump, trees } = names(dumpId);
    const found = [];
    for (const name of dump === null ? trees : [dump, ...trees]) {
      const facts = await disk.stat(name);
      if (facts !== null) found.push(facts);
    }
    const look = lookOf(found[0] ?? null, found.slice(1));
    if (look?.isFile !== true || look.linkCount > look.ownLinks) continue;
    waiting.files += 1;
    waiting.sizeBytes += look.sizeBytes;
  }
  const unpacked = sqlite
    .prepare<[number], string>(
      'SELECT path_in_torrent FROM torrent_files WHERE torrent_id = ? AND sha1 IS NOT NULL',
    )
    .pluck();
  for (const torrent of catalog.torrents()) {
    if (torrent.retiredAt === null || !torrent.isUncompressed || deps.isEnded?.(torrent) === true) continue;
    const folder = torrentFolder(layout, torrent);
    // Of those whose turn was long ago no row is read.
    if ((await disk.stat(join(folder, UNPACKED))) === null) continue;
    const root = await disk.realPath(folder);
    for (const path of unpacked.all(torrent.id)) {
      const file = fileOfTorrent(layout, torrent, path);
      const facts = await disk.stat(file);
      if (facts?.isFile !== true || facts.linkCount > 1) continue;
      if (root === null || (await disk.realPath(dirname(file))) !== dirname(join(root, path))) continue;
      waiting.files += 1;
      waiting.sizeBytes += facts.sizeBytes;
    }
  }
  return waiting;
}
