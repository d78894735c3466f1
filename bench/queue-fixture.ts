import { join } from 'node:path';
import { z } from 'zod';
import { createSystemState, type Db, migrateDb, openDb } from '../src/db/index.ts';
import { type Bus, createBus } from '../src/events/index.ts';
import { createSystemClock, createSystemRandom, silentLog } from '../src/ports/index.ts';
import { createQueue, defineJob, handleJob, type Queue } from '../src/queue/index.ts';

/** The job of every queue figure: a small input, nothing to do. */
export const emptyJob = defineJob({
  type: 'do_nothing',
  input: z.object({ n: z.number() }),
  output: z.object({}),
  uniqueKey: (input) => String(input.n),
});

/** A database of its own, migrated, opened as the daemon opens it. */
export function openBenchDb(dataDir: string): Db {
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date(0) });
  return db;
}

/** The real queue with one pool, for `emptyJob`; `atStart` is the handler's whole work. */
export function openBenchQueue(
  db: Db,
  facts: { concurrency: number; atStart?: (n: number) => void },
): { queue: Queue; bus: Bus } {
  const bus = createBus({ log: silentLog });
  const queue = createQueue({
    db,
    bus,
    clock: createSystemClock(),
    state: createSystemState(db),
    random: createSystemRandom(),
    log: silentLog,
    concurrency: { [emptyJob.type]: facts.concurrency },
  });
  queue.register([
    handleJob(emptyJob, {
      run: async ({ n }) => {
        facts.atStart?.(n);
        return {};
      },
    }),
  ]);
  return { queue, bus };
}

/** Keeps the thread busy, as work that does not let go of the event loop does. */
export function block(ms: number): void {
  const endsAt = performance.now() + ms;
  while (performance.now() < endsAt);
}
