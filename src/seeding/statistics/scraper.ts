import { describeError, errorCode, Interrupted, minutes } from '../../lib/index.ts';
import type { Clock, Datagrams, Http, Log, Random } from '../../ports/index.ts';
import { createHttpScrape, scrapeAddress } from './http-scrape.ts';
import { ASK_AGAIN_MS, REST_MAX_MS, restAfter, type TrackerBook, type TrackerNote } from './tracker-book.ts';
import type { ScrapeSession, SwarmCounts } from './types.ts';
import { createUdpScrape } from './udp-scrape.ts';

/** What asking trackers needs. */
export interface ScraperDeps {
  http: Http;
  datagrams: Datagrams;
  clock: Clock;
  random: Random;
  log: Log;
  book: TrackerBook;
}

/** What trackers say of torrents. */
export interface Scraper {
  /**
   * Asks each tracker for all torrents that name it, trackers beside one another. One that was asked within the last half hour is not asked again:
   * what it said then is told once more. Never fails because of a tracker; at most five minutes.
   * @throws Interrupted
   */
  ask(
    torrents: readonly { infoHash: string; trackers: readonly string[] }[],
    signal: AbortSignal,
  ): Promise<Scraped>;
}

/** What was learned. */
export interface Scraped {
  /** By infohash, what was said, and by whom. */
  said: ReadonlyMap<string, readonly Said[]>;
  /** Trackers that were asked too lately, by a process that is gone with what it heard. */
  unheard: ReadonlySet<string>;
}

/** What one tracker says of one torrent. */
export interface Said {
  tracker: string;
  counts: SwarmCounts;
}

/** All requests to one tracker together. */
const DEADLINE_MS = minutes(5);

interface Look {
  counts: Map<string, SwarmCounts>;
  restMs: number;
  problem: TrackerNote['problem'];
  resumeAfter: string | null;
}

/**
 * The client of bittorrent-tracker is none for this: it waits for ever when one of the torrents is missing in an answer, takes an
 * answer for the whole of what it lacks, and cannot be told to stop. Its requests are three datagrams, or one address.
 */
