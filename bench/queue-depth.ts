import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Db } from '../src/db/index.ts';
import { createJobStore, type JobStore } from '../src/queue/store.ts';
import { emptyJob, openBenchDb } from './queue-fixture.ts';

/** Which crowd the claimed jobs stand in. */
export const CROWDS = {
  /** Due in the order of their ids, as one big enqueue leaves them. */
  inOrder: 'wait_in_order',
  /** Due times in no order, as after many retries, so that every claim lands on another page of the file. */
  shuffled: 'wait_shuffled',
  /** All of them of better priority than the jobs that are claimed, but not due before tomorrow. */
  notDue: 'wait_not_due',
} as const;

/** One of `CROWDS`. */
export type Crowd = keyof typeof CROWDS;

/** Databases in which many jobs wait. */
export interface Depth {
  /** Claims and completes up to `PAIRS` jobs and puts as many back; microseconds for one. */
  measure(crowd: Crowd): number;
  close(): void;
}

const PAIRS = 1000;
/** A claim that looks at a million rows takes a second: a round ends early rather than after a quarter of an hour. */
const ROUND_MS = 1500;
/** Jobs that can be claimed behind a crowd of those that cannot: more than all rounds take. */
const DUE_BEHIND = 10_000;
const BATCH = 10_000;
const DAY_MS = 86_400_000;
const GOOD_PRIORITY = 10;
const OWNER = 'bench';
/** The due times end here, long ago, so that every job may be claimed at once. */
const LAST_DUE_AT = Date.UTC(2026, 0, 1);

/** A database in which `waiting` jobs wait in each crowd; takes about 20 us a row. */
export async function openDepth(
  dataDir: string,
  waiting: number,
  wrap: (db: Db) => Db = (db) => db,
): Promise<Depth> {
  const plainDb = openBenchDb(dataDir);
  const plainStore = createJobStore(plainDb);
  let serial = 0;

  function addBatch(crowd: Crowd, amount: number, kind: 'due' | 'not due' = 'due'): void {
    plainDb.transaction(() => {
      for (let n = 0; n < amount; n += 1) {
        serial += 1;
        // 7919 and 1,000,003 are primes: every ms of the last 1000 s comes up once before any comes twice.
        const now = crowd === 'shuffled' ? LAST_DUE_AT - ((serial * 7919) % 1_000_003) : LAST_DUE_AT;
        const wish = emptyJob.request(
          { n: serial },
          kind === 'due' ? {} : { priority: GOOD_PRIORITY, delayMs: Date.now() + DAY_MS - now },
        );
        const request = { ...wish, type: CROWDS[crowd], uniqueKey: `${CROWDS[crowd]}:${serial}` };
        if (!plainStore.insert(request, { now, parentJobId: null }))
          throw new Error(`job ${request.uniqueKey} is there already`);
      }
    });
  }

  async function add(crowd: Crowd, amount: number, kind?: 'not due'): Promise<void> {
    for (let done = 0; done < amount; done += BATCH) {
      addBatch(crowd, Math.min(BATCH, amount - done), kind);
      // Or Ctrl-C would go unheard for a minute.
      await nextTurn();
    }
  }

  await add('inOrder', waiting);
  await add('shuffled', waiting);
  await add('notDue', waiting, 'not due');
  await add('notDue', DUE_BEHIND);
  plainDb.sqlite.pragma('wal_checkpoint(TRUNCATE)');

  const db = wrap(plainDb);
  const store = createJobStore(db);
  return {
    measure(crowd) {
      const { us, pairs } = claimAndComplete(db, store, CROWDS[crowd]);
      // What was taken is put back behind the others, so that every round meets the same depth.
      addBatch(crowd, pairs);
      return us;
    },
    close: () => db.close(),
  };
}

/** The same statements and transactions as the executor's for one job at a time, without its work around them. */
function claimAndComplete(db: Db, store: JobStore, jobType: string): { us: number; pairs: number } {
  const now = Date.now();
  const startedMs = performance.now();
  let pairs = 0;
  while (pairs < PAIRS && performance.now() - startedMs < ROUND_MS) {
    const [job] = store.claim({ jobType, limit: 1, owner: OWNER, now, leaseMs: 120_000 });
    if (job === undefined) throw new Error(`nothing of ${jobType} is left to claim`);
    if (!db.transaction(() => store.complete(job, { owner: OWNER, now, result: '{}' })))
      throw new Error(`job ${job.id} could not be completed`);
    pairs += 1;
  }
  return { us: ((performance.now() - startedMs) * 1000) / pairs, pairs };
}
