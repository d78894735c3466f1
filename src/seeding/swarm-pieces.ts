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

/** See `SwarmPieces`. */
export function createSwarmPieces(deps: {
  catalog: Pick<Catalog, 'torrentsWith'>;
  layout: Layout;
  swarm: Pick<Swarm, 'fetch'>;
}): SwarmPieces {
  const { catalog, layout, swarm } = deps;
  return {
    giverFor({ id, sizeBytes }) {
      /** Torrents with nobody in their swarm, or with other bytes. */
      const useless = new Set<string>();
      return {
        async *offers({ startBytes, endBytes }, signal) {
          for (const { torrent, infoHash, torrentFilePath, pathInTorrent } of catalog.torrentsWith(id)) {
            if (useless.has(infoHash)) continue;
            const torrentFile = layout.absolute(torrentFilePath);
            const wish = { infoHash, torrentFile, pathInTorrent, sizeBytes, startBytes, endBytes };
            const { bytes, peers } = await swarm.fetch(wish, signal);
            if (bytes === null) {
              if (peers === 0) useless.add(infoHash);
              continue;
            }
            yield {
              bytes,
              from: `the swarm of ${torrent}`,
              judged(isRight) {
                if (!isRight) useless.add(infoHash);
              },
            };
          }
        },
      };
    },
  };
}
