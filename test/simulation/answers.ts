import {
  exportFolder,
  exportSums,
  isThere,
  type Listed,
  listingDocument,
  phaseOf,
  sumsDocument,
} from './documents.ts';
import { type History, keyOf } from './history.ts';
import { dayOf, dice } from './moments.ts';
import type { Mishap, Weather } from './weather.ts';
import { siteMatrix } from './wikis.ts';

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

/** What the site has to say to a request, on a day without outages. */
export interface Answer {
  asked: Asked;
  status: number;
  text?: string;
  etag?: string;
  isTorn?: boolean;
}

/** Answers from what upstream has now; some of them torn, as the weather will have it. */
export function createAnswers(deps: {
  seed: number;
  history: History;
  weather: Weather;
  now: () => number;
  mishap: (kind: Mishap) => true;
}): { answerTo(path: string): Answer; matrix(): Answer } {
  const { history, weather, now, mishap } = deps;
  const { wikis, runs, classic, exports, statusOf } = history;
  const torn = new Map<string, number>();
  const throws = dice(deps.seed, 'answers');

  /** True for the first answers of a day that has some torn ones. */
  function isTorn(kind: 'torn index' | 'torn listing', days: Readonly<Record<string, number>>): boolean {
    const key = `${kind} ${dayOf(now())}`;
    const count = torn.get(key) ?? 0;
    if (count >= (days[dayOf(now())] ?? 0)) return false;
    torn.set(key, count + 1);
    return mishap(kind);
  }

  function answerTo(path: string): Answer {
    if (path === '/index.json') {
      const { text, version } = history.index();
      const isCut = isTorn('torn index', weather.tornIndexes);
      const etag = `"index-${version}"`;
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

  return { answerTo, matrix };
}
