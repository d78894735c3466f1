import { Readable } from 'node:stream';
import { UnavailableError } from '../../src/lib/index.ts';
import type { Http, HttpRequest, HttpResponse } from '../../src/ports/index.ts';
import { type Asked, createAnswers } from './answers.ts';
import { isThere, versionOf } from './documents.ts';
import { createHistory, type HistoryOptions, keyOf } from './history.ts';
import { DAY, dice, MINUTE } from './moments.ts';
import type { SimFile, SimRun } from './runs.ts';
import type { Mishap, Weather } from './weather.ts';
import type { SimWiki } from './wikis.ts';

export const BASE_URL = 'https://dumps.wikimedia.org';
export const MATRIX_URL = 'https://commons.wikimedia.org/w/api.php';

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

/** What a world is made from. `traps`: batches of which one run is removed while it is fetched. */
export interface UpstreamOptions extends HistoryOptions {
  weather: Weather;
  traps: readonly string[];
  /** Who asks. */
  asker: () => string | null;
  /** Never answers this request: the process will be killed instead. */
  isFatal?: (asked: Asked) => boolean;
}

export function createUpstream(options: UpstreamOptions): SimUpstream {
  const { seed, now, weather } = options;
  const history = createHistory(options);
  const { wikis, runs } = history;
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
  const requests: Request[] = [];
  const mishaps = new Map<Mishap, number>();
  const { answerTo, matrix } = createAnswers({ seed, history, weather, now, mishap });

  function mishap(kind: Mishap): true {
    mishaps.set(kind, (mishaps.get(kind) ?? 0) + 1);
    return true;
  }

  const isWithin = (windows: Weather['outages']): boolean =>
    windows.some(([from, until]) => from <= now() && now() < until);

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
      wikiDbName: /^\/(?:other\/[^/]+\/)?(?!other\/)([^/]+)\//.exec(pathname)?.[1] ?? '',
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
        history.remove(found.run, now() + MINUTE);
      }
      const version = versionOf(found.file, now());
      return version === null
        ? { kind: 'missing' }
        : { kind: 'file', content: version.content, sizeBytes: version.sizeBytes };
    },
    unproved: (runDate, time) =>
      history
        .changesOf('classic', runDate)
        .filter(
          ({ run }) =>
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
      if (source === 'classic')
        return history.versionAt('classic', from) === history.versionAt('classic', to);
      return !history
        .changesOf(source, runDate)
        .some(({ times }) => times.some((time) => from < time && time <= to));
    },
  };
}
