import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { lockDataDirectory, migrateDb, openDb, refuseDamagedDatabase } from '../../src/db/index.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed } from '../helpers/with-process.ts';

/**
 * Goal: a damaged or missing database is refused at start with the command that mends it, and nothing is overwritten.
 * Method: the real command line on a data directory whose database was damaged in a known way.
 */
function dataDirectory(): { dataDir: string; config: string; database: string } {
  const dataDir = temporaryFolder();
  const database = join(dataDir, 'db', 'jobs.db');
  mkdirSync(join(dataDir, 'db'));
  const db = openDb(database);
  migrateDb(db, { dataDir, now: new Date(0) });
  const insert = db.sqlite.prepare('INSERT INTO system_state VALUES (?, ?, 0)');
  for (let row = 0; row < 2000; row += 1) insert.run(`key:${row}`, 'x'.repeat(200));
  db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const config = join(temporaryFolder(), 'config.yaml');
  writeFileSync(
    config,
    stringify({ wikiseed: { contact: 'ops@example.org', data_dir: dataDir }, monitoring: { port: 0 } }),
  );
  return { dataDir, config, database };
}

const run = (config: string) => startWikiseed(['run', '--until-idle', '--config', config]).ended;

/** The arguments of the first `wikiseed …` in a text, up to what stands in parentheses behind it or the end of the line. */
function printedCommand(text: string): string[] {
  const command = /wikiseed ((?:restore|rebuild)[^(\n]*)/.exec(text)?.[1];
  if (command === undefined) throw new Error(`no command is printed in: ${text}`);
  return command.trim().split(' ');
}

/** Overwrites pages in the middle; the header stays. */
function damagePages(path: string, firstPage = 20): void {
  const bytes = readFileSync(path);
  bytes.fill(0xa5, 4096 * firstPage, 4096 * (firstPage + 40));
  writeFileSync(path, bytes);
  const check = new Database(path, { readonly: true });
  const verdict = (() => {
    try {
      return check.pragma('quick_check', { simple: true });
    } catch (error) {
      return String(error);
    }
  })();
  check.close();
  expect(verdict).not.toBe('ok');
}

const damages: [string, (path: string) => void][] = [
  ['damaged pages', damagePages],
  [
    'something else in its place',
    (path) => writeFileSync(path, 'not a database at all, but long enough'.repeat(50)),
  ],
  ['a torn end', (path) => writeFileSync(path, readFileSync(path).subarray(0, 4096 * 30))],
];

describe.each(damages)('%s', (_what, damage) => {
  test('is refused with the exact command, and the file stays as it is', async () => {
    const { dataDir, config, database } = dataDirectory();
    const backup = await startWikiseed(['backup', '--config', config]).ended;
    expect(backup.code, backup.stderr).toBe(0);
    damage(database);
    const before = readFileSync(database);

    const refused = await run(config);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('is damaged and was left as it is');
    const command = printedCommand(refused.stderr);
    expect(command).toEqual(['restore', '--config', config]);
    expect(readFileSync(database).equals(before)).toBe(true);
    // SQLite makes a log to read beside, but nothing was written into it.
    const log = `${database}-wal`;
    expect(existsSync(log) ? readFileSync(log).length : 0).toBe(0);

    const restored = await startWikiseed(command).ended;
    expect(restored.code, restored.stderr).toBe(0);
    const db = openDb(database, 'readonly');
    expect(db.sqlite.prepare(`SELECT count(*) FROM system_state WHERE key LIKE 'key:%'`).pluck().get()).toBe(
      2000,
    );
    db.close();
    const kept = readdirSync(join(dataDir, 'db')).filter((file) => file.startsWith('replaced-'));
    expect(kept).toHaveLength(1);
    expect(readFileSync(join(dataDir, 'db', kept[0] as string, 'jobs.db')).equals(before)).toBe(true);
  });
});

test('without any backup the way out is a rebuild', async () => {
  const { config, database } = dataDirectory();
  damagePages(database);
  const refused = await run(config);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`wikiseed rebuild --config ${config}`);
});

test('the newest backup is damaged, too: restore says so and takes the one before', async () => {
  const { dataDir, config, database } = dataDirectory();
  const first = await startWikiseed(['backup', '--config', config]).ended;
  expect(first.code).toBe(0);
  const backups = join(dataDir, 'backups');
  const older = readdirSync(backups).find((file) => file.endsWith('.db.gz')) as string;
  const second = await startWikiseed(['backup', '--config', config]).ended;
  expect(second.code).toBe(0);
  const newer = readdirSync(backups).find((file) => file.endsWith('.db.gz') && file !== older) as string;
  const bytes = readFileSync(join(backups, newer));
  bytes.writeUInt8(bytes.readUInt8(5000) ^ 0xff, 5000);
  rmSync(join(backups, newer));
  writeFileSync(join(backups, newer), bytes);
  copyFileSync(database, `${database}.kept`);
  damagePages(database);
  const restored = await startWikiseed(['restore', '--config', config]).ended;
  expect(restored.code, restored.stderr).toBe(0);
  const said = restored.stdout + restored.stderr;
  expect(said).toContain(newer);
  expect(said).toContain(older);
  expect(existsSync(database)).toBe(true);
});

