import type { Database } from 'better-sqlite3';
import { type LastRun, RECORDED, type Recorded, readRecord, SINCE_KEY } from './records.ts';

/** How a database is. Sizes in bytes, times in epoch ms. */
export interface DatabaseStatistics {
  at: number;
  path: string;
  fileBytes: number;
  walBytes: number;
  /** Free for an ordinary user on the disk that holds the database. */
  freeDiskBytes: number;
  pageSize: number;
  pageCount: number;
  freePages: number;
  /** Free pages of all pages, 0 to 100. */
  fragmentationPercent: number;
  autoVacuum: 'none' | 'full' | 'incremental';
  journalMode: string;
  sqliteVersion: string;
  /** Migrations applied. */
  schemaNumber: number;
  /** Largest first; null when they were not asked for. A size is null when it was not measured. */
  tables: { name: string; rows: number; sizeBytes: number | null }[] | null;
  /** Largest first; null when they were not asked for, or not measured. */
  indexes: { name: string; table: string; sizeBytes: number }[] | null;
  jobs: {
    /** Of finished jobs only when they were asked for. */
    byStatus: Record<string, number>;
    /** When the longest waiting job was asked for, among those that are due; null = none is, or it was not asked for. */
    oldestPendingAt: number | null;
    longestRunning: { id: number; jobType: string; startedAt: number } | null;
    /** Jobs whose lease is over although they are in progress. */
    expiredLeases: number;
  };
  /** Null = never. */
  last: Record<Recorded, LastRun | null>;
  /** Since when maintenance has run here; null = never. */
  since: number | null;
  /** When the newest backup that passed its checks was made; null = there is none. */
  newestGoodBackupAt: number | null;
}

/** What the database itself tells; the rest lies beside it. */
export type StatisticsFromDatabase = Omit<DatabaseStatistics, 'newestGoodBackupAt'>;

/** Reading every page of more than this takes longer than somebody wants to wait at a terminal: 1 GB. */
const MEASURE_SIZES_UP_TO_BYTES = 1_000_000_000;

const AUTO_VACUUM = ['none', 'full', 'incremental'] as const;

/**
 * Takes stock of a database in use; reads only. What the thresholds need is asked every hour and after each task, so it reads
 * unfinished jobs and nothing that is over.
 * @param facts what only the file system knows, and the time by which leases are judged
 * @param facts.isThorough also count the rows of each table and the finished jobs, which reads an index of each, find the job that waits longest,
 *   which reads all jobs, and measure tables and indexes one by one, unless the database is larger than 1 GB
 */
export function databaseStatistics(
  connection: Database,
  facts: {
    now: number;
    path: string;
    fileBytes: number;
    walBytes: number;
    freeDiskBytes: number;
    isThorough: boolean;
  },
): StatisticsFromDatabase {
  const { isThorough, now, ...files } = facts;
  const number = (name: string): number => connection.pragma(name, { simple: true }) as number;
  const pageCount = number('page_count');
  const freePages = number('freelist_count');
  const sizes = isThorough && files.fileBytes <= MEASURE_SIZES_UP_TO_BYTES ? sizesByName(connection) : null;
  return {
    at: now,
    ...files,
    pageSize: number('page_size'),
    pageCount,
    freePages,
    fragmentationPercent: pageCount === 0 ? 0 : (freePages / pageCount) * 100,
    autoVacuum: AUTO_VACUUM[number('auto_vacuum')] ?? 'none',
    journalMode: String(connection.pragma('journal_mode', { simple: true })),
    sqliteVersion: String(connection.prepare('SELECT sqlite_version()').pluck().get()),
    schemaNumber: schemaNumber(connection),
    tables: isThorough ? tables(connection, sizes) : null,
    indexes: sizes === null ? null : indexes(connection, sizes),
    jobs: isThorough ? allJobFacts(connection, now) : jobFacts(connection, now),
    last: Object.fromEntries(RECORDED.map((what) => [what, readRecord(connection, what)])) as Record<
      Recorded,
      LastRun | null
    >,
    since: since(connection),
  };
}

