import { join } from 'node:path';
import {
  type DataDirectoryLock,
  type Db,
  isDamage,
  isDatabaseTrouble,
  lockDataDirectory,
  migrateDb,
  openDb,
  refuseDamagedDatabase,
} from './db/index.ts';
import { describeError, WikiSeedError } from './lib/index.ts';
import { assertDatabaseNotLost, restoreHint } from './maintenance/index.ts';
import type { Clock, Disk, Log } from './ports/index.ts';
import type { Layout } from './storage/index.ts';

/** How long a write of the daemon waits for another program's: 200 ms. */
const BUSY_TIMEOUT_MS = 200;

/** What opening needs. */
export interface OpenDeps {
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** Named in the commands that error messages give; null = none was named. */
  configPath: string | null;
}

/**
 * Takes the lock of a data directory and opens its database: whole, and with the schema of this version.
 * @throws AlreadyRunningError, UsageError (newer database), WikiSeedError `data_dir_not_writable`, `database_missing`,
 * `database_corrupt`; in every case nothing was changed
 */
export async function openDataDirectory(deps: OpenDeps): Promise<{ db: Db; lock: DataDirectoryLock }> {
  const { disk, layout, clock, log } = deps;
  await checkDataDirectory(disk, layout.dataDir);
  // What is known, and the token of the process, are nobody else's business; dumps and manifests are.
  for (const folder of [join(layout.dataDir, 'db'), layout.backups, layout.records]) {
    await disk.makeDirectory(folder);
    await disk.chmod(folder, 0o700);
  }
  const lock = lockDataDirectory(layout.dataDir, {
    pid: process.pid,
    startedAt: new Date(clock.now()).toISOString(),
  });
  let db: Db | undefined;
  try {
    refuseDamagedDatabase(layout.database, { wasInUse: lock.wasInUse });
    await assertDatabaseNotLost({ disk, layout });
    lock.markInUse();
    db = openDb(layout.database);
    const migration = migrateDb(db, { dataDir: layout.dataDir, now: new Date(clock.now()) });
    if (migration.backupPath !== null) log.info(migration, 'migrated the database after a backup');
    // The schema reaches the file itself: a power cut may take the log, and an empty file would look like a lost database.
    if (migration.from < migration.to) db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
    // From here on the event loop stands still while a write waits for another program: the queue tries again by itself.
    db.sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return { db, lock };
  } catch (error) {
    db?.close();
    lock.release();
    if (!(error instanceof WikiSeedError && error.code === 'database_corrupt') && !isDamage(error))
      throw error;
    const hint = await restoreHint({ disk, clock, dataDir: layout.dataDir, configPath: deps.configPath });
    throw new WikiSeedError('database_corrupt', describeError(error), { hint, cause: error });
  }
}

/** What a start that failed means for the operator: `database_unwritable` for a full disk, else the error itself. */
export function explainStartError(error: unknown, dataDir: string): unknown {
  if (!isDatabaseTrouble(error)) return error;
  return new WikiSeedError('database_unwritable', `the database cannot be written: ${describeError(error)}`, {
    hint: `Free some space on the disk that holds ${dataDir}, then start again; nothing is lost.`,
    cause: error,
  });
}

/** @throws WikiSeedError `data_dir_not_writable` with what to do */
async function checkDataDirectory(disk: Disk, dataDir: string): Promise<void> {
  const hint = `Create it and give it to the user WikiSeed runs as: mkdir -p ${dataDir} && chown <user> ${dataDir}; or set wikiseed.data_dir.`;
  try {
    await disk.makeDirectory(join(dataDir, 'db'));
  } catch (error) {
    const reason = describeError(error);
    // mkdir cannot help where a file stands in the way.
    const isBlocked = /ENOTDIR|EEXIST/.test(reason);
    throw new WikiSeedError(
      'data_dir_not_writable',
      `the data directory ${dataDir} cannot be created: ${reason}`,
      {
        hint: isBlocked
          ? 'Something in this path is a file, not a folder: move it away, or set wikiseed.data_dir to another folder.'
          : hint,
        cause: error,
      },
    );
  }
  if (!(await disk.isWritable(dataDir)) || !(await disk.isWritable(join(dataDir, 'db'))))
    throw new WikiSeedError('data_dir_not_writable', `the data directory ${dataDir} is not writable`, {
      hint,
    });
}
