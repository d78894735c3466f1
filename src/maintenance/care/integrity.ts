import type { Database } from 'better-sqlite3';

/** What the checks found. */
export interface IntegrityResult {
  ok: boolean;
  /** Sentences of SQLite and rows that refer to nothing; at most 20 of each, empty when all is well. */
  problems: string[];
}

/** Enough to see what is wrong; a destroyed file has thousands. */
const PROBLEMS_MAX = 20;

/**
 * Reads every page and every reference. Holds a read transaction, so writers go on; the log cannot begin anew meanwhile.
 * A file too damaged to be read counts as a problem, not as an error.
 */
export function checkIntegrity(connection: Database): IntegrityResult {
  const problems = [
    ...orDamage(() =>
      (connection.pragma(`integrity_check(${PROBLEMS_MAX})`) as { integrity_check: string }[])
        .map((row) => row.integrity_check)
        .filter((text) => text !== 'ok'),
    ),
    ...orDamage(() =>
      (
        connection.pragma('foreign_key_check') as { table: string; rowid: number | null; parent: string }[]
      ).map(
        (row) => `row ${row.rowid ?? '?'} of ${row.table} refers to a row of ${row.parent} that is not there`,
      ),
    ).slice(0, PROBLEMS_MAX),
  ];
  return { ok: problems.length === 0, problems };
}

function orDamage(check: () => string[]): string[] {
  try {
    return check();
  } catch (error) {
    if (isDamage(error))
      return [`${(error as Error).message} (${String((error as { code: unknown }).code)})`];
    throw error;
  }
}

/** True when SQLite says that the file itself is broken. */
export function isDamage(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^SQLITE_(CORRUPT|NOTADB)/.test(String(error.code));
}
