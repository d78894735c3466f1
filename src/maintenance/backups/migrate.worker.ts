import { migrateDb, openDb } from '../../db/index.ts';
import { answer } from './answer.worker.ts';

answer({
  migrate({ database }) {
    const db = openDb(database);
    try {
      const { from, to } = migrateDb(db, { dataDir: null, now: new Date(0) });
      db.sqlite.pragma('wal_checkpoint(TRUNCATE)');
      return { from, to };
    } finally {
      db.close();
    }
  },
});
