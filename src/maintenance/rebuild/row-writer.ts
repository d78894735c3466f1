import type { Db } from '../../db/index.ts';
import type { Row } from './record-kinds.ts';

/** Values by column, as SQLite takes them. */
export type Values = Record<string, string | number | Buffer | null>;

/** Inserts rows that come from files, column by column as far as the table has them. */
export interface RowWriter {
  /**
   * Inserts one row. Columns the table has not are left out, those the row has not get their default.
   * @returns the row id; the reason, in one sentence, when the table refuses the row
   */
  insert(table: string, row: Row | Values): number | { reason: string };
}

/** One writer serves one database. Table names are ours, column names are looked up: nothing of a file becomes SQL. */
export function createRowWriter(db: Db): RowWriter {
  const columns = new Map<string, Map<string, string>>();
  const columnsOf = (table: string): Map<string, string> => {
    let known = columns.get(table);
    if (known === undefined) {
      const info = db.sqlite.pragma(`table_info(${table})`) as { name: string; type: string }[];
      known = new Map(info.map(({ name, type }) => [name, type.toUpperCase()]));
      columns.set(table, known);
    }
    return known;
  };
  const prepare = (sql: string) => db.sqlite.prepare<unknown[]>(sql);
  const statements = new Map<string, ReturnType<typeof prepare>>();
  const statementFor = (table: string, names: readonly string[]) => {
    const sql = `INSERT INTO ${table} (${names.map((name) => `"${name}"`).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`;
    const known = statements.get(sql) ?? prepare(sql);
    statements.set(sql, known);
    return known;
  };
  return {
    insert(table, row) {
      const known = columnsOf(table);
      const used = Object.entries(row).filter(([column]) => known.has(column) && column !== 'id');
      const wrong = used.find(([column, value]) => !fits(known.get(column) ?? '', value));
      if (wrong !== undefined) return { reason: `${wrong[0]} is no ${known.get(wrong[0])?.toLowerCase()}` };
      const names = used.map(([column]) => column);
      try {
        return Number(statementFor(table, names).run(...used.map(([, value]) => value)).lastInsertRowid);
      } catch (error) {
        const isRefused =
          error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_CONSTRAINT');
        if (!isRefused) throw error;
        return { reason: (error as Error).message };
      }
    },
  };
}

/** SQLite would take any text for an integer. */
function fits(type: string, value: unknown): boolean {
  if (value === null) return true;
  if (type === 'INTEGER') return Number.isSafeInteger(value);
  if (type === 'REAL') return typeof value === 'number';
  if (type === 'BLOB') return Buffer.isBuffer(value);
  return typeof value === 'string';
}
