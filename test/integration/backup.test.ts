import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createSystemState, type Db, STATE_KEYS, tryLockFile } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  backupDb,
  backupHandlers,
  backupName,
  createBackup,
  listBackups,
  readSidecar,
  rehearseRestore,
  rehearseRestoreNow,
  removeOldBackups,
  restoreHint,
  verifyBackup,
  writeSidecar,
} from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, createSystemRandom, silentLog } from '../../src/ports/index.ts';
import { createQueue } from '../../src/queue/index.ts';
import { canMountTmpfs } from '../helpers/needs.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Goal: a backup is a whole, proved copy of one moment, made while others write; nothing else ever has its name.
 * Method: the real SQLite API, real threads, real locks; faults are real too: a full tmpfs, a killed process, flipped bytes.
 */
const disk = createNodeDisk();
const CHILD = join(import.meta.dirname, 'backup-child.ts');
const KEEP = { daily: 7, weekly: 4, monthly: 12 };

function depsFor(dataDir: string) {
  return { disk, clock: createSystemClock(), dataDir, version: 'test', configPath: null };
}

function fill(db: Db, rows: number): void {
  db.sqlite
    .prepare(
      `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
       INSERT INTO system_state (key, value, updated_at) SELECT 'row:' || n, hex(randomblob(400)), 0 FROM numbers`,
    )
    .run(rows);
}

const never = (): AbortSignal => new AbortController().signal;
const make = (dataDir: string) => createBackup(depsFor(dataDir), { reason: 'manual', signal: never() });
/** Everything in the folder of backups but the lock file, which stays. */
const filesIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'backups')).filter((name) => name !== '.lock.db');

function child(args: readonly string[]): { stdout: string; signal: NodeJS.Signals | null; stderr: string } {
  const done = spawnSync(process.execPath, [CHILD, ...args], { encoding: 'utf8' });
  return { stdout: done.stdout, signal: done.signal, stderr: done.stderr };
}

