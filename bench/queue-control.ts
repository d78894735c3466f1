import { join } from 'node:path';
import type { Db } from '../src/db/index.ts';
import { median } from './figure.ts';
import { openDepth } from './queue-depth.ts';
import { block } from './queue-fixture.ts';
import { measureLatency } from './queue-latency.ts';
import { executorRound } from './queue-throughput.ts';

const HANDLER_MS = 5;
const COMMIT_MS = 20;
const JOBS = 64;
const CONCURRENCY = 8;
const SAMPLES = 5;

/**
 * The opposite case, before anything is believed: a handler and a commit made slow on purpose must show in every figure.
 * @throws Error which of them does not
 */
export async function checkThatSlownessShows(folder: string): Promise<void> {
  const handler = await executorRound(join(folder, 'slow-handler'), {
    jobs: JOBS,
    concurrency: CONCURRENCY,
    atStart: () => block(HANDLER_MS),
  });
  demand('throughput, handler', handler.jobsPerSecond <= 1000 / HANDLER_MS);
  demand('loop delay, handler', (handler.loop?.maxMs ?? 0) >= HANDLER_MS);

  let commits = 0;
  const slowly = (db: Db): Db => ({
    ...db,
    transaction(work) {
      if (db.sqlite.inTransaction) return work();
      commits += 1;
      block(COMMIT_MS);
      return db.transaction(work);
    },
  });
  const executor = await executorRound(join(folder, 'slow-commit'), {
    jobs: JOBS,
    concurrency: CONCURRENCY,
    wrap: slowly,
  });
  // The enqueueing and the taking back of old leases are two; whatever commits results makes more.
  demand('commits of the executor', commits > 2);
  // Half of them, because what is committed before the start and after the end is not timed.
  demand('throughput, commit', JOBS / executor.jobsPerSecond >= ((commits / 2) * COMMIT_MS) / 1000);
  demand('loop delay, commit', (executor.loop?.maxMs ?? 0) >= COMMIT_MS);

  const { latenciesMs } = await measureLatency(join(folder, 'slow-latency'), {
    samples: SAMPLES,
    backdrop: { finished: 0, notDue: 0 },
    wrap: slowly,
  });
  demand('latency', median(latenciesMs) >= COMMIT_MS);

  const depth = await openDepth(join(folder, 'slow-depth'), 100, slowly);
  demand('claim and completion', depth.measure('inOrder') >= COMMIT_MS * 1000);
  depth.close();
}

function demand(figure: string, shows: boolean): void {
  if (!shows)
    throw new Error(`${figure}: slowness made on purpose does not show, so the figures say nothing`);
}
