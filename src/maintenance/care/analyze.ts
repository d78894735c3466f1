import type { Database } from 'better-sqlite3';
import { inSmallSteps, type Pace, type Stepped } from './pace.ts';

/** One line of `sqlite_stat1`: the rows of an index, and how many of them share their first 1, 2, … columns on average. */
interface StatRow {
  table: string;
  /** Null for a table whose rows no whole index counts. */
  index: string | null;
  /** As SQLite reads it, `600000 60000 1`; null when there are no rows, and then nothing is kept. */
  stat: string | null;
}

/**
 * Renews the statistics of the query planner. ANALYZE holds the write lock while it counts: 133 ms for 600,000 jobs on a cold disk. So we
 * count with reads, which hold up nobody, and write only the outcome, one row at a time; the form is that of `sqlite_stat1`, which
 * applications may write (https://www.sqlite.org/fileformat2.html#the_sqlite_stat1_table). The figures are those of ANALYZE, a test compares.
 * Other connections use them after `ANALYZE sqlite_schema` or when they are opened again.
 */
export async function analyze(connection: Database, pace: Pace): Promise<Stepped> {
  // The only way to make the table; this one has a handful of rows.
  if (!hasStatistics(connection)) connection.exec('ANALYZE system_state');
  const remove = connection.prepare('DELETE FROM sqlite_stat1 WHERE tbl = @table AND idx IS @index');
  const insert = connection.prepare(
    'INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (@table, @index, @stat)',
  );
  const write = connection.transaction((row: StatRow) => {
    remove.run({ table: row.table, index: row.index });
    if (row.stat !== null) insert.run(row);
  });
  const result: Stepped = { steps: 0, done: 0, longestStepMs: 0 };
  for (const count of counters(connection)) {
    pace.throwIfStopped();
    const row = count();
    const onStep = ({ tookMs }: { tookMs: number }): void => {
      result.steps += 1;
      result.done += 1;
      result.longestStepMs = Math.max(result.longestStepMs, tookMs);
      pace.onStep({ step: result.steps, done: result.done, tookMs });
    };
    await inSmallSteps(
      { ...pace, onStep },
      {
        // One of two asked for: the step is the last one.
        firstSize: 2,
        maxSize: 2,
        find: () => row,
        write(found) {
          write.immediate(found);
          return 1;
        },
      },
    );
    await pace.pause(1);
  }
  return result;
}

function hasStatistics(connection: Database): boolean {
  return connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").get() !== undefined;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What is to be counted, each when it is called. */
function counters(connection: Database): (() => StatRow)[] {
  const tables = connection
    .prepare<[], string>(
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND rootpage > 0 ORDER BY name`,
    )
    .pluck()
    .all();
  return tables.flatMap((table) => {
    const list = connection.pragma(`index_list(${quoted(table)})`) as { name: string; partial: number }[];
    const indexes = list.map(
      ({ name, partial }) =>
        () =>
          countIndex(connection, { table, name, partial }),
    );
    return list.some(({ partial }) => partial === 0)
      ? indexes
      : [...indexes, () => countTable(connection, table)];
  });
}

function countTable(connection: Database, table: string): StatRow {
  const rows = connection
    .prepare<[], number>(`SELECT count(*) FROM ${quoted(table)}`)
    .pluck()
    .get() as number;
  return { table, index: null, stat: rows === 0 ? null : String(rows) };
}

function countIndex(
  connection: Database,
  { table, name, partial }: { table: string; name: string; partial: number },
): StatRow {
  const columns = (connection.pragma(`index_info(${quoted(name)})`) as { name: string | null }[]).map(
    (column) => column.name,
  );
  const whole: StatRow = { table, index: name, stat: null };
  // Columns of an expression have no name; there are none today, and the planner does without.
  if (columns.length === 0 || columns.includes(null)) return whole;
  const from = `FROM ${quoted(table)} INDEXED BY ${quoted(name)}${partial === 0 ? '' : conditionOf(connection, name)}`;
  const count = (sql: string): number => connection.prepare<[], number>(sql).pluck().get() as number;
  const rows = count(`SELECT count(*) ${from}`);
  // ANALYZE notes "0 0" for a partial index without rows. What a queue holds in a quiet moment says nothing about a busy one.
  if (rows === 0) return whole;
  const shares = columns.map((_, last) => {
    const prefix = columns.slice(0, last + 1).map((column) => quoted(column as string));
    return average(rows, count(`SELECT count(*) FROM (SELECT DISTINCT ${prefix.join(', ')} ${from})`));
  });
  return { ...whole, stat: [rows, ...shares].join(' ') };
}

/** Rounded up; 2 only when it is well above 1, as SQLite does since 3.38. */
function average(rows: number, distinct: number): number {
  const share = Math.ceil(rows / distinct);
  return share === 2 && rows * 10 <= distinct * 11 ? 1 : share;
}

/** ` WHERE …` of a partial index, as it was created. */
function conditionOf(connection: Database, name: string): string {
  const sql = connection
    .prepare<[string], string>("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?")
    .pluck()
    .get(name) as string;
  return ` ${sql.slice(sql.search(/\bWHERE\b/i))}`;
}