describe('a backup', () => {
  test('of a database in use holds one moment of it, verified, with its facts beside it', async () => {
    const db = withDb();
    const dataDir = join(db.path, '..', '..');
    fill(db, 60_000);
    // Two rows in each transaction, so that half of one would show; a write at every step of the copy.
    let pairs = 0;
    const deps = depsFor(dataDir);
    const write = (): void => {
      pairs += 1;
      db.transaction(() => {
        for (const half of ['a', 'b'])
          db.sqlite.prepare(`INSERT INTO system_state VALUES (?, 'x', 0)`).run(`pair:${pairs}:${half}`);
      });
    };
    const writer = setInterval(write, 1);
    onTestFinished(() => clearInterval(writer));
    write();
    let steps = 0;
    let writtenAtFirstStep = 0;
    const made = await createBackup(deps, {
      reason: 'scheduled',
      signal: never(),
      onProgress: ({ phase }) => {
        if (phase !== 'copy') return;
        if (steps === 0) writtenAtFirstStep = pairs;
        steps += 1;
      },
    });
    clearInterval(writer);
    const written = pairs;

    const { path, name } = made.backup;
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}.json`).mode & 0o777).toBe(0o600);
    expect(filesIn(dataDir).sort()).toEqual([name, `${name}.json`]);
    const sidecar = await readSidecar(disk, path);
    expect(sidecar).toMatchObject({
      name,
      reason: 'scheduled',
      schema: made.schema,
      damage: null,
      wikiseedVersion: 'test',
    });
    expect(made.backup.state).toBe('verified');

    const copy = new Database(gunzipSync(readFileSync(path)));
    onTestFinished(() => void copy.close());
    const count = (like: string): number =>
      copy.prepare(`SELECT count(*) FROM system_state WHERE key LIKE ?`).pluck().get(like) as number;
    expect(copy.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(count('row:%')).toBe(60_000);
    expect(count('pair:%:a')).toBe(count('pair:%:b'));
    expect(count('pair:%:a')).toBeGreaterThan(0);
    expect(written).toBeGreaterThan(count('pair:%:a'));
    // The moment is that of the first step: what was written between two steps did not make the copy begin anew.
    expect(steps).toBeGreaterThan(2);
    expect(count('pair:%:a')).toBeLessThanOrEqual(writtenAtFirstStep);
  });

  test('two at once wait for one another and are both good', async () => {
    const dataDir = join(withDb().path, '..', '..');
    const [a, b] = await Promise.all([make(dataDir), make(dataDir)]);
    expect(a.backup.name).not.toBe(b.backup.name);
    for (const { backup } of [a, b])
      expect(await verifyBackup(depsFor(dataDir), backup.name, { signal: never() })).toMatchObject({
        ok: true,
      });
  });

  test('leaves the temporaries of a living process alone and removes those of a dead one', async () => {
    const dataDir = join(withDb().path, '..', '..');
    const work = join(dataDir, 'backups', '.work');
    mkdirSync(work, { recursive: true });
    writeFileSync(join(work, 'jobs.db'), 'half');
    writeFileSync(join(dataDir, 'backups', `${backupName(0)}.json`), '{}');
    const lock = tryLockFile(join(dataDir, 'backups', '.lock.db'));
    // The first wait for the lock is the moment to look, and then to let go.
    let waits = 0;
    const clock = {
      ...createSystemClock(),
      sleep: async () => {
        waits += 1;
        expect(existsSync(join(work, 'jobs.db'))).toBe(true);
        lock?.release();
      },
    };
    const deps = { ...depsFor(dataDir), clock };
    const { name } = (await createBackup(deps, { reason: 'manual', signal: never() })).backup;
    expect(waits).toBe(1);
    expect(filesIn(dataDir).sort()).toEqual([name, `${name}.json`]);
  });

  test('that is aborted ends its threads and leaves nothing', async () => {
    const db = withDb();
    const dataDir = join(db.path, '..', '..');
    fill(db, 40_000);
    for (const phase of ['copy', 'pack'] as const) {
      const stop = new AbortController();
      let fired = false;
      const made = createBackup(depsFor(dataDir), {
        reason: 'manual',
        signal: stop.signal,
        onProgress: (progress) => {
          if (progress.phase !== phase) return;
          fired = true;
          stop.abort();
        },
      });
      await expect(made).rejects.toMatchObject({ code: 'interrupted' });
      expect(fired).toBe(true);
      expect(filesIn(dataDir)).toEqual([]);
    }
    expect((await make(dataDir)).backup.state).toBe('verified');
  });

  test('of a damaged database is refused, and names what to do', async () => {
    const dataDir = temporaryFolder();
    const database = join(dataDir, 'db', 'jobs.db');
    const db = withDb(dataDir);
    fill(db, 2_000);
    db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    flip(database, 300_000, 60_000);
    await expect(make(dataDir)).rejects.toMatchObject({
      code: 'database_corrupt',
      scope: 'all',
      hint: /rebuild/,
    });
    expect(filesIn(dataDir)).toEqual([]);
  });

  test('is refused before the first byte when the disk is too small, with the figures', async () => {
    const dataDir = join(withDb().path, '..', '..');
    const small = { ...disk, space: async () => ({ freeBytes: 100, totalBytes: 1e9 }) };
    await expect(
      createBackup({ ...depsFor(dataDir), disk: small }, { reason: 'manual', signal: never() }),
    ).rejects.toMatchObject({
      code: 'disk_full',
      scope: 'disk',
      isNeverOwnFault: true,
      pauseMs: 300_000,
      message:
        /kB for a copy of the database and .* for the packed backup are needed in .*, and 100 B are free/,
    });
    expect(filesIn(dataDir)).toEqual([]);
  });

  test.skipIf(!canMountTmpfs()).each([
    // The database has 8 MB and packs to half of it: the copy does not fit, or the copy does and the packed file does not.
    ['copy', '5m'],
    ['pack', '10m'],
  ])('meets a disk that fills up during the %s, and leaves nothing', (phase, size) => {
    const dataDir = temporaryFolder();
    const db = withDb(dataDir);
    fill(db, 8_000);
    db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
    mkdirSync(join(dataDir, 'backups'));
    const script = `mount -t tmpfs -o size=${size} tmpfs ${dataDir}/backups && "$0" ${CHILD} backup ${dataDir} never lie; echo; ls -A ${dataDir}/backups`;
    const done = spawnSync('unshare', ['-Urm', 'sh', '-c', script, process.execPath], { encoding: 'utf8' });
    const [answer = '', ...left] = done.stdout.trim().split('\n');
    expect(JSON.parse(answer)).toMatchObject({
      ok: false,
      phase,
      code: 'disk_full',
      scope: 'disk',
      isNeverOwnFault: true,
    });
    expect(left).toEqual(['.lock.db']);
  });

  test.each([
    'backup:copied',
    'backup:packed',
    'backup:sidecar_written',
    'backup:renamed',
  ])('survives a SIGKILL at %s: whole or absent, and the next one works', async (step) => {
    const dataDir = temporaryFolder();
    fill(withDb(dataDir), 500);
    const killed = child(['backup', dataDir, step]);
    expect(killed.signal).toBe('SIGKILL');
    for (const { name, state } of await listBackups(disk, dataDir)) {
      expect(state).toBe('verified');
      expect(await verifyBackup(depsFor(dataDir), name, { signal: never() })).toMatchObject({ ok: true });
    }
    expect((await listBackups(disk, dataDir)).length).toBe(step === 'backup:renamed' ? 1 : 0);
    await make(dataDir);
    const names = (await listBackups(disk, dataDir)).map(({ name }) => name);
    expect(filesIn(dataDir).sort()).toEqual(names.flatMap((name) => [name, `${name}.json`]).sort());
  });
});

describe('verification', () => {
  test('finds flipped bytes, a wrong sidecar and torn ends, and notes it', async () => {
    const dataDir = temporaryFolder();
    fill(withDb(dataDir), 500);
    const { path, name } = (await make(dataDir)).backup;
    const whole = readFileSync(path);
    const verify = () => verifyBackup(depsFor(dataDir), name, { signal: never() });
    flip(path, Math.floor(whole.length / 2), 1);
    expect(await verify()).toMatchObject({ ok: false, isDamaged: true });
    expect((await listBackups(disk, dataDir))[0]).toMatchObject({ state: 'damaged' });
    writeFileSync(path, whole.subarray(0, whole.length - 20));
    expect(await verify()).toMatchObject({ ok: false, reason: /unpacked/ });
    writeFileSync(path, whole);
    appendFileSync(path, Buffer.alloc(0));
    expect(await verify()).toMatchObject({ ok: true });
    expect((await listBackups(disk, dataDir))[0]).toMatchObject({ state: 'verified', remark: null });
    const sidecar = await readSidecar(disk, path);
    if (typeof sidecar === 'string') throw new Error(sidecar);
    await writeSidecar(disk, path, { ...sidecar, rows: { ...sidecar.rows, system_state: 499 } });
    expect(await verify()).toMatchObject({
      ok: false,
      reason: 'table system_state has 500 rows instead of 499',
    });
    writeFileSync(`${path}.json`, JSON.stringify(sidecar).slice(0, 100));
    expect((await listBackups(disk, dataDir))[0]).toMatchObject({
      state: 'unproven',
      remark: /cannot be read/,
    });
    // The bytes are good, whatever became of the facts.
    expect(await verify()).toMatchObject({ ok: true });
  });

  test('the hint names restore with the date of the newest good backup, or rebuild when no copy is left', async () => {
    const dataDir = temporaryFolder();
    withDb(dataDir);
    const hint = (configPath: string | null = null) =>
      restoreHint({ disk, clock: createSystemClock(), dataDir, configPath });
    const dated = (madeAt: number): string =>
      `${new Date(madeAt).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
    expect(await hint()).toMatch(/wikiseed rebuild$/);
    const make = async (createdAt: number) =>
      (
        await createBackup(
          { ...depsFor(dataDir), clock: { ...createSystemClock(), now: () => createdAt } },
          { reason: 'manual', signal: never() },
        )
      ).backup;
    const good = await make(Date.UTC(2026, 10, 21, 2));
    const bad = await make(Date.UTC(2026, 10, 22, 2));
    writeFileSync(bad.path, 'x');
    const said = await hint("/etc/it's/config.yaml");
    expect(said).toContain(`wikiseed restore --config '/etc/it'\\''s/config.yaml' (`);
    expect(said).toContain(dated(good.madeAt));
    // Without its facts it may still be good, and restore tries it; so it does with a copy from before a migration.
    writeFileSync(`${good.path}.json`, 'torn');
    expect(await hint()).toContain('wikiseed restore (');
    expect(await hint()).toContain(dated(good.madeAt));
    rmSync(good.path);
    rmSync(`${good.path}.json`);
    // Damaged ones stand in the way of a plain rebuild.
    expect(await hint('/etc/w.yaml')).toMatch(/wikiseed rebuild --ignore-backups --config \/etc\/w.yaml$/);
    const copy = 'before-migration-1-to-2-2026-11-20T00-00-00-000Z.db';
    writeFileSync(join(dataDir, 'backups', copy), 'whatever');
    expect(await hint()).toContain('wikiseed restore (');
    expect(await hint()).toContain('2026-11-20 00:00 UTC');
  });
});

