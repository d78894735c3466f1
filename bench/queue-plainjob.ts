import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { better, defineQueue, defineWorker, JobStatus, type Queue } from 'plainjob';
import type { Db } from '../src/db/index.ts';
import { watchLoop } from './queue-loop-delay.ts';
import type { PlainjobReport } from './queue-plainjob-worker.ts';
import type { ThroughputRound } from './queue-throughput.ts';

/*
 * plainjob as its README and its own benchmark use it: addMany, then either one worker in the process, which takes one job
 * after another, or one worker in each of several processes. It ends with a row marked done, as ours does: finished jobs are
 * removed by neither before days have passed. Its handler is handed the stored text and need not parse it; ours has its input
 * parsed and checked. Its debug messages go nowhere, as in its own benchmark.
 */

/** Name of the only kind of job. */
export const PLAINJOB_TYPE = 'do_nothing';

/** plainjob asks for a logger; trouble is thrown or counted, never logged only. */
export const quietLogger = { error() {}, warn() {}, info() {}, debug() {} };

/** What decides how durable and how cached a database is; the peer gets our values. */
const PRAGMAS = ['synchronous', 'cache_size', 'temp_store', 'mmap_size', 'wal_autocheckpoint'];

/** Our settings as statements for `openPlainjob`. */
export function pragmasOf(db: Db): string[] {
  return PRAGMAS.map((name) => `${name} = ${db.sqlite.pragma(name, { simple: true })}`);
}

/** plainjob over the database at `path`, with the settings of ours. */
export function openPlainjob(
  path: string,
  pragmas: readonly string[],
): { queue: Queue; sqlite: Database.Database } {
  const sqlite = new Database(path);
  const queue = defineQueue({ connection: better(sqlite), logger: quietLogger });
  // After its own: it asks for WAL and synchronous NORMAL too, and leaves the rest as better-sqlite3 has it.
  for (const pragma of pragmas) sqlite.pragma(pragma);
  return { queue, sqlite };
}

/** The version installed. */
export function plainjobVersion(): string {
  const file = join(import.meta.dirname, '..', 'node_modules', 'plainjob', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** One worker in this process; the same jobs as `executorRound`, the same clock from start to the last job marked done. */
export async function plainjobRound(
  folder: string,
  facts: { jobs: number; pragmas: readonly string[] },
): Promise<ThroughputRound> {
  const { queue } = fill(folder, facts);
  const { result: seconds, loop } = await watchLoop(async () => {
    let done = 0;
    let endedMs = 0;
    const worker = defineWorker(PLAINJOB_TYPE, async () => {}, {
      queue,
      logger: quietLogger,
      onCompleted() {
        done += 1;
        if (done < facts.jobs) return;
        endedMs = performance.now();
        void worker.stop();
      },
    });
    const startedMs = performance.now();
    await worker.start();
    return (endedMs - startedMs) / 1000;
  });
  finish(queue, facts.jobs);
  return { jobsPerSecond: facts.jobs / seconds, loop };
}

/** `workers` processes with one worker each, all open and warm before the clock starts. */
export async function plainjobProcessesRound(
  folder: string,
  facts: { jobs: number; pragmas: readonly string[]; workers: number },
): Promise<ThroughputRound> {
  const { queue, path } = fill(folder, facts);
  const script = join(import.meta.dirname, 'queue-plainjob-worker.ts');
  const children = Array.from({ length: facts.workers }, () =>
    fork(script, [path, JSON.stringify(facts.pragmas)]),
  );
  const exits = children.map((child) => once(child, 'exit') as Promise<[number | null]>);
  const isOver = Promise.race(exits).then(([code]) => {
    throw new Error(`a worker of plainjob ended with ${code}`);
  });
  await Promise.race([isOver, Promise.all(children.map((child) => once(child, 'message')))]);
  const reports = new Map<number | undefined, PlainjobReport>();
  const allDone = new Promise<void>((resolve) => {
    for (const child of children)
      child.on('message', (report: PlainjobReport) => {
        reports.set(child.pid, report);
        if ([...reports.values()].reduce((sum, { done }) => sum + done, 0) >= facts.jobs) resolve();
      });
  });
  const startedMs = systemMonotonicMs();
  for (const child of children) child.send('go');
  await Promise.race([isOver, allDone]);
  const endedMs = Math.max(...[...reports.values()].map((report) => report.lastDoneMs));
  isOver.catch(() => {});
  for (const child of children) child.disconnect();
  await Promise.all(exits);
  finish(queue, facts.jobs);
  return { jobsPerSecond: facts.jobs / ((endedMs - startedMs) / 1000), loop: null };
}

/** Monotonic ms that all processes of this system share. */
export function systemMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function fill(
  folder: string,
  { jobs, pragmas }: { jobs: number; pragmas: readonly string[] },
): { queue: Queue; path: string } {
  mkdirSync(folder);
  const path = join(folder, 'plainjob.db');
  const { queue, sqlite } = openPlainjob(path, pragmas);
  queue.addMany(
    PLAINJOB_TYPE,
    Array.from({ length: jobs }, (_, n) => ({ n })),
  );
  sqlite.pragma('wal_checkpoint(TRUNCATE)');
  return { queue, path };
}

function finish(queue: Queue, jobs: number): void {
  const done = queue.countJobs({ status: JobStatus.Done });
  queue.close();
  if (done !== jobs) throw new Error(`plainjob finished ${done} of ${jobs} jobs`);
}
