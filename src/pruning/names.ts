import type { FileFacts } from '../ports/index.ts';
import { type DiskLook, fileOfTorrent, type Layout } from '../storage/index.ts';
import type { Connection } from './read-files.ts';

/** Where the bytes of a file have names of ours. */
export interface OwnNames {
  /** Under `dumps/`; null when the row names none. */
  dump: string | null;
  /** In the folders of torrents: hard links. A torrent of a wiki's run has none, and what was unpacked are other bytes. */
  trees: string[];
}

type Place = [
  localPath: string | null,
  contentPath: string | null,
  infoName: string | null,
  inTorrent: string | null,
];

/** Finds the names that a file may have, whether or not they are there. */
export function createNames(
  sqlite: Connection,
  layout: Pick<Layout, 'absolute'>,
): (dumpId: number) => OwnNames {
  // In one: a plan that has to make much room asks tens of thousands of times.
  const placesOf = sqlite
    .prepare<[number], Place>(
      `SELECT d.local_path, t.content_path, coalesce(t.info_name, t.name), f.path_in_torrent
         FROM dumps d LEFT JOIN torrent_files f ON f.dump_id = d.id
         LEFT JOIN torrents t ON t.id = f.torrent_id AND t.content_path <> 'dumps' AND t.is_uncompressed = 0 WHERE d.id = ?`,
    )
    .raw();
  return (dumpId) => {
    const places = placesOf.all(dumpId) as Place[];
    const path = places[0]?.[0] ?? null;
    return {
      dump: path === null ? null : layout.absolute(path),
      trees: places.flatMap(([, contentPath, infoName, inTree]) =>
        contentPath === null || infoName === null || inTree === null
          ? []
          : [fileOfTorrent(layout, { contentPath, infoName }, inTree)],
      ),
    };
  };
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
