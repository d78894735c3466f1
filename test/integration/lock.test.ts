import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { isDataDirectoryInUse, lockDataDirectory, tryLockFile } from '../../src/db/index.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed } from '../helpers/with-process.ts';

/**
 * Goal: two processes never work on one data directory, whatever became of the lock file.
 * Method: real SQLite locks, real users where the test has the right to be another one.
 */
const CHILD = join(import.meta.dirname, '..', 'helpers', 'lock-child.ts');
const facts = { pid: 1, startedAt: '2026-11-23T00:00:00Z' };
const isRoot = process.getuid?.() === 0;
/** nobody */
const OTHER = 65_534;

test('a lock file that may not be written is refused: it would lock nothing', () => {
  const dataDir = temporaryFolder();
  const path = join(dataDir, 'db', 'lock.db');
  mkdirSync(join(dataDir, 'db'));
  writeFileSync(path, '');
  chmodSync(path, 0o444);
  // Root may write everything, so somebody else has to try.
  if (isRoot) for (const own of [dataDir, join(dataDir, 'db')]) chownSync(own, OTHER, OTHER);
  const user = isRoot ? { uid: OTHER, gid: OTHER } : {};
  const { stdout } = spawnSync(process.execPath, [CHILD, dataDir], { encoding: 'utf8', ...user });
  expect(JSON.parse(stdout)).toMatchObject({
    ok: false,
    code: 'lock_unusable',
    hint: expect.stringContaining('chown <user>'),
  });
});

test('a lock file that is none is made anew', () => {
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, 'db'));
  writeFileSync(
    join(dataDir, 'db', 'lock.db'),
    'not a database, but long enough to look like one'.repeat(30),
  );
  expect(isDataDirectoryInUse(dataDir)).toBe(false);
  const lock = lockDataDirectory(dataDir, facts);
  expect(isDataDirectoryInUse(dataDir)).toBe(true);
  lock.release();
  expect(isDataDirectoryInUse(dataDir)).toBe(false);
});

test('a second taker is refused at once while a daemon announces itself', () => {
  const dataDir = temporaryFolder();
  const lock = lockDataDirectory(dataDir, facts);
  lock.announce({ url: 'http://127.0.0.1:1/', token: 'x' });
  expect(statSync(join(dataDir, 'db', 'process.json')).mode & 0o777).toBe(0o600);
  const { stdout } = spawnSync(process.execPath, [CHILD, dataDir], { encoding: 'utf8' });
  expect(JSON.parse(stdout)).toMatchObject({ ok: false, code: 'already_running' });
  expect(tryLockFile(join(dataDir, 'db', 'lock.db'))).toBeNull();
  lock.release();
});

test('root acts as the owner of the data, and leaves nothing that the owner cannot read', async () => {
  const dataDir = temporaryFolder();
  const config = join(temporaryFolder(), 'config.yaml');
  writeFileSync(
    config,
    stringify({ wikiseed: { contact: 'ops@example.org', data_dir: dataDir }, monitoring: { port: 0 } }),
  );
  if (isRoot) chownSync(dataDir, OTHER, OTHER);
  const run = startWikiseed(['run', '--config', config]);
  await new Promise<void>((resolve) => {
    run.child.stdout?.on('data', (chunk) => {
      if (String(chunk).includes('WikiSeed is up')) resolve();
    });
    void run.ended.then(() => resolve());
  });
  run.child.kill('SIGTERM');
  const ended = await run.ended;
  expect(ended.code, ended.stderr).toBe(130);
  const paused = await startWikiseed(['pause', 'all', '--config', config]).ended;
  const backup = await startWikiseed(['backup', '--config', config]).ended;
  expect([paused.code, backup.code], paused.stderr + backup.stderr).toEqual([0, 0]);
  expect(existsSync(join(dataDir, 'db', 'jobs.db'))).toBe(true);
  const owner = isRoot ? OTHER : process.getuid?.();
  const found = spawnSync('find', [dataDir, '-not', '-uid', String(owner)], { encoding: 'utf8' });
  expect(found.stdout).toBe('');
  for (const folder of ['db', 'backups', 'records'])
    expect(statSync(join(dataDir, folder)).mode & 0o777, folder).toBe(0o700);
});
