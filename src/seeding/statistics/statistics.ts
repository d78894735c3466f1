import { setImmediate as nextTurn } from 'node:timers/promises';
import { hours } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import type { TorrentEngine } from '../engine.ts';
import type { TorrentActivity } from '../protocol.ts';
import type { Said, Scraper } from './scraper.ts';
import type { CountedTorrent, StatRow, StatsStore } from './store.ts';
import type { UploadTally } from './upload-tally.ts';

/** The engine, as far as it is asked for numbers. */
export type CountingEngine = Pick<TorrentEngine, 'name' | 'snapshot' | 'restarts'> & {
  /** Seeders besides us, by infohash; null = unknown. */
  noteSeeders?: (seeders: ReadonlyMap<string, number | null>) => void;
};

/** What a look came to. */
export interface LookResult {
  torrents: number;
  /** Torrents of which somebody knows how many seed them. */
  known: number;
}

/** Counts swarms. */
export interface Statistics {
  /** Asks everybody and writes it down. @throws Interrupted */
  look(signal: AbortSignal): Promise<LookResult>;
  /** Numbers of the engine that somebody asked for anyway: what it gave is not lost when it ends. */
  note(activities: readonly TorrentActivity[]): void;
  /** When everybody was asked last, ms since the epoch, also by an earlier process; null = never. */
  lastLookAt(): number | null;
  /** Seeders of a torrent besides us when they were last counted; null = unknown. */
  lastSeeders(torrentId: number): number | null;
  /** Reads the counters a last time, before the engine ends. Never fails. */
  keep(): Promise<void>;
}

/** What is known of one torrent at a look. */
interface Heard {
  said: readonly Said[];
  activity: TorrentActivity | undefined;
  before: ReturnType<StatsStore['newest']>;
  /** Bytes given since the last row. */
  given: number;
}

/** Some milliseconds. */
const AT_ONCE = 500;
/** A tracker forgets a peer that said nothing for about so long. */
const FORGOTTEN_MS = hours(2);

/** What counting needs. */
export interface StatisticsDeps {
  store: StatsStore;
  scraper: Scraper;
  tally: UploadTally;
  /** Keeps the time of the last look over a restart. */
  lookedAt: { get(): number | null; set(nowMs: number): void };
  /** null: nothing is seeded here. */
  engine: CountingEngine | null;
  clock: Clock;
}

/** See `Statistics`. */
export function createStatistics(deps: StatisticsDeps): Statistics {
  const { store, scraper, tally, lookedAt, engine, clock } = deps;
  const startedMs = clock.monotonicMs();
  /** When we were last seen to seed a torrent, by infohash. */
  const served = new Map<string, number>();

  function note(activities: readonly TorrentActivity[]): void {
    const now = clock.monotonicMs();
    for (const { infoHash, state } of activities) if (state === 'seeding') served.set(infoHash, now);
    if (engine !== null) tally.note(activities, engine.restarts());
  }

  /** Whether trackers may count us; the last process of ours may still be counted for a while, too. */
  function isCounted({ infoHash, isSeeded }: CountedTorrent): boolean {
    const now = clock.monotonicMs();
    const at = served.get(infoHash) ?? (isSeeded ? startedMs : Number.NEGATIVE_INFINITY);
    return now - at < FORGOTTEN_MS;
  }

  function rowOf(torrent: CountedTorrent, heard: Heard): StatRow {
    const { said, activity, before, given } = heard;
    const ours = isCounted(torrent) ? 1 : 0;
    const found: { source: string; seeders: number | null; leechers: number | null }[] = said.map(
      ({ tracker, counts }) => ({
        source: tracker,
        seeders: counts.seeders === null ? null : Math.max(0, counts.seeders - ours),
        leechers: counts.leechers,
      }),
    );
    if (engine !== null && activity !== undefined) found.push({ ...activity, source: engine.name });
    const seeders = highest(found.map((each) => each.seeders));
    const best = found.find((each) => each.seeders !== null && each.seeders === seeders) ?? found[0];
    const isNothingGiven = before?.uploadedBytes == null && given === 0 && activity === undefined;
    return {
      ...{ torrentId: torrent.id, seeders },
      leechers: highest(found.map((each) => each.leechers)),
      completed: highest(said.map(({ counts }) => counts.completed)),
      uploadedBytes: isNothingGiven ? null : (before?.uploadedBytes ?? 0) + given,
      source: best?.source ?? 'nobody',
    };
  }

  return {
    note,
    async look(signal) {
      const torrents = await store.torrents();
      const [activities, { said, unheard }] = await Promise.all([
        engine?.snapshot().catch(() => []) ?? [],
        scraper.ask(torrents, signal),
      ]);
      note(activities);
      const active = new Map(activities.map((activity) => [activity.infoHash, activity]));
      const seeders = new Map<string, number | null>();
      const rows: StatRow[] = [];
      const taken = new Map<string, number>();
      for (const [index, torrent] of torrents.entries()) {
        if (index % AT_ONCE === AT_ONCE - 1) await nextTurn();
        const { infoHash } = torrent;
        const heard: Heard = {
          ...{ said: said.get(infoHash) ?? [], activity: active.get(infoHash) },
          ...{ before: store.newest(torrent.id), given: tally.pending(infoHash) },
        };
        const row = rowOf(torrent, heard);
        // What is not known for lack of asking must not hide what was known a moment ago.
        if (row.seeders === null && torrent.trackers.some((tracker) => unheard.has(tracker))) continue;
        seeders.set(infoHash, row.seeders);
        if (!isNews(row, heard)) continue;
        rows.push(row);
        taken.set(infoHash, heard.given);
      }
      const now = clock.now();
      await store.write(rows, now);
      for (const [infoHash, bytes] of taken) tally.taken(infoHash, bytes);
      tally.save(now);
      engine?.noteSeeders?.(seeders);
      const present = new Set(torrents.map(({ infoHash }) => infoHash));
      for (const infoHash of served.keys()) if (!present.has(infoHash)) served.delete(infoHash);
      // Before there is a torrent it says nothing.
      if (torrents.length > 0) lookedAt.set(now);
      return {
        torrents: torrents.length,
        known: [...seeders.values()].filter((count) => count !== null).length,
      };
    },
    lastLookAt: lookedAt.get,
    lastSeeders: (torrentId) => store.newest(torrentId)?.seeders ?? null,
    async keep() {
      note((await engine?.snapshot().catch(() => [])) ?? []);
      tally.save(clock.now());
    },
  };
}

/** What says "unknown" once more adds nothing. */
function isNews(row: StatRow, { before }: Heard): boolean {
  const isUnknown = row.seeders === null && row.leechers === null && row.completed === null;
  if (!isUnknown) return true;
  if (before === null) return row.uploadedBytes !== null;
  return before.seeders !== null || before.leechers !== null || before.uploadedBytes !== row.uploadedBytes;
}

/** The highest that is known: places count what they see, and none sees all. */
function highest(counts: readonly (number | null)[]): number | null {
  const known = counts.filter((count) => count !== null);
  return known.length === 0 ? null : Math.max(...known);
}
