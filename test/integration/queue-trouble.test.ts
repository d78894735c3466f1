import { expect, test } from 'vitest';
import { CorruptError, HaltPipelineError, RetryableError } from '../../src/lib/index.ts';
import { fetchJob, queueBundle } from '../helpers/queue-bundle.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

test('a handler that ignores its abort is reported as stuck; its lease is fenced and its slot used again', async () => {
  let finish = (): void => {};
  const t = await queueBundle({
    fetch: (name) =>
      name === 'deaf'
        ? new Promise<void>((resolve) => {
            finish = resolve;
          })
        : Promise.resolve(),
  });
  t.fetch('deaf', 'b');
  await t.clock.advance(0);
  // 12 hours are the time limit of the type; a minute later the queue gives up on it.
  await t.clock.advance(12 * 60 * MINUTE_MS);
  expect(t.row('fetch:b').status).toBe('pending');
  await t.clock.advance(2 * MINUTE_MS);
  expect(t.seen('job:stuck')).toMatchObject([{ jobType: 'fetch', jobId: t.row('fetch:deaf').id }]);
  expect(t.row('fetch:deaf')).toMatchObject({ status: 'pending', attempt: 1, lease_owner: null });
  expect(t.row('fetch:deaf').last_error).toMatch(/gave up after 720 minutes/);
  expect(t.row('fetch:b').status).toBe('completed');

  // While it has not returned, no second handler touches the same files.
  await t.clock.advance(10 * MINUTE_MS);
  expect(t.begun.filter((name) => name === 'deaf')).toHaveLength(1);
  finish();
  await t.clock.advance(0);
  expect(t.row('fetch:deaf').status).toBe('pending');
  expect(t.row('fetch:deaf').attempt).toBe(1);
  await t.clock.advance(60 * MINUTE_MS);
  expect(t.begun.filter((name) => name === 'deaf')).toHaveLength(2);
});

test('wrong bytes to the last attempt put the job in quarantine, anything else fails it', async () => {
  const t = await queueBundle({
    concurrency: 2,
    fetch: async (name) => {
      if (name === 'wrong') throw new CorruptError('checksum_mismatch', 'sha1 differs');
      throw new Error('anything else');
    },
  });
  t.fetch('wrong', 'other');
  await t.clock.advance(0);
  await t.clock.advance(DAY_MS);
  expect(t.row('fetch:wrong')).toMatchObject({ status: 'quarantined', attempt: 5 });
  expect(t.row('fetch:other')).toMatchObject({ status: 'failed', attempt: 5 });
});

test('a job that keeps ending the process is put in quarantine; the others go on, and an operator may try again', async () => {
  const settled: string[] = [];
  const t = await queueBundle({
    fetch: () => new Promise<void>(() => {}),
    wire: (queue) =>
      queue.whenSettled([fetchJob.type], (cycleDate) => {
        settled.push(cycleDate);
        return [];
      }),
  });
  t.fetch('killer');
  await t.clock.advance(0);
  for (let death = 1; death <= 10; death += 1) {
    expect(t.row('fetch:killer')).toMatchObject({ status: 'in_progress', attempt: 1 });
    await t.restart(death + 1);
  }
  expect(t.row('fetch:killer').status).toBe('quarantined');
  expect(t.row('fetch:killer').last_error).toMatch(/the process ended 10 times while it ran this job/);
  expect(settled).toEqual(['2026-11-20']);
  t.queue.retryJob(Number(t.row('fetch:killer').id));
  await t.restart(20);
  expect(t.row('fetch:killer').status).toBe('in_progress');
});

test('a full database loses nothing: results wait, and everything goes on by itself', async () => {
  let done = 0;
  const t = await queueBundle({
    concurrency: 2,
    fetch: async (_name, { clock, signal }) => {
      await clock.sleep(1000, signal);
      done += 1;
    },
  });
  t.fetch('a', 'b', 'c', 'd');
  await t.clock.advance(0);
  // SQLite itself says "database or disk is full" from here on: not one page more, and each row needs several.
  t.db.sqlite.exec(`CREATE TRIGGER swell AFTER UPDATE OF status ON jobs WHEN new.status = 'completed'
    BEGIN INSERT INTO system_state VALUES ('swell:' || new.id, hex(zeroblob(20000)), 0); END`);
  t.db.sqlite.pragma('incremental_vacuum');
  t.db.sqlite.pragma(`max_page_count = ${Number(t.db.sqlite.pragma('page_count', { simple: true }))}`);
  await t.clock.advance(5 * MINUTE_MS);
  expect(done).toBe(2);
  expect(t.seen('alert:raised')).toMatchObject([{ key: 'database', severity: 'error' }]);
  expect(t.queue.halts()).toMatchObject([{ target: 'database', code: 'database_unwritable' }]);
  expect(t.queue.halts()[0]?.message).toContain('full');

  t.db.sqlite.exec('DROP TRIGGER swell');
  t.db.sqlite.pragma('max_page_count = 1000000');
  await t.clock.advance(MINUTE_MS);
  await t.queue.whenIdle();
  // Nothing ran twice: the two results had waited for their transaction.
  expect(done).toBe(4);
  expect(t.count('completed')).toBe(4);
  expect(t.db.sqlite.prepare('SELECT max(attempt) FROM jobs').pluck().get()).toBe(1);
  expect(t.seen('alert:resolved')).toEqual([{ key: 'database' }]);
  expect(t.queue.halts()).toEqual([]);
});

