import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { startSandbox } from '../../src/sandbox/index.ts';
import { filesBelow, loseDatabase, NOW, rebuild, recordOf, tablesOf } from '../helpers/rebuild-bundle.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: nothing that merely cannot be read ends a rebuild.
 * Method: one small cycle is published once. Every kind of file a rebuild reads is replaced by every kind of thing that
 * cannot be read; the rebuild tells it, moves it aside and makes good what it said.
 */

const TORRENT = 'wikimedia-dumps-2026-11-20';
let published: { folder: string; tables: ReturnType<typeof tablesOf> };

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-unreadable-'));
  const sandbox = await startSandbox({
    dir: join(folder, 'sandbox'),
    wikis: 1,
    sizeBytes: 200_000,
    runDates: ['20261120'],
    taskDelayMs: 0,
    r2WriteIntervalMs: 0,
  });
  const app = await createApp({
    ...sandboxConfig(sandbox, join(folder, 'data')),
    clock: shiftedClock(NOW),
    log: silentLog,
  });
  await app.start();
  await app.whenIdle();
  await app.stop();
  await sandbox.stop();
  published = { folder, tables: tablesOf(join(folder, 'data')) };
  expect(published.tables.cycles).toMatchObject([{ status: 'published' }]);
});
afterAll(() => rmSync(published.folder, { recursive: true, force: true }));

/** A copy with its hard links, and without the database. */
function setup(): string {
  const dataDir = join(temporaryFolder(), 'data');
  expect(spawnSync('cp', ['-a', join(published.folder, 'data'), dataDir]).status).toBe(0);
  loseDatabase(dataDir);
  return dataDir;
}

/** Puts something in the place of a file; some need a disk that plays along. */
type Harm = (path: string) => Disk | undefined;

