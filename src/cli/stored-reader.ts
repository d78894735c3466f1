import { existsSync, readdirSync, statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { type Db, MIGRATIONS_TABLE, openDb } from '../db/index.ts';
import { createLayout } from '../storage/index.ts';
import { openForReading } from './load.ts';

type Row = Record<string, unknown>;

/** One moment of the database, read without a trace. */
export interface StoredReader {
  readonly path: string;
  /** How many migrations it has. */
  readonly schema: number;
  /** @param value given to every `?` of the statement */
  rows(sql: string, value?: string): Iterable<Row>;
  /** False when somebody began to write meanwhile, so that what was read may be torn: read it again. */
  isTrue(): boolean;
  close(): void;
}

/**
 * Opens the database of a data directory for a look that leaves it as it is: even an empty log beside it would be a change.
 * @returns null when there is none yet, or an empty one
 * @throws WikiSeedError `database_missing` when there was one before; errors of SQLite for a damaged one
 */
export function openStored(dataDir: string): StoredReader | null {
  const { database, records, backups } = createLayout(dataDir);
  if (!existsSync(database) || statSync(database).size === 0) {
    const wasThereBefore = [records, backups].some(
      (folder) => existsSync(folder) && readdirSync(folder).length > 0,
    );
    // It says what to do.
    if (wasThereBefore) openForReading(dataDir).close();
    return null;
  }
  const log = `${database}-wal`;
  // A log means that somebody has it open, or died: only SQLite's own locking reads that rightly.
  if (existsSync(log)) return readShared(database);
  try {
    return readAlone(database, () => !existsSync(log));
  } catch {
    // Damage is told in our own words there.
    return readShared(database);
  }
}

/** Nobody has it open: `immutable` reads the file itself, and makes no log and no shared memory beside it. */
function readAlone(database: string, isAlone: () => boolean): StoredReader {
  const url = pathToFileURL(database);
  url.searchParams.set('immutable', '1');
  const connection = new DatabaseSync(url, { readOnly: true });
  const rows = (sql: string, value?: string): Iterable<Row> => {
    const given: SQLInputValue[] = value === undefined ? [] : [...sql.matchAll(/\?/g)].map(() => value);
    return connection.prepare(sql).iterate(...given) as Iterable<Row>;
  };
  try {
    const schema = schemaIn(rows);
    return { path: database, schema, rows, isTrue: isAlone, close: () => connection.close() };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Beside a daemon: one read transaction, as of one moment. */
function readShared(database: string): StoredReader {
  const db: Db = openDb(database, 'readonly');
  const rows = (sql: string, value?: string): Iterable<Row> => {
    const given = value === undefined ? [] : [...sql.matchAll(/\?/g)].map(() => value);
    return db.sqlite.prepare<string[], Row>(sql).iterate(...given);
  };
  try {
    db.sqlite.exec('BEGIN');
    const schema = schemaIn(rows);
    return { path: database, schema, rows, isTrue: () => true, close: () => db.close() };
  } catch (error) {
    db.close();
    throw error;
  }
}

function schemaIn(rows: StoredReader['rows']): number {
  const [table] = rows('SELECT 1 FROM sqlite_master WHERE name = ?', MIGRATIONS_TABLE);
  if (table === undefined) return 0;
  const [count] = rows(`SELECT count(*) AS n FROM ${MIGRATIONS_TABLE}`);
  return Number(count?.n ?? 0);
}

/** What a plan and a look build on: tables, and which of their rows. */
export const EVERY_CYCLE = { wikis: '', cycles: '' };
const OF_CYCLE = 'WHERE cycle_date = ?';
/** With its date. */
export const ONE_CYCLE = {
  dump_runs: OF_CYCLE,
  run_documents: `WHERE run_id IN (SELECT id FROM dump_runs ${OF_CYCLE})`,
  dumps: OF_CYCLE,
  dump_replacements: `WHERE dump_id IN (SELECT id FROM dumps ${OF_CYCLE})`,
  // What the looks at any cycle found dumped tells the same for all.
  system_state: `WHERE key LIKE 'scan:' || ? || ':%' OR key LIKE 'discovery:unlisted:%'`,
};

/** Copies rows from the one into the other, where the same tables are there and empty. */
export function copyTables(
  from: StoredReader,
  to: Db,
  tables: Record<string, string>,
  cycleDate?: string,
): void {
  to.transaction(() => {
    for (const [table, condition] of Object.entries(tables)) {
      const names = to.sqlite
        .prepare<[string], string>('SELECT name FROM pragma_table_info(?)')
        .pluck()
        .all(table);
      const write = to.sqlite.prepare<[Record<string, unknown>]>(
        `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`,
      );
      for (const row of from.rows(`SELECT ${names.join(', ')} FROM ${table} ${condition}`, cycleDate))
        write.run({ ...row });
    }
  });
}
