import { sql } from 'drizzle-orm';
import {
  type AnySQLiteColumn,
  check,
  index,
  integer,
  sqliteTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/sqlite-core';

/** The durable queue. State words and moves: docs/state-machine.md. Owner: queue. */
export const jobs = sqliteTable(
  'jobs',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    jobType: text('job_type').notNull(),
    status: text().notNull().default('pending'),
    parentJobId: integer('parent_job_id').references((): AnySQLiteColumn => jobs.id, {
      onDelete: 'set null',
    }),
    dumpId: integer('dump_id'),
    cycleDate: text('cycle_date'),
    /** Input of the handler, JSON. */
    params: text().notNull(),
    /** Output of the handler, JSON; null until completed. */
    result: text(),
    /** One unfinished job for each key; enqueueing a second is a no-op. */
    uniqueKey: text('unique_key').notNull(),
    /** Lower runs first. */
    priority: integer().notNull().default(100),
    /** Attempts begun, from 1 while the first runs; interrupted and snoozed ones are given back. */
    attempt: integer().notNull().default(0),
    maxAttempts: integer('max_attempts').notNull(),
    /** Not to be claimed before, epoch ms. */
    nextRetryAt: integer('next_retry_at').notNull(),
    /** A pending job that was seen to be due: a claim looks, and so marks it. Only these are looked at by a claim, so that it costs the same however many wait. */
    isDue: integer('is_due', { mode: 'boolean' }).notNull().default(false),
    /** The halted target that a pending job waits for, when it waits for nothing else. */
    putOffBy: text('put_off_by'),
    lastError: text('last_error'),
    leaseOwner: text('lease_owner'),
    /** Grows with every claim and never goes back: the fencing token of one lease. */
    leaseSeq: integer('lease_seq').notNull().default(0),
    leaseExpiresAt: integer('lease_expires_at'),
    /** Small JSON of the handler's own, saved with the lease, so that the next attempt resumes. */
    cursor: text(),
    progressBytes: integer('progress_bytes'),
    progressTotalBytes: integer('progress_total_bytes'),
    progressBytesPerSecond: integer('progress_bytes_per_second'),
    createdAt: integer('created_at').notNull(),
    startedAt: integer('started_at'),
    completedAt: integer('completed_at'),
  },
  (t) => [
    index('idx_jobs_claim')
      .on(t.jobType, t.priority, t.nextRetryAt, t.id)
      .where(sql`status = 'pending' AND is_due = 1`),
    index('idx_jobs_due').on(t.jobType, t.nextRetryAt).where(sql`status = 'pending' AND is_due = 0`),
    index('idx_jobs_put_off').on(t.putOffBy).where(sql`put_off_by IS NOT NULL`),
    index('idx_jobs_leased').on(t.id).where(sql`status = 'in_progress'`),
    index('idx_jobs_type_status').on(t.jobType, t.status),
    // "completed_at IS NULL" means unfinished, and unlike the status it does not change with a claim: nor do these indexes.
    index('idx_jobs_cycle')
      .on(t.cycleDate, t.jobType)
      .where(sql`completed_at IS NULL AND cycle_date IS NOT NULL`),
    uniqueIndex('idx_jobs_unique').on(t.uniqueKey).where(sql`completed_at IS NULL`),
    index('idx_jobs_dump').on(t.dumpId),
    index('idx_jobs_parent').on(t.parentJobId).where(sql`parent_job_id IS NOT NULL`),
    index('idx_jobs_finished').on(t.completedAt).where(sql`completed_at IS NOT NULL`),
    check(
      'jobs_status',
      sql`${t.status} IN ('pending','in_progress','completed','failed','quarantined','cancelled')`,
    ),
    check(
      'jobs_finished',
      sql`(${t.status} IN ('completed','failed','quarantined','cancelled')) = (${t.completedAt} IS NOT NULL)`,
    ),
    check(
      'jobs_leased',
      sql`(${t.status} = 'in_progress') = (${t.leaseOwner} IS NOT NULL AND ${t.leaseExpiresAt} IS NOT NULL)`,
    ),
    check('jobs_attempts', sql`${t.attempt} BETWEEN 0 AND ${t.maxAttempts}`),
  ],
);

/** Every attempt that ended without completing its job; a snooze leaves no row. Owner: queue. */
export const jobAttempts = sqliteTable(
  'job_attempts',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    jobId: integer('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    attempt: integer().notNull(),
    outcome: text().notNull(),
    errorCode: text('error_code'),
    message: text(),
    startedAt: integer('started_at').notNull(),
    endedAt: integer('ended_at').notNull(),
  },
  (t) => [
    index('idx_job_attempts_job').on(t.jobId),
    check(
      'job_attempts_outcome',
      sql`${t.outcome} IN ('retryable','permanent','halted','interrupted','lease_lost')`,
    ),
  ],
);
