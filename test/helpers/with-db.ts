import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Db, migrateDb, openDb } from '../../src/db/index.ts';

/** A fresh folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A real, migrated database in a fresh folder; closed and removed when the test ends. */
export function withDb(dataDir: string = temporaryFolder()): Db {
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  onTestFinished(() => db.close());
  migrateDb(db, { dataDir, now: new Date(0) });
  return db;
}
