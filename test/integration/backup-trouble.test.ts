import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createSystemState, type Db, STATE_KEYS, tryLockFile } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  backupDb,
  backupHandlers,
  createBackup,
  listBackups,
  rehearseRestore,
  removeOldBackups,
} from '../../src/maintenance/index.ts';
import {
  createNodeDisk,
  createSystemClock,
  createSystemRandom,
  type Disk,
  silentLog,
} from '../../src/ports/index.ts';
import { createQueue } from '../../src/queue/index.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Goal: what goes wrong with a backup has the consequence it should have, and no other.
 * Method: the real queue, threads and SQLite; a disk that refuses one call, a damaged file, a row without its parent.
 */
const disk = createNodeDisk();
const KEEP = { daily: 7, weekly: 4, monthly: 12 };
const never = (): AbortSignal => new AbortController().signal;
const dataDirOf = (db: Db): string => join(db.path, '..', '..');
const filesIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'backups')).filter((name) => name !== '.lock.db');

function depsFor(dataDir: string, own: Disk = disk) {
  return { disk: own, clock: createSystemClock(), dataDir, version: 'test', configPath: '/etc/w.yaml' };
}
const make = (dataDir: string, own: Disk = disk) =>
  createBackup(depsFor(dataDir, own), { reason: 'manual', signal: never() });

/** A queue with the jobs of backups, on a database that need not be the one they back up. */
function setup(deps: ReturnType<typeof depsFor>, db = withDb()) {
  const bus = createBus({ log: silentLog });
  const clock = createSystemClock();
  const state = createSystemState(db);
  const queue = createQueue({
    ...{ db, state, clock, bus, log: silentLog },
    random: createSystemRandom(),
    concurrency: {},
  });
  queue.register(backupHandlers({ ...deps, state, bus, log: silentLog, keep: KEEP }));
  const told: string[] = [];
  const hints: (string | null)[] = [];
  bus.on('alert:raised', ({ key, severity, hint }) => {
    told.push(`raised ${key} ${severity}`);
    hints.push(hint);
  });
  bus.on('alert:resolved', ({ key }) => void told.push(`resolved ${key}`));
  onTestFinished(() => queue.stop());
  const statuses = (): unknown[] => db.sqlite.prepare('SELECT status FROM jobs ORDER BY id').pluck().all();
  return { db, bus, queue, state, told, hints, statuses };
}

function damagedDatabase(): string {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const insert = db.sqlite.prepare(`INSERT INTO system_state VALUES (?, hex(randomblob(400)), 0)`);
  db.transaction(() => {
    for (let n = 0; n < 2_000; n += 1) insert.run(`row:${n}`);
  });
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const path = join(dataDir, 'db', 'jobs.db');
  const bytes = readFileSync(path);
  bytes.fill(0x5a, 300_000, 360_000);
  writeFileSync(path, bytes);
  return dataDir;
}

describe('cancelling', () => {
  test.each([
    ['backup', 'waiting'],
    ['backup', 'running'],
    ['rehearsal', 'waiting'],
    ['rehearsal', 'running'],
  ] as const)('a %s that is %s leaves the last outcome and the alerts as they were', async (what, when) => {
    const db = withDb();
    const dataDir = dataDirOf(db);
    await make(dataDir);
    const { bus, queue, state, told, statuses } = setup(depsFor(dataDir), db);
    for (const key of [STATE_KEYS.lastBackup, STATE_KEYS.lastRehearsal]) state.set(key, 'as it was', 0);
    bus.on('job:started', ({ jobId }) => {
      expect(queue.cancelJob(jobId)).toMatchObject({ now: 'stopping' });
    });
    queue.enqueue([what === 'backup' ? backupDb.request({ reason: 'manual' }) : rehearseRestore.request({})]);
    if (when === 'waiting') expect(queue.cancelJob(1)).toMatchObject({ now: 'cancelled' });
    else queue.start();
    await queue.whenIdle();
    expect(statuses()).toEqual(['cancelled']);
    expect(told).toEqual([]);
    expect([state.get(STATE_KEYS.lastBackup), state.get(STATE_KEYS.lastRehearsal)]).toEqual([
      'as it was',
      'as it was',
    ]);
  });
});

