import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { describeError, UsageError, WikiSeedError } from '../lib/errors.ts';
import { formatBytes } from '../lib/units.ts';
import { isDatabaseTrouble, MIGRATIONS_TABLE } from './check.ts';
import type { Db } from './open.ts';

const MIGRATIONS_DIR = join(import.meta.dirname, '..', '..', 'drizzle');

/** What `migrateDb` did. */
export interface MigrationResult {
  from: number;
  to: number;
  /** Copy of the database as it was before; null when it was new or nothing was to do. */
  backupPath: string | null;
}

/**
 * Brings the schema up to this version: forward only, inside a transaction, after a copy of the old database
 * to `backups/`. Repeating it does nothing.
 * @param options.dataDir null = no copy, for a database in memory
 * @throws UsageError when the database was written by a newer version
 */
export function migrateDb(db: Db, options: { dataDir: string | null; now: Date }): MigrationResult {
  const known = knownMigrations();
  const from = appliedMigrations(db);
  if (from > known)
    throw new UsageError(
      `the database ${db.path} was written by a newer WikiSeed (schema ${from}, this version knows ${known})`,
      'Install that version again, or restore a backup from before the upgrade.',
    );
  assertSameMigrations(db, from);
  if (from === known) return { from, to: known, backupPath: null };
  let backupPath: string | null = null;
  if (from > 0 && options.dataDir !== null) {
    const stamp = options.now.toISOString().replaceAll(/[:.]/g, '-');
    backupPath = join(options.dataDir, 'backups', `before-migration-${from}-to-${known}-${stamp}.db`);
    copyTo(db, backupPath);
  }
  try {
    applyMigrations(db, from);
  } catch (cause) {
    // A full disk is no fault of the migration.
    if (isDatabaseTrouble(cause)) {
      if (backupPath !== null) rmSync(backupPath, { force: true });
      throw cause;
    }
    // Rolled back: the copy is of no use, and each further start would leave another.
    if (backupPath !== null) rmSync(backupPath, { force: true });
    throw new WikiSeedError(
      'migration_failed',
      `the database ${db.path} could not be brought from schema ${from} to ${known}: ${describeError(cause)}`,
      {
        hint: 'Nothing was changed: the version before still works with it. Please report this with the log.',
        cause,
      },
    );
  }
  return { from, to: known, backupPath };
}

/** Migrations are never edited once released: where one has another hash, the file was made by something that never was. */
function assertSameMigrations(db: Db, from: number): void {
  if (from === 0) return;
  const applied = db.sqlite
    .prepare<[], string>(`SELECT hash FROM ${MIGRATIONS_TABLE} ORDER BY created_at`)
    .pluck();
  const ours = readMigrationFiles({ migrationsFolder: MIGRATIONS_DIR }).map(({ hash }) => hash);
  if (applied.all().every((hash, index) => hash === ours[index])) return;
  throw new UsageError(
    `the database ${db.path} was made by an unreleased version of WikiSeed, whose schema ${from} is another one`,
    'Restore a backup of a released version, or move the database away and run "wikiseed rebuild".',
  );
}

/** As drizzle's own migrator does it, but in a transaction of ours, which keeps the first error when SQLite rolls back by itself. */
function applyMigrations(db: Db, from: number): void {
  const { sqlite } = db;
  db.transaction(() => {
    sqlite.exec(
      `CREATE TABLE IF NOT EXISTS ${MIGRATIONS_TABLE} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)`,
    );
    const note = sqlite.prepare(`INSERT INTO ${MIGRATIONS_TABLE} (hash, created_at) VALUES (?, ?)`);
    for (const migration of readMigrationFiles({ migrationsFolder: MIGRATIONS_DIR }).slice(from)) {
      for (const statement of migration.sql) sqlite.exec(statement);
      note.run(migration.hash, migration.folderMillis);
    }
  });
}

/** @throws WikiSeedError `backup_failed`; the database is not touched without a copy */
function copyTo(db: Db, path: string): void {
  const temporary = `${path}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(temporary, { force: true });
    checkRoom(db, dirname(path));
    db.sqlite.prepare('VACUUM INTO ?').run(temporary);
    checkCopy(temporary);
    chmodSync(temporary, 0o600);
    syncPath(temporary);
    renameSync(temporary, path);
    syncPath(dirname(path));
  } catch (cause) {
    if (existsSync(temporary)) rmSync(temporary);
    throw new WikiSeedError(
      'backup_failed',
      `the database could not be copied to ${path} before its schema changes`,
      {
        hint: 'Free some space on that disk, or make the folder writable, and start again; nothing was changed.',
        cause,
      },
    );
  }
}

/** @throws Error with the figures when the disk cannot take a copy */
function checkRoom(db: Db, folder: string): void {
  const pages = Number(db.sqlite.pragma('page_count', { simple: true }));
  const neededBytes = pages * Number(db.sqlite.pragma('page_size', { simple: true }));
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < neededBytes)
    throw new Error(`${formatBytes(neededBytes)} are needed and ${formatBytes(bavail * bsize)} are free`);
}

/** @throws Error when the copy is not whole */
function checkCopy(path: string): void {
  const copy = new Database(path, { readonly: true });
  try {
    const verdict = String(copy.pragma('integrity_check(1)', { simple: true }));
    if (verdict !== 'ok') throw new Error(`the copy is damaged: ${verdict}`);
  } finally {
    copy.close();
  }
}

/** A file, or the names in a folder, on stable storage. */
function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** True when a database file exists and its schema is the one this version knows. */
export function isCurrent(db: Db): boolean {
  return appliedMigrations(db) === knownMigrations();
}

/** Schema number of this version: how many migrations it knows. */
export function knownMigrations(): number {
  const journalPath = join(MIGRATIONS_DIR, 'meta', '_journal.json');
  if (!existsSync(journalPath)) throw new Error(`migrations are missing: ${journalPath}`);
  return (JSON.parse(readFileSync(journalPath, 'utf8')) as { entries: unknown[] }).entries.length;
}

function appliedMigrations(db: Db): number {
  const table = db.sqlite.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(MIGRATIONS_TABLE);
  if (table === undefined) return 0;
  return (db.sqlite.prepare(`SELECT count(*) AS n FROM ${MIGRATIONS_TABLE}`).get() as { n: number }).n;
}
