import type { TorrentId } from '../lib/index.ts';
import type { Clock, Http } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import { type CheckerDeps, createChecker } from './checker.ts';
import { checkWebseedsHandler } from './jobs/check-webseeds.ts';
import { watchWebseedsHandler } from './jobs/watch-webseeds.ts';
import { createProber } from './probe.ts';
import { createServing, type Serving, type ServingDeps } from './serve/serving.ts';
import type { WebseedRow } from './verdict.ts';
import { createWebseedStore } from './webseed-store.ts';

export type { WebseedConfig } from './candidates.ts';
export { type CheckWebseedsInput, type CheckWebseedsOutput, checkWebseeds } from './jobs/check-webseeds.ts';
export { type WatchWebseedsOutput, watchWebseeds } from './jobs/watch-webseeds.ts';
export type { Served, Serving } from './serve/serving.ts';
export type { WebseedRow } from './verdict.ts';

/** What the room needs. */
export interface WebseedsDeps
  extends Omit<CheckerDeps, 'store' | 'prober' | 'catalog'>,
    Omit<ServingDeps, 'config' | 'catalog'> {
  catalog: CheckerDeps['catalog'] & ServingDeps['catalog'];
  http: Http;
  clock: Clock;
}

/** Ordinary web servers that torrents can be fetched from: finds them, proves them, writes them down, and is one itself. */
export interface WebseedsRoom {
  readonly handlers: readonly AnyJobHandler[];
  /** Answers for the paths of recorded torrents, for `/webseed/`. */
  readonly serving: Serving;
  /** Everything known of a torrent's roots. */
  webseedsOf(torrentId: TorrentId): WebseedRow[];
}

/** Makes the room; asks nobody before the first job. */
export function createWebseeds(deps: WebseedsDeps): WebseedsRoom {
  const store = createWebseedStore(deps);
  const checker = createChecker({ ...deps, store, prober: createProber(deps) });
  return {
    handlers: [
      checkWebseedsHandler({ catalog: deps.catalog, checker }),
      watchWebseedsHandler({ catalog: deps.catalog, store, checker, bus: deps.bus }),
    ],
    serving: createServing(deps),
    webseedsOf: (torrentId) => store.rowsOf(torrentId),
  };
}
