import { basename, join } from 'node:path';
import { type Disk, type Log, readWhole, writeAtomically } from '../ports/index.ts';
import type { SeedSpec } from './protocol.ts';

type Watched = Pick<SeedSpec, 'infoHash' | 'torrentFile' | 'contentRoot'>;

/**
 * Folders where another client finds the .torrent of everything that is served: one for each place where content lies, and named after
 * it, since a client has one place for all that it finds in a folder. Nothing of it ever throws.
 */
export interface WatchFolder {
  /** Makes the folders as they should be: what is served is there, what was retired is not, and none of ours lies elsewhere. */
  fill(served: readonly Watched[], retired: readonly string[]): Promise<void>;
  /** Puts a torrent there; the same bytes are not written twice. */
  put(torrent: Watched): Promise<void>;
  /** Removes what we put there for that torrent, and nothing else. */
  remove(infoHash: string): Promise<void>;
}

/** The infohash in the name says which files are ours. */
const OURS = /\.([0-9a-f]{40})\.torrent$/;

/** @param deps.folder absolute @param deps.contentRoots folders that hold torrents' folders; absolute, with different last names */
export function createWatchFolder(deps: {
  folder: string;
  contentRoots: readonly string[];
  disk: Disk;
  log: Log;
}): WatchFolder {
  const { folder, disk, log } = deps;
  const folders = deps.contentRoots.map((root) => join(folder, basename(root)));

  const quietly = async (infoHash: string | null, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      log.error(
        { room: 'seeding', infohash: infoHash, folder, err: error },
        'the watch folder could not be written',
      );
    }
  };

  const placeOf = ({ infoHash, torrentFile, contentRoot }: Watched): string =>
    join(folder, basename(contentRoot), `${basename(torrentFile, '.torrent')}.${infoHash}.torrent`);

  /** Removes those of our files that are not where they should be. Before there was a folder for each place, they lay in the one above. */
  async function clear(isWrong: (infoHash: string, path: string) => boolean): Promise<void> {
    for (const each of [folder, ...folders])
      for (const name of await disk.list(each)) {
        const infoHash = OURS.exec(name)?.[1];
        const path = join(each, name);
        if (infoHash !== undefined && isWrong(infoHash, path)) await disk.remove(path);
      }
  }

  const put = (torrent: Watched): Promise<void> =>
    quietly(torrent.infoHash, async () => {
      const bytes = await readWhole(disk, torrent.torrentFile);
      if (bytes === null) return;
      const path = placeOf(torrent);
      const there = await readWhole(disk, path);
      if (there?.equals(bytes) !== true) await writeAtomically(disk, path, bytes);
    });

  return {
    put,
    remove: (infoHash) => quietly(infoHash, () => clear((each) => each === infoHash)),
    async fill(served, retired) {
      const places = new Map(served.map((torrent) => [torrent.infoHash, placeOf(torrent)]));
      const gone = new Set(retired);
      await quietly(null, async () => {
        // Programs refuse to watch a folder that is not there.
        for (const each of folders) await disk.makeDirectory(each);
        await clear((infoHash, path) => {
          const place = places.get(infoHash);
          return place === undefined ? gone.has(infoHash) : place !== path;
        });
      });
      for (const torrent of served) await put(torrent);
    },
  };
}
