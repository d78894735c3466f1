import type { Disk } from '../../ports/index.ts';
import { readTorrent } from '../read-torrent.ts';

/** What a torrent has beside dump files: its texts and its padding, as its .torrent says. */
export interface PayloadLists {
  /** null = its .torrent has no such path, or cannot be read. */
  find(
    torrent: { name: string; infoHash: string },
    torrentFile: string,
    path: string,
  ): Promise<{ sizeBytes: number; isPadding: boolean } | null>;
}

type PayloadList = ReadonlyMap<string, { sizeBytes: number; isPadding: boolean }>;

/** Lists kept in memory, each of some megabytes at most: those asked for last. */
const KEPT = 4;

/** See `PayloadLists`. A list is named by its infohash, so it never grows old. */
export function createPayloadLists({ disk }: { disk: Disk }): PayloadLists {
  const lists = new Map<string, Promise<PayloadList | null>>();

  async function read(
    torrent: { name: string; infoHash: string },
    torrentFile: string,
  ): Promise<PayloadList | null> {
    try {
      const { facts } = await readTorrent(disk, torrentFile, torrent);
      return new Map(facts.files.map(({ path, sizeBytes, isPadding }) => [path, { sizeBytes, isPadding }]));
    } catch {
      // Somebody who asks from outside is not whom the trouble is told; whoever seeds it does.
      return null;
    }
  }

  return {
    async find(torrent, torrentFile, path) {
      const { infoHash } = torrent;
      const mine = lists.get(infoHash) ?? read(torrent, torrentFile);
      lists.delete(infoHash);
      lists.set(infoHash, mine);
      const [oldest] = lists.keys();
      if (lists.size > KEPT && oldest !== undefined) lists.delete(oldest);
      const list = await mine;
      // It may be there again when somebody asks the next time.
      if (list === null && lists.get(infoHash) === mine) lists.delete(infoHash);
      return list?.get(path) ?? null;
    },
  };
}
