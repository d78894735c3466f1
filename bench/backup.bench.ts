// Does an online backup of a 100 MB database delay jobs, and how long does it take, while 1,000 jobs run in a second?
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createSystemState, type Db, migrateDb, openDb } from '../src/db/index.ts';
import { createBus } from '../src/events/index.ts';
import {
  backupsFolder,
  type CreatedBackup,
  createBackup,
  createCareThread,
  createCheckpointer,
} from '../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, createSystemRandom, silentLog } from '../src/ports/index.ts';
import { createQueue, defineJob, handleJob, type Queue } from '../src/queue/index.ts';
import { figureOf, percentile } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: the copy is bound by the disk's cache, 100 MB at 500 MB/s = 0.2 s. integrity_check reads every page and compares
 * every index entry, 0.4 s. gzip at level 1 does 110 MB/s on one core, 0.9 s, with 0.3 s for unpacking it again beside it. On
 * two cores, the jobs taking a tenth of one: 0.2 + (0.4 + 0.9 + 0.3) / 1.9 = 1.1 to 1.5 s. The jobs share nothing with it but
 * the processor and the disk; a commit waits for neither, a checkpoint waits for an fsync.
 */

const DATABASE_BYTES = 100e6;
const ROUNDS = 7;
const BASELINE_MS = 2_000;
/** 1,000 jobs a second, ten every ten milliseconds. */
const JOBS_PER_TICK = 10;
const TICK_MS = 10;
const CONCURRENCY = 8;
const LONG_AGO = Date.UTC(2026, 0, 1);

const emptyJob = defineJob({
  type: 'do_nothing',
  input: z.object({ n: z.number() }),
  output: z.object({}),
  uniqueKey: (input) => String(input.n),
});

/** What the jobs felt during one stretch of time. */
interface Load {
  jobs: number;
  /** From the moment a job should have been asked for to its committed result, of the slowest job. */
  longestDelayMs: number;
  /** From a job's start to its committed result, of the slowest. */
  longestRunMs: number;
  loopP99Ms: number;
  perSecond: number;
}

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  const db = fill(folder);
  note(`a database of ${(statSync(db.path).size / 1e6).toFixed(1)} MB, ${ROUNDS} rounds`);
  const clock = createSystemClock();
  const bus = createBus({ log: silentLog });
  const state = createSystemState(db);
  const queue = createQueue({
    db,
    clock,
    state,
    random: createSystemRandom(),
    log: silentLog,
    bus,
    concurrency: { [emptyJob.type]: CONCURRENCY },
  });
  const deps = { disk: createNodeDisk(), clock, dataDir: folder, version: 'bench', configPath: null };
  const backup = (): Promise<CreatedBackup> =>
    createBackup(deps, { reason: 'manual', signal: new AbortController().signal });
  const clear = (): void => rmSync(backupsFolder(folder), { recursive: true });
  const load = createLoad(queue, bus);
  // As in the daemon: without it the log grows until a commit has to wait for a checkpoint.
  const checkpointer = createCheckpointer({
    databasePath: db.path,
    thread: createCareThread({ databasePath: db.path, clock }),
    disk: deps.disk,
    clock,
    bus,
    log: silentLog,
    config: { walWarnSizeBytes: 50e6, walMaxSizeBytes: 100e6 },
  });
  queue.start();
  checkpointer.start();

  await load.during(backup);
  clear();
  const alone: CreatedBackup[] = [];
  const under: { made: CreatedBackup; seconds: number; felt: Load }[] = [];
  const without: Load[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    // In turns, so that a slow moment of the machine hits all.
    without.push((await load.during(() => sleep(BASELINE_MS))).felt);
    const { value: made, felt, seconds } = await load.during(backup);
    under.push({ made, seconds, felt });
    clear();
    alone.push(await backup());
    clear();
    note(
      `round ${round + 1}: ${seconds.toFixed(2)} s, ${felt.jobs} jobs, slowest ${felt.longestDelayMs.toFixed(0)} ms`,
    );
  }
  await queue.stop();
  await checkpointer.stop();
  db.close();

  const times = { unit: 's', better: 'low' } as const;
  const part = (word: 'copy' | 'check' | 'pack') => under.map(({ made }) => made.tookMs[word] / 1000);
  const partAlone = (word: 'copy' | 'check' | 'pack' | 'all') =>
    alone.map((made) => made.tookMs[word] / 1000);
  const felt = { unit: 'ms', better: 'low' } as const;
  return {
    figures: [
      figureOf({
        name: 'online backup of a 100 MB database under 1,000 jobs/s',
        ...times,
        ours: under.map(({ seconds }) => seconds),
        target: { of: 'ours', bound: '< 2' },
      }),
      figureOf({
        name: 'longest delay of a job',
        ...felt,
        ours: under.map((each) => each.felt.longestDelayMs),
        target: { of: 'worst', bound: '<= 50' },
      }),
      figureOf({
        name: 'event loop delay p99',
        ...felt,
        ours: under.map((each) => each.felt.loopP99Ms),
        target: { of: 'ours', bound: '< 20' },
      }),
      figureOf({
        name: 'longest time from a job’s start to its commit',
        ...felt,
        ours: under.map((each) => each.felt.longestRunMs),
      }),
      figureOf({
        name: 'jobs per second during it',
        unit: 'jobs/s',
        better: 'high',
        ours: under.map((each) => each.felt.perSecond),
      }),
      figureOf({
        name: 'copy, under load (ours) and alone (theirs)',
        ...times,
        ours: part('copy'),
        theirs: partAlone('copy'),
      }),
      figureOf({
        name: 'check of the copy, the same',
        ...times,
        ours: part('check'),
        theirs: partAlone('check'),
      }),
      figureOf({
        name: 'gzip and back, beside the check, the same',
        ...times,
        ours: part('pack'),
        theirs: partAlone('pack'),
      }),
      figureOf({ name: 'whole backup without any jobs', ...times, ours: partAlone('all') }),
      figureOf({
        name: 'longest delay of a job without a backup',
        ...felt,
        ours: without.map((each) => each.longestDelayMs),
      }),
      figureOf({
        name: 'event loop delay p99 without a backup',
        ...felt,
        ours: without.map((each) => each.loopP99Ms),
      }),
    ],
  };
}

