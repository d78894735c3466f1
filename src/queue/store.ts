import type { Db } from '../db/index.ts';
import type { JobRequest } from './job-type.ts';

/** A claimed job, as the executor needs it. */
export interface ClaimedJob {
  id: number;
  jobType: string;
  attempt: number;
  maxAttempts: number;
  /** Fencing token of this lease; see `leaseSeq` in the schema. */
  leaseSeq: number;
  params: string;
  cursor: string | null;
  dumpId: number | null;
  cycleDate: string | null;
  startedAt: number;
}

/** Outcome words of `job_attempts`. */
export type AttemptOutcome = 'retryable' | 'permanent' | 'halted' | 'interrupted' | 'lease_lost';

/** What a lease writes while it lives. */
export interface ProgressState {
  cursor: string | null;
  doneBytes: number | null;
  totalBytes: number | null;
  bytesPerSecond: number | null;
}

/** Words of a job that ended without its result. */
export type EndWord = 'failed' | 'quarantined' | 'cancelled';

/**
 * The life of a lease: everything between a request and the end of its job. Every method is one statement and joins the
 * caller's transaction; those that name a job change nothing and return false when its lease is not the caller's any more.
 */
export interface JobStore {
  /** True when a row was inserted, false when an unfinished job has the same key. */
  insert(request: JobRequest, facts: { now: number; parentJobId: number | null }): boolean;
  /** Takes the best due jobs of a type: priority, due time, id. */
  claim(facts: { jobType: string; limit: number; owner: string; now: number; leaseMs: number }): ClaimedJob[];
  renew(job: ClaimedJob, facts: { owner: string; expiresAt: number; state: ProgressState }): boolean;
  complete(job: ClaimedJob, facts: { owner: string; now: number; result: string }): boolean;
  end(job: ClaimedJob, facts: { owner: string; now: number; word: EndWord; error: string }): boolean;
  retry(
    job: ClaimedJob,
    facts: { owner: string; dueAt: number; error: string; cursor: string | null },
  ): boolean;
  /**
   * Back to pending without counting the attempt; `behind` puts it after the jobs that did no harm, `putOffBy` names the
   * target whose halt it waits for.
   */
  giveBack(
    job: ClaimedJob,
    facts: {
      owner: string;
      dueAt: number;
      error: string | null;
      cursor: string | null;
      behind?: boolean;
      putOffBy?: string | null;
    },
  ): boolean;
  addAttempt(
    job: ClaimedJob,
    facts: { outcome: AttemptOutcome; errorCode: string | null; message: string | null; now: number },
  ): void;
  /** How often a job stopped its whole target, since an operator last asked for another try. */
  countHalts(jobId: number): { count: number; firstAt: number | null };
  /** When the next pending job of that type may start, 0 = one is due; null when none is pending. */
  nextDueAt(jobType: string): number | null;
  hasUnfinished(cycleDate: string, jobTypes: readonly string[]): boolean;
  /** Dump files that unfinished jobs of a type are for. */
  unfinishedDumps(jobType: string): number[];
}

/** Columns of a claim, in the order of `ClaimedJob`. */
export const CLAIMED = `id, job_type AS jobType, attempt, max_attempts AS maxAttempts, lease_seq AS leaseSeq, params, cursor,
  dump_id AS dumpId, cycle_date AS cycleDate, started_at AS startedAt`;

/** Every write of a result names the lease it was earned under. */
const FENCE = `WHERE id = ? AND status = 'in_progress' AND lease_owner = ? AND lease_seq = ?`;

/** More than the priorities of one job type ever differ. */
export const BEHIND = 1000;

/** A job that waits for a full disk for months would else note every look. */
const ATTEMPTS_KEPT = 100;

/** Jobs that become due in one claim; a hundred thousand at once, after a long outage, would hold up everything else. */
const WAKE_MAX = 1000;

