import { onTestFinished } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries, type WebseedLimits } from '../../src/monitoring/index.ts';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { type WebseedWorld, webseedRoom, webseedWorld } from './webseed-bundle.ts';

/*
 * What the tests of the `/webseed/` route share: the page's own server over torrents that are made by hand.
 */

export const LARGE = 'enwiki-20261120-pages-articles.xml.bz2';
export const SMALL = 'enwiki-20261120-redirect.sql.gz';
const UNLIMITED: WebseedLimits = {
  ...{ maxRequests: 100, maxRequestsPerClient: 100 },
  ...{ bandwidthLimitBytesPerSecond: null, bandwidthLimitPerClientBytesPerSecond: null },
};

/** The page's server with the room behind it. */
export async function serve(
  world: WebseedWorld,
  options: {
    limits?: Partial<WebseedLimits>;
    trustedProxies?: string[];
    config?: Parameters<typeof webseedRoom>[1];
    /** The disk that files and torrents are read from. */
    disk?: Disk;
  } = {},
) {
  const { db, clock, layout } = world;
  const { room, repairs, check } = webseedRoom(
    world,
    options.config ?? {},
    options.disk === undefined ? {} : { disk: options.disk },
  );
  const monitoring = createMonitoring({
    ...{ db, clock, layout, disk: createNodeDisk(), log: silentLog, bus: createBus({ log: silentLog }) },
    queries: createStatusQueries({ db, clock }),
    storage: async () => ({ usedBytes: 1, freeBytes: 1, totalBytes: 2 }),
    webseed: {
      open: room.serving.open,
      limits: { ...UNLIMITED, ...options.limits },
      trustedProxies: options.trustedProxies ?? [],
    },
    ...{ config: { host: '127.0.0.1', port: 0 }, version: '1.2.3' },
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${url}webseed/${path}`, { headers, method, redirect: 'manual' });
  return { url, get, repairs, check };
}

/** Nobody out there is known to have anything. */
export const ALONE = { order: ['self'] } as const;

/** A run torrent that is served. */
export async function setup(options: Parameters<typeof serve>[1] = {}) {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const held = (name: string) => world.files.get(name) as { id: never; bytes: Buffer; path: string };
  return { world, torrent, held, ...(await serve(world, options)) };
}
