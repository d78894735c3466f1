import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { days, hours } from '../../src/lib/index.ts';
import {
  backupName,
  createBackup,
  listBackups,
  newestGoodBackupAt,
  planOldBackups,
  readSidecar,
  rehearseRestoreNow,
  removeOldBackups,
  restoreBackup,
  restoreHint,
} from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, type Disk } from '../../src/ports/index.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Goal: one bad file among the backups, of whatever sort, costs that backup and nothing else.
 * Method: real pipes, folders, links and gzip bombs in the place of a backup or its sidecar; EIO and EACCES from the disk.
 */
const disk = createNodeDisk();
const KEEP = { daily: 7, weekly: 4, monthly: 12 };
const NOW = Date.now();
const never = (): AbortSignal => new AbortController().signal;

function depsFor(dataDir: string, own: Disk = disk, at: number = NOW) {
  const clock = { ...createSystemClock(), now: () => at };
  return { disk: own, clock, dataDir, version: 'test', configPath: null };
}

/** Two good backups, of two hours and of one hour ago, and the paths of both. */
async function twoBackups() {
  const dataDir = temporaryFolder();
  withDb(dataDir).close();
  const make = async (at: number) =>
    (await createBackup(depsFor(dataDir, disk, at), { reason: 'manual', signal: never() })).backup;
  return { dataDir, older: await make(NOW - hours(2)), newer: await make(NOW - hours(1)) };
}

/** A disk that refuses to look at or read `path`. */
function refusing(path: string, code: string, calls: readonly ('stat' | 'readText')[]) {
  const fired = { count: 0 };
  const refuse = (asked: string): void => {
    if (asked !== path) return;
    fired.count += 1;
    throw Object.assign(new Error(`${code}: refused`), { code });
  };
  const own: Disk = { ...disk };
  for (const call of calls)
    Object.assign(own, {
      async [call](asked: string) {
        refuse(asked);
        return disk[call](asked);
      },
    });
  return { own, fired };
}

/** What may stand in the place of a file. */
const PUT: Readonly<Record<string, (path: string) => void>> = {
  'a folder': (path) => mkdirSync(path),
  'a link in a circle': (path) => symlinkSync(path, path),
  'a pipe': (path) => void expect(spawnSync('mkfifo', [path]).status).toBe(0),
};

const restore = (dataDir: string, own: Disk = disk) =>
  restoreBackup(depsFor(dataDir, own), { name: null, signal: never() });

/** Everything that looks at all the backups. */
async function useAll(dataDir: string, own: Disk = disk): Promise<void> {
  const deps = depsFor(dataDir, own);
  expect(await restoreHint(deps)).toContain('wikiseed restore');
  expect(await newestGoodBackupAt(own, dataDir, NOW)).toBe(NOW - hours(2));
  await planOldBackups(deps, KEEP);
  await removeOldBackups(deps, KEEP, never());
  await createBackup(deps, { reason: 'manual', signal: never() });
}

describe('a sidecar that cannot be read', () => {
  test.each([
    ...Object.entries(PUT),
    ['two megabytes', (path: string, text: string) => writeFileSync(path, text.padEnd(2e6))],
  ] as [
    string,
    (path: string, text: string) => void,
  ][])('%s in its place stops nobody', async (_what, put) => {
    const { dataDir, newer } = await twoBackups();
    const text = readFileSync(`${newer.path}.json`, 'utf8');
    rmSync(`${newer.path}.json`);
    put(`${newer.path}.json`, text);
    const listed = (await listBackups(disk, dataDir)).map(({ state, remark }) => [state, remark]);
    expect(listed).toEqual([
      ['unproven', 'its sidecar cannot be read'],
      ['verified', null],
    ]);
    await useAll(dataDir);
    // Left without its backup it is swept away, or left where it is.
    rmSync(newer.path);
    await createBackup(depsFor(dataDir), { reason: 'manual', signal: never() });
  });

  test.each([
    ['EACCES', 'readText'],
    ['EIO', 'readText'],
    ['EIO', 'stat'],
  ] as const)('%s from %s stops nobody', async (code, call) => {
    const { dataDir, newer } = await twoBackups();
    const { own, fired } = refusing(`${newer.path}.json`, code, [call]);
    expect((await listBackups(own, dataDir)).map(({ state }) => state)).toEqual(['unproven', 'verified']);
    expect(fired.count).toBe(1);
    await useAll(dataDir, own);
    expect((await restore(dataDir, own)).rejected).toEqual([]);
  });

  test('trouble of the whole process is no fault of one file', async () => {
    const { dataDir, newer } = await twoBackups();
    const { own, fired } = refusing(`${newer.path}.json`, 'EMFILE', ['readText']);
    await expect(listBackups(own, dataDir)).rejects.toMatchObject({ code: 'EMFILE' });
    expect(fired.count).toBe(1);
  });
});

