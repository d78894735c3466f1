import { isDatabaseTrouble, migrateDb, openDb } from '../../db/index.ts';
import { describeError } from '../../lib/index.ts';
import { answer } from './answer.worker.ts';
import { MIGRATION_ROLLED_BACK } from './protocol.ts';

answer({
  migrate({ database }) {
    const db = openDb(database);
    try {
      const { from, to } = migrateDb(db, { dataDir: null, now: new Date(0) });
      db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
      return { from, to };
    } catch (error) {
      throw Object.assign(new Error(describeError(error), { cause: error }), { code: codeOf(error) });
    } finally {
      db.close();
    }
  },
});

/** What SQLite said beneath what was made of it. */
function codeOf(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (isDatabaseTrouble(each)) return (each as NodeJS.ErrnoException).code;
    // SQLite undoes a transaction by itself when the disk or the memory fails it, never for what a statement says.
    if (each.message.includes('no transaction is active')) return MIGRATION_ROLLED_BACK;
  }
  return (error as NodeJS.ErrnoException).code;
}
