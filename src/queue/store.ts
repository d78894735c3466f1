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

/** All writes to `jobs` and `job_attempts`, and the reads that decide. Every method is one statement or joins the caller's transaction. */
export interface JobStore {
  /** True when a row was inserted, false when an unfinished job has the same key. */
  insert(request: JobRequest, facts: { now: number; parentJobId: number | null }): boolean;
  claim(facts: { jobType: string; limit: number; owner: string; now: number; leaseMs: number }): ClaimedJob[];
  /** False = the lease is somebody else's by now. */
  renew(job: ClaimedJob, facts: { owner: string; expiresAt: number; state: ProgressState }): boolean;
  /** The next four move an in-progress job on; false = the lease was lost and nothing was written. */
  complete(job: ClaimedJob, facts: { owner: string; now: number; result: string }): boolean;
  fail(job: ClaimedJob, facts: { owner: string; now: number; error: string }): boolean;
  retry(
    job: ClaimedJob,
    facts: { owner: string; dueAt: number; error: string; cursor: string | null },
  ): boolean;
  /** Back to pending without counting the attempt; `behind` puts it after the jobs that did no harm. */
  giveBack(
    job: ClaimedJob,
    facts: { owner: string; dueAt: number; error: string | null; cursor: string | null; behind?: boolean },
  ): boolean;
  addAttempt(
    job: ClaimedJob,
    facts: { outcome: AttemptOutcome; errorCode: string | null; message: string | null; now: number },
  ): void;
  /**
   * Leases of other owners, or expired ones, go back to pending without counting. `running` are the jobs this process is
   * at: their leases are its own business, whatever the wall clock says. Returns how many.
   */
  rescue(facts: { owner: string; now: number; running: readonly number[] }): number;
  /** Waiting jobs of that type are cancelled. */
  cancelPending(facts: { jobType: string; now: number }): number;
  /** Jobs that were put off only because their target was halted become due. */
  releaseHalted(now: number): number;
  /** Waiting jobs of that type and cycle become due. */
  hurry(facts: { cycleDate: string; jobType: string; now: number }): number;
  /** How often a job stopped its whole target. */
  countHalts(jobId: number): number;
  /** Earliest due time of a pending job of that type; null when none is pending. */
  nextDueAt(jobType: string): number | null;
  countUnfinished(): { jobType: string; status: string; n: number }[];
  hasUnfinished(cycleDate: string, jobTypes: readonly string[]): boolean;
}

/** Columns of a claim, in the order of `ClaimedJob`. */
const CLAIMED = `id, job_type AS jobType, attempt, max_attempts AS maxAttempts, lease_seq AS leaseSeq, params, cursor,
  dump_id AS dumpId, cycle_date AS cycleDate, started_at AS startedAt`;

/** Every write of a result names the lease it was earned under. */
const FENCE = `WHERE id = ? AND status = 'in_progress' AND lease_owner = ? AND lease_seq = ?`;

/** More than the priorities of one job type ever differ. */
const BEHIND = 1000;

/** A lease nobody works under any more. */
const ABANDONED = `status = 'in_progress' AND (lease_owner <> @owner OR lease_expires_at < @now)
  AND id NOT IN (SELECT value FROM json_each(@running))`;

