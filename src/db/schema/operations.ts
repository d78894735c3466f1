import { sql } from 'drizzle-orm';
import { check, index, integer, real, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';

/** Single facts by key. Owner: db. */
export const systemState = sqliteTable('system_state', {
  key: text().primaryKey(),
  value: text().notNull(),
  updatedAt: integer('updated_at').notNull(),
});

/** Copies of Wikimedia's own pages at page archives. Owner: publishing. */
export const pageSnapshots = sqliteTable(
  'page_snapshots',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    cycleDate: text('cycle_date').notNull(),
    url: text().notNull(),
    service: text().notNull(),
    status: text().notNull().default('pending'),
    snapshotUrl: text('snapshot_url'),
    requestedAt: integer('requested_at'),
    completedAt: integer('completed_at'),
    note: text(),
  },
  (t) => [
    unique('page_snapshots_identity').on(t.cycleDate, t.url, t.service),
    check('page_snapshots_status', sql`${t.status} IN ('pending','submitted','done','skipped','failed')`),
  ],
);

/** Download sources beside the origin, with what we learned of them. Owner: download. */
export const mirrors = sqliteTable('mirrors', {
  id: integer().primaryKey({ autoIncrement: true }),
  baseUrl: text('base_url').notNull().unique(),
  isActive: integer('is_active', { mode: 'boolean' }).notNull().default(true),
  goodFiles: integer('good_files').notNull().default(0),
  badHashes: integer('bad_hashes').notNull().default(0),
  notFound: integer('not_found').notNull().default(0),
  wrongSizes: integer('wrong_sizes').notNull().default(0),
  /** Answers that broke off, stalled or were refused, since the last good file. */
  faultsInARow: integer('faults_in_a_row').notNull().default(0),
  /** Moving average over the last downloads. */
  bytesPerSecond: real('bytes_per_second'),
  /** Ranges of one file at once that it bears, learned from its refusals; null = as many as we want. */
  rangesAtOnce: integer('ranges_at_once'),
  /** Newest run date (`YYYYMMDD`) of which it had a file. */
  newestRunDate: text('newest_run_date'),
  /** What was last wrong, for people. */
  lastFault: text('last_fault'),
  lastFaultAt: integer('last_fault_at'),
  probationUntil: integer('probation_until'),
  lastUsedAt: integer('last_used_at'),
});

/** Measurements over time. Owner: monitoring. */
export const metrics = sqliteTable(
  'metrics',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    metricType: text('metric_type').notNull(),
    value: real().notNull(),
    unit: text().notNull(),
    recordedAt: integer('recorded_at').notNull(),
  },
  (t) => [index('idx_metrics_type').on(t.metricType, t.recordedAt)],
);

/** Last sign of life of each pool and long-lived part. Owner: monitoring. */
export const workerHealth = sqliteTable(
  'worker_health',
  {
    name: text().primaryKey(),
    status: text().notNull(),
    lastHeartbeatAt: integer('last_heartbeat_at').notNull(),
    jobsCompleted: integer('jobs_completed').notNull().default(0),
    jobsFailed: integer('jobs_failed').notNull().default(0),
  },
  (t) => [check('worker_health_status', sql`${t.status} IN ('healthy','degraded','failed')`)],
);

/** What someone should look at. Owner: alerts. */
export const alerts = sqliteTable(
  'alerts',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    alertKey: text('alert_key').notNull(),
    severity: text().notNull(),
    message: text().notNull(),
    hint: text(),
    /** How often it was raised since it opened. */
    count: integer().notNull().default(1),
    firstAt: integer('first_at').notNull(),
    lastAt: integer('last_at').notNull(),
    resolvedAt: integer('resolved_at'),
  },
  (t) => [
    index('idx_alerts_open').on(t.alertKey).where(sql`resolved_at IS NULL`),
    check('alerts_severity', sql`${t.severity} IN ('info','warn','error')`),
  ],
);

/** Tombstones: what was deleted, why, and on what evidence. Owner: storage. */
export const deletions = sqliteTable(
  'deletions',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    dumpId: integer('dump_id'),
    wikiDbName: text('wiki_db_name').notNull(),
    path: text().notNull(),
    sizeBytes: integer('size_bytes').notNull(),
    sha256: text(),
    reason: text().notNull(),
    /** JSON of the facts that allowed it. */
    evidence: text().notNull(),
    /** State of the dump file before: it gets it back when the deletion is not carried out. */
    previousStatus: text('previous_status'),
    /** Epoch ms of the decision; the file counts as gone from here on. */
    deletedAt: integer('deleted_at').notNull(),
    /** Epoch ms at which its last name was removed; null = decided, not done yet. Rows of earlier versions do not exist. */
    removedAt: integer('removed_at'),
  },
  (t) => [
    index('idx_deletions_wiki').on(t.wikiDbName),
    index('idx_deletions_open').on(t.id).where(sql`removed_at IS NULL`),
  ],
);
