import { expect, test } from 'vitest';
import type { Db } from '../../src/db/index.ts';
import { createStatusQueries } from '../../src/monitoring/index.ts';
import type { Clock } from '../../src/ports/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: counting a large queue never stops the event loop for long, and what is told is right.
 * Method: a clock on which every look at it takes 10 ms, so that each part of a count seems long; its sleeps are counted and do not last.
 */
function slowClock(stepMs = 10): { clock: Clock; sleeps: () => number } {
  let nowMs = 0;
  let slept = 0;
  const clock = Object.assign(new FakeClock(), {
    monotonicMs: () => (nowMs += stepMs),
    sleep: async () => {
      slept += 1;
      await new Promise((resolve) => setImmediate(resolve));
    },
  });
  return { clock, sleeps: () => slept };
}

/** Jobs of one type and state. */
function insertJobs(db: Db, type: string, status: 'pending' | 'completed', count: number): void {
  const insert = db.sqlite.prepare(
    `INSERT INTO jobs (job_type, status, params, unique_key, max_attempts, next_retry_at, is_due, created_at, completed_at)
     VALUES (?, ?, '{}', ?, 5, 0, 1, 0, ?)`,
  );
  db.transaction(() => {
    for (let n = 0; n < count; n += 1)
      insert.run(type, status, `${type}:${status}:${count}:${n}`, status === 'completed' ? 1 : null);
  });
}

/** How often the whole table is counted in one go. */
function wholeCounts(db: Db): () => number {
  let asked = 0;
  const statements = Object.getPrototypeOf(db.sqlite.prepare('SELECT 1')) as {
    all: (...v: unknown[]) => unknown;
  };
  const { all } = statements;
  statements.all = function (this: { source: string }, ...values) {
    if (/^SELECT job_type AS jobType, status, count/.test(this.source)) asked += 1;
    return all.apply(this, values);
  };
  return () => asked;
}

test('a large queue is counted in parts between other work, exactly, and once', async () => {
  const db = withDb();
  insertJobs(db, 'download_dump', 'pending', 45_000);
  insertJobs(db, 'download_dump', 'completed', 20_000);
  insertJobs(db, 'upload_ia', 'completed', 7);
  const { clock, sleeps } = slowClock();
  const queries = createStatusQueries({ db, clock });
  const wholes = wholeCounts(db);
  await queries.freshen();
  // 45,000 are three parts, 20,000 are one and an empty one, then the third stretch.
  expect(sleeps()).toBe(6);
  expect(queries.jobCounts()).toMatchObject([
    { jobType: 'download_dump', total: 65_000, byStatus: { pending: 45_000, completed: 20_000, failed: 0 } },
    { jobType: 'upload_ia', total: 7, byStatus: { completed: 7 } },
  ]);
  expect(wholes()).toBe(0);
  // Good for a while; then the next one is made while the old one is still told.
  await queries.freshen();
  expect(sleeps()).toBe(6);
});

test('while a large queue is counted again the answer before is told, and afterwards the new one', async () => {
  const db = withDb();
  insertJobs(db, 'download_dump', 'pending', 30_000);
  const { clock, sleeps } = slowClock(500);
  const queries = createStatusQueries({ db, clock });
  await queries.freshen();
  insertJobs(db, 'download_dump', 'completed', 3);
  // What was counted in seconds is kept for a minute at most.
  for (let n = 0; n < 150; n += 1) clock.monotonicMs();
  const before = sleeps();
  await queries.freshen();
  expect(queries.jobCounts()[0]?.total).toBe(30_000);
  while (sleeps() < before + 3) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(queries.jobCounts()[0]?.total).toBe(30_003);
});

test('a small queue is told as it is now, without a pause', async () => {
  const db = withDb();
  const clock = new FakeClock();
  const queries = createStatusQueries({ db, clock });
  for (let n = 1; n <= 3; n += 1) {
    insertJobs(db, 'download_dump', 'pending', n);
    await queries.freshen();
    expect(queries.jobCounts()[0]?.total).toBe((n * (n + 1)) / 2);
  }
  expect(clock.waiting).toBe(0);
});

test('a count that meets a closed database ends nothing', async () => {
  const db = withDb();
  insertJobs(db, 'download_dump', 'pending', 30_000);
  const { clock } = slowClock();
  const queries = createStatusQueries({ db, clock });
  const counting = queries.freshen();
  db.close();
  await expect(counting).rejects.toThrow(/not open/);
});

test('the longest waiting job is found whatever its priority, and whether its time was noted or not', () => {
  const db = withDb();
  const clock = new FakeClock();
  const queries = createStatusQueries({ db, clock });
  const insert = db.sqlite.prepare(
    `INSERT INTO jobs (job_type, status, params, unique_key, max_attempts, next_retry_at, is_due, priority, created_at)
     VALUES ('download_dump', 'pending', '{}', ?, 5, ?, ?, ?, 0)`,
  );
  expect(queries.movement().oldestDueAt).toBeNull();
  const now = clock.now();
  insert.run('later', now + 5000, 0, 100);
  expect(queries.movement().oldestDueAt).toBeNull();
  expect(queries.nextWakeUps()).toMatchObject([{ name: 'download_dump', at: now + 5000 }]);
  for (const [priority, waitedMs] of [
    [100, 10],
    [1100, 30],
    [2100, 20],
  ] as const)
    insert.run(`due ${priority}`, now - waitedMs, 1, priority);
  expect(queries.movement().oldestDueAt).toBe(now - 30);
  insert.run('not noted yet', now - 40, 0, 100);
  expect(queries.movement().oldestDueAt).toBe(now - 40);
  expect(queries.nextWakeUps()).toMatchObject([{ name: 'download_dump', at: now + 5000 }]);
});

test('the newest jobs are the same whatever the order of types and states', () => {
  const db = withDb();
  for (let round = 1; round <= 40; round += 1) {
    insertJobs(db, 'download_dump', 'pending', 5 + (round % 3));
    insertJobs(db, 'upload_ia', round % 2 === 0 ? 'pending' : 'completed', 1 + round);
    db.sqlite.exec(
      "UPDATE jobs SET unique_key = unique_key || ':' || id WHERE unique_key NOT LIKE '%:%:%:%:%'",
    );
  }
  const queries = createStatusQueries({ db, clock: new FakeClock() });
  const truth = db.sqlite
    .prepare<[], number>("SELECT id FROM jobs WHERE status = 'pending' ORDER BY id DESC")
    .pluck()
    .all();
  for (const page of [1, 2, 5, 9])
    expect(queries.jobs({ status: 'pending', page, pageSize: 20 }).items.map(({ id }) => id)).toEqual(
      truth.slice((page - 1) * 20, page * 20),
    );
});