const HARMS: Readonly<Record<string, { reason: RegExp; harm: Harm }>> = {
  'a folder': {
    reason: /a folder is in its place/,
    harm: (path) => {
      rmSync(path, { recursive: true });
      mkdirSync(path);
      writeFileSync(join(path, 'inside'), 'keep');
      return undefined;
    },
  },
  'a link to itself': {
    reason: /leads in a circle/,
    harm: (path) => {
      rmSync(path);
      symlinkSync(basename(path), path);
      return undefined;
    },
  },
  'a pipe': {
    reason: /a pipe, socket or device/,
    harm: (path) => {
      rmSync(path);
      expect(spawnSync('mkfifo', [path]).status).toBe(0);
      return undefined;
    },
  },
  '700 MB': {
    reason: /it has 700 MB/,
    harm: (path) => {
      rmSync(path);
      writeFileSync(path, '');
      truncateSync(path, 700e6);
      return undefined;
    },
  },
  'a bad sector': {
    reason: /cannot be read \(EIO/,
    harm: (bad) => {
      const disk = createNodeDisk();
      const fail = async (): Promise<never> => {
        throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
      };
      return {
        ...disk,
        readText: (path) => (path === bad ? fail() : disk.readText(path)),
        async open(path, mode) {
          const file = await disk.open(path, mode);
          return path === bad ? { ...file, read: fail } : file;
        },
      };
    },
  },
};

const TARGETS: Readonly<Record<string, (dataDir: string) => string>> = {
  'a record of files': (dataDir) =>
    join(dataDir, 'records', 'files', filesBelow(join(dataDir, 'records', 'files'))[0] as string),
  'the record of cycles': (dataDir) => recordOf(dataDir, 'cycles.json'),
  'the record of a torrent': (dataDir) => recordOf(dataDir, `${TORRENT}.json`),
  'the manifest': (dataDir) => join(dataDir, 'publish', 'manifest.json'),
  'a HASH.json': (dataDir) => join(dataDir, 'torrents', TORRENT, 'HASH.json'),
  'a .torrent': (dataDir) => join(dataDir, 'torrents', `${TORRENT}.torrent`),
  'a published .torrent': (dataDir) =>
    join(
      dataDir,
      'publish',
      'torrents',
      readdirSync(join(dataDir, 'publish', 'torrents')).find((name) => name.endsWith('.torrent')) as string,
    ),
};

const names = (dataDir: string): unknown[] =>
  (tablesOf(dataDir).dumps ?? []).map(({ filename, our_status, sha1 }) => [filename, our_status, sha1]);

describe.each(Object.entries(TARGETS))('%s', (target, pathOf) => {
  test.each(
    Object.entries(HARMS),
  )('%s in its place is told and moved aside; the rest is rebuilt', async (what, { reason, harm }) => {
    const dataDir = setup();
    const path = pathOf(dataDir);
    const report = await rebuild(dataDir, { disk: harm(path) ?? createNodeDisk() });
    expect(report.isWhole).toBe(false);
    expect(report.problems).toContainEqual({
      what: path.slice(dataDir.length + 1),
      reason: expect.stringMatching(reason),
    });
    expect(names(dataDir)).toEqual(
      published.tables.dumps?.map(({ filename, our_status, sha1 }) => [filename, our_status, sha1]),
    );
    expect(tablesOf(dataDir).torrents?.map((row) => row.info_hash)).toEqual(
      published.tables.torrents?.map((row) => row.info_hash),
    );
    const [aside] = readdirSync(dirname(path)).filter((name) => name.includes('.unreadable-'));
    expect(aside).toBeDefined();
    expect(report.notes.join()).toContain(`kept as ${aside}`);
    if (what === 'a folder') expect(existsSync(join(dirname(path), String(aside), 'inside'))).toBe(true);
    // What the daemon writes goes to a free place; a .torrent has its published copy.
    if (target === 'a .torrent') expect(statSync(path).isFile()).toBe(true);
    else expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
    // Nothing is left to be told, except what was lost with it.
    rmSync(join(dataDir, 'db', 'jobs.db'));
    expect((await rebuild(dataDir)).problems.map((problem) => problem.reason).join()).not.toMatch(reason);
  });
});

test('a bad manifest.json gives way to those of the cycles', async () => {
  const dataDir = setup();
  rmSync(join(dataDir, 'records'), { recursive: true });
  rmSync(join(dataDir, 'publish', 'manifest.json'));
  mkdirSync(join(dataDir, 'publish', 'manifest.json'));
  await rebuild(dataDir);
  // Only a manifest knows where the archive has a file.
  expect(tablesOf(dataDir).dumps?.map((row) => row.ia_url)).toEqual(
    published.tables.dumps?.map((row) => row.ia_url),
  );
  expect(tablesOf(dataDir).dumps?.every((row) => row.ia_url !== null)).toBe(true);
});

test.each([
  'records/files',
  'records/files/20261120',
  'publish/manifests',
  'publish/torrents',
])('a link in a circle instead of the folder %s is told, and the files are known from elsewhere', async (folder) => {
  const dataDir = setup();
  const path = join(dataDir, folder);
  rmSync(path, { recursive: true });
  // Only then are the manifests of the cycles read.
  if (folder === 'publish/manifests') rmSync(join(dataDir, 'publish', 'manifest.json'));
  symlinkSync(basename(path), path);
  const report = await rebuild(dataDir);
  expect(report.problems).toContainEqual({ what: folder, reason: expect.stringMatching(/circle/) });
  expect(report.filesHeld).toBe(published.tables.dumps?.length);
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test('a file instead of a folder of records is moved aside, or no record could be written there', async () => {
  const dataDir = setup();
  const path = join(dataDir, 'records', 'files', '20261120');
  rmSync(path, { recursive: true });
  writeFileSync(path, 'x');
  const report = await rebuild(dataDir);
  expect(report.problems).toContainEqual({ what: 'records/files/20261120', reason: 'it should be a folder' });
  expect(existsSync(path)).toBe(false);
});

test('a .torrent whose place cannot be cleared is told, and the rebuild goes on', async () => {
  const dataDir = setup();
  const path = join(dataDir, 'torrents', `${TORRENT}.torrent`);
  rmSync(path);
  mkdirSync(path);
  const disk = createNodeDisk();
  let fired = 0;
  const report = await rebuild(dataDir, {
    disk: {
      ...disk,
      async rename(from, to) {
        if (from !== path) return disk.rename(from, to);
        fired += 1;
        throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
      },
    },
  });
  expect(fired).toBe(1);
  expect(report.problems.map((problem) => problem.reason).join('\n')).toMatch(
    /could not be moved out of the way[\s\S]*could not be put back \(EISDIR/,
  );
  expect(report.torrents.length).toBe(published.tables.torrents?.length);
});

test.each([
  'link',
  'pipe',
])('a %s in the place of a dump file is moved aside, also with --verify', async (kind) => {
  const dataDir = setup();
  const place = String(published.tables.dumps?.[0]?.local_path);
  const path = join(dataDir, place);
  rmSync(path);
  if (kind === 'link') symlinkSync(basename(path), path);
  else expect(spawnSync('mkfifo', [path]).status).toBe(0);
  const report = await rebuild(dataDir, { verify: true });
  expect(report.damaged).toMatchObject([{ what: place }]);
  expect(lstatSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test('too many open files say nothing of a record: the rebuild ends, and nothing is moved', async () => {
  const dataDir = setup();
  const disk = createNodeDisk();
  const before = filesBelow(join(dataDir, 'records'));
  await expect(
    rebuild(dataDir, {
      disk: {
        ...disk,
        async open() {
          throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
        },
      },
    }),
  ).rejects.toMatchObject({ code: 'EMFILE' });
  expect(filesBelow(join(dataDir, 'records'))).toEqual(before);
  expect(existsSync(join(dataDir, 'db', 'jobs.db'))).toBe(false);
});

test('what a rebuild makes is for its owner only', async () => {
  const dataDir = setup();
  mkdirSync(join(dataDir, 'db'), { mode: 0o755 });
  writeFileSync(join(dataDir, 'db', 'jobs.db'), '');
  await rebuild(dataDir);
  const [replaced] = readdirSync(join(dataDir, 'db')).filter((name) => name.startsWith('replaced-'));
  expect(statSync(join(dataDir, 'db', 'jobs.db')).mode & 0o777).toBe(0o600);
  expect(statSync(join(dataDir, 'db', String(replaced))).mode & 0o777).toBe(0o700);
});

test('a record that is a link to nothing is told, and its files are known from the torrent', async () => {
  const dataDir = setup();
  const record = filesBelow(join(dataDir, 'records', 'files'))[0] as string;
  const path = join(dataDir, 'records', 'files', record);
  rmSync(path);
  symlinkSync('gone', path);
  const report = await rebuild(dataDir);
  expect(report.problems).toContainEqual({
    what: `records/files/${record}`,
    reason: 'it is a link to nothing',
  });
  expect(report.filesHeld).toBe(published.tables.dumps?.length);
});
