import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { migrateDb, openDb } from '../../src/db/index.ts';
import type { Pace } from '../../src/maintenance/care/pace.ts';
import { applyRetention } from '../../src/maintenance/care/retention.ts';
import { createCareThread, maintainDb } from '../../src/maintenance/index.ts';
import { createMaintainDb } from '../../src/maintenance/jobs/maintain-db.ts';
import { createSystemClock, silentLog } from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import { fillWithJobs, insertJob, withCare } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Faults in the budget: damaged pages, rows that refer to nothing, a full disk, a locked database, a lost file. Each is real, each test
 * shows that it was there, and none may cost a committed row or pass unnoticed.
 */
/** Nothing of the numbers of swarms is old. */
const NO_SWARMS = { dailyBefore: 0, weeklyBefore: 0, swarmsBefore: 0 };
const context = (clock = new FakeClock()): JobContext => ({
  jobId: 1 as never,
  attempt: 1,
  signal: new AbortController().signal,
  clock,
  log: silentLog,
  cursor: null,
  progress: () => {},
});

/** A closed database with destroyed pages in its middle. */
function damagedDatabase(): string {
  const path = join(temporaryFolder(), 'db', 'jobs.db');
  const db = openDb(path);
  migrateDb(db, { dataDir: null, now: new Date(0) });
  fillWithJobs(db, 2000);
  const [first, pageSize] = [
    db.sqlite
      .prepare(`SELECT pageno FROM dbstat WHERE name = 'jobs' AND pagetype = 'leaf' LIMIT 1 OFFSET 20`)
      .pluck()
      .get(),
    db.sqlite.pragma('page_size', { simple: true }),
  ] as [number, number];
  db.close();
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.alloc(pageSize * 3, 0xa5), 0, pageSize * 3, (first - 1) * pageSize);
  closeSync(handle);
  return path;
}

describe('integrity', () => {
  test('damaged pages halt everything, with the exact restore command', async () => {
    const path = damagedDatabase();
    const judge = new Database(path, { readonly: true });
    // The fault is there, says another connection.
    expect(() => {
      if (judge.pragma('integrity_check', { simple: true }) !== 'ok') throw new Error('damaged');
    }).toThrow();
    judge.close();
    const db = openDb(path);
    const { care, raised } = withCare(db);
    await expect(care.run('integrity')).rejects.toMatchObject({
      name: 'HaltPipelineError',
      code: 'database_corrupt',
      scope: 'all',
      isNeverOwnFault: true,
      hint: 'wikiseed restore the-good-one',
    });
    expect(raised).toContainEqual(
      expect.objectContaining({
        key: 'database:integrity',
        severity: 'error',
        hint: 'wikiseed restore the-good-one',
      }),
    );
    db.close();
  });

  test('a row that refers to nothing is damage too, and stays an alert until a check is clean', async () => {
    const db = withDb();
    db.sqlite.pragma('foreign_keys = OFF');
    db.sqlite.exec(
      `INSERT INTO job_attempts (job_id, attempt, outcome, started_at, ended_at) VALUES (4711, 1, 'retryable', 0, 1)`,
    );
    expect(db.sqlite.pragma('foreign_key_check')).toHaveLength(1);
    const { care, raised, resolved } = withCare(db);
    await expect(care.run('integrity')).rejects.toThrow(/row 1 of job_attempts refers to a row of jobs/);
    await care.run('thresholds');
    expect(raised.filter(({ key }) => key === 'database:integrity')).toHaveLength(2);
    expect(resolved.has('database:integrity')).toBe(false);
    db.sqlite.exec('DELETE FROM job_attempts');
    await care.run('integrity');
    expect(resolved.has('database:integrity')).toBe(true);
  });

  test('a file that is no database is told as damage, not as a bug', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'db'));
    const path = join(folder, 'db', 'jobs.db');
    const handle = openSync(path, 'w');
    writeSync(handle, Buffer.alloc(8192, 0x5a));
    closeSync(handle);
    const thread = createCareThread({ databasePath: path, clock: createSystemClock() });
    await expect(thread.call('statistics', { isThorough: false })).rejects.toMatchObject({
      code: 'database_corrupt',
      scope: 'all',
    });
    await thread.close();
  });
});

