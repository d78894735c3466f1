// One round of the discovery benchmark, in a process of its own because peak memory is a fact of a process.
import { createReadStream, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDumpStatus } from '../src/discovery/dump-status.ts';
import { decideFiles } from '../src/discovery/select-files.ts';
import type { Selection } from '../src/discovery/source.ts';
import type { Http } from '../src/ports/index.ts';
import { wikiName } from './status-documents.ts';

/** What one round found. */
export interface DiscoveryRound {
  seconds: number;
  /** Peak memory when the modules were loaded and nothing was done yet. */
  loadedBytes: number;
  peakBytes: number;
  /** Longest time between two turns of the event loop; at rest about 1 ms, the resolution. */
  longestBlockMs: number;
  files: number;
}

const CYCLE_DATE = '2026-11-20';
const RUN_DATE = '20261120';
const BASE_URL = 'https://dumps.wikimedia.org';
const WARM_UP_WIKIS = 50;

/** As configured by default, with the history. */
const SELECTION: Selection = {
  regularTypes: [
    'pages-articles',
    'pages-meta-current',
    'all-titles',
    'stub-articles',
    'stub-meta-history',
    'categorylinks',
    'pagelinks',
    'imagelinks',
    'linktarget',
    'page',
    'redirect',
    'site_stats',
  ],
  historyTypes: ['pages-meta-history', 'stub-meta-history', 'all-titles'],
  includesHistory: true,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
};

const [, , way, folder, count] = process.argv;
if ((way !== 'singly' && way !== 'index') || folder === undefined || count === undefined)
  throw new Error('usage: discovery-round.ts singly|index <folder> <wikis>');
const wikis = Number(count);

async function judgeSingly(path: string, upTo: number): Promise<number> {
  let files = 0;
  for (let index = 0; index < upTo; index += 1) {
    const wikiDbName = wikiName(index);
    // The await stands for the request: every document comes from outside the process.
    const text = await readFile(join(path, `${wikiDbName}.json`), 'utf8');
    const status = parseDumpStatus(text, wikiDbName);
    const { files: decided } = decideFiles(status, { wikiDbName, runDate: RUN_DATE }, SELECTION, BASE_URL);
    files += decided.filter((file) => file.action === 'take').length;
  }
  return files;
}

/** Prepares the real handler of `find_dumps` over a wire that serves the folder's `index.json`. */
async function prepareScan(path: string): Promise<() => Promise<number>> {
  // Loaded only here: these rooms bring most of the libraries of the house, which would hide what the documents cost alone.
  const { createCatalog } = await import('../src/catalog/index.ts');
  const { migrateDb, openDb } = await import('../src/db/index.ts');
  const { createDiscovery, findDumps } = await import('../src/discovery/index.ts');
  const { JobId } = await import('../src/lib/index.ts');
  const { createSystemClock, silentLog } = await import('../src/ports/index.ts');
  const clock = createSystemClock();
  const dataDir = join(path, `round-${process.pid}`);
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date(0) });
  const catalog = createCatalog({ db, clock });
  catalog.openCycle({ cycleDate: CYCLE_DATE, includesHistory: true, deadlineAt: clock.now() + 1e9 });
  catalog.recordWikis(
    Array.from({ length: wikis }, (_, index) => ({
      wikiDbName: wikiName(index),
      project: 'wikipedia',
      language: 'en',
      url: `https://${index}.example.org`,
      name: '',
      isClosed: false,
      isPrivate: false,
      isFishbowl: false,
    })),
  );
  const http: Http = {
    request: async ({ url }) => {
      const body = createReadStream(join(path, 'index.json'));
      return { status: 200, headers: {}, url, body, discard: () => body.destroy() };
    },
  };
  const { includesHistory: _history, ...selection } = SELECTION;
  const room = createDiscovery({
    catalog,
    http,
    clock,
    log: silentLog,
    config: {
      ...selection,
      dumpsBaseUrl: BASE_URL,
      sitematrixUrl: 'https://example.org/w/api.php',
      wikis: { include: ['*'], exclude: [] },
    },
  });
  const handler = room.handlers.find((each) => each.jobType.type === findDumps.type);
  return async () => {
    const output = await handler?.run(
      { cycleDate: CYCLE_DATE, wikiDbName: null },
      {
        jobId: JobId.parse(1),
        attempt: 1,
        signal: new AbortController().signal,
        clock,
        log: silentLog,
        cursor: null,
        progress: () => {},
      },
    );
    const runs: { files: unknown[] }[] = findDumps.output.parse(output).runs;
    return runs.reduce((sum, found) => sum + found.files.length, 0);
  };
}

/**
 * Highest resident memory of this program. Not `maxRSS`, except where there is no /proc: on Linux that one begins with what
 * the parent held when it started us.
 */
function peakBytes(): number {
  const found =
    process.platform === 'linux'
      ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
      : null;
  return (found === null ? process.resourceUsage().maxRSS : Number(found[1])) * 1024;
}

const work = way === 'singly' ? () => judgeSingly(folder, wikis) : await prepareScan(folder);
const loadedBytes = peakBytes();
await judgeSingly(folder, Math.min(WARM_UP_WIKIS, wikis));

const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
// A few turns before and after, or a block at either end would not be seen.
await sleep(20);
loop.reset();
const startedMs = performance.now();
const files = await work();
const seconds = (performance.now() - startedMs) / 1000;
await sleep(20);
loop.disable();

const round: DiscoveryRound = {
  seconds,
  loadedBytes,
  peakBytes: peakBytes(),
  longestBlockMs: loop.max / 1e6,
  files,
};
process.stdout.write(`${JSON.stringify(round)}\n`);
