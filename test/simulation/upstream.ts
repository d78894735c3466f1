import { Readable } from 'node:stream';
import { UnavailableError } from '../../src/lib/index.ts';
import type { Http, HttpRequest, HttpResponse } from '../../src/ports/index.ts';
import {
  changesOf,
  exportFolder,
  exportSums,
  isThere,
  type Listed,
  listingDocument,
  phaseOf,
  statusDocument,
  sumsDocument,
  versionOf,
} from './documents.ts';
import { planExport } from './exports.ts';
import { at, batchDays, DAY, dayOf, dice, MINUTE } from './moments.ts';
import { planRun, type Rates, type SimFile, type SimRun } from './runs.ts';
import type { Mishap, Weather } from './weather.ts';
import { createWikis, type SimWiki, siteMatrix } from './wikis.ts';

export const BASE_URL = 'https://dumps.wikimedia.org';
export const MATRIX_URL = 'https://commons.wikimedia.org/w/api.php';
const EXPORTS = '/other/mediawiki_content_current/';

/** What was asked for. */
export type Asked =
  | 'index'
  | 'status'
  | 'wiki listing'
  | 'sums'
  | 'exports'
  | 'wiki exports'
  | 'export'
  | 'matrix'
  | 'other';

/** One request that reached the site, or would have. */
export interface Request {
  at: number;
  asked: Asked;
  /** Whose folder it lies in; '': that of none. */
  wikiDbName: string;
  /** 0: no answer. */
  status: number;
  /** The answer was torn. */
  isTorn: boolean;
  /** Unique key of the job that asked; null: no job did. */
  job: string | null;
}

/** The whole of Wikimedia, as far as it can be seen: what it will do is settled beforehand, what it shows depends on the time. */
export interface SimUpstream {
  wikis: readonly SimWiki[];
  /** By `keyOf`. */
  runs: ReadonlyMap<string, SimRun>;
  http: Http;
  requests: Request[];
  /** How often each thing went wrong with a request. */
  mishaps: Map<Mishap, number>;
  /** What a GET of a file would find now. Begins a fetch: runs that are laid traps for are removed a minute later. */
  fetch(
    url: string,
  ): { kind: 'file'; content: string; sizeBytes: number } | { kind: 'missing' } | { kind: 'down' };
  /** Keys of runs that were removed while a file of theirs was fetched. */
  removedWhileFetched: ReadonlySet<string>;
  /** Whether anything that a source shows of a run date has changed between two times. */
  isQuiet(source: SimRun['source'], runDate: string, from: number, to: number): boolean;
  /** Classic runs of that date that list a finished file without a hash at a time. */
  unproved(runDate: string, time: number): number;
}

export function keyOf(run: { source: string; wikiDbName: string; runDate: string }): string {
  return `${run.source}/${run.wikiDbName}/${run.runDate}`;
}

/** What a world is made from. `traps`: batches of which one run is removed while it is fetched. */
export interface UpstreamOptions {
  seed: number;
  wikis: number;
  from: string;
  to: string;
  rates: Rates;
  weather: Weather;
  traps: readonly string[];
  now: () => number;
  /** Who asks. */
  asker: () => string | null;
  /** Never answers this request: the process will be killed instead. */
  isFatal?: (asked: Asked) => boolean;
}

