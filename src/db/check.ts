import { existsSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { describeError, WikiSeedError } from '../lib/errors.ts';

/** The table in which drizzle counts applied migrations; its number of rows is the schema number of a database file. */
export const MIGRATIONS_TABLE = '__drizzle_migrations';

/** Up to here every start reads the whole file; beyond, only after an end that was not clean: 10 s for a few GB. */
const ALWAYS_BELOW_BYTES = 256_000_000;
/** Named in the message; one is enough to refuse. */
const PROBLEMS_MAX = 3;

/**
 * Refuses a damaged database before anything is written to it. It is opened for reading only, so that neither the file
 * nor its WAL changes.
 * @param options.wasInUse the database was not left in order: then it is read to its end, whatever its size
 * @throws WikiSeedError `database_corrupt`
 */
export function refuseDamagedDatabase(
  path: string,
  options: { wasInUse: boolean; alwaysBelowBytes?: number },
): void {
  if (!existsSync(path)) return;
  const problems = findDamage(
    path,
    options.wasInUse || statSync(path).size < (options.alwaysBelowBytes ?? ALWAYS_BELOW_BYTES),
  );
  if (problems.length > 0)
    throw new WikiSeedError(
      'database_corrupt',
      `the database ${path} is damaged and was left as it is: ${problems.join('; ')}`,
    );
}

function findDamage(path: string, readsAll: boolean): string[] {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { readonly: true, timeout: 5000 });
    database.prepare('SELECT count(*) FROM sqlite_master').get();
    if (!readsAll) return [];
    const rows = database.pragma(`quick_check(${PROBLEMS_MAX})`) as { quick_check: string }[];
    return rows.map((row) => row.quick_check).filter((text) => text !== 'ok');
  } catch (error) {
    if (isDamage(error)) return [describeError(error)];
    throw error;
  } finally {
    database?.close();
  }
}

/** True for what SQLite throws when a file is not, or no longer, a database. */
export function isDamage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(CORRUPT|NOTADB)/.test(code);
}

/** True for what SQLite throws when the disk or the file is in trouble, rather than a statement. */
export function isDatabaseTrouble(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^SQLITE_(FULL|IOERR|BUSY|LOCKED|CORRUPT|NOTADB|READONLY|CANTOPEN|NOMEM|PROTOCOL)/.test(code);
}

/** Applied migrations of a database file; 0 for an empty one, null when there is no file. Reads only. */
export function schemaOf(path: string): number | null {
  if (!existsSync(path)) return null;
  const database = new Database(path, { readonly: true, timeout: 5000 });
  try {
    const table = database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(MIGRATIONS_TABLE);
    if (table === undefined) return 0;
    return Number(database.prepare(`SELECT count(*) FROM ${MIGRATIONS_TABLE}`).pluck().get());
  } finally {
    database.close();
  }
}
