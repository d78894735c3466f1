import { sql } from 'drizzle-orm';
import { blob, check, index, integer, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';

/** One wiki, one date, one source. Owner: catalog. */
export const dumpRuns = sqliteTable(
  'dump_runs',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    wikiDbName: text('wiki_db_name').notNull(),
    source: text().notNull().default('classic'),
    /** The date as upstream writes it: `YYYYMMDD` for classic runs, `YYYY-MM-DD` for content exports. */
    runDate: text('run_date').notNull(),
    cycleDate: text('cycle_date').notNull(),
    /** absent: upstream has no such run and will not; in_progress: not begun, or some job is not settled; finished: every job is done, failed or skipped. */
    status: text().notNull(),
    /** JSON list `[{dumpType, reason, kind?}]` of configured types that the run does not give us. */
    notices: text().notNull().default('[]'),
    /** A configured type of it failed upstream, and a later rerun on the old date may still bring it. */
    mayChange: integer('may_change', { mode: 'boolean' }).notNull().default(false),
    checkedAt: integer('checked_at').notNull(),
    finishedAt: integer('finished_at'),
  },
  (t) => [
    unique('dump_runs_identity').on(t.wikiDbName, t.source, t.runDate),
    index('idx_dump_runs_cycle').on(t.cycleDate, t.status),
    check('dump_runs_status', sql`${t.status} IN ('absent','in_progress','finished')`),
  ],
);

/**
 * The last description of a run that could be read, so that it can be judged again without asking upstream. Not part of
 * the records: upstream has it. Owner: catalog.
 */
export const runDocuments = sqliteTable('run_documents', {
  runId: integer('run_id')
    .primaryKey()
    .references(() => dumpRuns.id, { onDelete: 'cascade' }),
  /** JSON, packed with zstd; plain in rows that an earlier version wrote. */
  document: blob({ mode: 'buffer' }).notNull(),
  /** SHA-256 of the JSON, hex: an equal one need not be judged again. Null: never compared. */
  digest: text(),
  /** Validators of the run's own document, for conditional requests; null when it came as part of another one. */
  etag: text(),
  lastModified: text('last_modified'),
  /** Epoch ms of the last look that read a description; null in rows that an earlier version wrote. */
  askedAt: integer('asked_at'),
});
