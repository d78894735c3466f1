import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { describeError, WikiSeedError } from '../lib/errors.ts';

/**
 * Holds a file exclusively by a SQLite transaction that is never committed: the operating system drops it with the process.
 * @returns null when another connection, here or in another process, holds it for longer than `waitMs`
 * @throws WikiSeedError `lock_unusable` when the file cannot be locked at all
 */
export function holdExclusively(path: string, waitMs: number): Database.Database | null {
  let database = tryOpen(path, waitMs);
  if (database === 'damaged') {
    // It holds nothing but the lock itself, so a new one is as good.
    rmSync(path, { force: true });
    database = tryOpen(path, waitMs);
  }
  if (database === 'damaged')
    throw new WikiSeedError('lock_unusable', `the lock file ${path} cannot be used`, { hint: hintFor(path) });
  return database;
}

function tryOpen(path: string, waitMs: number): Database.Database | 'damaged' | null {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { timeout: waitMs });
    // In memory: a full disk has no room for a journal, and nothing is ever committed.
    database.pragma('journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
    // A file that may not be written is opened for reading only, and then BEGIN EXCLUSIVE locks nothing and says nothing.
    database.pragma('user_version = 1');
    return database;
  } catch (error) {
    database?.close();
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code.startsWith('SQLITE_BUSY')) return null;
    if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT')) return 'damaged';
    throw new WikiSeedError(
      'lock_unusable',
      `the lock file ${path} cannot be used: ${describeError(error)}`,
      {
        hint: hintFor(path),
        cause: error,
      },
    );
  }
}

function hintFor(path: string): string {
  return `It has to belong to the user WikiSeed runs as: chown <user> ${path}`;
}
