import type { Catalog, DumpFile } from '../catalog/index.ts';
import type { Layout } from '../storage/index.ts';
import type { Swarm } from './swarm.ts';

/** Bytes of a held file that a swarm had: the torrent's hashes prove them, but it may carry another version of the file. */
export interface SwarmPiece {
  bytes: Uint8Array;
  /** For the log. */
  from: string;
  /** Must be told whether they were right. */
  judged(isRight: boolean): void;
}

/** Pieces of held files from other seeders of the torrents that carry them, retired ones as well. */
export interface SwarmPieces {
  /** For one repair of one file. */
  giverFor(row: Pick<DumpFile, 'id' | 'sizeBytes'>): {
    /** One torrent after the other. @throws Interrupted */
    offers(
      range: { startBytes: number; endBytes: number },
      signal: AbortSignal,
    ): AsyncGenerator<SwarmPiece, void, undefined>;
  };
}

/** Peers that give nothing may be waited for so often in one repair; each time takes a minute. */
const MISSES_MAX = 3;

/** See `SwarmPieces`. */
export function createSwarmPieces(deps: {
  catalog: Pick<Catalog, 'torrentsWith'>;
  layout: Layout;
  swarm: Pick<Swarm, 'take'>;
}): SwarmPieces {
  const { catalog, layout, swarm } = deps;
  return {
    giverFor({ id, sizeBytes }) {
      /** By infohash, in a row. */
      const misses = new Map<string, number>();
      return {
        async *offers({ startBytes, endBytes }, signal) {
          for (const { torrent, infoHash, torrentFilePath, pathInTorrent } of catalog.torrentsWith(id)) {
            const missed = misses.get(infoHash) ?? 0;
            if (missed >= MISSES_MAX) continue;
            const torrentFile = layout.absolute(torrentFilePath);
            const wish = { infoHash, torrentFile, pathInTorrent, sizeBytes, startBytes, endBytes };
            const { bytes, peers } = await swarm.take(wish, signal);
            if (bytes === null) {
              misses.set(infoHash, peers === 0 ? MISSES_MAX : missed + 1);
              continue;
            }
            misses.delete(infoHash);
            yield {
              bytes,
              from: `the swarm of ${torrent}`,
              judged(isRight) {
                // It carries another version of the file.
                if (!isRight) misses.set(infoHash, MISSES_MAX);
              },
            };
          }
        },
      };
    },
  };
}
