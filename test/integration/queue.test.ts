import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createSystemState } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  HaltPipelineError,
  Interrupted,
  PermanentError,
  RetryableError,
  Snooze,
} from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { createQueue, defineJob, handleJob, type JobContext, type Queue } from '../../src/queue/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { fetchJob, queueBundle } from '../helpers/queue-bundle.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const MINUTE_MS = 60_000;

const fetchPage = defineJob({
  type: 'fetch_page',
  input: z.object({ page: z.string() }),
  output: z.object({ bytes: z.number() }),
  uniqueKey: (input) => input.page,
  target: 'web',
});
const filePage = defineJob({
  type: 'file_page',
  input: z.object({ page: z.string() }),
  output: z.object({}),
  uniqueKey: (input) => input.page,
});

type Run = (input: { page: string }, context: JobContext) => Promise<{ bytes: number }>;

/** A queue with one real job type whose behaviour the test gives, and a second one that follows it. */
function setup(run: Run, options: { concurrency?: number; record?: () => void } = {}) {
  const db = withDb(temporaryFolder());
  const clock = new FakeClock();
  const bus = createBus({ log: silentLog });
  const deps = { db, clock, bus, log: silentLog, state: createSystemState(db) };
  const make = (seed: number): Queue =>
    createQueue({
      ...deps,
      random: seededRandom(seed),
      concurrency: { fetch_page: options.concurrency ?? 1 },
    });
  const filed: string[] = [];
  const start = (queue: Queue): Queue => {
    queue.register([
      handleJob(fetchPage, { run, ...(options.record === undefined ? {} : { record: options.record }) }),
      handleJob(filePage, {
        run: async (input) => {
          filed.push(input.page);
          return {};
        },
      }),
    ]);
    queue.follow(fetchPage, ({ page }) => [filePage.request({ page })]);
    queue.start();
    onTestFinished(() => queue.stop(0));
    return queue;
  };
  const row = (page: string) =>
    db.sqlite
      .prepare('SELECT * FROM jobs WHERE unique_key = ? ORDER BY id DESC')
      .get(`fetch_page:${page}`) as Record<string, unknown>;
  return { db, clock, bus, make, start, filed, row };
}

test('a completed job commits its result and its follow-up together, and both run', async () => {
  const t = setup(async () => ({ bytes: 7 }));
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await queue.whenIdle();
  expect(t.row('a')).toMatchObject({
    status: 'completed',
    attempt: 1,
    result: '{"bytes":7}',
    lease_owner: null,
  });
  expect(t.filed).toEqual(['a']);
});

