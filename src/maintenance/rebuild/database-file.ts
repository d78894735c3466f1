import { dirname } from 'node:path';
import { type Db, migrateDb, openDb, setAside } from '../../db/index.ts';
import { WikiSeedError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import type { Layout } from '../../storage/index.ts';

/** A database that is being filled and has not its name yet. */
export interface UnfinishedDatabase {
  db: Db;
  /** Checks it, makes it durable and gives it its name. Until then nothing of that name exists. */
  finish(): Promise<void>;
  /** Closes and removes it. Idempotent; nothing after `finish`. */
  abandon(): Promise<void>;
}

const SIDE_FILES: readonly string[] = ['-wal', '-shm', '-journal'];

/** Begins a new, migrated database beside the place where it will stand; what an interrupted rebuild left is thrown away. */
export async function beginDatabase(
  disk: Disk,
  { database: path, dataDir }: Layout,
  now: Date,
): Promise<UnfinishedDatabase> {
  const temporary = `${path}.rebuilding`;
  const removeAll = async (): Promise<void> => {
    for (const suffix of ['', ...SIDE_FILES]) await disk.remove(`${temporary}${suffix}`);
  };
  await removeAll();
  const db = openDb(temporary);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) db.close();
    isOpen = false;
  };
  // It is worth nothing before it is complete, and synced as a whole then.
  db.sqlite.pragma('synchronous = OFF');
  migrateDb(db, { dataDir: null, now });
  step('rebuild:begun');
  return {
    db,
    async finish() {
      assertSound(db);
      // One file, and no log beside it that could be parted from it.
      db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
      db.sqlite.pragma('journal_mode = DELETE');
      close();
      const file = await disk.open(temporary, 'read');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      step('rebuild:filled');
      // A log of the lost database would be replayed into this one.
      const stamp = now.toISOString().replaceAll(/[:.]/g, '-');
      if ((await disk.stat(path)) !== null) setAside(dataDir, stamp);
      for (const suffix of ['-wal', '-journal'])
        if ((await disk.stat(`${path}${suffix}`)) !== null)
          await disk.rename(`${path}${suffix}`, `${path}${suffix}.of-lost-database-${stamp}`);
      await disk.remove(`${path}-shm`);
      await disk.syncDirectory(dirname(path));
      step('rebuild:place_cleared');
      await disk.rename(temporary, path);
      await disk.syncDirectory(dirname(path));
      step('rebuild:in_place');
    },
    async abandon() {
      if (!isOpen) return;
      close();
      await removeAll();
    },
  };
}

function assertSound(db: Db): void {
  const integrity = db.sqlite.pragma('integrity_check', { simple: true });
  const orphans = db.sqlite.pragma('foreign_key_check') as unknown[];
  if (integrity === 'ok' && orphans.length === 0) return;
  throw new WikiSeedError(
    'rebuild_unsound',
    `the rebuilt database is not sound: ${String(integrity)}, ${orphans.length} rows without what they refer to`,
    {
      hint: 'Nothing was changed. Is the disk of the data directory healthy (dmesg, smartctl)?',
    },
  );
}
