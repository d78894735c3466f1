import { copyFileSync, renameSync, statSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { type Db, openDb } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import { createCareThread, createCheckpointer, spawnCareWorker } from '../../src/maintenance/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { fillWithJobs, THRESHOLDS } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: the log stays small, whatever reads or dies, and alerts tell when it does not.
 * Method: a real thread on a real database; the clock is turned by hand and each look is awaited.
 */
function withCheckpointer(
  db: Db,
  limits: { walWarnSizeBytes: number; walMaxSizeBytes: number } = THRESHOLDS,
) {
  const clock = new FakeClock();
  const bus = createBus({ log: silentLog });
  const alerts: string[] = [];
  bus.on('alert:raised', ({ key, severity }) => alerts.push(`${severity} ${key}`));
  bus.on('alert:resolved', ({ key }) => alerts.push(`over ${key}`));
  const workers: Worker[] = [];
  const halts: string[] = [];
  const checkpointer = createCheckpointer({
    databasePath: db.path,
    disk: createNodeDisk(),
    clock,
    bus,
    log: silentLog,
    config: limits,
    onHalt: ({ code, scope }) => halts.push(`${code} ${scope}`),
    thread: createCareThread({
      databasePath: db.path,
      clock,
      spawn(facts) {
        const worker = spawnCareWorker(facts);
        workers.push(worker);
        return worker;
      },
    }),
  });
  onTestFinished(() => checkpointer.stop());
  // Nothing but the checkpointer may empty the log.
  db.sqlite.pragma('wal_autocheckpoint = 0');
  return {
    checkpointer,
    clock,
    bus,
    alerts,
    halts,
    workers,
    walBytes: () => statSync(`${db.path}-wal`).size,
  };
}

const pending = (db: Db): number => {
  const [row] = db.sqlite.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }];
  return row.log - row.checkpointed;
};

/** Resolves when the look that the timer has begun is over, which arms it again: the one that fired is gone, and nobody else waits on this clock. */
async function lookOfTheTimer(clock: FakeClock): Promise<void> {
  let isOver = false;
  onTestFinished(() => {
    isOver = true;
  });
  while (clock.waiting === 0 && !isOver) await new Promise((resolve) => setImmediate(resolve));
}

const ofWal = (alerts: string[]): string[] => alerts.filter((alert) => alert.endsWith('database:wal'));

/** About 1.2 MB of log for each thousand. */
const fill = (db: Db, thousands: number): void => {
  for (let n = 0; n < thousands; n += 1) fillWithJobs(db, 1000);
};

test('a small log is left alone; a larger one is copied without anybody waiting, once for each time it grows', async () => {
  const db = withDb();
  const { checkpointer } = withCheckpointer(db);
  checkpointer.start();
  fill(db, 1);
  expect(await checkpointer.look()).toBeNull();
  expect(pending(db)).toBeGreaterThan(0);
  fill(db, 5);
  const look = await checkpointer.look();
  expect(look).toMatchObject({ due: 'passive', done: { mode: 'passive', busy: false } });
  // The file is as large as before, and that is no reason to do it again.
  expect(await checkpointer.look()).toMatchObject({ due: null, done: null });
});

test('the log begins anew above the first size and is cut above the second, and the alert ends with it', async () => {
  const db = withDb();
  const { checkpointer, alerts, walBytes } = withCheckpointer(db, {
    walWarnSizeBytes: 5_000_000,
    walMaxSizeBytes: 9_000_000,
  });
  checkpointer.start();
  fill(db, 6);
  expect(walBytes()).toBeGreaterThan(5_000_000);
  expect(await checkpointer.look()).toMatchObject({ due: 'restart', done: { mode: 'passive', busy: false } });
  expect(alerts).toContain('warn database:wal');
  // Nothing is left in it, so its space is given back.
  expect(await checkpointer.look()).toMatchObject({ due: 'truncate', done: { busy: false } });
  expect(walBytes()).toBeLessThan(20_000);
  expect(ofWal(alerts).at(-1)).toBe('over database:wal');
  fill(db, 10);
  expect(walBytes()).toBeGreaterThan(9_000_000);
  expect(await checkpointer.look()).toMatchObject({
    due: 'truncate',
    done: { mode: 'truncate', busy: false },
  });
  expect(walBytes()).toBeLessThan(20_000);
});

