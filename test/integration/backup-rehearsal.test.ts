import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { type Db, knownMigrations, migrateDb, openDb, schemaOf } from '../../src/db/index.ts';
import { STEPS_CHANNEL } from '../../src/lib/steps.ts';
import { createBackup, listBackups, readSidecar, rehearseRestoreNow } from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock } from '../../src/ports/index.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/**
 * Goal: a rehearsal says of the backup what is true of it, disturbs nobody, and leaves nothing, however it ends.
 * Method: real SQLite and threads, a writer in a thread of its own, a tmpfs that fills up, SIGKILL, the dump of an old version.
 */
const disk = createNodeDisk();
const CHILD = join(import.meta.dirname, 'backup-child.ts');
const SCHEMA_1 = join(import.meta.dirname, '..', 'data', 'schema-1.sql');
const never = (): AbortSignal => new AbortController().signal;
const depsFor = (dataDir: string) => ({
  disk,
  clock: createSystemClock(),
  dataDir,
  version: 'test',
  configPath: null,
});
const make = async (dataDir: string) =>
  (await createBackup(depsFor(dataDir), { reason: 'manual', signal: never() })).backup;
const rehearse = (dataDir: string) => rehearseRestoreNow(depsFor(dataDir), { signal: never() });
const filesIn = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'backups'))
    .filter((name) => name !== '.lock.db')
    .sort();

/** Rows that do not pack well: about a megabyte for a thousand. */
function fill(db: Db, rows: number): void {
  db.sqlite
    .prepare(
      `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
       INSERT INTO system_state (key, value, updated_at) SELECT 'row:' || n, hex(randomblob(400)), 0 FROM numbers`,
    )
    .run(rows);
}

const countOf = (db: Db, like: string): number =>
  db.sqlite.prepare('SELECT count(*) FROM system_state WHERE key LIKE ?').pluck().get(like) as number;

/** What a thread of its own runs: one row after the other, counted, until it is ended. */
const WRITER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const Database = require(workerData.driver);
  const database = new Database(workerData.path, { timeout: 0 });
  const insert = database.prepare("INSERT INTO system_state VALUES (?, 'x', 0)");
  const counter = new Int32Array(workerData.counter);
  let isOver = false;
  parentPort.on('message', () => { isOver = true; });
  const write = () => {
    if (isOver) { database.close(); parentPort.postMessage('over'); parentPort.close(); return; }
    insert.run('written:' + (counter[0] + 1));
    Atomics.add(counter, 0, 1);
    if (counter[0] === 1) parentPort.postMessage('begun');
    setImmediate(write);
  };
  write();
