import { basename, join } from 'node:path';
import { type Disk, type Log, writeAtomically } from '../ports/index.ts';
import { readWhole } from './engines/stored-torrent.ts';
import type { SeedSpec } from './protocol.ts';

/** A folder where another client finds the .torrent of everything that is served. Nothing of it ever throws. */
export interface WatchFolder {
  /** Puts a torrent there; the same bytes are not written twice. */
  put(spec: Pick<SeedSpec, 'infoHash' | 'torrentFile'>): Promise<void>;
  /** Removes what we put there for that torrent, and nothing else. */
  remove(infoHash: string): Promise<void>;
}

/** `folder` absolute. The infohash in the name says which files are ours. */
export function createWatchFolder(deps: { folder: string; disk: Disk; log: Log }): WatchFolder {
  const { folder, disk, log } = deps;
  const endOf = (infoHash: string): string => `.${infoHash}.torrent`;

  const quietly = async (infoHash: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      log.error(
        { room: 'seeding', infohash: infoHash, folder, err: error },
        'the watch folder could not be written',
      );
    }
  };

  return {
    put: ({ infoHash, torrentFile }) =>
      quietly(infoHash, async () => {
        const bytes = await readWhole(disk, torrentFile);
        if (bytes === null) return;
        const path = join(folder, basename(torrentFile, '.torrent') + endOf(infoHash));
        const there = await readWhole(disk, path);
        if (there?.equals(bytes) !== true) await writeAtomically(disk, path, bytes);
      }),
    remove: (infoHash) =>
      quietly(infoHash, async () => {
        for (const name of await disk.list(folder))
          if (name.endsWith(endOf(infoHash))) await disk.remove(join(folder, name));
      }),
  };
}
