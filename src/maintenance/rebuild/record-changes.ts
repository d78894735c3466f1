import type { Db } from '../../db/index.ts';
import { KIND_NAMES, KINDS, type RecordKey, type RecordKind } from './record-kinds.ts';

/** Which records no longer say what the tables say. */
export interface RecordChanges {
  /** Keys of everything that was committed since the last call, oldest first. */
  take(): RecordKey[];
}

/**
 * Watches the tables through temporary triggers of this connection: whoever writes, by whatever function, cannot be
 * forgotten, and what is rolled back leaves no trace. They live in memory and end with the connection; the schema of the
 * database does not know them.
 */
export function watchRecords(db: Db): RecordChanges {
  db.sqlite.exec('CREATE TEMP TABLE IF NOT EXISTS changed_records (key TEXT PRIMARY KEY NOT NULL)');
  const watch = (kind: RecordKind, table: string, key: string): void => {
    for (const [event, row] of [
      ['INSERT', 'new'],
      ['UPDATE', 'new'],
      ['DELETE', 'old'],
    ] as const) {
      // Not "OR IGNORE": inside a trigger the conflict clause of the outer statement wins (sqlite.org/lang_createtrigger.html).
      const expression = `'${kind}/' || ${key.replaceAll('@', row)}`;
      db.sqlite.exec(
        `CREATE TEMP TRIGGER IF NOT EXISTS records_${kind}_${table}_${event.toLowerCase()} AFTER ${event} ON main.${table} BEGIN
           INSERT INTO changed_records SELECT ${expression}
            WHERE ${expression} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM changed_records WHERE key = ${expression});
         END`,
      );
    }
  };
  for (const kind of KIND_NAMES) {
    const { watched, alsoWatched = [] } = KINDS[kind];
    for (const { table, key } of [watched, ...alsoWatched]) watch(kind, table, key);
  }
  const list = db.sqlite.prepare<[], string>('SELECT key FROM changed_records ORDER BY rowid').pluck();
  const forget = db.sqlite.prepare<[string]>('DELETE FROM changed_records WHERE key = ?');
  return {
    take() {
      const keys = list.all();
      for (const key of keys) forget.run(key);
      // Whole tables have the empty rest: `wikis/`.
      return keys.map((key) => key.replace(/\/$/, ''));
    },
  };
}
