import { join } from 'node:path';
import type { FileFacts } from '../ports/index.ts';
import { assertSafeName, type DiskLook, type Layout } from '../storage/index.ts';
import type { Connection } from './read-files.ts';

/** Where the bytes of a file have names of ours. */
export interface OwnNames {
  /** Under `dumps/`; null when the row names none. */
  dump: string | null;
  /** In the folders of torrents. */
  trees: string[];
}

/** Finds the names that a file may have, whether or not they are there. */
export function createNames(
  sqlite: Connection,
  layout: Pick<Layout, 'absolute' | 'torrents'>,
): (dumpId: number) => OwnNames {
  // In one: a plan that has to make much room asks tens of thousands of times.
  const placesOf = sqlite
    .prepare<[number], [path: string | null, torrent: string | null, inTorrent: string | null]>(
      `SELECT d.local_path, t.name, f.path_in_torrent FROM dumps d LEFT JOIN torrent_files f ON f.dump_id = d.id
         LEFT JOIN torrents t ON t.id = f.torrent_id WHERE d.id = ?`,
    )
    .raw();
  return (dumpId) => {
    const places = placesOf.all(dumpId) as [string | null, string | null, string | null][];
    const path = places[0]?.[0] ?? null;
    return {
      dump: path === null ? null : layout.absolute(path),
      trees: places.flatMap(([, name, inTree]) =>
        name === null || inTree === null ? [] : [treePath(layout, name, inTree)],
      ),
    };
  };
}

/** Where the folder of a torrent holds a file; both names went through the database, so they are looked at again. */
export function treePath(layout: Pick<Layout, 'torrents'>, name: string, pathInTorrent: string): string {
  return join(layout.torrents, assertSafeName(name), ...pathInTorrent.split('/').map(assertSafeName));
}

/** What was found under the names of one file. Only names of the very same bytes are ours. */
export function lookOf(
  dump: FileFacts | null,
  trees: readonly (Pick<FileFacts, 'inode'> | null)[],
): DiskLook | null {
  if (dump === null) return null;
  const { sizeBytes, isFile, linkCount, inode } = dump;
  return {
    ...{ sizeBytes, isFile, linkCount },
    ownLinks: 1 + trees.filter((tree) => tree?.inode === inode).length,
  };
}