test('a reader that does not end is waited for a moment, then not again for ten seconds', async () => {
  const db = withDb();
  const { checkpointer, clock, alerts, walBytes } = withCheckpointer(db, {
    walWarnSizeBytes: 5_000_000,
    walMaxSizeBytes: 7_000_000,
  });
  checkpointer.start();
  const reader = openDb(db.path, 'readonly');
  reader.sqlite.exec('BEGIN');
  reader.sqlite.prepare('SELECT count(*) FROM jobs').get();
  fill(db, 8);
  expect(await checkpointer.look()).toMatchObject({
    due: 'truncate',
    done: { mode: 'truncate', busy: true },
  });
  expect(ofWal(alerts).at(-1)).toBe('error database:wal');
  await checkpointer.stop();
  // Writers are not held up again and again: even with the reader gone, only what holds up nobody is done.
  reader.sqlite.exec('COMMIT');
  reader.close();
  for (const elapsedMs of [0, 5000, 4999]) {
    await clock.advance(elapsedMs);
    expect(await checkpointer.look()).toMatchObject({ due: 'truncate', done: { mode: 'passive' } });
    expect(walBytes()).toBeGreaterThan(7_000_000);
  }
  await clock.advance(1);
  expect(await checkpointer.look()).toMatchObject({
    due: 'truncate',
    done: { mode: 'truncate', busy: false },
  });
  expect(walBytes()).toBeLessThan(20_000);
  expect(ofWal(alerts).at(-1)).toBe('over database:wal');
});

test('a log that can never be copied to its end is begun anew by force, as soon as it can', async () => {
  const db = withDb();
  const { checkpointer, clock } = withCheckpointer(db, {
    walWarnSizeBytes: 5_000_000,
    walMaxSizeBytes: 100_000_000,
  });
  checkpointer.start();
  const reader = openDb(db.path, 'readonly');
  reader.sqlite.exec('BEGIN');
  reader.sqlite.prepare('SELECT count(*) FROM jobs').get();
  fill(db, 6);
  expect(await checkpointer.look()).toMatchObject({ due: 'restart', done: { mode: 'restart', busy: true } });
  reader.sqlite.exec('COMMIT');
  reader.close();
  await clock.advance(10_000);
  await checkpointer.look();
  expect(pending(db)).toBeLessThan(5);
});

test('a thread that is killed is started again, and the next look finds its work done', async () => {
  const db = withDb();
  const { checkpointer, workers, alerts } = withCheckpointer(db);
  checkpointer.start();
  fill(db, 4);
  await checkpointer.look();
  expect(workers).toHaveLength(1);
  fill(db, 4);
  const look = checkpointer.look();
  await workers[0]?.terminate();
  const first = await look;
  // Killed before or after its answer: either way nothing is lost and the next one does the rest.
  const second = await checkpointer.look();
  expect(first ?? second).not.toBeNull();
  expect(workers).toHaveLength(2);
  // The note of the checkpoint itself is written after it.
  expect(pending(db)).toBeLessThan(5);
  expect(alerts.filter((alert) => alert.startsWith('error'))).toEqual([]);
});

/** A checkpointer whose looks are counted as its thread is started, and that dies as long as it is told to. */
function withDeadlyThread(db: Db) {
  const { clock, alerts, bus } = withCheckpointer(db);
  const state = { started: 0, isDeadly: true };
  const checkpointer = createCheckpointer({
    databasePath: db.path,
    disk: createNodeDisk(),
    clock,
    bus,
    log: silentLog,
    config: THRESHOLDS,
    thread: createCareThread({
      databasePath: db.path,
      clock,
      spawn(facts) {
        state.started += 1;
        const worker = spawnCareWorker(facts);
        if (state.isDeadly) void worker.terminate();
        return worker;
      },
    }),
  });
  onTestFinished(() => checkpointer.stop());
  fill(db, 4);
  return { checkpointer, clock, alerts, state };
}

