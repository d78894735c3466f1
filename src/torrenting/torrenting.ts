import type { AnyJobHandler } from '../queue/index.ts';
import { type CreateTorrentDeps, createTorrentHandler } from './jobs/create-torrent.ts';

/** What the room needs. */
export type TorrentingDeps = Omit<CreateTorrentDeps, 'stopping'>;

/** Makes torrents of finished cycles. */
export interface TorrentingRoom {
  handlers: AnyJobHandler[];
  /** Ends running hash threads; their jobs are interrupted and can be repeated. Idempotent. */
  stop(): Promise<void>;
}

/** Creates the room; nothing starts before a job does. */
export function createTorrenting(deps: TorrentingDeps): TorrentingRoom {
  const stopping = new AbortController();
  return {
    handlers: [createTorrentHandler({ ...deps, stopping: stopping.signal })],
    stop: async () => stopping.abort(),
  };
}
