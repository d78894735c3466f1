import Database from 'better-sqlite3';
import type { CheckResult, CheckTask } from './protocol.ts';

/** More lines help nobody. */
const PROBLEMS_MAX = 10;

/** Judges a database. What SQLite cannot read is a problem, not an error. */
export function check({ database: path }: CheckTask): CheckResult {
  const rows: Record<string, number> = {};
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { readonly: true, fileMustExist: true });
    const found = database.pragma(`integrity_check(${PROBLEMS_MAX})`) as { integrity_check: string }[];
    const problems = found.map((row) => row.integrity_check).filter((line) => line !== 'ok');
    if (problems.length > 0) return { problems, orphans: [], rows };
    const orphans = findOrphans(database);
    const tables = database
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .pluck()
      .all();
    for (const table of tables)
      rows[table] = database
        .prepare<[], number>(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
        .pluck()
        .get() as number;
    return { problems, orphans, rows };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    // What SQLite cannot read is damaged; anything else is trouble of this machine and no verdict.
    if (!/^SQLITE_(CORRUPT|NOTADB)/.test(code)) throw error;
    return { problems: [message], orphans: [], rows };
  } finally {
    database?.close();
  }
}

function findOrphans(database: Database.Database): string[] {
  const found = database.pragma('foreign_key_check') as {
    table: string;
    rowid: number | null;
    parent: string;
  }[];
  const lines = found
    .slice(0, PROBLEMS_MAX)
    .map(({ table, rowid, parent }) => `row ${rowid ?? '?'} of ${table} has no ${parent}`);
  return found.length > PROBLEMS_MAX ? [...lines, `${found.length - PROBLEMS_MAX} more`] : lines;
}