`;

interface Writer {
  /** Rows that were committed so far. */
  count: () => number;
  /** @returns all that were committed */
  end: () => Promise<number>;
}

/** Resolves once the first row is written; a write that is refused, if only for a moment, fails the test. */
async function startWriter(path: string): Promise<Writer> {
  // Shared, so that nobody has to be told: a message may be on its way for long where much else runs.
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const count = (): number => Atomics.load(counter, 0);
  const worker = new Worker(WRITER, {
    eval: true,
    workerData: {
      path,
      counter: counter.buffer,
      driver: join(import.meta.dirname, '..', '..', 'node_modules', 'better-sqlite3'),
    },
  });
  onTestFinished(async () => void (await worker.terminate()));
  const begun = Promise.withResolvers<void>();
  const over = Promise.withResolvers<number>();
  over.promise.catch(() => {});
  worker.on('message', (told: 'begun' | 'over') => {
    if (told === 'begun') begun.resolve();
    else over.resolve(count());
  });
  worker.on('error', (error) => {
    begun.reject(error);
    over.reject(error);
  });
  await begun.promise;
  return {
    count,
    end() {
      worker.postMessage('end');
      return over.promise;
    },
  };
}

test('of a database in use hinders no writer and looks at the backup alone', async () => {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  fill(db, 5_000);
  const { name } = await make(dataDir);
  const sidecar = await readSidecar(disk, join(dataDir, 'backups', name));
  if (typeof sidecar === 'string') throw new Error(sidecar);
  const rowCount = Object.values(sidecar.rows).reduce((sum, count) => sum + count, 0);
  const writer = await startWriter(db.path);
  const atStart = writer.count();
  let atRestored = 0;
  const onStep = (message: unknown): void => {
    if ((message as { name: string }).name === 'rehearsal:restored') atRestored = writer.count();
  };
  subscribe(STEPS_CHANNEL, onStep);
  onTestFinished(() => void unsubscribe(STEPS_CHANNEL, onStep));
  const done = await rehearse(dataDir);
  const atEnd = writer.count();
  const written = await writer.end();
  // Both halves of it had a writer at work.
  expect(atRestored).toBeGreaterThan(atStart);
  expect(atEnd).toBeGreaterThan(atRestored);
  expect(countOf(db, 'written:%')).toBe(written);
  expect(countOf(db, 'row:%')).toBe(5_000);
  expect(db.sqlite.pragma('integrity_check', { simple: true })).toBe('ok');
  const schema = knownMigrations();
  expect(done).toMatchObject({ backup: { name }, schemaFrom: schema, schemaTo: schema, rowCount });
  expect(filesIn(dataDir)).toEqual([name, `${name}.json`]);
});

const canMount = spawnSync('unshare', ['-Urm', 'true']).status === 0;
if (!canMount) console.log('skipped: unshare cannot make a mount namespace here');

const FULL = { ok: false, code: 'disk_full', scope: 'disk', isNeverOwnFault: true };

/** Rehearses where the folder of backups has so much room, what lies in it included. @returns its answer and what is left */
function rehearseWithin(
  dataDir: string,
  size: string,
  spaceSays = 'lie',
): { answer: Record<string, unknown>; left: string[] } {
  const backups = join(dataDir, 'backups');
  const script =
    `mkdir -p ${dataDir}/kept && cp -a ${backups}/. ${dataDir}/kept && mount -t tmpfs -o size=${size} tmpfs ${backups} && cp -a ${dataDir}/kept/. ${backups} && ` +
    `"$0" ${CHILD} rehearse ${dataDir} never ${spaceSays}; echo; ls -A ${backups}; cat ${backups}/*.json > ${dataDir}/facts.json`;
  const done = spawnSync('unshare', ['-Urm', 'sh', '-c', script, process.execPath], { encoding: 'utf8' });
  const [answer = '', ...left] = done.stdout.trim().split('\n');
  return { answer: JSON.parse(answer), left: left.filter((name) => name !== '.lock.db').sort() };
}

test.skipIf(!canMount)('meets a disk that fills up while it unpacks, and leaves nothing', async () => {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  fill(db, 8_000);
  const { name, sizeBytes, databaseBytes } = await make(dataDir);
  // Room for the backup and half of the database in it.
  const size = `${Math.ceil((sizeBytes + (databaseBytes ?? 0) / 2) / 1024)}k`;
  const { answer, left } = rehearseWithin(dataDir, size);
  expect(answer).toMatchObject({ ...FULL, message: expect.stringContaining('ENOSPC') });
  expect(left).toEqual([name, `${name}.json`]);
  // A full disk says nothing of the backup.
  expect(JSON.parse(readFileSync(join(dataDir, 'facts.json'), 'utf8'))).toMatchObject({ name, damage: null });
  expect((await rehearse(dataDir)).backup?.name).toBe(name);
});

test.skipIf(!canMount)('meets a disk that fills up while it migrates, and leaves nothing', async () => {
  const dataDir = oldDataDirectory();
  const { name, sizeBytes, databaseBytes } = await make(dataDir);
  const size = `${Math.ceil((sizeBytes + (databaseBytes ?? 0)) / 1024) + 64}k`;
  // It is foreseen; and where the disk promised more than it has, it is no verdict on the backup.
  const foreseen = rehearseWithin(dataDir, size, 'truth');
  expect(foreseen.answer).toMatchObject({
    ...FULL,
    message: expect.stringContaining('for its migration are needed'),
  });
  const met = rehearseWithin(dataDir, size);
  expect(met.answer).toMatchObject({ ok: false, phase: 'migrate', hint: expect.stringContaining('disk') });
  expect(['disk_full', 'migration_rolled_back']).toContain(met.answer.code);
  for (const { left } of [foreseen, met]) expect(left).toEqual([name, `${name}.json`]);
  expect((await rehearse(dataDir)).schemaTo).toBe(knownMigrations());
});

test('killed between restoring and migrating leaves no trace once the next one is through', async () => {
  const dataDir = temporaryFolder();
  fill(withDb(dataDir), 500);
  const { name } = await make(dataDir);
  const killed = spawnSync(process.execPath, [CHILD, 'rehearse', dataDir, 'rehearsal:restored']);
  expect(killed.signal).toBe('SIGKILL');
  // It died where it should: the database lies there, restored.
  expect(schemaOf(join(dataDir, 'backups', '.work', 'db', 'jobs.db'))).toBe(knownMigrations());
  expect((await rehearse(dataDir)).backup?.name).toBe(name);
  expect(filesIn(dataDir)).toEqual([name, `${name}.json`]);
  expect((await listBackups(disk, dataDir))[0]).toMatchObject({ state: 'verified', remark: null });
});

/** A data directory as the first version left it. */
function oldDataDirectory(): string {
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, 'db'));
  const old = new Database(join(dataDir, 'db', 'jobs.db'));
  old.pragma('journal_mode = WAL');
  old.exec(readFileSync(SCHEMA_1, 'utf8'));
  old.close();
  return dataDir;
}

test('of an older version brings the copy up to this one, and neither the backup nor the database', async () => {
  const dataDir = oldDataDirectory();
  expect(knownMigrations()).toBeGreaterThan(1);
  const { name, path, schema } = await make(dataDir);
  expect(schema).toBe(1);
  const before = readFileSync(path);
  const done = await rehearse(dataDir);
  expect(done).toMatchObject({ backup: { name }, schemaFrom: 1, schemaTo: knownMigrations() });
  // As many rows as the database has when it is migrated itself, so none was lost.
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(filesIn(dataDir)).toEqual([name, `${name}.json`]);
  const database = join(dataDir, 'db', 'jobs.db');
  expect(schemaOf(database)).toBe(1);
  const db = openDb(database);
  migrateDb(db, { dataDir: null, now: new Date(0) });
  const tables = db.sqlite
    .prepare<[], string>(`SELECT name FROM sqlite_master WHERE type = 'table'`)
    .pluck()
    .all();
  const rowCount = tables
    .map((table) => db.sqlite.prepare<[], number>(`SELECT count(*) FROM "${table}"`).pluck().get() ?? 0)
    .reduce((sum, count) => sum + count, 0);
  db.close();
  expect(rowCount).toBeGreaterThan(20);
  expect(done.rowCount).toBe(rowCount);
  expect(existsSync(join(dataDir, 'backups', '.work'))).toBe(false);
});
