import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createThreadPlanner } from '../../src/pruning/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { NOW } from '../helpers/pruning-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/**
 * Goal: a plan is over when its thread is: whoever closes the database after it is the last who has it open.
 * Method: the real thread; Linux says which files are open in this process, and SQLite leaves its log behind where another connection lives.
 */

const POLICY = {
  ...{ remoteProofMaxAgeMs: 1, minSeedersBeforePrune: 3, seedersMaxAgeMs: 1 },
  ...{ pruneOldestFirst: true, uploadsEnabled: false, neededBytes: 5 },
};

const openBelow = (folder: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return [];
    }
  });

test('when the plan is there its thread has closed the database', { timeout: 60_000 }, async () => {
  // Threads for input and output come up with the first question, and stay.
  await stat('/');
  for (let time = 0; time < 10; time += 1) {
    const dataDir = temporaryFolder();
    const { database } = createLayout(dataDir);
    const db = openDb(database);
    migrateDb(db, { dataDir, now: new Date(0) });
    const threads = readdirSync('/proc/self/task').length;
    const planner = createThreadPlanner({ databasePath: database, dataDir });
    expect((await planner.plan({ now: NOW, policy: POLICY })).removed).toEqual([]);
    expect(readdirSync('/proc/self/task').length).toBeLessThanOrEqual(threads);
    db.close();
    expect(existsSync(`${database}-wal`)).toBe(false);
    expect(openBelow(dataDir)).toEqual([]);
  }
});