/** Prepared once: these statements run thousands of times a second. */
export function createJobStore(db: Db): JobStore {
  const { sqlite } = db;
  const insert = sqlite.prepare(
    `INSERT INTO jobs (job_type, parent_job_id, dump_id, cycle_date, params, unique_key, priority, max_attempts, next_retry_at, is_due, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (unique_key) WHERE completed_at IS NULL DO NOTHING`,
  );
  const isAnyToWake = sqlite.prepare<[string, number]>(
    `SELECT 1 FROM jobs WHERE status = 'pending' AND is_due = 0 AND job_type = ? AND next_retry_at <= ? LIMIT 1`,
  );
  const wake = sqlite.prepare<[string, number, number]>(
    `UPDATE jobs SET is_due = 1 WHERE id IN
      (SELECT id FROM jobs WHERE status = 'pending' AND is_due = 0 AND job_type = ? AND next_retry_at <= ?
        ORDER BY next_retry_at LIMIT ?)`,
  );
  // One statement in an immediate transaction: with a single writer nobody can claim the same row in between.
  const claim = sqlite.prepare<unknown[], ClaimedJob & { priority: number }>(
    `UPDATE jobs SET status = 'in_progress', attempt = min(attempt + 1, max_attempts), lease_owner = ?, lease_seq = lease_seq + 1,
            lease_expires_at = ?, started_at = ?, put_off_by = NULL
      WHERE id IN (SELECT id FROM jobs WHERE status = 'pending' AND is_due = 1 AND job_type = ?
                    ORDER BY priority, next_retry_at, id LIMIT ?)
      RETURNING ${CLAIMED}, priority, next_retry_at AS dueAt`,
  );
  const renew = sqlite.prepare(
    `UPDATE jobs SET lease_expires_at = ?, cursor = ?, progress_bytes = ?, progress_total_bytes = ?, progress_bytes_per_second = ? ${FENCE}`,
  );
  const complete = sqlite.prepare(
    `UPDATE jobs SET status = 'completed', result = ?, completed_at = ?, last_error = NULL, lease_owner = NULL, lease_expires_at = NULL, cursor = NULL ${FENCE}`,
  );
  const end = sqlite.prepare(
    `UPDATE jobs SET status = ?, last_error = ?, completed_at = ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const retry = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', is_due = 0, next_retry_at = ?, last_error = ?, cursor = ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const giveBack = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', is_due = 0, attempt = max(attempt - 1, 0), next_retry_at = ?, last_error = ?, cursor = ?, priority = priority + ?, put_off_by = ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const addAttempt = sqlite.prepare(
    `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const forgetAttempts = sqlite.prepare(
    `DELETE FROM job_attempts WHERE job_id = @id
        AND id <= (SELECT id FROM job_attempts WHERE job_id = @id ORDER BY id DESC LIMIT 1 OFFSET ${ATTEMPTS_KEPT})`,
  );
  const countHalts = sqlite.prepare<object, { count: number; firstAt: number | null }>(
    `SELECT count(*) AS count, min(ended_at) AS firstAt FROM job_attempts WHERE job_id = @id AND outcome = 'halted'
          AND id > coalesce((SELECT max(id) FROM job_attempts WHERE job_id = @id AND error_code = 'revived'), 0)`,
  );
  const isAnyDue = sqlite.prepare<[string]>(
    `SELECT 1 FROM jobs WHERE status = 'pending' AND is_due = 1 AND job_type = ? LIMIT 1`,
  );
  const nextDueAt = sqlite
    .prepare<[string], number | null>(
      `SELECT min(next_retry_at) FROM jobs WHERE status = 'pending' AND is_due = 0 AND job_type = ?`,
    )
    .pluck();
  const hasUnfinished = sqlite.prepare<[string, string]>(
    `SELECT 1 FROM jobs WHERE completed_at IS NULL AND cycle_date = ? AND job_type = ? LIMIT 1`,
  );
  const unfinishedDumps = sqlite
    .prepare<[string], number>(
      `SELECT dump_id FROM jobs WHERE job_type = ? AND status IN ('pending', 'in_progress') AND dump_id IS NOT NULL`,
    )
    .pluck();

  return {
    insert(request, { now, parentJobId }) {
      const values = [
        request.type,
        parentJobId,
        request.dumpId,
        request.cycleDate,
        JSON.stringify(request.input),
        request.uniqueKey,
        request.priority,
        request.maxAttempts,
        now + request.delayMs,
        request.delayMs <= 0 ? 1 : 0,
        now,
      ];
      return insert.run(...values).changes === 1;
    },
    claim({ jobType, limit, owner, now, leaseMs }) {
      if (isAnyToWake.get(jobType, now) !== undefined) wake.run(jobType, now, WAKE_MAX);
      const claimed = claim.all(owner, now + leaseMs, now, jobType, limit) as (ClaimedJob & {
        priority: number;
        dueAt: number;
      })[];
      // RETURNING gives rows in no promised order.
      return claimed.sort((a, b) => a.priority - b.priority || a.dueAt - b.dueAt || a.id - b.id);
    },
    renew: (job, { owner, expiresAt, state }) =>
      renew.run(
        expiresAt,
        state.cursor,
        state.doneBytes,
        state.totalBytes,
        state.bytesPerSecond,
        job.id,
        owner,
        job.leaseSeq,
      ).changes === 1,
    complete: (job, { owner, now, result }) =>
      complete.run(result, now, job.id, owner, job.leaseSeq).changes === 1,
    end: (job, { owner, now, word, error }) =>
      end.run(word, error, now, job.id, owner, job.leaseSeq).changes === 1,
    retry: (job, { owner, dueAt, error, cursor }) =>
      retry.run(dueAt, error, cursor, job.id, owner, job.leaseSeq).changes === 1,
    giveBack: (job, { owner, dueAt, error, cursor, behind = false, putOffBy = null }) =>
      giveBack.run(dueAt, error, cursor, behind ? BEHIND : 0, putOffBy, job.id, owner, job.leaseSeq)
        .changes === 1,
    addAttempt: (job, { outcome, errorCode, message, now }) => {
      addAttempt.run(job.id, job.attempt, outcome, errorCode, message, job.startedAt, now);
      forgetAttempts.run({ id: job.id });
    },
    countHalts: (jobId) => countHalts.get({ id: jobId }) ?? { count: 0, firstAt: null },
    nextDueAt: (jobType) => (isAnyDue.get(jobType) === undefined ? (nextDueAt.get(jobType) ?? null) : 0),
    unfinishedDumps: (jobType) => unfinishedDumps.all(jobType),
    hasUnfinished: (cycleDate, jobTypes) =>
      jobTypes.some((jobType) => hasUnfinished.get(cycleDate, jobType) !== undefined),
  };
}
