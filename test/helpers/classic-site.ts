import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Wiki } from '../../src/catalog/index.ts';
import { createClassicSource } from '../../src/discovery/classic-source.ts';
import type { DumpSource, KnownRun, Look, ScanEnd, Sighting } from '../../src/discovery/source.ts';
import { createUpstream } from '../../src/discovery/upstream.ts';
import { createHttp, type Log, silentLog } from '../../src/ports/index.ts';
import { FakeClock } from './fake-clock.ts';

/** What the site answers at a path; a cut one announces all of its bytes and breaks off after so many. */
export type Page = string | { text: string; cutAfter: number };

/** A dump site of a few documents on a real socket, which sends and honours ETags, and the classic source in front of it. */
export interface ClassicSite {
  readonly baseUrl: string;
  readonly source: DumpSource;
  /** By path; change it as you like. */
  readonly pages: Map<string, Page>;
  /** `<status> <path>` of every request so far. */
  readonly requests: string[];
  readonly warnings: { message: string; fields: Record<string, unknown> }[];
  readonly listings: [string, readonly string[]][];
  look(facts?: Partial<Look>): Look;
  scan(
    wikis: readonly string[],
    known?: Readonly<Record<string, Partial<KnownRun>>>,
    facts?: Partial<Look>,
  ): Promise<{ sightings: Sighting[]; end: ScanEnd }>;
  askOne(
    wikiDbName: string,
    isInIndex: boolean | null,
    known?: Partial<KnownRun> | null,
    facts?: Partial<Look>,
  ): ReturnType<DumpSource['askOne']>;
}

export const CYCLE_DATE = '2026-11-20';
export const RUN_DATE = '20261120';

/** Starts the site; it ends with the test. */
export async function startClassicSite(pages: Readonly<Record<string, Page>> = {}): Promise<ClassicSite> {
  const served = new Map<string, Page>(Object.entries(pages));
  const requests: string[] = [];
  const server = createServer((req, res) => {
    const path = req.url ?? '';
    const page = served.get(path);
    const etag = `"${createHash('sha1')
      .update(JSON.stringify(page ?? null))
      .digest('hex')}"`;
    const status = page === undefined ? 404 : req.headers['if-none-match'] === etag ? 304 : 200;
    requests.push(`${status} ${path}`);
    res.writeHead(status, status === 404 ? {} : { etag });
    if (page === undefined || status === 304) res.end();
    else if (typeof page === 'string') res.end(page);
    else res.write(page.text.slice(0, page.cutAfter), () => res.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((closed) => server.close(() => closed()));
  });
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clock = new FakeClock();
  const upstream = createUpstream({ http: createHttp({ userAgent: 'WikiSeed/test', clock }), clock });
  const source = createClassicSource({ baseUrl: `${baseUrl}/` });
  const warnings: ClassicSite['warnings'] = [];
  const listings: ClassicSite['listings'] = [];
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => warnings.push({ message, fields: fields as Record<string, unknown> }),
  };
  const look: ClassicSite['look'] = (facts = {}) => ({
    cycle: { cycleDate: CYCLE_DATE, includesHistory: false },
    ...{ runDate: RUN_DATE, attempt: 1, nowMs: 0, sumsLeft: 200, isOpen: true, upstream, log, scanned: null },
    signal: new AbortController().signal,
    onListing: (wikiDbName, runDates) => listings.push([wikiDbName, runDates]),
    ...facts,
  });
  return {
    ...{ baseUrl, source, pages: served, requests, warnings, listings, look },
    async scan(wikis, known = {}, facts = {}) {
      const rows = wikis.map((wikiDbName) => ({ wikiDbName }) as Wiki);
      const knownRun = (name: string) => (known[name] === undefined ? null : run(known[name]));
      const sightings: Sighting[] = [];
      const scan = source.scan(look(facts), rows, knownRun);
      for (;;) {
        const next = await scan.next();
        if (next.done === true) return { sightings, end: next.value };
        sightings.push(next.value);
      }
    },
    askOne: (wikiDbName, isInIndex, known = null, facts = {}) =>
      source.askOne(look(facts), { wikiDbName, isInIndex }, known === null ? null : run(known)),
  };
}

function run(facts: Partial<KnownRun>): KnownRun {
  return { status: 'in_progress', validators: null, checkedAt: 0, hasDocument: true, ...facts };
}

/** A run's status: jobs by name, each with its state and the rests of its files' names; done ones are ready. */
export function statusOf(
  wikiDbName: string,
  jobs: Readonly<Record<string, readonly [string, ...string[]]>>,
  runDate: string = RUN_DATE,
): Record<string, unknown> {
  const files = (state: string, rests: readonly string[]) =>
    Object.fromEntries(
      rests.map((rest) => {
        const name = `${wikiDbName}-${runDate}-${rest}`;
        const ready = { size: 10, url: `/${wikiDbName}/${runDate}/${name}`, sha1: 'a'.repeat(40) };
        return [name, state === 'done' ? ready : {}];
      }),
    );
  return {
    jobs: Object.fromEntries(
      Object.entries(jobs).map(([name, [status, ...rests]]) => [
        name,
        { status, files: files(status, rests) },
      ]),
    ),
    version: '0.8',
  };
}

/** An nginx listing of these entries. */
export function listingOf(path: string, entries: readonly string[]): string {
  const rows = entries.map((name) => `<a href="${name}">${name}</a>   02-Sep-2020 01:29   -\n`).join('');
  return `<html>\n<head><title>Index of ${path}</title></head>\n<body><h1>Index of ${path}</h1><hr><pre><a href="../">../</a>\n${rows}</pre><hr></body>\n</html>\n`;
}
