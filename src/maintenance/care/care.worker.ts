import { statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { Interrupted } from '../../lib/errors.ts';
import type { StepNote } from './pace.ts';
import { type CareTask, type CareTasks, runTask } from './tasks.ts';

/** What a care thread is given at its start. */
export interface CareThreadFacts {
  databasePath: string;
}

/** What it is told: do this, or end what you do. */
export type CareOrder =
  | { id: number; task: CareTask; input: CareTasks[CareTask]['input']; now: number }
  | { id: number; stop: true };

/** What it answers: any number of steps, then one result or one failure. */
export type CareAnswer =
  | { id: number; step: StepNote }
  | { id: number; result: unknown }
  | { id: number; failure: { code: string; message: string; stack: string | undefined } };

/** Steps between two looks at the log, and from how many pages on it is copied: 4,000, about 16 MB. */
const LOOK_EVERY = 20;
const COPY_FROM_PAGES = 4000;

/**
 * Holds nobody up by itself. Not more often than it must: the first write after it begins the log anew, with an fsync under the write lock.
 * Where a daemon runs, its checkpointer is usually first.
 */
function copyLargeLog(connection: Database.Database): void {
  const [counts] = connection.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }];
  if (counts.log - counts.checkpointed > COPY_FROM_PAGES) connection.pragma('wal_checkpoint(PASSIVE)');
}

/**
 * Takes care of a database from a thread of its own: fsyncs and long reads happen here, where no job waits for them. One connection
 * for the life of the thread; orders come one at a time.
 */
function work(facts: CareThreadFacts, port: NonNullable<typeof parentPort>): void {
  const connection = new Database(facts.databasePath, { fileMustExist: true, timeout: 1000 });
  connection.pragma('synchronous = NORMAL');
  // Its own checkpoints come between the steps, not inside their commits: a step is short, an fsync may not be.
  connection.pragma('wal_autocheckpoint = 0');
  let pauses = 0;
  const stopped = new Set<number>();
  const answer = (message: CareAnswer): void => port.postMessage(message);
  port.on('message', async (order: CareOrder) => {
    const { id } = order;
    if ('stop' in order) {
      stopped.add(id);
      return;
    }
    try {
      const result = await runTask(order.task, order.input, {
        connection,
        databasePath: facts.databasePath,
        now: order.now,
        fileBytes: (path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0,
        freeDiskBytes() {
          const space = statfsSync(dirname(facts.databasePath));
          return space.bavail * space.bsize;
        },
        pace: {
          monotonicMs: () => performance.now(),
          pause(ms) {
            pauses += 1;
            if (pauses % LOOK_EVERY === 0) copyLargeLog(connection);
            return new Promise((resolve) => setTimeout(resolve, ms));
          },
          throwIfStopped() {
            if (stopped.has(id)) throw new Interrupted();
          },
          onStep: (step) => answer({ id, step }),
        },
      });
      answer({ id, result });
    } catch (error) {
      const { message, stack } = error instanceof Error ? error : new Error(String(error));
      const code = (error as { code?: unknown } | null)?.code;
      answer({ id, failure: { code: typeof code === 'string' ? code : 'unknown', message, stack } });
    }
  });
}

if (parentPort !== null) work(workerData as CareThreadFacts, parentPort);