describe('a newest backup that cannot be read', () => {
  test.each(Object.entries(PUT))('%s in its place: an older one is taken', async (_what, put) => {
    const { dataDir, older, newer } = await twoBackups();
    rmSync(newer.path);
    put(newer.path);
    expect((await listBackups(disk, dataDir))[0]).toMatchObject({ name: newer.name, state: 'damaged' });
    await useAll(dataDir);
    for (const { name, path, state } of await listBackups(disk, dataDir))
      if (state === 'verified' && name !== older.name) rmSync(path);
    expect(await restore(dataDir)).toMatchObject({
      backup: { name: older.name },
      rejected: [{ name: newer.name, reason: expect.stringMatching(/in its place|in a circle/) }],
    });
    // Long past keeping it is removed, or left where it is, and the others are looked after.
    await removeOldBackups(depsFor(dataDir, disk, NOW + days(400)), KEEP, never());
  });

  test('EIO on looking at it: an older one is taken', async () => {
    const { dataDir, older, newer } = await twoBackups();
    const { own, fired } = refusing(newer.path, 'EIO', ['stat']);
    expect(await restore(dataDir, own)).toMatchObject({
      backup: { name: older.name },
      rejected: [{ name: newer.name, reason: expect.stringContaining('EIO') }],
    });
    expect(fired.count).toBeGreaterThan(1);
  });

  test('EIO on reading its bytes: an older one is taken', async () => {
    const { dataDir, older, newer } = await twoBackups();
    // The memory of a process, from its first page: it can be opened, and reading it fails with EIO.
    rmSync(newer.path);
    symlinkSync('/proc/self/mem', newer.path);
    expect(await restore(dataDir)).toMatchObject({
      backup: { name: older.name },
      rejected: [{ name: newer.name, reason: expect.stringContaining('EIO') }],
    });
  });

  test('an absurd size in its sidecar: an older one is taken', async () => {
    const { dataDir, older, newer } = await twoBackups();
    const sidecar = await readSidecar(disk, newer.path);
    writeFileSync(`${newer.path}.json`, JSON.stringify({ ...(sidecar as object), databaseBytes: 9e15 }));
    expect((await rehearseRestoreNow(depsFor(dataDir), { signal: never() })).backup?.name).toBe(older.name);
    await useAll(dataDir);
    const latest = (await listBackups(disk, dataDir)).find(({ madeAt }) => madeAt === NOW);
    rmSync(latest?.path ?? '');
    expect(await restore(dataDir)).toMatchObject({
      backup: { name: older.name },
      rejected: [{ name: newer.name, reason: expect.stringContaining('9 PB') }],
    });
  });

  test.each([
    ['larger than its sidecar says', true, 1e12, /cannot be unpacked: it holds more than \d+ bytes/],
    ['larger than the disk, without a sidecar', false, 20e6, /it holds more than the 20000000 bytes/],
  ])('a gzip bomb %s: an older one is taken', async (_what, hasSidecar, freeBytes, reason) => {
    const { dataDir, older, newer } = await twoBackups();
    const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20));
    writeFileSync(newer.path, bomb);
    const sidecar = (await readSidecar(disk, newer.path)) as object;
    if (hasSidecar)
      writeFileSync(`${newer.path}.json`, JSON.stringify({ ...sidecar, sizeBytes: bomb.length }));
    else rmSync(`${newer.path}.json`);
    const own: Disk = { ...disk, space: async () => ({ freeBytes, totalBytes: 1e12 }) };
    expect(await restore(dataDir, own)).toMatchObject({
      backup: { name: older.name },
      rejected: [{ name: newer.name, reason: expect.stringMatching(reason) }],
    });
    expect(existsSync(join(dataDir, 'db', 'restoring'))).toBe(false);
  });

  test('the disk is told to be too small only when no other fits', async () => {
    const { dataDir, older, newer } = await twoBackups();
    rmSync(older.path);
    writeFileSync(newer.path, gzipSync(Buffer.alloc(64 * 2 ** 20)));
    rmSync(`${newer.path}.json`);
    const own: Disk = { ...disk, space: async () => ({ freeBytes: 20e6, totalBytes: 1e12 }) };
    await expect(restore(dataDir, own)).rejects.toMatchObject({ code: 'disk_full' });
    expect(readdirSync(join(dataDir, 'db')).filter((name) => name.startsWith('replaced-'))).toEqual([]);
  });
});

describe('a backup dated in the future', () => {
  test('is tried last, is named by no hint, and silences no alarm', async () => {
    const { dataDir, older, newer } = await twoBackups();
    const name = backupName(NOW + days(365));
    const path = join(dataDir, 'backups', name);
    copyFileSync(older.path, path);
    writeFileSync(`${path}.json`, readFileSync(`${older.path}.json`, 'utf8').replace(older.name, name));
    expect((await listBackups(disk, dataDir))[0]).toMatchObject({ name, state: 'verified' });
    const deps = depsFor(dataDir);
    const year = new Date(NOW + days(365)).toISOString().slice(0, 10);
    expect(await restoreHint(deps)).not.toContain(year);
    expect(await newestGoodBackupAt(disk, dataDir, NOW)).toBe(newer.madeAt);
    expect((await rehearseRestoreNow(deps, { signal: never() })).backup?.name).toBe(newer.name);
    expect((await restore(dataDir)).backup.name).toBe(newer.name);
    // The only one there is, it is better than none.
    for (const one of [older, newer]) rmSync(one.path);
    expect(await newestGoodBackupAt(disk, dataDir, NOW)).toBeNull();
    expect(await restoreHint(deps)).toContain(year);
    expect((await restore(dataDir)).backup.name).toBe(name);
    const database = new Database(join(dataDir, 'db', 'jobs.db'), { readonly: true });
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
    database.close();
  });
});