test('a thread that dies each time is an alert after the third, and the alert ends by itself', async () => {
  const db = withDb();
  const { checkpointer, alerts, state } = withDeadlyThread(db);
  checkpointer.start();
  for (let n = 1; n <= 3; n += 1) {
    await checkpointer.look();
    expect(state.started).toBe(n);
    expect(alerts.includes('error database:checkpoint')).toBe(n === 3);
  }
  state.isDeadly = false;
  expect(await checkpointer.look()).not.toBeNull();
  expect(alerts.at(-1)).toBe('over database:checkpoint');
  // The note of the checkpoint itself is written after it.
  expect(pending(db)).toBeLessThan(5);
});

test('after each failure the timer waits twice as long, up to a minute', async () => {
  const db = withDb();
  const { checkpointer, clock, state } = withDeadlyThread(db);
  checkpointer.start();
  for (const [failures, waitMs] of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000].entries()) {
    await clock.advance(waitMs - 1);
    expect(state.started).toBe(failures);
    await clock.advance(1);
    await lookOfTheTimer(clock);
    expect(state.started).toBe(failures + 1);
  }
});

test('it may be stopped before it is started, and twice, and looks no more afterwards', async () => {
  const db = withDb();
  const { checkpointer, clock, workers } = withCheckpointer(db);
  await checkpointer.stop();
  checkpointer.start();
  checkpointer.start();
  expect(clock.waiting).toBe(1);
  await Promise.all([checkpointer.stop(), checkpointer.stop()]);
  expect(clock.waiting).toBe(0);
  fill(db, 4);
  await clock.advance(60_000);
  expect(workers).toHaveLength(0);
});

test('the timer looks after a second, and again after a tenth of one as long as it finds something to copy', async () => {
  const db = withDb();
  const { checkpointer, clock, workers } = withCheckpointer(db);
  checkpointer.start();
  for (const waitMs of [1000, 100, 100]) {
    fill(db, 4);
    const before = pending(db);
    await clock.advance(waitMs - 1);
    expect(pending(db)).toBe(before);
    await clock.advance(1);
    await lookOfTheTimer(clock);
    expect(pending(db)).toBeLessThan(5);
  }
  // Nothing was written since.
  await clock.advance(100);
  await lookOfTheTimer(clock);
  fill(db, 4);
  const before = pending(db);
  await clock.advance(999);
  expect(pending(db)).toBe(before);
  await clock.advance(1);
  await lookOfTheTimer(clock);
  expect(pending(db)).toBeLessThan(5);
  // All of them in one thread.
  expect(workers).toHaveLength(1);
});

test('a log that stays too large is told again after an hour, with its size by then, and not before', async () => {
  const db = withDb();
  const { checkpointer, clock, alerts } = withCheckpointer(db, {
    walWarnSizeBytes: 5_000_000,
    walMaxSizeBytes: 1e12,
  });
  const reader = openDb(db.path, 'readonly');
  reader.sqlite.exec('BEGIN');
  reader.sqlite.prepare('SELECT count(*) FROM jobs').get();
  fill(db, 6);
  await checkpointer.look();
  await clock.advance(3_599_999);
  await checkpointer.look();
  expect(ofWal(alerts)).toEqual(['warn database:wal']);
  await clock.advance(1);
  await checkpointer.look();
  expect(ofWal(alerts)).toEqual(['warn database:wal', 'warn database:wal']);
  reader.close();
});

test.each([
  ['was deleted', (path: string) => renameSync(path, `${path}.moved`)],
  [
    'was replaced',
    (path: string) => {
      copyFileSync(path, `${path}.copy`);
      renameSync(`${path}.copy`, path);
    },
  ],
])('a database file that %s under the daemon stops everything and is told', async (_what, harm) => {
  const db = withDb();
  const { checkpointer, alerts, halts } = withCheckpointer(db);
  checkpointer.start();
  await checkpointer.look();
  expect(halts).toEqual([]);
  harm(db.path);
  await checkpointer.look();
  expect(halts).toEqual(['database_gone all']);
  expect(alerts).toContain('error database:checkpoint');
});