/** Prepared once: these statements run thousands of times a second. */
export function createJobStore(db: Db): JobStore {
  const { sqlite } = db;
  const insert = sqlite.prepare(
    `INSERT INTO jobs (job_type, parent_job_id, dump_id, cycle_date, params, unique_key, priority, max_attempts, next_retry_at, created_at)
     VALUES (@type, @parentJobId, @dumpId, @cycleDate, @params, @uniqueKey, @priority, @maxAttempts, @dueAt, @now)
     ON CONFLICT (unique_key) WHERE status IN ('pending','in_progress') DO NOTHING`,
  );
  // One immediate statement: with a single writer nobody can claim the same row in between.
  const claim = sqlite.prepare<object, ClaimedJob>(
    `UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, lease_owner = @owner, lease_seq = lease_seq + 1,
            lease_expires_at = @expiresAt, started_at = @now
      WHERE id IN (SELECT id FROM jobs WHERE status = 'pending' AND job_type = @jobType AND next_retry_at <= @now
                    ORDER BY priority, next_retry_at, id LIMIT @limit)
      RETURNING ${CLAIMED}, priority`,
  );
  const renew = sqlite.prepare(
    `UPDATE jobs SET lease_expires_at = ?, cursor = ?, progress_bytes = ?, progress_total_bytes = ?, progress_bytes_per_second = ? ${FENCE}`,
  );
  const complete = sqlite.prepare(
    `UPDATE jobs SET status = 'completed', result = ?, completed_at = ?, last_error = NULL, lease_owner = NULL, lease_expires_at = NULL, cursor = NULL ${FENCE}`,
  );
  const fail = sqlite.prepare(
    `UPDATE jobs SET status = 'failed', last_error = ?, completed_at = ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const retry = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', next_retry_at = ?, last_error = ?, cursor = ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const giveBack = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', attempt = attempt - 1, next_retry_at = ?, last_error = ?, cursor = ?, priority = priority + ?, lease_owner = NULL, lease_expires_at = NULL ${FENCE}`,
  );
  const addAttempt = sqlite.prepare(
    `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const noteRescue = sqlite.prepare(
    `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at)
     SELECT id, attempt, 'lease_lost', 'lease_lost', 'the process that ran it ended', coalesce(started_at, @now), @now
       FROM jobs WHERE ${ABANDONED}`,
  );
  const rescue = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', attempt = attempt - 1, next_retry_at = @now, lease_owner = NULL, lease_expires_at = NULL
      WHERE ${ABANDONED}`,
  );
  const hurry = sqlite.prepare(
    `UPDATE jobs SET next_retry_at = @now WHERE status = 'pending' AND cycle_date = @cycleDate AND job_type = @jobType`,
  );
  const cancelPending = sqlite.prepare(
    `UPDATE jobs SET status = 'cancelled', completed_at = @now WHERE status = 'pending' AND job_type = @jobType`,
  );
  const releaseHalted = sqlite.prepare(
    `UPDATE jobs SET next_retry_at = @now WHERE status = 'pending' AND next_retry_at > @now
        AND (SELECT outcome FROM job_attempts WHERE job_id = jobs.id ORDER BY id DESC LIMIT 1) = 'halted'`,
  );
  const countHalts = sqlite
    .prepare<[number], number>(`SELECT count(*) FROM job_attempts WHERE job_id = ? AND outcome = 'halted'`)
    .pluck();
  const nextDueAt = sqlite
    .prepare<[string], number | null>(
      `SELECT min(next_retry_at) FROM jobs WHERE status = 'pending' AND job_type = ?`,
    )
    .pluck();
  const countUnfinished = sqlite.prepare<[], { jobType: string; status: string; n: number }>(
    `SELECT job_type AS jobType, status, count(*) AS n FROM jobs WHERE status IN ('pending', 'in_progress') GROUP BY 1, 2`,
  );
  const hasUnfinished = sqlite.prepare<[string, string]>(
    `SELECT 1 FROM jobs WHERE status IN ('pending', 'in_progress') AND cycle_date = ? AND job_type = ? LIMIT 1`,
  );

  return {
    insert: (request, { now, parentJobId }) =>
      insert.run({
        type: request.type,
        parentJobId,
        dumpId: request.dumpId,
        cycleDate: request.cycleDate,
        params: JSON.stringify(request.input),
        uniqueKey: request.uniqueKey,
        priority: request.priority,
        maxAttempts: request.maxAttempts,
        dueAt: now + request.delayMs,
        now,
      }).changes === 1,
    claim: ({ jobType, limit, owner, now, leaseMs }) =>
      (
        claim.all({ jobType, limit, owner, now, expiresAt: now + leaseMs }) as (ClaimedJob & {
          priority: number;
        })[]
      ).sort(
        // RETURNING gives rows in no promised order.
        (a, b) => a.priority - b.priority || a.id - b.id,
      ),
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
    fail: (job, { owner, now, error }) => fail.run(error, now, job.id, owner, job.leaseSeq).changes === 1,
    retry: (job, { owner, dueAt, error, cursor }) =>
      retry.run(dueAt, error, cursor, job.id, owner, job.leaseSeq).changes === 1,
    giveBack: (job, { owner, dueAt, error, cursor, behind = false }) =>
      giveBack.run(dueAt, error, cursor, behind ? BEHIND : 0, job.id, owner, job.leaseSeq).changes === 1,
    addAttempt: (job, { outcome, errorCode, message, now }) => {
      addAttempt.run(job.id, job.attempt, outcome, errorCode, message, job.startedAt, now);
    },
    rescue: (facts) =>
      db.transaction(() => {
        const values = { owner: facts.owner, now: facts.now, running: JSON.stringify(facts.running) };
        noteRescue.run(values);
        return rescue.run(values).changes;
      }),
    cancelPending: (facts) => cancelPending.run(facts).changes,
    releaseHalted: (now) => releaseHalted.run({ now }).changes,
    hurry: (facts) => hurry.run(facts).changes,
    countHalts: (jobId) => countHalts.get(jobId) ?? 0,
    nextDueAt: (jobType) => nextDueAt.get(jobType) ?? null,
    countUnfinished: () => countUnfinished.all(),
    hasUnfinished: (cycleDate, jobTypes) =>
      jobTypes.some((jobType) => hasUnfinished.get(cycleDate, jobType) !== undefined),
  };
}