test('a row whose input no longer fits fails with the reason; the others go on', async () => {
  const t = await queueBundle({});
  t.queue.pause({ kind: 'all' }, null);
  t.fetch('a', 'b', 'c');
  t.db.sqlite.exec(`UPDATE jobs SET params = '{"name":7}' WHERE unique_key = 'fetch:a'`);
  t.db.sqlite.exec(`UPDATE jobs SET params = '{torn' WHERE unique_key = 'fetch:b'`);
  t.queue.resume({ kind: 'all' });
  await t.queue.whenIdle();
  expect(t.row('fetch:a')).toMatchObject({ status: 'failed', attempt: 1 });
  expect(t.row('fetch:a').last_error).toMatch(/stored input of job \d+ does not fit fetch.*name/s);
  expect(t.row('fetch:b')).toMatchObject({ status: 'failed' });
  expect(t.row('fetch:c')).toMatchObject({ status: 'completed' });
});

test.each([1, -1])('a clock that jumps by %i day loses no job and runs none twice', async (days) => {
  let shouldFail = true;
  const t = await queueBundle({
    concurrency: 3,
    fetch: async (name, { clock, signal }) => {
      if (name === 'long') await clock.sleep(30 * MINUTE_MS, signal);
      if (name === 'again' && shouldFail) throw new Error('once');
    },
    send: async () => {
      if (shouldFail) throw new HaltPipelineError('forbidden', '403', { pauseMs: 60 * MINUTE_MS });
    },
  });
  t.fetch('long', 'again');
  t.send('x');
  await t.clock.advance(MINUTE_MS);
  shouldFail = false;
  t.clock.setWall(t.clock.now() + days * DAY_MS);
  t.fetch('new');
  // The waits of before keep their length, or become shorter; none grows by a day.
  await t.clock.advance(65 * MINUTE_MS);
  await t.queue.whenIdle();
  expect(t.count('completed')).toBe(4);
  for (const name of ['long', 'new']) expect(t.begun.filter((begun) => begun === name)).toHaveLength(1);
  expect(t.begun.filter((begun) => begun === 'again')).toHaveLength(2);
});

test('a clock that was set back while the process was down makes nobody wait for it', async () => {
  let shouldFail = true;
  const t = await queueBundle({
    fetch: async () => {
      if (shouldFail) throw new Error('once');
    },
  });
  t.fetch('a');
  await t.clock.advance(0);
  await t.clock.advance(MINUTE_MS);
  shouldFail = false;
  await t.queue.stop();
  t.clock.setWall(t.clock.now() - DAY_MS);
  await t.restart();
  await t.clock.advance(10 * MINUTE_MS);
  expect(t.row('fetch:a').status).toBe('completed');
});

test('a barrier that throws stops neither the queue nor its job for ever', async () => {
  const t = await queueBundle({
    concurrency: 2,
    wire: (queue) =>
      queue.whenSettled([fetchJob.type], () => {
        throw new Error('a bug in what follows');
      }),
  });
  t.fetch('a');
  t.send('x', 'y');
  await t.clock.advance(0);
  await t.clock.advance(DAY_MS);
  // The job paid for it with its attempts, as for any error in its own record; everybody else went on.
  expect(t.row('fetch:a')).toMatchObject({ status: 'failed', last_error: 'a bug in what follows' });
  expect(t.count('completed')).toBe(2);
  expect(t.queue.halts()).toEqual([]);
  expect(t.seen('alert:raised')).toMatchObject([{ key: 'barrier:2026-11-20', severity: 'error' }]);
});