export function createUpstream(options: UpstreamOptions): SimUpstream {
  const { seed, now, weather } = options;
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
  const trapped = new Set<string>();
  for (const batch of options.traps) {
    const throws = dice(seed, `trap/${batch}`);
    const medium = wikis.filter((wiki) => wiki.size === 'medium');
    const wiki = medium[throws.whole(0, medium.length - 1)] as SimWiki;
    trapped.add(
      keyOf({ source: 'classic', wikiDbName: wiki.wikiDbName, runDate: batch.replaceAll('-', '') }),
    );
  }
  const removedWhileFetched = new Set<string>();
  const changes: Record<SimRun['source'], { run: SimRun; times: number[] }[]> = {
    classic: [],
    content_current: [],
  };
  for (const run of runs.values()) changes[run.source].push({ run, times: changesOf(run) });
  const allTimes = (source: SimRun['source']): number[] =>
    changes[source].flatMap(({ times }) => times).sort((a, b) => a - b);
  let times = { classic: allTimes('classic'), content_current: allTimes('content_current') };
  const requests: Request[] = [];
  const mishaps = new Map<Mishap, number>();
  const torn = new Map<string, number>();
  const throws = dice(seed, 'answers');
  let indexCache = { version: -1, text: '' };
  /** By wiki: its newest run is asked for most. */
  const statusCache = new Map<string, { run: SimRun; version: number; text: string }>();

  function mishap(kind: Mishap): true {
    mishaps.set(kind, (mishaps.get(kind) ?? 0) + 1);
    return true;
  }

  /** So many changes of a source have happened by then. */
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

  function indexText(): string {
    const version = versionAt('classic', now());
    if (indexCache.version === version) return indexCache.text;
    const entries: string[] = [];
    for (const [name, list] of classic) {
      const run = list.findLast((each) => isThere(each, now()));
      if (run !== undefined) entries.push(`${JSON.stringify(name)}:${statusOf(run).text}`);
    }
    indexCache = { version, text: `{"wikis":{${entries.join(',')}}}` };
    return indexCache.text;
  }

  const isWithin = (windows: Weather['outages']): boolean =>
    windows.some(([from, until]) => from <= now() && now() < until);

  /** True for the first answers of a day that has some torn ones. */
  function isTorn(kind: 'torn index' | 'torn listing', days: Readonly<Record<string, number>>): boolean {
    const key = `${kind} ${dayOf(now())}`;
    const count = torn.get(key) ?? 0;
    if (count >= (days[dayOf(now())] ?? 0)) return false;
    torn.set(key, count + 1);
    return mishap(kind);
  }

  type Answer = { asked: Asked; status: number; text?: string; etag?: string; isTorn?: boolean };

  function answerTo(path: string): Answer {
    if (path === '/index.json') {
      const text = indexText();
      const isCut = isTorn('torn index', weather.tornIndexes);
      const etag = `"index-${indexCache.version}"`;
      return {
        asked: 'index',
        status: 200,
        text: isCut ? text.slice(0, text.length * 0.6) : text,
        etag,
        isTorn: isCut,
      };
    }
    if (path.startsWith(EXPORTS)) return answerExports(path.slice(EXPORTS.length));
    const [, name = '', date, file] = /^\/([a-z0-9_]+)\/(?:(\d{8})\/(.*))?$/.exec(path) ?? [];
    const list = classic.get(name);
    if (date === undefined) {
      const there = (list ?? []).filter((run) => isThere(run, now()));
      if (list === undefined || there.length === 0) return { asked: 'wiki listing', status: 404 };
      const entries: Listed[] = there.map((run) => ({
        name: `${run.runDate}/`,
        modifiedAt: run.beginsAt,
        sizeBytes: null,
      }));
      entries.push({ name: 'latest/', modifiedAt: now(), sizeBytes: null });
      return { asked: 'wiki listing', status: 200, text: listingDocument(path, entries) };
    }
    const run = runs.get(keyOf({ source: 'classic', wikiDbName: name, runDate: date }));
    const isSums = /sums/.test(file ?? '');
    if (run === undefined || !isThere(run, now())) return { asked: isSums ? 'sums' : 'status', status: 404 };
    if (file === 'dumpstatus.json') {
      const { text, version } = statusOf(run);
      const etag = `"${name}-${date}-${version}"`;
      const isCut = throws.hits(weather.tornStatus) && mishap('torn status');
      return {
        asked: 'status',
        status: 200,
        text: isCut ? text.slice(0, text.length / 2) : text,
        etag,
        isTorn: isCut,
      };
    }
    const [, algorithm, form] = /-(md5|sha1)sums\.(txt|json)$/.exec(file ?? '') ?? [];
    if (algorithm !== undefined)
      return {
        ...{ asked: 'sums', status: 200 },
        text: sumsDocument(run, algorithm as 'md5', form as 'txt', now()),
      };
    return { asked: isSums ? 'sums' : 'other', status: 404 };
  }

  function answerExports(path: string): Answer {
    if (path === '') {
      const entries: Listed[] = [];
      for (const [name, list] of exports) {
        if (!list.some((each) => isThere(each, now()))) continue;
        // A folder changes when one in it comes or goes.
        const moments = list.flatMap((each) =>
          each.beginsAt < each.removedAt ? [each.beginsAt, each.removedAt] : [],
        );
        const modifiedAt = Math.max(...moments.filter((moment) => moment <= now()));
        entries.push({ name: `${name}/`, modifiedAt, sizeBytes: null });
      }
      const text = listingDocument(EXPORTS, entries);
      const isCut = isTorn('torn listing', weather.tornListings);
      return {
        asked: 'exports',
        status: 200,
        text: isCut ? text.slice(0, text.length * 0.7) : text,
        isTorn: isCut,
      };
    }
    const [, name = '', date, file] =
      /^([a-z0-9_]+)\/(?:(\d{4}-\d{2}-\d{2})\/xml\/bzip2\/(.*))?$/.exec(path) ?? [];
    const there = (exports.get(name) ?? []).filter((run) => isThere(run, now()));
    if (date === undefined) {
      if (there.length === 0) return { asked: 'wiki exports', status: 404 };
      const entries = there.map((run) => ({
        name: `${run.runDate}/`,
        modifiedAt: run.beginsAt,
        sizeBytes: null,
      }));
      return { asked: 'wiki exports', status: 200, text: listingDocument(path, entries) };
    }
    const run = there.find(({ runDate }) => runDate === date);
    if (run === undefined) return { asked: 'export', status: 404 };
    if (file === '')
      return { asked: 'export', status: 200, text: listingDocument(path, exportFolder(run, now())) };
    const isDone = run.jobs[0] !== undefined && phaseOf(run.jobs[0], now()) === 'done';
    if (file === 'SHA256SUMS' && isDone)
      return { asked: 'export', status: 200, text: exportSums(run, now()) };
    return { asked: 'export', status: 404 };
  }

  function matrix(): Answer {
    const isCut = weather.cutMatrices.includes(dayOf(now())) && mishap('cut matrix');
    const listed = isCut ? wikis.filter((_, index) => index % 3 > 0) : wikis;
    return { asked: 'matrix', status: 200, text: siteMatrix(listed, now()) };
  }

  async function request({ url, headers = {} }: HttpRequest): Promise<HttpResponse> {
    const { origin, pathname } = new URL(url);
    const answer = origin === BASE_URL ? answerTo(pathname) : matrix();
    const isOverloaded = isWithin(weather.overloads) && mishap('overloaded');
    const isOut = isWithin(weather.outages) && mishap('out of reach');
    const isSame = answer.etag !== undefined && headers['if-none-match'] === answer.etag;
    const status = isOut ? 0 : isOverloaded ? 503 : isSame ? 304 : answer.status;
    requests.push({
      at: now(),
      asked: answer.asked,
      wikiDbName: /^(?:\/other\/[^/]+)?\/([^/]+)\//.exec(pathname)?.[1] ?? '',
      status,
      isTorn: answer.isTorn === true,
      job: options.asker(),
    });
    if (options.isFatal?.(answer.asked) === true) return new Promise(() => {});
    if (isOut)
      throw new UnavailableError('network', `no complete answer from ${new URL(url).host} (ECONNREFUSED)`);
    const text = status === 200 ? (answer.text ?? '') : '';
    const body = Readable.from(text === '' ? [] : [Buffer.from(text)]);
    return {
      ...{ status, url, body },
      headers: {
        ...(answer.etag === undefined ? {} : { etag: answer.etag }),
        ...(isOverloaded ? { 'retry-after': '1800' } : {}),
      },
      discard: () => void body.destroy(),
    };
  }

  function fileAt(url: string): { run: SimRun; file: SimFile } | null {
    const { pathname } = new URL(url);
    const [, name = '', date = '', filename] =
      /^(?:\/other\/mediawiki_content_current)?\/([a-z0-9_]+)\/([\d-]+)\/(?:xml\/bzip2\/)?([^/]+)$/.exec(
        pathname,
      ) ?? [];
    const source = date.includes('-') ? 'content_current' : 'classic';
    const run = runs.get(keyOf({ source, wikiDbName: name, runDate: date }));
    const file = run?.jobs.flatMap((job) => job.files).find((each) => each.name === filename);
    return run === undefined || file === undefined ? null : { run, file };
  }

  return {
    wikis,
    runs,
    http: { request },
    requests,
    mishaps,
    removedWhileFetched,
    fetch(url) {
      if (isWithin(weather.outages) && mishap('out of reach')) return { kind: 'down' };
      const found = fileAt(url);
      if (found === null || !isThere(found.run, now())) return { kind: 'missing' };
      const key = keyOf(found.run);
      if (trapped.delete(key)) {
        removedWhileFetched.add(key);
        found.run.removedAt = now() + MINUTE;
        found.run.troubles.push('removed early');
        timesOf.set(found.run, changesOf(found.run));
        times = { ...times, classic: [...times.classic, found.run.removedAt].sort((a, b) => a - b) };
      }
      const version = versionOf(found.file, now());
      return version === null
        ? { kind: 'missing' }
        : { kind: 'file', content: version.content, sizeBytes: version.sizeBytes };
    },
    unproved: (runDate, time) =>
      changes.classic.filter(
        ({ run }) =>
          run.runDate === runDate &&
          isThere(run, time) &&
          run.jobs.some((job) =>
            job.files.some((file) => versionOf(file, time) !== null && file.hashedFrom > time),
          ),
      ).length,
    isQuiet(source, runDate, from, to) {
      // With another list of wikis, which is read once a week, all of them are looked at anew.
      const isOther = (moment: number): boolean => from - 7 * DAY < moment && moment <= to;
      if (wikis.some((wiki) => isOther(wiki.listedFrom) || isOther(wiki.listedUntil))) return false;
      // The one document about all wikis changes with any of them; exports only show their own.
      if (source === 'classic') return versionAt('classic', from) === versionAt('classic', to);
      return !changes.content_current.some(
        ({ run, times: own }) => run.runDate === runDate && own.some((time) => from < time && time <= to),
      );
    },
  };
}
