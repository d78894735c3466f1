import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { type BetterSQLite3Database, drizzle } from 'drizzle-orm/better-sqlite3';
import * as schema from './schema/index.ts';

/** drizzle over the tables of `schema/`; synchronous. */
export type Orm = BetterSQLite3Database<typeof schema>;

/** One open database. better-sqlite3 is synchronous: nothing may be awaited inside a transaction. */
export interface Db {
  readonly path: string;
  /** For prepared statements on hot paths. */
  readonly sqlite: Database.Database;
  readonly orm: Orm;
  /**
   * Runs `work` in one immediate transaction and commits what it wrote; a throw rolls back and is passed on.
   * Called inside a running transaction it joins that one.
   */
  transaction<T>(work: () => T): T;
  /** Inside a transaction: a throw of `work` undoes what it wrote, and nothing else, and is passed on. */
  savepoint<T>(work: () => T): T;
  /** Calls `tell` once what is being written is committed, never when it is rolled back; at once outside a transaction. */
  afterCommit(tell: () => void): void;
  close(): void;
}

/** 256 MiB of WAL at 4 KiB a page: more than the checkpointer ever leaves. At 64 it came first when much was written, for 60 ms. */
const FALLBACK_CHECKPOINT_PAGES = 65_536;
/** 20,000 KiB of page cache for each connection. */
const CACHE_KIB = 20_000;

/**
 * Opens `<data_dir>/db/jobs.db` for one writer and many readers. SQLite is not behind a port: tests use the real one.
 * @param mode `readonly` for commands that look at the database of a running daemon; throws `SQLITE_CANTOPEN` when it is not there
 */
export function openDb(path: string, mode: 'readwrite' | 'readonly' = 'readwrite'): Db {
  if (mode === 'readwrite') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const sqlite = new Database(path, { readonly: mode === 'readonly', timeout: 5000 });
  if (mode === 'readwrite') {
    // Of a new database only: free pages can be given back in small steps, which hold up no writer (decision 11).
    sqlite.pragma('auto_vacuum = INCREMENTAL');
    sqlite.pragma('journal_mode = WAL');
    // The checkpointer does it in its own thread; here it would be an fsync in the middle of a commit. A fallback only.
    sqlite.pragma(`wal_autocheckpoint = ${FALLBACK_CHECKPOINT_PAGES}`);
    sqlite.pragma('synchronous = NORMAL');
    chmodSync(path, 0o600);
  }
  return wrap(path, sqlite);
}

/**
 * A database that leaves no trace: empty, or with the content of the one at `copyOf` when that can be read.
 * For planning with the code that acts.
 */
export function openMemoryDb(copyOf: string): Db {
  let image: Buffer | undefined;
  try {
    // Without a log nobody has it open, and opening it would leave one.
    if (existsSync(`${copyOf}-wal`)) {
      const live = new Database(copyOf, { readonly: true, timeout: 5000 });
      try {
        image = live.serialize();
      } finally {
        live.close();
      }
    } else image = readFileSync(copyOf);
    // The image of a database in WAL mode says so in bytes 18 and 19, and memory knows no WAL: 1 = rollback journal.
    image.fill(1, 18, 20);
  } catch {
    image = undefined;
  }
  return wrap(':memory:', image === undefined ? new Database(':memory:') : new Database(image));
}

function wrap(path: string, sqlite: Database.Database): Db {
  sqlite.pragma('foreign_keys = ON');
  sqlite.pragma(`cache_size = -${CACHE_KIB}`);
  sqlite.pragma('temp_store = MEMORY');
  const orm = drizzle(sqlite, { schema });
  const begin = sqlite.prepare('BEGIN IMMEDIATE');
  const commit = sqlite.prepare('COMMIT');
  const rollback = sqlite.prepare('ROLLBACK');
  let told: (() => void)[] = [];
  return {
    path,
    sqlite,
    orm,
    transaction(work) {
      if (sqlite.inTransaction) return work();
      begin.run();
      let result: ReturnType<typeof work>;
      try {
        result = work();
        commit.run();
      } catch (error) {
        told = [];
        if (sqlite.inTransaction) rollback.run();
        throw error;
      }
      const due = told;
      told = [];
      for (const tell of due) tell();
      return result;
    },
    savepoint(work) {
      const known = told.length;
      sqlite.exec('SAVEPOINT part');
      try {
        const result = work();
        sqlite.exec('RELEASE part');
        return result;
      } catch (error) {
        // SQLite may have undone the whole transaction already: a full disk does that.
        if (sqlite.inTransaction) sqlite.exec('ROLLBACK TO part; RELEASE part');
        told = told.slice(0, known);
        throw error;
      }
    },
    afterCommit(tell) {
      if (sqlite.inTransaction) told.push(tell);
      else tell();
    },
    close: () => sqlite.close(),
  };
}
