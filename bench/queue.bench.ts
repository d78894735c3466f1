// How many jobs per second does the queue finish, and how much dearer is one when a million wait instead of ten thousand?
import { join } from 'node:path';
import { z } from 'zod';
import { createSystemState, type Db, migrateDb, openDb } from '../src/db/index.ts';
import { createBus } from '../src/events/index.ts';
import { createSystemClock, createSystemRandom, silentLog } from '../src/ports/index.ts';
import { createQueue, defineJob, handleJob } from '../src/queue/index.ts';
import { createJobStore, type JobStore } from '../src/queue/store.ts';
import { figureOf } from './figure.ts';
import type { BenchResult, BenchTools } from './registry.ts';

/*
 * Expected: a job costs two small commits without fsync (WAL, synchronous NORMAL) of about 10 us each, the claim and the
 * completion each touch four or five indexes, and p-queue, zod and the events add some 10 us: about 50 us, 20,000 jobs/s.
 * A B-tree of a million entries is one level deeper than one of ten thousand, so depth should cost 5 to 10 %.
 */

const JOBS = 20_000;
const WARM_UP_JOBS = 5_000;
/** Eight at once, so that the bound of the pool takes part but is not what is measured. */
const CONCURRENCY = 8;
const THROUGHPUT_ROUNDS = 5;

const FEW = 10_000;
const MANY = 1_000_000;
const PAIRS = 1_000;
const DEPTH_ROUNDS = 15;
/** Due in the order of their ids, as one big enqueue leaves them. */
const IN_ORDER = 'wait_in_order';
/** The ugly case: due times in no order, as after many retries, so that every claim lands on another page of the file. */
const SHUFFLED = 'wait_shuffled';
const OWNER = 'bench';
/** The due times end here, long ago, so that every job may be claimed at once. */
const LAST_DUE_AT = Date.UTC(2026, 0, 1);

const emptyJob = defineJob({
  type: 'do_nothing',
  input: z.object({ n: z.number() }),
  output: z.object({}),
  uniqueKey: (input) => String(input.n),
});

/** Runs the benchmark. */
export async function run({ folder, note }: BenchTools): Promise<BenchResult> {
  note(`${THROUGHPUT_ROUNDS} rounds of ${JOBS} jobs through the executor`);
  const perSecond: number[] = [];
  await throughput(join(folder, 'warm-up'), WARM_UP_JOBS);
  for (let round = 0; round < THROUGHPUT_ROUNDS; round += 1)
    perSecond.push(await throughput(join(folder, `round-${round}`), JOBS));

  const few = openDepth(join(folder, 'few'), FEW, note);
  const many = openDepth(join(folder, 'many'), MANY, note);
  note(`${DEPTH_ROUNDS} rounds of ${PAIRS} claims and completions each`);
  const costs = Object.fromEntries(
    [IN_ORDER, SHUFFLED].map((jobType) => {
      few.measure(jobType);
      many.measure(jobType);
      // In turns, so that a slow moment of the machine hits both.
      const rounds = Array.from({ length: DEPTH_ROUNDS }, () => [
        few.measure(jobType),
        many.measure(jobType),
      ]);
      return [jobType, { few: rounds.map((r) => r[0] ?? 0), many: rounds.map((r) => r[1] ?? 0) }];
    }),
  );
  few.db.close();
  many.db.close();

  return {
    figures: [
      figureOf({
        name: 'jobs through the executor',
        unit: 'jobs/s',
        better: 'high',
        ours: perSecond,
        target: { of: 'ours', bound: '>= 15000' },
      }),
      figureOf({
        name: 'claim + complete, 1,000,000 waiting (ours) against 10,000 (theirs)',
        unit: 'us/job',
        better: 'low',
        ours: costs[IN_ORDER]?.many ?? [],
        theirs: costs[IN_ORDER]?.few ?? [],
        target: { of: 'ratio', bound: '<= 1.2' },
      }),
      figureOf({
        name: 'the same with due times in no order',
        unit: 'us/job',
        better: 'low',
        ours: costs[SHUFFLED]?.many ?? [],
        theirs: costs[SHUFFLED]?.few ?? [],
      }),
    ],
  };
}

function freshDb(dataDir: string): Db {
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date(0) });
  return db;
}

/** Jobs per second from the start of the pools to the last commit; enqueueing is not counted. */
async function throughput(dataDir: string, jobs: number): Promise<number> {
  const db = freshDb(dataDir);
  const clock = createSystemClock();
  const queue = createQueue({
    db,
    clock,
    state: createSystemState(db),
    random: createSystemRandom(),
    log: silentLog,
    bus: createBus({ log: silentLog }),
    concurrency: { [emptyJob.type]: CONCURRENCY },
  });
  queue.register([handleJob(emptyJob, { run: async () => ({}) })]);
  queue.enqueue(Array.from({ length: jobs }, (_, n) => emptyJob.request({ n })));
  const startedMs = performance.now();
  queue.start();
  await queue.whenIdle();
  const seconds = (performance.now() - startedMs) / 1000;
  await queue.stop();
  const done = db.sqlite
    .prepare<[], number>(`SELECT count(*) FROM jobs WHERE status = 'completed'`)
    .pluck()
    .get();
  if (done !== jobs) throw new Error(`${done} of ${jobs} jobs were completed`);
  db.close();
  return jobs / seconds;
}

/** A database in which `depth` jobs of each of the two types wait. */
function openDepth(
  dataDir: string,
  depth: number,
  note: (text: string) => void,
): { db: Db; measure(jobType: string): number } {
  const db = freshDb(dataDir);
  const store = createJobStore(db);
  const startedMs = performance.now();
  const insert = db.sqlite.prepare(
    `WITH RECURSIVE numbers(n) AS (SELECT @first UNION ALL SELECT n + 1 FROM numbers WHERE n < @last)
     INSERT INTO jobs (job_type, params, unique_key, max_attempts, next_retry_at, created_at)
     SELECT @jobType, '{"n":' || n || '}', @jobType || ':' || n, 5, CASE @jobType WHEN '${SHUFFLED}'
       THEN ${LAST_DUE_AT} - n * 7919 % 1000003 ELSE ${LAST_DUE_AT} END, ${LAST_DUE_AT} FROM numbers`,
  );
  const added = new Map([IN_ORDER, SHUFFLED].map((jobType) => [jobType, 0]));
  const add = (jobType: string, count: number): void => {
    const before = added.get(jobType) ?? 0;
    db.transaction(() => insert.run({ jobType, first: before + 1, last: before + count }));
    added.set(jobType, before + count);
  };
  for (const jobType of added.keys()) add(jobType, depth);
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
  note(`put 2 x ${depth} waiting jobs in place in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  return {
    db,
    measure(jobType) {
      const cost = claimAndComplete(db, store, jobType);
      // What was taken is put back behind the others, so that every round meets the same depth.
      add(jobType, PAIRS);
      return cost;
    },
  };
}

/** Microseconds for one job; the same statements and transactions as the executor's, without its work around them. */
function claimAndComplete(db: Db, store: JobStore, jobType: string): number {
  const now = Date.now();
  const startedMs = performance.now();
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const [job] = store.claim({ jobType, limit: 1, owner: OWNER, now, leaseMs: 120_000 });
    if (job === undefined) throw new Error(`nothing of ${jobType} is left to claim`);
    if (!db.transaction(() => store.complete(job, { owner: OWNER, now, result: '{}' })))
      throw new Error(`job ${job.id} could not be completed`);
  }
  return ((performance.now() - startedMs) * 1000) / PAIRS;
}
