import type { Database } from 'better-sqlite3';
import { inSmallSteps, type Pace, type Stepped } from './pace.ts';

/** What was removed, rows by table. */
export interface RetentionResult extends Stepped {
  byTable: Record<string, number>;
}

/** Until when rows are kept, epoch ms: what ended before is removed. */
export interface RetentionCutoffs {
  finishedBefore: number;
  measuredBefore: number;
  /** Of the numbers of swarms one a day is kept before this, one a week before `weeklyBefore`, and of what is older only the newest one. */
  dailyBefore: number;
  weeklyBefore: number;
  swarmsBefore: number;
}

/** Rows in one transaction at the most. */
const MAX_ROWS = 500;
const FIRST_ROWS = 50;

/** A job that nobody will touch again. Anything else is never removed, however old. */
const FINISHED = `+status IN ('completed','failed','quarantined','cancelled') AND completed_at IS NOT NULL AND completed_at < @before`;

const DAY_MS = 86_400_000;
const LATER = 'EXISTS (SELECT 1 FROM torrent_stats later WHERE later.torrent_id = torrent_stats.torrent_id';

/** Rows after which another one of the same torrent and the same stretch of time was written. */
function olderInPeriod(periodMs: number): string {
  const end = `(torrent_stats.recorded_at / ${periodMs} + 1) * ${periodMs}`;
  return `recorded_at < @before AND ${LATER} AND later.recorded_at > torrent_stats.recorded_at AND later.recorded_at < ${end})`;
}

/**
 * What ages. Old jobs are found by an index, so that finding the next few never reads what stays. The others have no index on their age,
 * which would cost every measurement a write: they are found in the order they were written, the oldest first, and so the last look at each of these
 * tables reads all of it, once a night. That look holds no lock, and no step counts its time.
 */
export const RETENTION_KINDS: readonly {
  table: string;
  where: string;
  order: string;
  before: keyof RetentionCutoffs;
}[] = [
  { table: 'jobs', where: FINISHED, order: 'completed_at, id', before: 'finishedBefore' },
  {
    table: 'alerts',
    where: 'resolved_at IS NOT NULL AND resolved_at < @before',
    order: 'id',
    before: 'finishedBefore',
  },
  { table: 'metrics', where: 'recorded_at < @before', order: 'id', before: 'measuredBefore' },
  { table: 'torrent_stats', where: olderInPeriod(DAY_MS), order: 'id', before: 'dailyBefore' },
  { table: 'torrent_stats', where: olderInPeriod(7 * DAY_MS), order: 'id', before: 'weeklyBefore' },
  // The newest one says how much was ever given, and stays as long as its torrent.
  {
    table: 'torrent_stats',
    where: `recorded_at < @before AND ${LATER} AND later.recorded_at > torrent_stats.recorded_at)`,
    order: 'id',
    before: 'swarmsBefore',
  },
];

/**
 * The statements for one kind of rows. Rows are looked up before the write lock is taken, in the order of an index, and judged again under it, one by
 * one by their key: a job may have been retried in between. CROSS JOIN fixes that order; left to itself the planner judged all old
 * rows each time, 250 ms under the lock.
 */
export function retentionStatements(kind: (typeof RETENTION_KINDS)[number]): {
  find: string;
  remove: string;
} {
  const { table, where, order } = kind;
  return {
    // Those before `after` were looked at in this run: they stay.
    find: `SELECT id FROM ${table} WHERE ${order === 'id' ? 'id > @after AND ' : ''}${where} ORDER BY ${order} LIMIT @limit`,
    remove: `DELETE FROM ${table} WHERE id IN (SELECT ${table}.id FROM json_each(@ids) AS old CROSS JOIN ${table} ON ${table}.id = old.value WHERE ${where})`,
  };
}

/**
 * Removes finished jobs with their attempts, measurements and settled alerts that are old enough, a few rows at a time. Children of a
 * removed job stay and forget their parent. Safe to end at any step.
 */
export async function applyRetention(
  connection: Database,
  pace: Pace,
  cutoffs: RetentionCutoffs,
): Promise<RetentionResult> {
  connection.pragma('foreign_keys = ON');
  const result: RetentionResult = { steps: 0, done: 0, longestStepMs: 0, byTable: {} };
  for (const kind of RETENTION_KINDS) {
    const { table, before } = kind;
    const sql = retentionStatements(kind);
    const find = connection.prepare<object, number>(sql.find).pluck();
    const remove = connection.prepare(sql.remove);
    const values = { before: cutoffs[before] };
    const isInOrder = kind.order === 'id';
    let after = 0;
    let removed = 0;
    const stepped = await inSmallSteps(pace, {
      firstSize: FIRST_ROWS,
      maxSize: MAX_ROWS,
      find: (size) => find.all({ ...values, limit: size, ...(isInOrder ? { after } : {}) }),
      write(ids) {
        if (ids.length > 0) removed += remove.run({ ...values, ids: JSON.stringify(ids) }).changes;
        if (isInOrder) after = Math.max(after, ...ids);
        return ids.length;
      },
    });
    result.byTable[table] = (result.byTable[table] ?? 0) + removed;
    result.steps += stepped.steps;
    result.done += removed;
    result.longestStepMs = Math.max(result.longestStepMs, stepped.longestStepMs);
  }
  return result;
}