describe('a disk that is full', () => {
  const script = join(import.meta.dirname, '..', 'helpers', 'full-disk-child.ts');
  const probe = spawnSync('unshare', ['-Urm', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs /mnt']);
  const can = probe.status === 0;
  if (!can) console.log('skipped: unshare cannot mount a tmpfs here, so no disk can be filled up');

  test.skipIf(!can)('a checkpoint is refused and done as soon as there is room; no row is lost', () => {
    const folder = temporaryFolder();
    const child = spawnSync(
      'unshare',
      [
        '-Urm',
        'sh',
        '-c',
        `mount -t tmpfs -o size=20m tmpfs ${folder} && exec ${process.execPath} ${script} ${folder}`,
      ],
      { encoding: 'utf8', timeout: 60_000 },
    );
    expect(child.stderr).toBe('');
    const result = JSON.parse(child.stdout);
    expect(result.isFull).toBe(true);
    expect(result.refused).toEqual({
      name: 'HaltPipelineError',
      code: 'disk_full',
      scope: 'disk',
      isNeverOwnFault: true,
      hint: expect.stringContaining('Free some space'),
    });
    expect(result.lookWhenFull).toBeNull();
    expect(result.halts[0]).toBe('disk_full disk');
    expect(result.alertsWhenFull.at(-1)).toMatch(/^database:checkpoint: .*no room left on the disk/);
    expect(result.readableWhenFull).toBe(true);
    expect(result.healed).toBe('over database:checkpoint');
    expect(result).toMatchObject({ rowsAfter: result.before, before: 5000, integrity: 'ok' });
    expect(result.databaseBytes).toBeGreaterThan(5_000_000);
  });
});

test('a step waits for a writer that holds the lock, and goes on when it is gone', async () => {
  const db = withDb();
  fillWithJobs(db, 300);
  const other = openDb(db.path);
  other.sqlite.exec('BEGIN IMMEDIATE');
  db.sqlite.pragma('busy_timeout = 0');
  let waits = 0;
  let steps = 0;
  const pace: Pace = {
    monotonicMs: () => 0,
    throwIfStopped: () => {},
    onStep: () => {
      steps += 1;
    },
    async pause() {
      if (steps > 0) return;
      waits += 1;
      if (waits === 3) other.sqlite.exec('COMMIT');
    },
  };
  const done = await applyRetention(db.sqlite, pace, {
    finishedBefore: 10,
    measuredBefore: 10,
    ...NO_SWARMS,
  });
  expect(waits).toBe(3);
  expect(done.byTable.jobs).toBe(300);
  // One that never ends is told, not waited for.
  fillWithJobs(db, 1);
  other.sqlite.exec('BEGIN IMMEDIATE');
  steps = 1;
  await expect(
    applyRetention(db.sqlite, pace, { finishedBefore: 10, measuredBefore: 10, ...NO_SWARMS }),
  ).rejects.toMatchObject({ code: 'database_busy' });
  other.close();
});

describe('the job', () => {
  const WINDOW = { fromMinute: 120, toMinuteExclusive: 360 };

  test('does its task and gives back facts its contract allows', async () => {
    const db = withDb();
    insertJob(db, { status: 'completed', completedAt: 1 });
    const handler = createMaintainDb({ care: withCare(db).care, window: WINDOW });
    const clock = new FakeClock('2026-11-21T03:00:00Z');
    for (const task of [
      'checkpoint',
      'analyze',
      'integrity',
      'retention',
      'vacuum',
      'thresholds',
      'lease_sweep',
    ] as const) {
      const output = await handler.run({ task }, context(clock));
      expect(maintainDb.output.safeParse(output).error).toBeUndefined();
      expect(output.task).toBe(task);
    }
  });

  test('what frees and moves pages waits for the maintenance window', async () => {
    const db = withDb();
    const handler = createMaintainDb({ care: withCare(db).care, window: WINDOW });
    for (const task of ['vacuum', 'retention'] as const)
      await expect(
        handler.run({ task }, context(new FakeClock('2026-11-21T06:00:00Z'))),
      ).rejects.toMatchObject({
        code: 'snoozed',
        delayMs: 20 * 3_600_000,
      });
  });

  test('one of each task at a time', () => {
    expect(maintainDb.request({ task: 'analyze' }).uniqueKey).toBe('maintain_db:analyze');
    expect(maintainDb.targets).toEqual(['disk']);
  });
});