/** A database of 100 MB, mostly finished jobs with hashes in their results, as a year of work leaves them. */
function fill(dataDir: string): Db {
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date(0) });
  const insert = db.sqlite.prepare(
    `WITH RECURSIVE numbers(n) AS (SELECT @first UNION ALL SELECT n + 1 FROM numbers WHERE n < @last)
     INSERT INTO jobs (job_type, status, params, result, unique_key, dump_id, max_attempts, next_retry_at, created_at, started_at, completed_at)
     SELECT 'download_dump', 'completed', '{"dumpFileId":' || n || '}',
       '{"sizeBytes":' || abs(random() % 100000000000) || ',"sha256":"' || lower(hex(randomblob(32))) || '"}',
       'download_dump:' || n, n, 5, ${LONG_AGO} + n, ${LONG_AGO} + n, ${LONG_AGO} + n * 37, ${LONG_AGO} + n * 91 FROM numbers`,
  );
  const step = 20_000;
  const size = db.sqlite
    .prepare<[], number>('SELECT page_count * page_size FROM pragma_page_count, pragma_page_size')
    .pluck();
  for (let first = 1; (size.get() as number) < DATABASE_BYTES; first += step)
    db.transaction(() => insert.run({ first, last: first + step - 1 }));
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
  return db;
}

/** Paces empty jobs through the real executor while something else happens. */
function createLoad(queue: Queue, bus: ReturnType<typeof createBus>) {
  /** By the number in the job's input: when it was due, when it began, both monotonic. */
  const due = new Map<number, number>();
  const began = new Map<number, number>();
  const numberOf = new Map<number, number>();
  let delays: number[] = [];
  let runs: number[] = [];
  let next = 0;
  queue.register([
    handleJob(emptyJob, {
      run: async ({ n }, { jobId }) => {
        numberOf.set(jobId, n);
        began.set(n, performance.now());
        return {};
      },
    }),
  ]);
  bus.on('job:completed', ({ jobId }) => {
    const n = numberOf.get(jobId);
    if (n === undefined) return;
    const now = performance.now();
    delays.push(now - (due.get(n) ?? now));
    runs.push(now - (began.get(n) ?? now));
    numberOf.delete(jobId);
    due.delete(n);
    began.delete(n);
  });
  return {
    async during<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number; felt: Load }> {
      delays = [];
      runs = [];
      const loop = monitorEventLoopDelay({ resolution: 1 });
      const startedMs = performance.now();
      let ticks = 0;
      // Counted from the time a tick was due, not from when the loop got round to it: a blocked loop is a delay of the jobs.
      const timer = setInterval(() => {
        for (let dueMs = startedMs + ticks * TICK_MS; dueMs <= performance.now(); dueMs += TICK_MS) {
          ticks += 1;
          const requests = Array.from({ length: JOBS_PER_TICK }, () => {
            next += 1;
            due.set(next, dueMs);
            return emptyJob.request({ n: next });
          });
          queue.enqueue(requests);
        }
      }, 1);
      await sleep(100);
      loop.enable();
      const beganMs = performance.now();
      const value = await work();
      const seconds = (performance.now() - beganMs) / 1000;
      loop.disable();
      clearInterval(timer);
      const elapsed = (performance.now() - startedMs) / 1000;
      await queue.whenIdle();
      if (due.size > 0) throw new Error(`${due.size} jobs were not completed`);
      return {
        value,
        seconds,
        felt: {
          jobs: delays.length,
          longestDelayMs: percentile(delays, 100),
          longestRunMs: percentile(runs, 100),
          loopP99Ms: loop.percentile(99) / 1e6,
          perSecond: delays.length / elapsed,
        },
      };
    },
  };
}
