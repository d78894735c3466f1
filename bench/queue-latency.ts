import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../src/db/index.ts';
import { createJobStore } from '../src/queue/store.ts';
import { emptyJob, openBenchDb, openBenchQueue } from './queue-fixture.ts';
import { type LoopDelay, watchLoop } from './queue-loop-delay.ts';

/** Jobs of days past and jobs for tomorrow: a queue is never idle over an empty table. */
export interface Backdrop {
  finished: number;
  notDue: number;
}

/** Jobs come at random times: exponential gaps of this mean, beside at least 1 ms of rest. */
const GAP_MEAN_MS = 10;
const OWNER = 'bench';
const DAY_MS = 86_400_000;
const BATCH = 1000;

/**
 * Enqueues one job at a time into an idle queue, at random times, and notes how long it takes from the call of `enqueue`
 * until the handler's first line runs; the commit of the new row is part of it. The next one comes only after the last
 * is committed.
 */
export async function measureLatency(
  dataDir: string,
  facts: { samples: number; backdrop: Backdrop; wrap?: (db: Db) => Db },
): Promise<{ latenciesMs: number[]; loop: LoopDelay }> {
  const plainDb = openBenchDb(dataDir);
  hangBackdrop(plainDb, facts.backdrop);
  const db = facts.wrap?.(plainDb) ?? plainDb;
  let startedMs = 0;
  const { queue, bus } = openBenchQueue(db, {
    concurrency: 8,
    atStart() {
      startedMs = performance.now();
    },
  });
  let settle = (): void => {};
  bus.on('job:completed', () => settle());
  queue.start();
  const { result: latenciesMs, loop } = await watchLoop(async () => {
    const found: number[] = [];
    for (let n = 0; n < facts.samples; n += 1) {
      await sleep(1 - Math.log(1 - Math.random()) * GAP_MEAN_MS);
      const isCompleted = new Promise<void>((resolve) => {
        settle = resolve;
      });
      const enqueuedMs = performance.now();
      queue.enqueue([emptyJob.request({ n })]);
      await isCompleted;
      found.push(startedMs - enqueuedMs);
    }
    return found;
  });
  await queue.stop();
  db.close();
  return { latenciesMs, loop };
}

function hangBackdrop(db: Db, { finished, notDue }: Backdrop): void {
  const store = createJobStore(db);
  const now = Date.now() - DAY_MS;
  for (let done = 0; done < finished; done += BATCH)
    db.transaction(() => {
      for (let n = done; n < Math.min(done + BATCH, finished); n += 1)
        store.insert(emptyJob.request({ n }), { now, parentJobId: null });
      const leased = store.claim({
        jobType: emptyJob.type,
        limit: BATCH,
        owner: OWNER,
        now,
        leaseMs: DAY_MS,
      });
      for (const job of leased) store.complete(job, { owner: OWNER, now, result: '{}' });
    });
  db.transaction(() => {
    for (let n = 0; n < notDue; n += 1)
      store.insert(emptyJob.request({ n: -1 - n }, { delayMs: 2 * DAY_MS }), { now, parentJobId: null });
  });
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
}
