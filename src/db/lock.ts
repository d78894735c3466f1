import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { AlreadyRunningError } from '../lib/errors.ts';
import { holdExclusively } from './exclusive-file.ts';
import { finishRestore } from './restore-swap.ts';

/** Held for as long as the process works on the data directory. */
export interface DirectoryLock {
  release(): void;
}

/** The lock of a data directory. */
export interface DataDirectoryLock extends DirectoryLock {
  /** Somebody worked on the database and did not say that it was left in order: killed, or the power failed. */
  readonly wasInUse: boolean;
  /** Before the database is opened for writing. */
  markInUse(): void;
  /** After it was closed in order. */
  clearMark(): void;
  /** Tells commands on this machine how to reach the process: adds its address and its token to `db/process.json`. */
  announce(how: { url: string; token: string }): void;
}

/** Who holds a data directory, as `db/process.json` says it. */
export interface LockHolder {
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  /** Where it takes changes; null while it starts, and for commands that hold the lock. */
  url: string | null;
  /** Good for this one process; never to be logged. */
  token: string | null;
}

/** Longest wait for a command such as `restore` to end. */
const COMMAND_WAIT_MS = 10_000;

/**
 * Takes the one lock of a data directory: an exclusive transaction on `db/lock.db`. The operating system drops it when the
 * process ends, however it ends, so there is never a stale lock to clear by hand. `db/process.json` only says who holds it.
 * @throws AlreadyRunningError `already_running`, naming the process that holds it
 */
export function lockDataDirectory(
  dataDir: string,
  facts: { pid: number; startedAt: string },
): DataDirectoryLock {
  const path = join(dataDir, 'db', 'lock.db');
  const holderPath = holderPathOf(dataDir);
  const markPath = join(dataDir, 'db', 'in-use');
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // A reader such as `isDataDirectoryInUse` may hold the file for a moment, a command for some seconds; a daemon for longer
  // than we wait. The service manager does not start us again after "already running", so a command must not cause that.
  const database =
    holdExclusively(path, 1000) ?? (isDaemon(dataDir) ? null : holdExclusively(path, COMMAND_WAIT_MS));
  if (database === null)
    throw new AlreadyRunningError(
      'already_running',
      `another WikiSeed ${describeHolder(holderPath)} uses ${dataDir}`,
      {
        hint: 'Stop it first, or point this one at another wikiseed.data_dir.',
      },
    );
  try {
    writeHolder(holderPath, facts);
  } catch (error) {
    database.close();
    throw error;
  }
  // Whoever holds the lock finds one whole database, also where a restore was cut short.
  try {
    finishRestore(dataDir);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    wasInUse: existsSync(markPath),
    markInUse: () => writeFileSync(markPath, ''),
    clearMark: () => rmSync(markPath, { force: true }),
    announce(how) {
      if (database.open) writeHolder(holderPath, { ...facts, ...how });
    },
    release() {
      if (!database.open) return;
      rmSync(holderPath, { force: true });
      database.exec('ROLLBACK');
      database.close();
    },
  };
}

/**
 * Takes a lock of its own beside the one of the data directory, without waiting; the operating system drops it with the
 * process, so nothing goes stale. The folder must exist; the file stays behind, empty.
 * @returns null when another connection, here or in another process, holds it
 */
export function tryLockFile(path: string): DirectoryLock | null {
  const database = holdExclusively(path, 0);
  if (database === null) return null;
  return {
    release() {
      if (database.open) database.close();
    },
  };
}

/** A daemon announces where it takes commands; a command does not. */
function isDaemon(dataDir: string): boolean {
  try {
    return readLockHolder(dataDir)?.url != null;
  } catch {
    return true;
  }
}

/** Whether a process works on the data directory now. Looks only: takes nothing that would keep a daemon from starting. */
export function isDataDirectoryInUse(dataDir: string): boolean {
  const path = join(dataDir, 'db', 'lock.db');
  if (!existsSync(path)) return false;
  const database = new Database(path, { readonly: true, timeout: 0 });
  try {
    // Any read needs a shared lock, which the exclusive transaction of a running process refuses.
    database.prepare('SELECT 1 FROM sqlite_master').get();
    return false;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code.startsWith('SQLITE_BUSY')) return true;
    // Not a lock that anybody could hold; whoever takes it makes it anew.
    if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT')) return false;
    throw error;
  } finally {
    database.close();
  }
}

/**
 * Who holds the data directory. Only while `isDataDirectoryInUse`: a process that was killed leaves the file behind.
 * @returns null when there is no such file, or it is half written
 * @throws the system's error when it may not be read: it is for the user of the process alone
 */
export function readLockHolder(dataDir: string): LockHolder | null {
  const path = holderPathOf(dataDir);
  if (!existsSync(path)) return null;
  const text = readFileSync(path, 'utf8');
  try {
    const found = JSON.parse(text) as Partial<LockHolder>;
    if (typeof found.pid !== 'number' || typeof found.startedAt !== 'string') return null;
    const { pid, startedAt, url, token } = found;
    return {
      pid,
      startedAt,
      url: typeof url === 'string' ? url : null,
      token: typeof token === 'string' ? token : null,
    };
  } catch {
    return null;
  }
}

const holderPathOf = (dataDir: string): string => join(dataDir, 'db', 'process.json');

/** A new file each time: the mode of one that lies there already would stay as it is. */
function writeHolder(path: string, facts: object): void {
  const next = `${path}.new`;
  rmSync(next, { force: true });
  writeFileSync(next, JSON.stringify(facts), { mode: 0o600, flag: 'wx' });
  renameSync(next, path);
}

function describeHolder(path: string): string {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; startedAt: string };
    return `(process ${pid}, started ${startedAt})`;
  } catch {
    return '(process unknown)';
  }
}