/** Bytes of each table and index; null when SQLite was built without the table `dbstat`. */
function sizesByName(connection: Database): Map<string, number> | null {
  try {
    const rows = connection
      .prepare<[], { name: string; bytes: number }>(
        'SELECT name, pgsize AS bytes FROM dbstat WHERE aggregate = TRUE',
      )
      .all();
    return new Map(rows.map((row) => [row.name, row.bytes]));
  } catch (error) {
    if (error instanceof Error && error.message.includes('no such table: dbstat')) return null;
    throw error;
  }
}

function tables(
  connection: Database,
  sizes: ReadonlyMap<string, number> | null,
): DatabaseStatistics['tables'] {
  const names = connection
    .prepare<[], string>(
      `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name`,
    )
    .pluck()
    .all();
  return names
    .map((name) => ({
      name,
      rows: connection
        .prepare(`SELECT count(*) FROM "${name.replaceAll('"', '""')}"`)
        .pluck()
        .get() as number,
      sizeBytes: sizes?.get(name) ?? null,
    }))
    .sort(
      (a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0) || b.rows - a.rows || a.name.localeCompare(b.name),
    );
}

function indexes(
  connection: Database,
  sizes: ReadonlyMap<string, number>,
): { name: string; table: string; sizeBytes: number }[] {
  return connection
    .prepare<[], { name: string; table: string }>(
      `SELECT name, tbl_name AS "table" FROM sqlite_schema WHERE type = 'index'`,
    )
    .all()
    .map((row) => ({ ...row, sizeBytes: sizes.get(row.name) ?? 0 }))
    .sort((a, b) => b.sizeBytes - a.sizeBytes || a.name.localeCompare(b.name));
}

/** Each by the index of just these jobs: the planner, left alone, reads all jobs once most of them wait. */
const UNFINISHED = {
  due: `FROM jobs INDEXED BY idx_jobs_claim WHERE status = 'pending' AND is_due = 1`,
  waiting: `FROM jobs INDEXED BY idx_jobs_due WHERE status = 'pending' AND is_due = 0`,
  running: `FROM jobs INDEXED BY idx_jobs_leased WHERE status = 'in_progress'`,
} as const;

function jobFacts(connection: Database, now: number): DatabaseStatistics['jobs'] {
  const count = (from: string, ...values: number[]): number =>
    connection
      .prepare<number[], number>(`SELECT count(*) ${from}`)
      .pluck()
      .get(...values) as number;
  const running = connection
    .prepare<[], { id: number; jobType: string; startedAt: number }>(
      `SELECT id, job_type AS jobType, started_at AS startedAt ${UNFINISHED.running} AND started_at IS NOT NULL ORDER BY started_at, id LIMIT 1`,
    )
    .get();
  const counts = {
    pending: count(UNFINISHED.due) + count(UNFINISHED.waiting),
    in_progress: count(UNFINISHED.running),
  };
  return {
    byStatus: Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0)),
    oldestPendingAt: null,
    longestRunning: running ?? null,
    expiredLeases: count(`${UNFINISHED.running} AND lease_expires_at < ?`, now),
  };
}

function allJobFacts(connection: Database, now: number): DatabaseStatistics['jobs'] {
  const counts = connection
    .prepare<[], { status: string; n: number }>('SELECT status, count(*) AS n FROM jobs GROUP BY status')
    .all();
  const oldest = connection
    .prepare<[number], number | null>(
      `SELECT min(created_at) FROM jobs WHERE status = 'pending' AND next_retry_at <= ?`,
    )
    .pluck()
    .get(now);
  return {
    ...jobFacts(connection, now),
    byStatus: Object.fromEntries(counts.map(({ status, n }) => [status, n])),
    oldestPendingAt: oldest ?? null,
  };
}

function schemaNumber(connection: Database): number {
  const has = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = '__drizzle_migrations'").get();
  return has === undefined
    ? 0
    : (connection.prepare('SELECT count(*) FROM __drizzle_migrations').pluck().get() as number);
}

function since(connection: Database): number | null {
  const text = connection.prepare('SELECT value FROM system_state WHERE key = ?').pluck().get(SINCE_KEY);
  const at = Number(text ?? Number.NaN);
  return Number.isFinite(at) ? at : null;
}