test('failure hooks that throw do not keep a job that ends the process from its quarantine', async () => {
  const t = await queueBundle({
    fetch: () => new Promise<void>(() => {}),
    wire: (queue) =>
      queue.followFailure(fetchJob, () => {
        throw new Error('a bug in what follows');
      }),
  });
  t.fetch('killer');
  await t.clock.advance(0);
  for (let death = 1; death <= 10; death += 1) await t.restart(death + 1);
  expect(t.row('fetch:killer').status).toBe('quarantined');
});

test('damage is not over because one row could be written', async () => {
  let isDamaged = true;
  const t = await queueBundle({ concurrency: 1 });
  const damage = Object.assign(new Error('database disk image is malformed'), { code: 'SQLITE_CORRUPT' });
  t.queue.follow(fetchJob, () => {
    if (isDamaged) throw damage;
    return [];
  });
  t.fetch('a');
  await t.clock.advance(0);
  expect(t.queue.halts()).toMatchObject([{ target: 'database', code: 'database_corrupt' }]);
  isDamaged = false;
  t.queue.pause({ kind: 'type', name: 'send' }, 'writes a row');
  await t.clock.advance(59 * MINUTE_MS);
  expect(t.queue.halts()).toHaveLength(1);
  // Nor when its rest is over: it is told to rest again, and the timers do not turn in circles meanwhile.
  await t.clock.advance(3 * 60 * MINUTE_MS);
  expect(t.queue.halts()[0]?.until).toBeGreaterThan(t.clock.now());
  expect(t.seen('alert:resolved')).toEqual([]);
});

test('whatever a handler makes of being stopped is not its fault', async () => {
  const t = await queueBundle({
    fetch: (_name, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () =>
          reject(new RetryableError('thread_ended', 'its thread ended')),
        );
      }),
  });
  t.fetch('a');
  await t.clock.advance(0);
  await t.queue.stop();
  expect(t.row('fetch:a')).toMatchObject({ status: 'pending', attempt: 0 });
});

test('a row at its limit of attempts, or of a type that is gone, stops nobody', async () => {
  const t = await queueBundle({ concurrency: 2 });
  t.queue.pause({ kind: 'all' }, null);
  t.fetch('a', 'b');
  t.db.sqlite.exec(`UPDATE jobs SET attempt = max_attempts WHERE unique_key = 'fetch:a'`);
  t.db.sqlite.exec(`INSERT INTO jobs (job_type, params, unique_key, max_attempts, next_retry_at, created_at)
    VALUES ('gone', '{}', 'gone:1', 5, 0, 0)`);
  t.queue.resume({ kind: 'all' });
  await t.queue.whenIdle();
  expect(t.count('completed')).toBe(2);
  expect(t.queue.cancelJob(Number(t.row('gone:1').id))).toMatchObject({ now: 'cancelled' });
  expect(t.row('gone:1').status).toBe('cancelled');
});

test('a job that meets the same halt for months keeps its last hundred attempts only', async () => {
  const t = await queueBundle({
    fetch: async () => {
      throw new HaltPipelineError('disk_full', 'full', { pauseMs: 5 * MINUTE_MS, isNeverOwnFault: true });
    },
  });
  t.fetch('a');
  await t.clock.advance(0);
  await t.clock.advance(DAY_MS);
  expect(t.begun.length).toBeGreaterThan(200);
  expect(Number(t.db.sqlite.prepare('SELECT count(*) FROM job_attempts').pluck().get())).toBeLessThanOrEqual(
    101,
  );
});

test('a job whose end cannot be recorded at all does not go round for ever', async () => {
  const t = await queueBundle({ fetch: async () => {}, send: async () => {} });
  // Whatever is written of this one job throws, and not for trouble of the database.
  t.db.sqlite.exec(`CREATE TRIGGER broken BEFORE UPDATE OF status ON jobs
    WHEN old.status = 'in_progress' AND new.status IN ('completed', 'failed', 'pending') AND new.unique_key = 'fetch:a' AND new.attempt = old.attempt
    BEGIN SELECT raise(ABORT, 'cannot be'); END`);
  t.fetch('a');
  t.send('x');
  for (let minute = 0; minute < 20; minute += 1) await t.clock.advance(MINUTE_MS);
  expect(t.row('send:x').status).toBe('completed');
  expect(t.row('fetch:a')).toMatchObject({ status: 'quarantined' });
  expect(t.seen('alert:raised').map(({ key }) => key)).toContain('broken:fetch');
  expect(t.begun.filter((name) => name === 'a').length).toBeLessThanOrEqual(10);
});
