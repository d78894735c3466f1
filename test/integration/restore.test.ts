import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { lockDataDirectory, migrateDb, openDb } from '../../src/db/index.ts';
import {
  createBackup,
  listBackups,
  planOldBackups,
  readSidecar,
  removeOldBackups,
  restoreBackup,
  writeSidecar,
} from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, type Disk } from '../../src/ports/index.ts';
import { canMountTmpfs } from '../helpers/needs.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/**
 * Goal: a restore proves first, keeps what it replaces, and leaves the old or the new database whatever happens.
 * Method: a database whose rows say which one it is; real locks, real SIGKILL at every step, a real log left beside it.
 */
const disk = createNodeDisk();
const CHILD = join(import.meta.dirname, 'backup-child.ts');
const never = (): AbortSignal => new AbortController().signal;
const depsFor = (dataDir: string) => ({
  disk,
  clock: createSystemClock(),
  dataDir,
  version: 'test',
  configPath: null,
});
const restore = (dataDir: string, name: string | null = null) =>
  restoreBackup(depsFor(dataDir), { name, signal: never() });

/** Writes which state the database is in, and backs it up. @returns names of the backups, oldest first */
async function backupsOf(dataDir: string, words: readonly string[]): Promise<string[]> {
  const names: string[] = [];
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  migrateDb(db, { dataDir, now: new Date(0) });
  for (const word of words) {
    db.sqlite.prepare(`INSERT OR REPLACE INTO system_state VALUES ('word', ?, 0)`).run(word);
    names.push((await createBackup(depsFor(dataDir), { reason: 'manual', signal: never() })).backup.name);
  }
  db.sqlite.prepare(`INSERT OR REPLACE INTO system_state VALUES ('word', 'live', 0)`).run();
  db.close();
  return names;
}

/** Opens the database as a start does, lock first, and reads the word in it. */
function wordAfterStart(dataDir: string): string {
  const lock = lockDataDirectory(dataDir, { pid: process.pid, startedAt: '' });
  try {
    expect(existsSync(join(dataDir, 'db', 'jobs.db'))).toBe(true);
    const db = openDb(join(dataDir, 'db', 'jobs.db'));
    try {
      expect(db.sqlite.pragma('integrity_check', { simple: true })).toBe('ok');
      return db.sqlite.prepare(`SELECT value FROM system_state WHERE key = 'word'`).pluck().get() as string;
    } finally {
      db.close();
    }
  } finally {
    lock.release();
  }
}

const replacedIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'db')).filter((name) => name.startsWith('replaced-'));
const pathOf = (dataDir: string, name: string): string => join(dataDir, 'backups', name);

