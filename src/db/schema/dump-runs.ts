import { sql } from 'drizzle-orm';
import { check, index, integer, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';

/** One wiki, one date, one source. Owner: catalog. */
export const dumpRuns = sqliteTable(
  'dump_runs',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    wikiDbName: text('wiki_db_name').notNull(),
    source: text().notNull().default('classic'),
    /** The date as upstream writes it: `YYYYMMDD` for classic runs. */
    runDate: text('run_date').notNull(),
    cycleDate: text('cycle_date').notNull(),
    /** absent: upstream has no such run and will not; in_progress: not begun, or some job is not settled; finished: every job is done, failed or skipped. */
    status: text().notNull(),
    /** JSON list `[{dumpType, reason}]` of configured types that the run does not give us. */
    notices: text().notNull().default('[]'),
    /** The last status document that could be read, as JSON; null before the first. */
    lastGoodStatus: text('last_good_status'),
    checkedAt: integer('checked_at').notNull(),
    finishedAt: integer('finished_at'),
  },
  (t) => [
    unique('dump_runs_identity').on(t.wikiDbName, t.source, t.runDate),
    index('idx_dump_runs_cycle').on(t.cycleDate, t.status),
    check('dump_runs_status', sql`${t.status} IN ('absent','in_progress','finished')`),
  ],
);