describe('the folder of backups', () => {
  test('is free again when its temporaries cannot be removed', async () => {
    const dataDir = dataDirOf(withDb());
    let calls = 0;
    const stubborn: Disk = {
      ...disk,
      async removeTree(path) {
        calls += 1;
        // The first call sweeps before the work.
        if (calls > 1) throw Object.assign(new Error('EBUSY: resource busy'), { code: 'EBUSY' });
        await disk.removeTree(path);
      },
    };
    const { backup } = await make(dataDir, stubborn);
    expect(calls).toBe(2);
    expect(backup.state).toBe('verified');
    const lock = tryLockFile(join(dataDir, 'backups', '.lock.db'));
    expect(lock).not.toBeNull();
    lock?.release();
    // The work's own trouble is not hidden by that of the clean-up.
    calls = 0;
    const small = { ...stubborn, space: async () => ({ freeBytes: 1, totalBytes: 1 }) };
    await expect(make(dataDir, small)).rejects.toMatchObject({ code: 'disk_full' });
    expect(calls).toBe(2);
    await make(dataDir);
    expect(existsSync(join(dataDir, 'backups', '.work'))).toBe(false);
  });

  test('is cleaned only when every thread has ended, although one of two that pack failed', async () => {
    const db = withDb();
    const dataDir = dataDirOf(db);
    const insert = db.sqlite.prepare(`INSERT INTO system_state VALUES (?, hex(randomblob(2000)), 0)`);
    db.transaction(() => {
      for (let n = 0; n < 4_000; n += 1) insert.run(`row:${n}`);
    });
    const threadsAtRemoval: number[] = [];
    const watched: Disk = {
      ...disk,
      removeTree(path) {
        threadsAtRemoval.push(backupThreads());
        return disk.removeTree(path);
      },
    };
    const seen: number[] = [];
    const made = createBackup(depsFor(dataDir, watched), {
      reason: 'manual',
      signal: never(),
      onProgress: ({ phase }) => {
        if (phase !== 'copy') return;
        seen.push(backupThreads());
        // Where the second half is to be written.
        writeFileSync(join(dataDir, 'backups', '.work', 'jobs.db.gz.1'), 'in the way');
      },
    });
    await expect(made).rejects.toMatchObject({ code: 'EEXIST' });
    if (process.platform === 'linux') expect(Math.max(...seen)).toBeGreaterThan(0);
    expect(threadsAtRemoval).toEqual([0, 0]);
    expect(filesIn(dataDir)).toEqual([]);
    expect((await make(dataDir)).backup.state).toBe('verified');
  });
});

test('old backups that cannot be removed make no second backup, and raise an alert of their own', async () => {
  const db = withDb();
  const dataDir = dataDirOf(db);
  const old = (await make(dataDir)).backup;
  let isRefusing = true;
  let refused = 0;
  const refusing: Disk = {
    ...disk,
    async remove(path) {
      if (isRefusing && path === old.path) {
        refused += 1;
        throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
      }
      await disk.remove(path);
    },
  };
  const { queue, state, told, statuses } = setup(depsFor(dataDir, refusing), db);
  queue.start();
  queue.enqueue([backupDb.request({ reason: 'scheduled' })]);
  await queue.whenIdle();
  expect(refused).toBe(1);
  expect(statuses()).toEqual(['completed']);
  expect((await listBackups(disk, dataDir)).length).toBe(2);
  expect(JSON.parse(state.get(STATE_KEYS.lastBackup) ?? '{}')).toMatchObject({
    ok: true,
    removed: [],
    removalTrouble: { message: 'old backups could not be removed: EACCES: permission denied' },
  });
  expect(told.splice(0)).toEqual(['resolved backup_failed', 'raised backup_removal_failed warn']);

  isRefusing = false;
  queue.enqueue([backupDb.request({ reason: 'scheduled' })]);
  await queue.whenIdle();
  expect((await listBackups(disk, dataDir)).length).toBe(1);
  expect(told).toEqual(['resolved backup_failed', 'resolved backup_removal_failed']);
  expect(await removeOldBackups(depsFor(dataDir), KEEP, never())).toEqual([]);
});