describe('restore', () => {
  test('takes the newest good backup and keeps what it replaces, which can be restored again', async () => {
    const dataDir = temporaryFolder();
    const [, newest] = await backupsOf(dataDir, ['first', 'second']);
    const done = await restore(dataDir);
    expect(done).toMatchObject({ backup: { name: newest }, rejected: [], willMigrate: false });
    expect(statSync(join(dataDir, 'db', 'jobs.db')).mode & 0o777).toBe(0o600);
    expect(wordAfterStart(dataDir)).toBe('second');
    const [replaced = ''] = replacedIn(dataDir);
    expect(done.replacedPath).toBe(join(dataDir, 'db', replaced));
    await restore(dataDir, replaced);
    expect(wordAfterStart(dataDir)).toBe('live');
    expect(replacedIn(dataDir).length).toBe(2);
  });

  test('passes over corrupt ones, says why, and takes the last good one', async () => {
    const dataDir = temporaryFolder();
    const [good, unsound, flipped] = (await backupsOf(dataDir, ['good', 'unsound', 'flipped'])) as [
      string,
      string,
      string,
    ];
    const bytes = readFileSync(pathOf(dataDir, flipped));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 0xff;
    writeFileSync(pathOf(dataDir, flipped), bytes);
    // Well packed and hashed, but the database in it is broken.
    const database = gunzipSync(readFileSync(pathOf(dataDir, unsound)));
    database.fill(0x5a, 4096 + 200, 3 * 4096);
    writeFileSync(pathOf(dataDir, unsound), gzipSync(database));
    rmSync(`${pathOf(dataDir, unsound)}.json`);

    const before = statSync(join(dataDir, 'db', 'jobs.db')).mtimeMs;
    const dry = await restoreBackup(depsFor(dataDir), { name: null, isDryRun: true, signal: never() });
    expect(dry.backup.name).toBe(good);
    expect(statSync(join(dataDir, 'db', 'jobs.db')).mtimeMs).toBe(before);

    const done = await restore(dataDir);
    expect(done.backup.name).toBe(good);
    expect(done.rejected).toEqual([
      { name: flipped, reason: expect.stringMatching(/unpacked|SHA-256/) },
      { name: unsound, reason: expect.stringMatching(/the database in it is damaged/) },
    ]);
    expect(wordAfterStart(dataDir)).toBe('good');
  });

  test('remembers what it found: neither the list nor retention counts on a damaged one again', async () => {
    const dataDir = temporaryFolder();
    const [good = '', torn = ''] = await backupsOf(dataDir, ['good', 'torn']);
    // Of the same size, so that only reading it shows the damage.
    const bytes = readFileSync(pathOf(dataDir, torn));
    bytes.fill(0, bytes.length >> 1);
    writeFileSync(pathOf(dataDir, torn), bytes);
    const statesOf = async (): Promise<unknown> =>
      (await listBackups(disk, dataDir))
        .filter(({ kind }) => kind === 'backup')
        .map(({ name, state }) => [name, state]);
    const reasonsFor = async (name: string): Promise<readonly string[] | undefined> =>
      (await planOldBackups(depsFor(dataDir), { daily: 7, weekly: 4, monthly: 12 })).keep.find(
        ({ backup }) => backup.name === name,
      )?.reasons;

    const dry = await restoreBackup(depsFor(dataDir), { name: null, isDryRun: true, signal: never() });
    expect(dry.rejected.map(({ name }) => name)).toEqual([torn]);
    expect(await statesOf()).toEqual([
      [torn, 'verified'],
      [good, 'verified'],
    ]);
    expect(await reasonsFor(good)).toBeUndefined();

    const beganAt = Date.now();
    expect((await restore(dataDir)).backup.name).toBe(good);
    expect(await statesOf()).toEqual([
      [torn, 'damaged'],
      [good, 'verified'],
    ]);
    const sidecar = await readSidecar(disk, pathOf(dataDir, good));
    expect(Date.parse((sidecar as { verifiedAt: string }).verifiedAt)).toBeGreaterThanOrEqual(beganAt);
    expect(await reasonsFor(good)).toContain('the last good one');
    expect(await reasonsFor(torn)).not.toContain('the last good one');
    const removed = await removeOldBackups(depsFor(dataDir), { daily: 1, weekly: 0, monthly: 0 }, never());
    expect(removed.map(({ name }) => name)).not.toContain(good);
  });

  test('also remembers it of one that was named, and works when nothing can be noted', async () => {
    const dataDir = temporaryFolder();
    const [good = '', bad = ''] = await backupsOf(dataDir, ['good', 'bad']);
    const bytes = readFileSync(pathOf(dataDir, bad));
    bytes.fill(0, bytes.length >> 1);
    writeFileSync(pathOf(dataDir, bad), bytes);
    let refused = 0;
    const stubborn: Disk = {
      ...disk,
      rename(from, to) {
        if (!to.endsWith('.json')) return disk.rename(from, to);
        refused += 1;
        throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
      },
    };
    const deps = { ...depsFor(dataDir), disk: stubborn };
    expect((await restoreBackup(deps, { name: null, signal: never() })).backup.name).toBe(good);
    expect(refused).toBe(2);
    expect(wordAfterStart(dataDir)).toBe('good');
    await expect(restore(dataDir, bad)).rejects.toMatchObject({ code: 'backup_unusable' });
    expect((await listBackups(disk, dataDir)).find(({ name }) => name === bad)?.state).toBe('damaged');
  });

  test('names the newest backup to whoever asks for one that is not there, never what was replaced', async () => {
    const dataDir = temporaryFolder();
    const [, newest = ''] = await backupsOf(dataDir, ['older', 'newest']);
    const { replacedPath } = await restore(dataDir);
    expect((await listBackups(disk, dataDir))[0]?.path).toBe(replacedPath);
    const asked = () => restore(dataDir, 'jobs-x.db.gz');
    await expect(asked()).rejects.toMatchObject({
      hint: expect.stringContaining(`The newest is ${newest};`),
    });
    rmSync(join(dataDir, 'backups'), { recursive: true });
    await expect(asked()).rejects.toMatchObject({
      hint: expect.stringMatching(/^There are no backups.*"wikiseed backups"/),
    });
    rmSync(replacedPath ?? '', { recursive: true });
    await expect(asked()).rejects.toMatchObject({ hint: 'There are no backups at all.' });
  });

  test('does without a sidecar, torn or missing', async () => {
    const dataDir = temporaryFolder();
    const [name = ''] = await backupsOf(dataDir, ['only']);
    writeFileSync(`${pathOf(dataDir, name)}.json`, '{"format": 1, "na');
    expect((await restore(dataDir)).backup.name).toBe(name);
    rmSync(`${pathOf(dataDir, name)}.json`, { force: true });
    expect((await restore(dataDir, name)).backup.name).toBe(name);
    expect(wordAfterStart(dataDir)).toBe('only');
  });

  test('changes nothing when what was named is corrupt, newer, or not there', async () => {
    const dataDir = temporaryFolder();
    const [newer = '', corrupt = ''] = await backupsOf(dataDir, ['newer', 'corrupt']);
    writeFileSync(pathOf(dataDir, corrupt), 'nothing');
    const image = new Database(gunzipSync(readFileSync(pathOf(dataDir, newer))));
    image.exec(
      `INSERT INTO __drizzle_migrations (hash, created_at) SELECT 'future', 9 FROM (VALUES (1), (2), (3))`,
    );
    writeFileSync(pathOf(dataDir, newer), gzipSync(image.serialize()));
    image.close();
    rmSync(`${pathOf(dataDir, newer)}.json`);
    await expect(restore(dataDir, corrupt)).rejects.toMatchObject({ code: 'backup_unusable' });
    await expect(restore(dataDir, newer)).rejects.toMatchObject({ message: /written by a newer WikiSeed/ });
    await expect(restore(dataDir, 'jobs-x.db.gz')).rejects.toMatchObject({ code: 'usage' });
    await expect(restore(dataDir, '../../etc/passwd')).rejects.toMatchObject({ code: 'usage' });
    await expect(restore(dataDir)).rejects.toMatchObject({ code: 'no_good_backup', hint: /rebuild/ });
    expect(wordAfterStart(dataDir)).toBe('live');
    expect(replacedIn(dataDir)).toEqual([]);
    expect(existsSync(join(dataDir, 'db', 'restoring'))).toBe(false);
  });

  test('is refused while a daemon holds the data directory', async () => {
    const dataDir = temporaryFolder();
    await backupsOf(dataDir, ['old']);
    const lock = lockDataDirectory(dataDir, { pid: process.pid, startedAt: '' });
    onTestFinished(() => lock.release());
    await expect(restore(dataDir)).rejects.toMatchObject({ code: 'already_running' });
    const dry = await restoreBackup(depsFor(dataDir), { name: null, isDryRun: true, signal: never() });
    expect(dry.backup.state).toBe('verified');
  });

  test('never applies the log of the old database to the new one, and replaces a corrupt one as it is', async () => {
    const dataDir = temporaryFolder();
    await backupsOf(dataDir, ['saved']);
    const database = join(dataDir, 'db', 'jobs.db');
    // A log as a killed daemon leaves it: copied while the connection that wrote it is open.
    const live = openDb(database);
    live.sqlite.prepare(`INSERT OR REPLACE INTO system_state VALUES ('word', 'in the log', 0)`).run();
    const log = readFileSync(`${database}-wal`);
    live.close();
    writeFileSync(database, 'this is no database');
    writeFileSync(`${database}-wal`, log);
    expect(log.length).toBeGreaterThan(0);
    const { replacedPath } = await restore(dataDir);
    expect(wordAfterStart(dataDir)).toBe('saved');
    expect(readFileSync(join(replacedPath ?? '', 'jobs.db'), 'utf8')).toBe('this is no database');
    expect(readFileSync(join(replacedPath ?? '', 'jobs.db-wal')).equals(log)).toBe(true);
  });

  test('takes a copy from before a migration, and works without any database in place', async () => {
    const dataDir = temporaryFolder();
    const [name = ''] = await backupsOf(dataDir, ['older schema']);
    const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const copy = `before-migration-1-to-2-${stamp}.db`;
    writeFileSync(pathOf(dataDir, copy), gunzipSync(readFileSync(pathOf(dataDir, name))));
    renameSync(join(dataDir, 'db', 'jobs.db'), join(dataDir, 'gone.db'));
    const done = await restore(dataDir);
    expect(done).toMatchObject({ backup: { name: copy }, replacedPath: null });
    expect(wordAfterStart(dataDir)).toBe('older schema');
  });

  test('that is aborted leaves the old database and no temporaries', async () => {
    const dataDir = temporaryFolder();
    await backupsOf(dataDir, ['saved']);
    const stop = new AbortController();
    let fired = false;
    const restoring = restoreBackup(depsFor(dataDir), {
      name: null,
      signal: stop.signal,
      onProgress: () => {
        fired = true;
        stop.abort();
      },
    });
    await expect(restoring).rejects.toMatchObject({ code: 'interrupted' });
    expect(fired).toBe(true);
    expect(existsSync(join(dataDir, 'db', 'restoring'))).toBe(false);
    expect(wordAfterStart(dataDir)).toBe('live');
  });

  test('is refused when the disk is too small, with the figures', async () => {
    const dataDir = temporaryFolder();
    const [name = ''] = await backupsOf(dataDir, ['saved']);
    const path = pathOf(dataDir, name);
    const sidecar = await readSidecar(disk, path);
    if (typeof sidecar === 'string') throw new Error(sidecar);
    await writeSidecar(disk, path, { ...sidecar, databaseBytes: 9e15 });
    await expect(restore(dataDir)).rejects.toMatchObject({
      code: 'disk_full',
      message: /9 PB for the database in/,
    });
    expect(wordAfterStart(dataDir)).toBe('live');
  });

  const canMount = canMountTmpfs();
  test.skipIf(!canMount)('meets a disk that fills up while unpacking, and leaves nothing', async () => {
    const dataDir = temporaryFolder();
    await backupsOf(dataDir, ['saved']);
    // The database has 250 kB, the disk of `db/` less; without a database in place, to see that none appears.
    const script = `mount -t tmpfs -o size=100k tmpfs ${dataDir}/db && "$0" ${CHILD} restore ${dataDir} never lie; echo; ls -A ${dataDir}/db`;
    const done = spawnSync('unshare', ['-Urm', 'sh', '-c', script, process.execPath], { encoding: 'utf8' });
    const [answer = '', ...left] = done.stdout.trim().split('\n');
    expect(JSON.parse(answer)).toMatchObject({ ok: false, code: 'disk_full', scope: 'disk' });
    expect(left).toEqual(['lock.db']);
    expect(wordAfterStart(dataDir)).toBe('live');
  });

  const DECIDED = [
    'restore:decided',
    'restore:moved jobs.db',
    'restore:moved jobs.db-wal',
    'restore:moved jobs.db-shm',
    'restore:renamed',
    'restore:finished',
  ];
  test.each([
    ['restore:proved', 'live'],
    ...DECIDED.map((step) => [step, 'saved']),
  ])('killed at %s: a start finds the database "%s", and so does a second restore its backup', async (step, word) => {
    const dataDir = temporaryFolder();
    await backupsOf(dataDir, ['saved']);
    const database = join(dataDir, 'db', 'jobs.db');
    // A log and its index are there, as after a kill, so that every file has its move.
    const live = openDb(database);
    live.sqlite.prepare(`INSERT OR REPLACE INTO system_state VALUES ('other', 'x', 0)`).run();
    const parts = ['-wal', '-shm'].map((suffix) => [suffix, readFileSync(`${database}${suffix}`)] as const);
    live.close();
    for (const [suffix, bytes] of parts) writeFileSync(`${database}${suffix}`, bytes);

    const killed = spawnSync(process.execPath, [CHILD, 'restore', dataDir, step]);
    expect(killed.signal).toBe('SIGKILL');
    expect(wordAfterStart(dataDir)).toBe(word);
    expect(existsSync(join(dataDir, 'db', 'restoring'))).toBe(false);
    if (word === 'saved')
      expect(existsSync(join(dataDir, 'db', replacedIn(dataDir)[0] ?? '', 'jobs.db'))).toBe(true);
    await restore(dataDir);
    expect(wordAfterStart(dataDir)).toBe('saved');
  });
});