describe('retention on disk', () => {
  test('removes what the plan says with its sidecar, and keeps the last good one among damaged ones', async () => {
    const dataDir = temporaryFolder();
    withDb(dataDir);
    const names: string[] = [];
    for (let n = 0; n < 3; n += 1) names.push((await make(dataDir)).backup.name);
    const [first, second, third] = names as [string, string, string];
    writeFileSync(join(dataDir, 'backups', third), 'x');
    const removed = await removeOldBackups(depsFor(dataDir), KEEP, never());
    expect(removed.map(({ name }) => name)).toEqual([first]);
    expect(filesIn(dataDir).sort()).toEqual([second, `${second}.json`, third, `${third}.json`].sort());
  });
});

describe('rehearsal', () => {
  test('restores and migrates a copy, and removes it', async () => {
    const dataDir = temporaryFolder();
    fill(withDb(dataDir), 100);
    expect(await rehearseRestoreNow(depsFor(dataDir), { signal: never() })).toMatchObject({ backup: null });
    const { backup } = await make(dataDir);
    const done = await rehearseRestoreNow(depsFor(dataDir), { signal: never() });
    expect(done).toMatchObject({ backup: { name: backup.name } });
    expect(done.rowCount).toBeGreaterThan(100);
    expect(filesIn(dataDir).sort()).toEqual([backup.name, `${backup.name}.json`]);
  });
});

