import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { createSystemState, type Db } from '../../src/db/index.ts';
import { type Bus, createBus, type EventMap, type EventName } from '../../src/events/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import {
  type AnyJobHandler,
  createQueue,
  defineJob,
  handleJob,
  type JobContext,
  type Queue,
} from '../../src/queue/index.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';
import { temporaryFolder, withDb } from './with-db.ts';

/** A job of one outside target, and one of another. */
export const fetchJob = defineJob({
  type: 'fetch',
  input: z.object({ name: z.string() }),
  output: z.object({}),
  uniqueKey: (input) => input.name,
  subject: () => ({ cycleDate: '2026-11-20' }),
  target: ['web', 'disk'],
});
export const sendJob = defineJob({
  type: 'send',
  input: z.object({ name: z.string() }),
  output: z.object({}),
  uniqueKey: (input) => input.name,
  subject: () => ({ cycleDate: '2026-11-20' }),
  target: 'archive',
});

type Run = (name: string, context: JobContext) => Promise<unknown>;

/** What a test sees of a queue. */
export interface QueueBundle {
  db: Db;
  clock: FakeClock;
  bus: Bus;
  queue: Queue;
  /** Names of the jobs whose handler began, in order. */
  begun: string[];
  /** Every event of that name since the start. */
  seen<K extends EventName>(name: K): EventMap[K][];
  fetch(...names: string[]): void;
  send(...names: string[]): void;
  row(key: string): Record<string, unknown>;
  count(status: string): number;
  /** The process dies and another one starts on the same database; the old one's handlers may still return. */
  restart(seed?: number): Promise<Queue>;
}

/** A queue over a real database with two job types whose handlers the test gives; started. */
export async function queueBundle(options: {
  fetch?: Run;
  send?: Run;
  concurrency?: number;
  handlers?: readonly AnyJobHandler[];
  /** Before the start: follow-ups, barriers. */
  wire?: (queue: Queue) => void;
}): Promise<QueueBundle> {
  const db = withDb(temporaryFolder());
  const clock = new FakeClock();
  const bus = createBus({ log: silentLog });
  const begun: string[] = [];
  const events = new Map<EventName, unknown[]>();
  const names: EventName[] = [
    'job:started',
    'job:completed',
    'job:attemptFailed',
    'job:givenBack',
    'job:stuck',
    'target:halted',
    'target:resumed',
    'alert:raised',
    'alert:resolved',
  ];
  for (const name of names) {
    const list: unknown[] = [];
    events.set(name, list);
    bus.on(name, (event) => void list.push(event));
  }
  const handle = (run: Run | undefined) => async (input: { name: string }, context: JobContext) => {
    begun.push(input.name);
    await run?.(input.name, context);
    return {};
  };
  const make = (seed: number): Queue => {
    const queue = createQueue({
      db,
      clock,
      bus,
      log: silentLog,
      state: createSystemState(db),
      random: seededRandom(seed),
      concurrency: { fetch: options.concurrency ?? 1, send: options.concurrency ?? 1 },
    });
    queue.register([
      handleJob(fetchJob, { run: handle(options.fetch) }),
      handleJob(sendJob, { run: handle(options.send) }),
    ]);
    options.wire?.(queue);
    queue.start();
    onTestFinished(() => queue.stop(0));
    return queue;
  };
  const bundle: QueueBundle = {
    db,
    clock,
    bus,
    begun,
    queue: make(1),
    seen: <K extends EventName>(name: K) => (events.get(name) ?? []) as EventMap[K][],
    fetch: (...list) => void bundle.queue.enqueue(list.map((name) => fetchJob.request({ name }))),
    send: (...list) => void bundle.queue.enqueue(list.map((name) => sendJob.request({ name }))),
    row: (key) =>
      db.sqlite.prepare('SELECT * FROM jobs WHERE unique_key = ? ORDER BY id DESC').get(key) as Record<
        string,
        unknown
      >,
    count: (status) =>
      Number(db.sqlite.prepare('SELECT count(*) FROM jobs WHERE status = ?').pluck().get(status)),
    async restart(seed = 2) {
      bundle.queue = make(seed);
      await clock.advance(0);
      return bundle.queue;
    },
  };
  return bundle;
}