describe('a database that is not fit to be backed up', () => {
  test('halts everything when it is damaged, as the integrity check does, and says so', async () => {
    const dataDir = damagedDatabase();
    await expect(make(dataDir)).rejects.toMatchObject({
      name: 'HaltPipelineError',
      code: 'database_corrupt',
      scope: 'all',
      isNeverOwnFault: true,
      hint: 'There is no good backup. Make the database again from the data directory: wikiseed rebuild --config /etc/w.yaml',
    });
    expect(filesIn(dataDir)).toEqual([]);

    const { bus, queue, told, hints, statuses } = setup(depsFor(dataDir));
    const halted = Promise.withResolvers<unknown>();
    bus.on('target:halted', (halt) => halted.resolve(halt));
    queue.start();
    queue.enqueue([backupDb.request({ reason: 'scheduled' })]);
    expect(await halted.promise).toMatchObject({ target: 'all', code: 'database_corrupt' });
    expect(statuses()).toEqual(['pending']);
    expect(told).toEqual(['raised backup_failed error']);
    expect(hints).toEqual([expect.stringContaining('wikiseed rebuild --config /etc/w.yaml')]);
  });

  test.each([
    ['of no bytes', ''],
    ['without our tables', 'CREATE TABLE others (id INTEGER)'],
    ['without a migration', 'CREATE TABLE __drizzle_migrations (id, hash, created_at)'],
  ])('is refused when it is empty (%s), and the last good backup stays that', async (_what, sql) => {
    const dataDir = temporaryFolder();
    withDb(dataDir).close();
    const { backup } = await make(dataDir);
    const database = join(dataDir, 'db', 'jobs.db');
    writeFileSync(database, '');
    const other = new Database(database);
    other.exec(sql);
    other.close();
    await expect(make(dataDir)).rejects.toMatchObject({
      code: 'database_missing',
      message: expect.stringMatching(/database .* empty/),
      hint: expect.stringContaining('wikiseed restore --config /etc/w.yaml ('),
    });
    expect(filesIn(dataDir).sort()).toEqual([backup.name, `${backup.name}.json`]);
    // Without any backup the way out is the other one.
    for (const file of filesIn(dataDir)) rmSync(join(dataDir, 'backups', file));
    await expect(make(dataDir)).rejects.toMatchObject({
      code: 'database_missing',
      hint: expect.stringContaining('wikiseed rebuild --config /etc/w.yaml'),
    });
    expect(filesIn(dataDir)).toEqual([]);
  });

  test('fails the backup alone when only references are broken, and names the rows', async () => {
    const db = withDb();
    const dataDir = dataDirOf(db);
    const { backup } = await make(dataDir);
    const careless = new Database(db.path);
    careless.exec(`PRAGMA foreign_keys = OFF; CREATE TABLE parents (id INTEGER PRIMARY KEY);
      CREATE TABLE children (parent REFERENCES parents (id)); INSERT INTO children VALUES (7)`);
    careless.close();
    const { queue, state, told, hints, statuses } = setup(depsFor(dataDir), db);
    queue.start();
    queue.enqueue([backupDb.request({ reason: 'scheduled' })]);
    await queue.whenIdle();
    expect(statuses()).toEqual(['failed']);
    expect(JSON.parse(state.get(STATE_KEYS.lastBackup) ?? '{}')).toMatchObject({
      ok: false,
      code: 'foreign_keys_broken',
      message: expect.stringContaining('row 1 of children has no parents'),
    });
    expect(told).toEqual(['raised backup_failed error']);
    expect(hints[0]).toContain('delete these rows');
    expect(hints[0]).toContain(`wikiseed restore --config /etc/w.yaml (`);
    expect((await listBackups(disk, dataDir)).map(({ name }) => name)).toEqual([backup.name]);
  });
});

/** Threads of backups in this process, by their names; 0 where the system does not tell. */
function backupThreads(): number {
  const tasks = '/proc/self/task';
  if (!existsSync(tasks)) return 0;
  return readdirSync(tasks).filter((id) => {
    try {
      return readFileSync(join(tasks, id, 'comm'), 'utf8').startsWith('backup-');
    } catch {
      // It ended just now.
      return false;
    }
  }).length;
}
