import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { AlreadyRunningError } from '../lib/errors.ts';

/** Held for as long as the process works on the data directory. */
export interface DirectoryLock {
  release(): void;
}

/**
 * Takes the one lock of a data directory: an exclusive transaction on `db/lock.db`. The operating system drops it when the
 * process ends, however it ends, so there is never a stale lock to clear by hand. `db/process.json` only says who holds it.
 * @throws AlreadyRunningError `already_running`, naming the process that holds it
 */
export function lockDataDirectory(dataDir: string, facts: { pid: number; startedAt: string }): DirectoryLock {
  const path = join(dataDir, 'db', 'lock.db');
  const holderPath = join(dataDir, 'db', 'process.json');
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new Database(path, { timeout: 0 });
  try {
    database.pragma('journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY')))
      throw error;
    throw new AlreadyRunningError(
      'already_running',
      `another WikiSeed ${describeHolder(holderPath)} uses ${dataDir}`,
      {
        hint: 'Stop it first, or point this one at another wikiseed.data_dir.',
      },
    );
  }
  writeFileSync(holderPath, JSON.stringify(facts));
  return {
    release() {
      if (!database.open) return;
      rmSync(holderPath, { force: true });
      database.exec('ROLLBACK');
      database.close();
    },
  };
}

function describeHolder(path: string): string {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; startedAt: string };
    return `(process ${pid}, started ${startedAt})`;
  } catch {
    return '(process unknown)';
  }
}
