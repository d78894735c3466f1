import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dbCommand } from '../../src/cli/db-command.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { maintainCommand } from '../../src/cli/maintain-command.ts';
import { type Db, isDataDirectoryInUse, lockDataDirectory } from '../../src/db/index.ts';
import { openAlerts } from '../helpers/alerts.ts';
import { fillWithJobs, insertJob } from '../helpers/care.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/** A database with a configuration that names it, and a terminal that keeps what is written. */
function setup(): {
  db: Db;
  dataDir: string;
  io: CliIo;
  config: string;
  out: () => string;
  err: () => string;
} {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const config = join(temporaryFolder(), 'config.yaml');
  writeFileSync(
    config,
    `wikiseed: {contact: me@example.org, data_dir: ${dataDir}}\nstorage: {safety_margin: 1MB}\nmaintenance: {keep_finished_jobs: 24h}\n`,
  );
  let out = '';
  let err = '';
  const io: CliIo = {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    env: {},
    cwd: dataDir,
    signal: new AbortController().signal,
    readTextFile: (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null),
  };
  return { db, dataDir, io, config, out: () => out, err: () => err };
}

/** As a running daemon holds it. */
const asDaemon = (dataDir: string): { release(): void } =>
  lockDataDirectory(dataDir, { pid: process.pid, startedAt: 'now' });

describe('maintain', () => {
  test('without a task does all that is due, beside a running daemon, and says what each did', async () => {
    const { db, dataDir, io, config, out } = setup();
    const daemon = asDaemon(dataDir);
    fillWithJobs(db, 200, 1);
    expect(await maintainCommand(io, [], { config })).toBe(0);
    daemon.release();
    const lines = out().trim().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual([
      'checkpoint',
      'analyze',
      'integrity',
      'retention',
      'vacuum',
    ]);
    expect(out()).toMatch(/integrity +\S.*every page and every reference is sound/);
    expect(out()).toMatch(/retention +\S.*removed 200 from jobs/);
    expect(db.sqlite.prepare('SELECT count(*) FROM jobs').pluck().get()).toBe(0);
  });

  test('one task as JSON, with the mode that was asked for', async () => {
    const { db, io, config, out } = setup();
    fillWithJobs(db, 10);
    expect(await maintainCommand(io, ['checkpoint'], { config, mode: 'truncate', json: true })).toBe(0);
    const { tasks, troubles } = JSON.parse(out());
    expect(tasks).toEqual([
      expect.objectContaining({
        ok: true,
        task: 'checkpoint',
        facts: expect.objectContaining({ mode: 'truncate', walBytesAfter: 0 }),
      }),
    ]);
    expect(troubles).toEqual([]);
  });

  test('--full is refused while a daemon runs, and compacts when none does', async () => {
    const { db, dataDir, io, config, out } = setup();
    fillWithJobs(db, 2000);
    db.sqlite.exec('DELETE FROM jobs');
    const before = db.sqlite.pragma('page_count', { simple: true }) as number;
    const daemon = asDaemon(dataDir);
    await expect(maintainCommand(io, ['vacuum'], { config, full: true })).rejects.toMatchObject({
      code: 'already_running',
    });
    daemon.release();
    expect(await maintainCommand(io, ['vacuum'], { config, full: true })).toBe(0);
    expect(db.sqlite.pragma('page_count', { simple: true })).toBeLessThan(before / 2);
    expect(out()).toContain(`${before} -> `);
    expect(isDataDirectoryInUse(dataDir)).toBe(false);
  });

  test('a damaged database: the restore command, an alert for the page, exit code 1, and nothing else is done', async () => {
    const { db, io, config, out, err } = setup();
    db.sqlite.pragma('foreign_keys = OFF');
    db.sqlite.exec(
      `INSERT INTO job_attempts (job_id, attempt, outcome, started_at, ended_at) VALUES (1, 1, 'retryable', 0, 1)`,
    );
    expect(await maintainCommand(io, [], { config })).toBe(1);
    expect(err()).toContain('integrity   failed: the database is damaged');
    expect(err()).toMatch(/wikiseed (restore|rebuild)/);
    expect(out()).not.toContain('retention');
    expect(out()).toContain('ERROR: the database is damaged');
    expect(openAlerts(db).map(({ key }) => key)).toEqual(['database:integrity']);
  });

  test('leases are only looked at: they belong to the process that works', async () => {
    const { db, dataDir, io, config, out } = setup();
    insertJob(db, { status: 'in_progress', startedAt: 0, leaseExpiresAt: 1 });
    expect(await maintainCommand(io, ['lease-sweep'], { config })).toBe(0);
    expect(out()).toContain('no WikiSeed is running; 1 job in progress will be taken back when it starts');
    const daemon = asDaemon(dataDir);
    expect(await maintainCommand(io, ['lease_sweep'], { config })).toBe(0);
    daemon.release();
    expect(out()).toContain('1 expired lease; the running WikiSeed takes them back by itself');
    expect(db.sqlite.prepare('SELECT status FROM jobs').pluck().get()).toBe('in_progress');
  });

  test.each([
    [['defrag'], {}, 'not a maintenance task'],
    [['checkpoint'], { mode: 'quick' }, 'not a checkpoint mode'],
    [['analyze'], { mode: 'full' }, '--mode belongs to checkpoint'],
    [['analyze', 'vacuum'], { full: true }, '--full belongs to vacuum'],
    [[], { full: true }, '--full belongs to vacuum'],
  ])('%j %j is refused before anything is done', async (names, options, message) => {
    const { io, config, out } = setup();
    await expect(maintainCommand(io, names, { config, ...options })).rejects.toThrow(message);
    expect(out()).toBe('');
  });
});

describe('db', () => {
  test('one screen with figures, troubles and remedies', async () => {
    const { db, io, config, out } = setup();
    fillWithJobs(db, 100);
    const started = Date.now() - 30 * 3_600_000;
    insertJob(db, { status: 'in_progress', startedAt: started, leaseExpiresAt: Date.now() + 60_000 });
    expect(await dbCommand(io, { config })).toBe(0);
    const screen = out();
    expect(screen).toMatch(
      /^1 trouble:\n {2}warning: job \d+ \(download_dump\) has been running for 1 d 6 h\n {4}"wikiseed jobs/,
    );
    expect(screen).toMatch(/counts +100 completed, 1 in_progress/);
    expect(screen).toMatch(/form +schema \d+, journal wal/);
    expect(screen).toMatch(/jobs +101 +\d/);
    expect(screen.split('\n').length).toBeLessThan(50);
  });

  test('all of it as JSON', async () => {
    const { io, config, out } = setup();
    await dbCommand(io, { config, json: true });
    const document = JSON.parse(out());
    expect(document.troubles).toEqual([]);
    expect(document.tables.length).toBeGreaterThan(10);
    expect(document.indexes.length).toBeGreaterThan(10);
  });

  test('says what to do when there is no database', async () => {
    const { io } = setup();
    const config = join(temporaryFolder(), 'config.yaml');
    writeFileSync(config, `wikiseed: {contact: me@example.org, data_dir: ${temporaryFolder()}}\n`);
    await expect(dbCommand(io, { config })).rejects.toMatchObject({ code: 'usage' });
  });
});