describe('jobs', () => {
  test('back up, rehearse, note the outcome, and raise an alert that the next success resolves', async () => {
    const db = withDb();
    const dataDir = join(db.path, '..', '..');
    const bus = createBus({ log: silentLog });
    const clock = createSystemClock();
    const state = createSystemState(db);
    const queue = createQueue({
      db,
      state,
      clock,
      random: createSystemRandom(),
      log: silentLog,
      bus,
      concurrency: {},
    });
    queue.register(backupHandlers({ ...depsFor(dataDir), state, bus, log: silentLog, keep: KEEP }));
    const told: string[] = [];
    bus.on('alert:raised', ({ key, hint }) => void told.push(`raised ${key} ${hint !== null}`));
    bus.on('alert:resolved', ({ key }) => void told.push(`resolved ${key}`));
    queue.start();
    onTestFinished(() => queue.stop());

    queue.enqueue([backupDb.request({ reason: 'scheduled' })]);
    expect(queue.enqueue([backupDb.request({ reason: 'manual' })])).toBe(0);
    await queue.whenIdle();
    const last = JSON.parse(state.get(STATE_KEYS.lastBackup) ?? '{}');
    const [backup] = await listBackups(disk, dataDir);
    expect(last).toMatchObject({ ok: true, reason: 'scheduled', name: backup?.name });

    queue.enqueue([rehearseRestore.request({})]);
    await queue.whenIdle();
    expect(JSON.parse(state.get(STATE_KEYS.lastRehearsal) ?? '{}')).toMatchObject({
      ok: true,
      name: backup?.name,
    });

    flip(backup?.path ?? '', 200, 50);
    queue.enqueue([rehearseRestore.request({})]);
    await queue.whenIdle();
    expect(JSON.parse(state.get(STATE_KEYS.lastRehearsal) ?? '{}')).toMatchObject({
      ok: false,
      code: 'rehearsal_failed',
    });
    expect((await listBackups(disk, dataDir))[0]?.state).toBe('damaged');
    expect(told).toEqual([
      'resolved backup_failed',
      'resolved backup_removal_failed',
      'resolved rehearsal_failed',
      'raised rehearsal_failed true',
    ]);
  });
});

/** Turns bytes over in place. */
function flip(path: string, position: number, count: number): void {
  const bytes = readFileSync(path);
  for (let at = position; at < position + count; at += 1) bytes[at] = (bytes[at] as number) ^ 0xff;
  writeFileSync(path, bytes);
}