test('database and newest backup are damaged together: the command as it is printed brings back the one before', async () => {
  const { dataDir, config, database } = dataDirectory();
  const backups = join(dataDir, 'backups');
  const madeNow = async (): Promise<string> => {
    const made = await startWikiseed(['backup', '--config', config, '--json']).ended;
    expect(made.code, made.stderr).toBe(0);
    return (JSON.parse(made.stdout) as { name: string }).name;
  };
  const older = await madeNow();
  const newer = await madeNow();
  const bytes = readFileSync(join(backups, newer));
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0xff, bytes.length >> 1);
  writeFileSync(join(backups, newer), bytes);
  damagePages(database);

  const refused = await run(config);
  expect(refused.code).toBe(1);
  const command = printedCommand(refused.stderr);
  expect(command).toEqual(['restore', '--config', config]);
  const restored = await startWikiseed(command).ended;
  expect(restored.code, restored.stderr).toBe(0);
  expect(restored.stdout).toContain(`Passed over ${newer}`);
  expect(restored.stdout).toContain(`Restored ${older}`);
  const db = openDb(database, 'readonly');
  expect(db.sqlite.pragma('integrity_check', { simple: true })).toBe('ok');
  db.close();
  const listed = await startWikiseed(['backups', '--config', config, '--json']).ended;
  expect(listed.code).toBe(0);
  const { backups: found } = JSON.parse(listed.stdout) as {
    backups: { name: string; state: string; fate: string }[];
  };
  expect(found.find(({ name }) => name === newer)).toMatchObject({ state: 'damaged' });
  expect(found.find(({ name }) => name === older)).toMatchObject({
    state: 'verified',
    fate: expect.stringContaining('the last good one'),
  });
});

test('database and every backup are damaged: each refusal names the next way out', async () => {
  const { config, database } = dataDirectory();
  const made = await startWikiseed(['backup', '--config', config, '--json']).ended;
  const { path } = JSON.parse(made.stdout) as { path: string };
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0, bytes.length >> 1));
  damagePages(database);
  const restore = printedCommand((await run(config)).stderr);
  expect(restore).toEqual(['restore', '--config', config]);
  const failed = await startWikiseed(restore).ended;
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain('wikiseed rebuild --ignore-backups');
  const rebuild = printedCommand((await run(config)).stderr);
  expect(rebuild).toEqual(['rebuild', '--ignore-backups', '--config', config]);
  // It does not send back to the backups; that there is nothing to rebuild from is the only reason left here.
  const rebuilt = await startWikiseed(rebuild).ended;
  expect(rebuilt.stderr).toContain('has neither records nor torrents nor a manifest');
});

test('a large database that was not closed in order is read to its end at every start until it is mended', () => {
  const { dataDir, database } = dataDirectory();
  // Rows, not the schema: a light look sees nothing of it.
  damagePages(database, 100);
  const small = { alwaysBelowBytes: 0 };
  // Closed in order and large: not read.
  refuseDamagedDatabase(database, { wasInUse: false, ...small });
  const facts = { pid: 1, startedAt: '2026-11-23T00:00:00Z' };
  const killed = lockDataDirectory(dataDir, facts);
  killed.markInUse();
  killed.release();
  for (let start = 0; start < 2; start += 1) {
    const lock = lockDataDirectory(dataDir, facts);
    expect(lock.wasInUse).toBe(true);
    expect(() => refuseDamagedDatabase(database, { wasInUse: lock.wasInUse, ...small })).toThrow(
      /is damaged/,
    );
    lock.release();
  }
  const last = lockDataDirectory(dataDir, facts);
  last.clearMark();
  last.release();
  const next = lockDataDirectory(dataDir, facts);
  expect(next.wasInUse).toBe(false);
  next.release();
});

describe('an empty file where a database was', () => {
  test.each([
    'run',
    'status',
    'db',
    'jobs',
    'pause all',
    'maintain',
    'backup',
  ])('%s refuses, says what to do, and nothing that is recorded is overwritten', async (command) => {
    const { dataDir, config, database } = dataDirectory();
    mkdirSync(join(dataDir, 'records'));
    writeFileSync(join(dataDir, 'records', 'wikis.json'), '{"what":"was known"}');
    writeFileSync(database, '');
    const refused = await startWikiseed([...command.split(' '), '--config', config]).ended;
    expect(refused.code, refused.stdout).toBe(1);
    expect(refused.stderr).toMatch(/database .* (gone or )?empty/);
    expect(refused.stderr).toContain('wikiseed restore');
    expect(refused.stderr).not.toContain('    at ');
    expect(readFileSync(join(dataDir, 'records', 'wikis.json'), 'utf8')).toBe('{"what":"was known"}');
    expect(readFileSync(database)).toHaveLength(0);
  });
});

test.each([
  'status',
  'db',
  'jobs',
  'pause all',
  'maintain',
  'cycles',
])('%s names the way out of a damaged database without a stack', async (command) => {
  const { config, database } = dataDirectory();
  damagePages(database, 1);
  const refused = await startWikiseed([...command.split(' '), '--config', config]).ended;
  expect(refused.code, refused.stdout).toBe(1);
  expect(refused.stderr).toContain('damaged');
  expect(refused.stderr).toContain('wikiseed restore');
  expect(refused.stderr).not.toContain('    at ');
});
