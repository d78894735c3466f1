import type { AnyJobHandler } from '../queue/index.ts';
import { type CreateTorrentDeps, createTorrentHandler } from './jobs/create-torrent.ts';
import { createDirectPlanner, type TorrentPlanner } from './planning/planner.ts';

/** What the room needs. */
export interface TorrentingDeps extends Omit<CreateTorrentDeps, 'stopping' | 'planner'> {
  /** Default: plans in this thread. */
  planner?: TorrentPlanner;
}

/** Makes torrents of finished cycles. */
export interface TorrentingRoom {
  handlers: AnyJobHandler[];
  /** Ends running hash threads; their jobs are interrupted and can be repeated. Idempotent. */
  stop(): Promise<void>;
}

/** Creates the room; nothing starts before a job does. */
export function createTorrenting(deps: TorrentingDeps): TorrentingRoom {
  const stopping = new AbortController();
  const planner = deps.planner ?? createDirectPlanner(deps.catalog);
  return {
    handlers: [createTorrentHandler({ ...deps, planner, stopping: stopping.signal })],
    stop: async () => stopping.abort(),
  };
}
