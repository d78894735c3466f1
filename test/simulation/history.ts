import { changesOf, isThere, statusDocument } from './documents.ts';
import { planExport } from './exports.ts';
import { at, batchDays, dayOf, MINUTE } from './moments.ts';
import { planRun } from './plan-run.ts';
import type { Rates, SimRun } from './runs.ts';
import { createWikis, type SimWiki } from './wikis.ts';

/** Of what a history is made. */
export interface HistoryOptions {
  seed: number;
  wikis: number;
  from: string;
  to: string;
  rates: Rates;
  now: () => number;
}

/** Everything that upstream will ever do, settled beforehand. */
export interface History {
  wikis: readonly SimWiki[];
  /** By `keyOf`. */
  runs: ReadonlyMap<string, SimRun>;
  /** By wiki, oldest first. */
  classic: ReadonlyMap<string, SimRun[]>;
  exports: ReadonlyMap<string, SimRun[]>;
  /** So many changes of a source have happened by then. */
  versionAt(source: SimRun['source'], time: number): number;
  /** Moments at which runs of a source and date change. */
  changesOf(source: SimRun['source'], runDate: string): { run: SimRun; times: number[] }[];
  /** A run's present status. */
  statusOf(run: SimRun): { version: number; text: string };
  /** The present `index.json`. */
  index(): { version: number; text: string };
  /** A run goes sooner than it was to. */
  remove(run: SimRun, removedAt: number): void;
}

export function keyOf(run: { source: string; wikiDbName: string; runDate: string }): string {
  return `${run.source}/${run.wikiDbName}/${run.runDate}`;
}

export function createHistory(options: HistoryOptions): History {
  const { seed, now } = options;
  const wikis = createWikis(seed, options.wikis);
  const runs = new Map<string, SimRun>();
  /** By wiki, oldest first. */
  const classic = new Map<string, SimRun[]>();
  const exports = new Map<string, SimRun[]>();
  const quietUntil = options.from;
  for (const batch of batchDays(dayOf(at(options.from) - 180 * 24 * 60 * MINUTE), options.to))
    for (const wiki of wikis) {
      const isQuiet = batch < quietUntil;
      const made = [
        planRun(seed, wiki, batch, isQuiet ? {} : options.rates),
        batch.endsWith('-01')
          ? planExport(seed, wiki, batch.slice(0, 7), isQuiet || Object.keys(options.rates).length === 0)
          : null,
      ];
      for (const run of made) {
        if (run === null) continue;
        runs.set(keyOf(run), run);
        const list = run.source === 'classic' ? classic : exports;
        list.set(run.wikiDbName, [...(list.get(run.wikiDbName) ?? []), run]);
      }
    }
  const changes: Record<SimRun['source'], { run: SimRun; times: number[] }[]> = {
    classic: [],
    content_current: [],
  };
  for (const run of runs.values()) changes[run.source].push({ run, times: changesOf(run) });
  const allTimes = (source: SimRun['source']): number[] =>
    changes[source].flatMap(({ times }) => times).sort((a, b) => a - b);
  let times = { classic: allTimes('classic'), content_current: allTimes('content_current') };
  let indexCache = { version: -1, text: '' };
  /** By wiki: its newest run is asked for most. */
  const statusCache = new Map<string, { run: SimRun; version: number; text: string }>();

  function versionAt(source: SimRun['source'], time: number): number {
    const list = times[source];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as number) <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const timesOf = new Map(
    Object.values(changes).flatMap((list) => list.map(({ run, times: own }) => [run, own])),
  );

  function statusOf(run: SimRun): { version: number; text: string } {
    const time = now();
    const version = (timesOf.get(run) ?? []).filter((moment) => moment <= time).length;
    const cached = statusCache.get(run.wikiDbName);
    if (cached?.run === run && cached.version === version) return cached;
    const status = { run, version, text: statusDocument(run, time) };
    statusCache.set(run.wikiDbName, status);
    return status;
  }

  function index(): { version: number; text: string } {
    const version = versionAt('classic', now());
    if (indexCache.version === version) return indexCache;
    const entries: string[] = [];
    for (const [name, list] of classic) {
      const run = list.findLast((each) => isThere(each, now()));
      if (run !== undefined) entries.push(`${JSON.stringify(name)}:${statusOf(run).text}`);
    }
    indexCache = { version, text: `{"wikis":{${entries.join(',')}}}` };
    return indexCache;
  }

  return {
    ...{ wikis, runs, classic, exports, versionAt, statusOf, index },
    changesOf: (source, runDate) => changes[source].filter(({ run }) => run.runDate === runDate),
    remove(run, removedAt) {
      run.removedAt = removedAt;
      run.troubles.push('removed early');
      const own = changesOf(run);
      timesOf.set(run, own);
      times = { ...times, [run.source]: [...times[run.source], removedAt].sort((a, b) => a - b) };
    },
  };
}
