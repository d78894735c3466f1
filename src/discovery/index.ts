import type { Catalog } from '../catalog/index.ts';
import type { Clock, Http, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import { handleDiscoverWikis } from './jobs/discover-wikis.ts';
import { type FindDumpsConfig, handleFindDumps } from './jobs/find-dumps.ts';
import { createUpstream } from './upstream.ts';

export { discoverWikis } from './jobs/discover-wikis.ts';
export { type FindDumpsConfig, type FoundDumps, findDumps } from './jobs/find-dumps.ts';

/** Finds wikis and dump runs. */
export interface DiscoveryRoom {
  handlers: readonly AnyJobHandler[];
}

/** Wires the room's two jobs. */
export function createDiscovery(deps: {
  catalog: Catalog;
  http: Http;
  clock: Clock;
  log: Log;
  config: FindDumpsConfig & { sitematrixUrl: string };
}): DiscoveryRoom {
  const upstream = createUpstream(deps);
  const log = deps.log.child({ room: 'discovery' });
  return {
    handlers: [
      handleDiscoverWikis({ catalog: deps.catalog, upstream, log, sitematrixUrl: deps.config.sitematrixUrl }),
      handleFindDumps({ catalog: deps.catalog, upstream, log, config: deps.config }),
    ],
  };
}