test('a record that throws rolls back completion and follow-up', async () => {
  let calls = 0;
  const t = setup(async () => ({ bytes: 1 }), {
    record: () => {
      calls += 1;
      if (calls === 1) throw new Error('disk trouble');
    },
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(0);
  expect(t.row('a')).toMatchObject({
    status: 'pending',
    attempt: 1,
    last_error: 'disk trouble',
    result: null,
  });
  expect(t.filed).toEqual([]);
  await t.clock.advance(6 * MINUTE_MS);
  expect(t.row('a').status).toBe('completed');
  expect(t.filed).toEqual(['a']);
});

test('enqueueing an unfinished key again is a no-op, a finished one may come back', async () => {
  const t = setup(async () => ({ bytes: 1 }));
  const queue = t.make(1);
  expect(queue.enqueue([fetchPage.request({ page: 'a' }), fetchPage.request({ page: 'a' })])).toBe(1);
  t.start(queue);
  await queue.whenIdle();
  expect(queue.enqueue([fetchPage.request({ page: 'a' })])).toBe(1);
});

test('retries wait 5 min, 15 min, 1 h and 4 h, then the job fails with every attempt on record', async () => {
  const startedAt: number[] = [];
  const t = setup(async () => {
    startedAt.push(t.clock.now());
    throw new RetryableError('busy', 'try later');
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  const begin = t.clock.now();
  for (let minute = 0; minute < 7 * 60; minute += 1) await t.clock.advance(MINUTE_MS);
  const gaps = startedAt.map((at, i) => (at - (startedAt[i - 1] ?? begin)) / MINUTE_MS);
  expect(gaps).toHaveLength(5);
  for (const [index, minutes] of [0, 5, 15, 60, 240].entries()) {
    expect(gaps[index]).toBeGreaterThanOrEqual(minutes);
    expect(gaps[index]).toBeLessThanOrEqual(minutes * 1.1 + 1);
  }
  expect(t.row('a')).toMatchObject({ status: 'failed', attempt: 5, last_error: 'try later' });
  expect(t.db.sqlite.prepare('SELECT attempt, error_code FROM job_attempts ORDER BY id').all()).toEqual(
    [1, 2, 3, 4, 5].map((attempt) => ({ attempt, error_code: 'busy' })),
  );
});

test('Retry-After wins over a shorter backoff', async () => {
  let runs = 0;
  const t = setup(async () => {
    runs += 1;
    if (runs === 1) throw new RetryableError('busy', 'later', { retryAfterMs: 40 * MINUTE_MS });
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(39 * MINUTE_MS);
  expect(runs).toBe(1);
  await t.clock.advance(2 * MINUTE_MS);
  expect(runs).toBe(2);
});

test('a permanent error fails at once and follows nothing', async () => {
  const t = setup(async () => {
    throw new PermanentError('gone', 'no such page');
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await queue.whenIdle();
  expect(t.row('a')).toMatchObject({ status: 'failed', attempt: 1 });
  expect(t.filed).toEqual([]);
});

test('a snoozed job keeps its cursor and its attempts', async () => {
  const cursors: unknown[] = [];
  const t = setup(async (_input, { cursor, attempt }) => {
    cursors.push(cursor);
    expect(attempt).toBe(1);
    if (cursors.length < 8) throw new Snooze('not yet', MINUTE_MS, { seen: cursors.length });
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  for (let i = 0; i < 9; i += 1) await t.clock.advance(MINUTE_MS);
  expect(cursors.slice(0, 3)).toEqual([null, { seen: 1 }, { seen: 2 }]);
  expect(t.row('a').status).toBe('completed');
});

test('a halt stops every job of its target, costs no attempt, and lets one try again when its time is over', async () => {
  let runs = 0;
  const t = setup(async () => {
    runs += 1;
    if (runs === 1)
      throw new HaltPipelineError('forbidden', 'go away', {
        pauseMs: 60 * MINUTE_MS,
        hint: 'write a contact',
      });
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue(['a', 'b', 'c'].map((page) => fetchPage.request({ page })));
  const report = await queue.whenIdle();
  expect(report.halted).toMatchObject([{ target: 'web', code: 'forbidden', hint: 'write a contact' }]);
  await t.clock.advance(59 * MINUTE_MS);
  expect(runs).toBe(1);
  await t.clock.advance(2 * MINUTE_MS);
  await queue.whenIdle();
  expect(runs).toBe(4);
  expect(['a', 'b', 'c'].map((page) => t.row(page))).toMatchObject([
    { attempt: 1 },
    { attempt: 1 },
    { attempt: 1 },
  ]);
});

test('leases of a process that died are taken back at once, without counting the attempt', async () => {
  const t = setup(async () => ({ bytes: 1 }));
  t.make(1).enqueue([fetchPage.request({ page: 'a' })]);
  t.db.sqlite.exec(
    `UPDATE jobs SET status = 'in_progress', attempt = 1, lease_owner = 'dead', lease_seq = 1, lease_expires_at = ${t.clock.now() + 60_000}, cursor = '{"at":5}'`,
  );
  const queue = t.start(t.make(2));
  await queue.whenIdle();
  expect(t.row('a')).toMatchObject({ status: 'completed', attempt: 1, lease_seq: 2 });
  expect(t.db.sqlite.prepare('SELECT outcome FROM job_attempts').all()).toEqual([{ outcome: 'lease_lost' }]);
});

test('the result of a job whose lease was taken over is dropped', async () => {
  let release = (): void => {};
  const t = setup(
    () =>
      new Promise((resolve) => {
        release = () => resolve({ bytes: 1 });
      }),
  );
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(0);
  t.db.sqlite.exec(`UPDATE jobs SET lease_owner = 'somebody else', lease_seq = lease_seq + 1`);
  release();
  await t.clock.advance(0);
  expect(t.row('a')).toMatchObject({ status: 'in_progress', lease_owner: 'somebody else', result: null });
  expect(t.filed).toEqual([]);
});

test('a renewed lease outlives its first expiry, and a job that asks for the signal sees a lost one', async () => {
  let seen: AbortSignal | undefined;
  const t = setup((_input, { signal }) => {
    seen ??= signal;
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Interrupted())),
    );
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(10 * MINUTE_MS);
  expect(t.row('a')).toMatchObject({ status: 'in_progress', attempt: 1, lease_seq: 1 });
  expect(seen?.aborted).toBe(false);
  t.db.sqlite.exec(`UPDATE jobs SET lease_seq = lease_seq + 1`);
  await t.clock.advance(MINUTE_MS);
  expect(seen?.aborted).toBe(true);
});

test('stop gives interrupted jobs back with their cursor', async () => {
  const t = setup((_input, { signal, progress }) => {
    progress({ doneBytes: 10, totalBytes: 100, cursor: { at: 10 } });
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Interrupted())),
    );
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(0);
  await queue.stop();
  expect(t.row('a')).toMatchObject({
    status: 'pending',
    attempt: 0,
    cursor: '{"at":10}',
    progress_bytes: 10,
  });
});

test('no more jobs of a type run at once than its pool allows', async () => {
  let now = 0;
  let most = 0;
  const t = setup(
    async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      return { bytes: 1 };
    },
    { concurrency: 3 },
  );
  const queue = t.start(t.make(1));
  queue.enqueue(Array.from({ length: 40 }, (_, i) => fetchPage.request({ page: `p${i}` })));
  await queue.whenIdle();
  expect(most).toBe(3);
  expect(t.filed).toHaveLength(40);
});

test('stored input that no longer fits its contract fails the job, not the queue', async () => {
  const t = setup(async () => ({ bytes: 1 }));
  const queue = t.make(1);
  queue.enqueue([fetchPage.request({ page: 'a' }), fetchPage.request({ page: 'b' })]);
  t.db.sqlite.exec(`UPDATE jobs SET params = '{"page": 3}' WHERE unique_key = 'fetch_page:a'`);
  t.start(queue);
  await queue.whenIdle();
  expect(t.row('a')).toMatchObject({ status: 'failed' });
  expect(t.row('b')).toMatchObject({ status: 'completed' });
});

test('the table refuses states that cannot be', () => {
  const t = setup(async () => ({ bytes: 1 }));
  t.make(1).enqueue([fetchPage.request({ page: 'a' })]);
  for (const change of [
    `status = 'finished'`,
    `status = 'completed'`,
    `status = 'in_progress'`,
    `completed_at = 1`,
    `attempt = 6`,
    `attempt = -1`,
  ])
    expect(() => t.db.sqlite.exec(`UPDATE jobs SET ${change}`), change).toThrow(/CHECK constraint failed/);
});

test('a job that keeps stopping its target lets the others through and is given up', async () => {
  const done: string[] = [];
  const t = setup(async ({ page }) => {
    if (page === 'a-bad')
      throw new HaltPipelineError('forbidden', 'not this one', { pauseMs: 60 * MINUTE_MS });
    done.push(page);
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue(['a-bad', 'b', 'c', 'd'].map((page) => fetchPage.request({ page })));
  for (let hour = 0; hour < 5; hour += 1) await t.clock.advance(61 * MINUTE_MS);
  expect(done).toEqual(['b', 'c', 'd']);
  expect(t.row('a-bad')).toMatchObject({ status: 'quarantined', last_error: 'not this one' });
});

test('a database that cannot be written for a while costs no job and no process', async () => {
  let runs = 0;
  const t = setup(async () => {
    runs += 1;
    if (runs === 1) t.db.sqlite.pragma('query_only = ON');
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(MINUTE_MS);
  expect(runs).toBe(1);
  t.db.sqlite.pragma('query_only = OFF');
  expect(t.row('a').status).toBe('in_progress');
  for (let minute = 0; minute < 5; minute += 1) await t.clock.advance(MINUTE_MS);
  expect(t.row('a').status).toBe('completed');
  expect(t.filed).toEqual(['a']);
});

test('a wall clock that jumps does not start a running job a second time', async () => {
  let runs = 0;
  const t = setup((_input, { signal }) => {
    runs += 1;
    return new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Interrupted())),
    );
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(0);
  t.db.sqlite.exec('UPDATE jobs SET lease_expires_at = 1');
  await t.clock.advance(31_000);
  expect(runs).toBe(1);
  expect(t.row('a')).toMatchObject({ status: 'in_progress', lease_seq: 1 });
});

test('a job that meets a full disk waits for ever, because the disk is not its fault', async () => {
  let isFull = true;
  const t = setup(async () => {
    if (isFull)
      throw new HaltPipelineError('disk_full', 'no room', { pauseMs: 5 * MINUTE_MS, isNeverOwnFault: true });
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  for (let i = 0; i < 12; i += 1) await t.clock.advance(5 * MINUTE_MS);
  expect(t.row('a').status).toBe('pending');
  isFull = false;
  await t.clock.advance(6 * MINUTE_MS);
  expect(t.row('a').status).toBe('completed');
});

test('a restart tries halted jobs at once', async () => {
  let isRefused = true;
  const t = setup(async () => {
    if (isRefused) throw new HaltPipelineError('bad_keys', 'no', { pauseMs: 60 * MINUTE_MS });
    return { bytes: 1 };
  });
  const first = t.start(t.make(1));
  first.enqueue([fetchPage.request({ page: 'a' })]);
  expect((await first.whenIdle()).halted).toHaveLength(1);
  await first.stop(0);
  isRefused = false;
  await t.start(t.make(2)).whenIdle();
  expect(t.row('a').status).toBe('completed');
});

test('a halt that ends while the database cannot be written ends all the same', async () => {
  let runs = 0;
  const t = setup(async () => {
    runs += 1;
    if (runs === 1) throw new HaltPipelineError('busy', 'wait', { pauseMs: 10 * MINUTE_MS });
    return { bytes: 1 };
  });
  const queue = t.start(t.make(1));
  queue.enqueue([fetchPage.request({ page: 'a' })]);
  await t.clock.advance(MINUTE_MS);
  t.db.sqlite.pragma('query_only = ON');
  await t.clock.advance(12 * MINUTE_MS);
  expect(runs).toBe(1);
  t.db.sqlite.pragma('query_only = OFF');
  await t.clock.advance(2 * MINUTE_MS);
  expect(t.row('a').status).toBe('completed');
});

test('a handler that takes back leases leaves those that were claimed in the same moment', async () => {
  const taken: number[] = [];
  const t = await queueBundle({
    // Begins at once, before the second job of the same claim was begun.
    fetch: async (name) => {
      if (name === 'sweep') taken.push(t.queue.rescue());
    },
    concurrency: 3,
  });
  t.queue.enqueue([
    fetchJob.request({ name: 'sweep' }),
    fetchJob.request({ name: 'second' }),
    fetchJob.request({ name: 'third' }),
  ]);
  await t.queue.whenIdle();
  expect(taken).toEqual([0]);
  expect(t.begun).toEqual(['sweep', 'second', 'third']);
});
