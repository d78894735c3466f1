import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { WikiSeedError } from '../lib/errors.ts';
import { step } from '../lib/steps.ts';

/** The files of one database: SQLite applies a log to whatever stands beside it, so they move together, the database first. */
export const DATABASE_FILES = ['jobs.db', 'jobs.db-wal', 'jobs.db-shm', 'jobs.db-journal'] as const;

/** Once this file exists the restore is decided, and whoever takes the lock next carries it out. */
const DECISION = 'decision.json';

/** What was decided. */
const Decision = z.object({ backupName: z.string(), stamp: z.string().regex(/^[0-9TZ-]+$/) });
export type RestoreDecision = z.infer<typeof Decision>;

/** Where a restore puts its new database together; on the same file system as the old one, so that a rename suffices. */
export function restoringFolder(dataDir: string): string {
  return join(dataDir, 'db', 'restoring');
}

/** Where the database that a restore replaced is kept. `stamp` is the time of the restore. */
export function replacedFolder(dataDir: string, stamp: string): string {
  return join(dataDir, 'db', `replaced-${stamp}`);
}

/**
 * Decides that `restoring/jobs.db`, proved and on stable storage, is the database from now on. `finishRestore` does the
 * rest; the caller holds the lock of the data directory.
 */
export function decideRestore(dataDir: string, decision: RestoreDecision): void {
  const folder = restoringFolder(dataDir);
  writeDurably(join(folder, DECISION), `${JSON.stringify(decision)}\n`);
  syncFolder(folder);
  step('restore:decided');
}

/** Moves the database and its side files to `replaced-<stamp>/`, the database first; what is not there is passed over. */
export function setAside(dataDir: string, stamp: string): void {
  const databaseFolder = join(dataDir, 'db');
  const replacedPath = replacedFolder(dataDir, stamp);
  for (const name of DATABASE_FILES.filter((each) => existsSync(join(databaseFolder, each)))) {
    mkdirSync(replacedPath, { recursive: true, mode: 0o700 });
    renameSync(join(databaseFolder, name), join(replacedPath, name));
    step(`restore:moved ${name}`);
  }
}

/**
 * Carries out a decided restore from wherever it was cut short, and clears away one that was not decided; does nothing when
 * there is none. The old database goes to `replaced-<stamp>/` before the new one gets its name: a log of the old one is
 * never beside the new one, and in between there is no `jobs.db` at all rather than a wrong one.
 * @returns null when there was none; `replacedPath` is the folder with the old database, null when there was no old one
 */
export function finishRestore(dataDir: string): { backupName: string; replacedPath: string | null } | null {
  const folder = restoringFolder(dataDir);
  if (!existsSync(folder)) return null;
  const decisionPath = join(folder, DECISION);
  if (!existsSync(decisionPath)) {
    rmSync(folder, { recursive: true, force: true });
    return null;
  }
  const decision = readDecision(decisionPath);
  if (decision === null) {
    // Written in one piece and never changed: only the disk can have damaged it. With a database in place nothing is lost.
    if (!existsSync(join(dataDir, 'db', 'jobs.db')))
      throw new WikiSeedError(
        'restore_unclear',
        `a restore was cut short, and ${decisionPath} cannot be read`,
        {
          hint: `Move ${folder} away, then run the restore again.`,
        },
      );
    rmSync(folder, { recursive: true, force: true });
    return null;
  }
  const databaseFolder = join(dataDir, 'db');
  const replacedPath = replacedFolder(dataDir, decision.stamp);
  // When the new database has left the folder, the one in place is it.
  if (existsSync(join(folder, 'jobs.db'))) {
    setAside(dataDir, decision.stamp);
    if (existsSync(replacedPath)) syncFolder(replacedPath);
    syncFolder(databaseFolder);
    renameSync(join(folder, 'jobs.db'), join(databaseFolder, 'jobs.db'));
    step('restore:renamed');
    syncFolder(databaseFolder);
  }
  rmSync(folder, { recursive: true, force: true });
  syncFolder(databaseFolder);
  step('restore:finished');
  return { backupName: decision.backupName, replacedPath: existsSync(replacedPath) ? replacedPath : null };
}

function readDecision(path: string): RestoreDecision | null {
  try {
    return Decision.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}

/** Temporary name, fsync, rename: readers see all of it or nothing. */
function writeDurably(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const handle = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(temporary, path);
}

function syncFolder(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
