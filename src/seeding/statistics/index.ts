import { createSystemState, type Db } from '../../db/index.ts';
import type { Clock, Datagrams, Http, Log, Random } from '../../ports/index.ts';
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
}

/** Wires the counting of swarms. */
export function createSwarmStatistics(
  deps: SwarmStatisticsDeps & { clock: Clock; log: Log; engine: CountingEngine | null },
): Statistics {
  const { db, engine, clock } = deps;
  const state = createSystemState(db);
  return createStatistics({
    ...{ engine, clock, store: createStatsStore(db) },
    scraper: createScraper({ ...deps, book: createTrackerBook(state) }),
    tally: createUploadTally({
      ...{ state, engine: engine?.name ?? 'none' },
      isEphemeral: engine === null || engine.name === 'webtorrent',
    }),
  });
}
