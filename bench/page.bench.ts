// How fast does the overview page answer over a large database, at 100,000 jobs and 40,000 files and at ten times that?
import { join } from 'node:path';
import { type Db, migrateDb, openDb } from '../src/db/index.ts';
import { createBus } from '../src/events/index.ts';
import { createMonitoring, createStatusQueries } from '../src/monitoring/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../src/ports/index.ts';
import { createLayout } from '../src/storage/index.ts';
import { figureOf, type MeasuredFigure, percentile } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';
import { seedDatabase } from './seed-database.ts';

/*
 * Expected: some twenty look-ups of 10 to 100 us, a page of 30 kB, HTTP over loopback: 2 to 5 ms. Two questions walk an
 * index (jobs by state, files of a cycle by state): 10 ms together for the small database, 100 ms for the large one, but
 * their answers are kept for 200 times as long as they took. So p50 should not depend on size; the slowest request does.
 */

const ROUNDS = 5;
const REQUESTS = 300;
const WARM_UP_REQUESTS = 100;
const SIZES = [
  { jobs: 100_000, files: 40_000 },
  { jobs: 1_000_000, files: 400_000 },
] as const;

/** Runs the benchmark. Nothing else works in the process meanwhile: it shows the page at rest. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const figures: MeasuredFigure[] = [];
  for (const size of SIZES) {
    const dataDir = join(folder, String(size.jobs));
    const db = openDb(join(dataDir, 'db', 'jobs.db'));
    migrateDb(db, { dataDir, now: new Date(0) });
    const startedMs = performance.now();
    seedDatabase(db, { ...size, now: Date.now() });
    note(`${size.jobs} jobs and ${size.files} files are in place after ${secondsSince(startedMs)} s`);
    await round(db, dataDir, WARM_UP_REQUESTS);
    const rounds: number[][] = [];
    for (let at = 0; at < ROUNDS; at += 1) rounds.push(await round(db, dataDir, REQUESTS));
    db.close();
    const words = `${size.jobs.toLocaleString('en-GB')} jobs, ${size.files.toLocaleString('en-GB')} files`;
    const add = (name: string, of: (times: number[]) => number): void => {
      figures.push(
        figureOf({
          name: `overview page, ${name}, ${words}`,
          unit: 'ms',
          better: 'low',
          ours: rounds.map(of),
        }),
      );
    };
    add('p50', (times) => percentile(times, 50));
    add('p99', (times) => percentile(times, 99));
    add('slowest request', (times) => Math.max(...times));
  }
  return { figures };
}

/** Milliseconds of each request, one after the other. A server of its own, so that each round begins with nothing kept. */
async function round(db: Db, dataDir: string, requests: number): Promise<number[]> {
  const clock = createSystemClock();
  const monitoring = createMonitoring({
    db,
    clock,
    bus: createBus({ log: silentLog }),
    layout: createLayout(dataDir),
    disk: createNodeDisk(),
    log: silentLog,
    queries: createStatusQueries({ db, clock }),
    storage: async () => ({ usedBytes: 1e12, freeBytes: 3e12, totalBytes: 5e12 }),
    seeding: async () => [],
    config: { host: '127.0.0.1', port: 0 },
    version: '0.0.0',
  });
  const { url } = await monitoring.start();
  try {
    const times: number[] = [];
    for (let at = 0; at < requests; at += 1) {
      const startedMs = performance.now();
      const answer = await fetch(url);
      const html = await answer.text();
      times.push(performance.now() - startedMs);
      if (answer.status !== 200 || !html.includes('</html>'))
        throw new Error(`the page answered ${answer.status}`);
    }
    return times;
  } finally {
    await monitoring.stop();
  }
}

function secondsSince(startedMs: number): string {
  return ((performance.now() - startedMs) / 1000).toFixed(1);
}
