import type { Db } from '../src/db/index.ts';
import { emptyJob, openBenchDb, openBenchQueue } from './queue-fixture.ts';
import { type LoopDelay, watchLoop } from './queue-loop-delay.ts';

/** One round of work by us or by the peer. */
export interface ThroughputRound {
  jobsPerSecond: number;
  /** Of the process that works; null where the work is done by other processes. */
  loop: LoopDelay | null;
}

/**
 * `jobs` jobs through the real executor, from the start of the pools until the last is committed. Enqueueing is not counted,
 * nor the checkpoint of what it wrote.
 */
export async function executorRound(
  dataDir: string,
  facts: { jobs: number; concurrency: number; atStart?: () => void; wrap?: (db: Db) => Db },
): Promise<ThroughputRound> {
  const plainDb = openBenchDb(dataDir);
  const db = facts.wrap?.(plainDb) ?? plainDb;
  const { queue } = openBenchQueue(db, facts);
  queue.enqueue(Array.from({ length: facts.jobs }, (_, n) => emptyJob.request({ n })));
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
  const { result: seconds, loop } = await watchLoop(async () => {
    const startedMs = performance.now();
    queue.start();
    await queue.whenIdle();
    const endedMs = performance.now();
    // Before `stop` could bring anything to its end: the clock has stopped, so all must be committed.
    const done = db.sqlite
      .prepare<[], number>(`SELECT count(*) FROM jobs WHERE status = 'completed'`)
      .pluck()
      .get();
    if (done !== facts.jobs || db.sqlite.inTransaction)
      throw new Error(`${done} of ${facts.jobs} jobs were committed when the queue called itself idle`);
    return (endedMs - startedMs) / 1000;
  });
  await queue.stop();
  db.close();
  return { jobsPerSecond: facts.jobs / seconds, loop };
}