export function createScraper(deps: ScraperDeps): Scraper {
  const { clock, book, log } = deps;
  /** What was said last, for a look that comes too early. */
  const lately = new Map<string, ReadonlyMap<string, SwarmCounts>>();

  /** @returns false: nobody knows what it said when it was last asked, a moment ago */
  async function askOne(
    tracker: string,
    infoHashes: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const now = clock.now();
    const before = book.note(tracker);
    const restMs = (before?.restsUntil ?? 0) - now;
    // Longer than any rest can be: the clock was wrong.
    if (restMs > 0 && restMs <= REST_MAX_MS) return restMs > ASK_AGAIN_MS || lately.has(tracker);
    lately.delete(tracker);
    const session = openSession(deps, tracker);
    if (typeof session === 'string') {
      const problem = { code: 'tracker_not_asked', message: session };
      const nothing = { askedAt: null, answeredAt: null, known: 0, restsUntil: null, resumeAfter: null };
      book.write(tracker, { ...nothing, asked: infoHashes.length, problem }, now);
      return true;
    }
    // Noted first: a process that dies here must not ask at once again.
    const empty = { answeredAt: null, known: 0, problem: null, resumeAfter: null };
    const begun = { ...empty, ...before, askedAt: now, asked: infoHashes.length };
    book.write(tracker, { ...begun, restsUntil: restAfter(now, { restMs: 0, problem: null }) }, now);
    const look = await lookAt(session, inTurn(infoHashes, before?.resumeAfter ?? null), signal);
    if (signal.aborted) throw new Interrupted();
    lately.set(tracker, look.counts);
    const { counts, problem, resumeAfter } = look;
    if (problem !== null)
      log.info({ tracker, ...problem }, 'a tracker was asked for numbers and gave none, or not all');
    book.write(
      tracker,
      {
        ...{ askedAt: now, asked: infoHashes.length, known: counts.size, problem, resumeAfter },
        answeredAt: counts.size > 0 || problem === null ? now : begun.answeredAt,
        restsUntil: restAfter(now, look),
      },
      now,
    );
    return true;
  }

  /** Batch after batch until one fails: who does not answer once is not asked again in the same look. */
  async function lookAt(
    session: ScrapeSession,
    infoHashes: readonly string[],
    signal: AbortSignal,
  ): Promise<Look> {
    const look: Look = { counts: new Map(), restMs: 0, problem: null, resumeAfter: null };
    const late = new AbortController();
    const cancel = clock.after(DEADLINE_MS, () => late.abort());
    try {
      for (let from = 0; from < infoHashes.length; from += session.batchSize) {
        const batch = infoHashes.slice(from, from + session.batchSize);
        const { counts, restMs } = await session.scrape(batch, AbortSignal.any([signal, late.signal]));
        for (const [infoHash, said] of counts) look.counts.set(infoHash, said);
        look.restMs = Math.max(look.restMs, restMs);
        look.resumeAfter = batch.at(-1) ?? null;
      }
      look.resumeAfter = null;
    } catch (error) {
      look.problem = late.signal.aborted
        ? { code: 'tracker_slow', message: 'it did not answer everything within five minutes' }
        : { code: errorCode(error), message: describeError(error) };
    } finally {
      cancel();
      session.close();
    }
    return look;
  }

  return {
    async ask(torrents, signal) {
      const wanted = new Map<string, string[]>();
      for (const { infoHash, trackers } of torrents)
        for (const tracker of new Set(trackers)) {
          const list = wanted.get(tracker);
          if (list === undefined) wanted.set(tracker, [infoHash]);
          else list.push(infoHash);
        }
      const unheard = new Set<string>();
      const asked = [...wanted].map(async ([tracker, infoHashes]) => {
        if (!(await askOne(tracker, infoHashes, signal))) unheard.add(tracker);
      });
      // All of them, so that none is still at it when this call is over.
      const failed = (await Promise.allSettled(asked)).find(({ status }) => status === 'rejected');
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
      const named = new Set(wanted.keys());
      book.keepOnly(named);
      for (const tracker of lately.keys()) if (!named.has(tracker)) lately.delete(tracker);
      const said = new Map<string, Said[]>();
      for (const [tracker, infoHashes] of wanted)
        for (const infoHash of infoHashes) {
          const counts = lately.get(tracker)?.get(infoHash);
          if (counts !== undefined) said.set(infoHash, [...(said.get(infoHash) ?? []), { tracker, counts }]);
        }
      return { said, unheard };
    },
  };
}

/** From behind where the last look broke off, around to there. */
function inTurn(infoHashes: readonly string[], resumeAfter: string | null): string[] {
  const sorted = [...infoHashes].sort();
  const at = resumeAfter === null ? 0 : sorted.findIndex((hash) => hash > resumeAfter);
  return at <= 0 ? sorted : [...sorted.slice(at), ...sorted.slice(0, at)];
}

/** @returns why it cannot be asked, when it cannot */
function openSession(deps: ScraperDeps, tracker: string): ScrapeSession | string {
  if (!URL.canParse(tracker)) return 'its address cannot be read';
  const { protocol, hostname, port } = new URL(tracker);
  if (protocol === 'http:' || protocol === 'https:') {
    const address = scrapeAddress(tracker);
    return address === null
      ? 'it cannot be asked for numbers: its address does not end in "announce"'
      : createHttpScrape({ http: deps.http, address });
  }
  if (protocol === 'udp:') {
    // Without brackets, as the resolver takes it.
    const host = hostname.replaceAll(/^\[|\]$/g, '');
    return createUdpScrape({ ...deps, address: { host, port: port === '' ? 80 : Number(port) } });
  }
  return `it cannot be asked for numbers over ${protocol.replace(':', '')}`;
}
