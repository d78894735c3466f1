import { createSystemState, type Db, STATE_KEYS, type SystemState } from '../../db/index.ts';
import type { Clock, Datagrams, Http, Log, Random } from '../../ports/index.ts';
import { createFirstLook, type FirstLookDeps } from './first-look.ts';
import { createScraper } from './scraper.ts';
import { type CountingEngine, createStatistics, type Statistics } from './statistics.ts';
import { createStatsStore } from './store.ts';
import { createTrackerBook } from './tracker-book.ts';
import { createUploadTally } from './upload-tally.ts';

export type { CountingEngine, LookResult, Statistics } from './statistics.ts';

/** What counting swarms needs of the outside. */
export interface SwarmStatisticsDeps {
  db: Db;
  http: Http;
  datagrams: Datagrams;
  random: Random;
  /** With it, the first torrents that are served are counted soon. */
  firstLook?: Pick<FirstLookDeps, 'intervalMs' | 'ask'>;
}

/** Counts swarms, by a job and soon after a start. */
export interface SwarmStatistics extends Statistics {
  /** To be called whenever a torrent is served. */
  served(): void;
}

/** Wires the counting of swarms. */
export function createSwarmStatistics(
  deps: SwarmStatisticsDeps & { clock: Clock; log: Log; engine: CountingEngine | null },
): SwarmStatistics {
  const { db, engine, clock, random, firstLook } = deps;
  const state = createSystemState(db);
  const statistics = createStatistics({
    ...{ engine, clock, store: createStatsStore(db), lookedAt: createLookedAt(state) },
    scraper: createScraper({ ...deps, book: createTrackerBook(state) }),
    tally: createUploadTally({
      ...{ state, engine: engine?.name ?? 'none' },
      isEphemeral: engine === null || engine.name === 'webtorrent',
    }),
  });
  const served =
    firstLook === undefined
      ? () => {}
      : createFirstLook({ ...{ clock, random, lastLookAt: statistics.lastLookAt }, ...firstLook });
  return { ...statistics, served };
}

/** When swarms were counted last. */
export function createLookedAt(state: SystemState): { get(): number | null; set(nowMs: number): void } {
  return {
    get() {
      const at = Number(state.get(STATE_KEYS.swarmsLookedAt) ?? Number.NaN);
      return Number.isFinite(at) ? at : null;
    },
    set: (nowMs) => state.set(STATE_KEYS.swarmsLookedAt, String(nowMs), nowMs),
  };
}
