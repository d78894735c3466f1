import type { Db } from '../db/index.ts';
import { BEHIND, CLAIMED, type ClaimedJob } from './store.ts';

/** A job as an operator's command finds it. */
export interface JobRow {
  id: number;
  jobType: string;
  status: string;
  attempt: number;
}

/** What is done to jobs from outside their lease: rescue, operators, a clock that was set. Joins the caller's transaction. */
export interface CareStore {
  /** Leases that nobody works under. `running` are the jobs this process is at. */
  abandoned(running: readonly number[]): (ClaimedJob & { leaseOwner: string })[];
  /** Gives an abandoned lease back without counting the attempt, and notes why. */
  takeBack(
    job: ClaimedJob,
    facts: { now: number; code: 'process_died' | 'lease_lost'; message: string },
  ): void;
  /** How often this job lost its lease, since an operator last asked for another try. */
  countLosses(jobId: number): number;
  /** Puts a job after those of its type that did no harm. */
  putBehind(jobId: number): void;
  find(jobId: number): JobRow | null;
  /** A job that ended without its result gets all its attempts again; a waiting one becomes due. */
  revive(jobId: number, now: number): void;
  /** Claims a waiting job for its end by hand; null when it is not waiting any more. */
  claimOne(jobId: number, facts: { owner: string; now: number }): ClaimedJob | null;
  /** True when an unfinished job has the key of that one. */
  hasTwin(jobId: number): boolean;
  /** Waiting jobs of that type are cancelled. Returns the cycle of each. */
  cancelPending(facts: { jobType: string; now: number }): (string | null)[];
  /** Jobs that wait only for the end of a halt become due: of one target, or (null) of all but `except`. */
  releaseHalted(facts: { target: string | null; except?: readonly string[]; now: number }): number;
  /** Waiting jobs of that type and cycle become due. */
  hurry(facts: { cycleDate: string; jobType: string; now: number }): number;
  countUnfinished(): { jobType: string; status: string; n: number }[];
  /** The wall clock was set back: what waits for its time keeps its wait, and leases their length. */
  shift(byMs: number): number;
}

/**
 * A lease nobody works under. One process has the data directory, so whatever it does not run itself is nobody's; the
 * expiry is not asked, because the clock it was written by may have been wrong.
 */
const ABANDONED = `status = 'in_progress' AND id NOT IN (SELECT value FROM json_each(@running))`;

/** Rare statements beside those of the hot path. */
export function createCareStore(db: Db): CareStore {
  const { sqlite } = db;
  const abandoned = sqlite.prepare<object, ClaimedJob & { leaseOwner: string }>(
    `SELECT ${CLAIMED}, lease_owner AS leaseOwner FROM jobs INDEXED BY idx_jobs_leased WHERE ${ABANDONED} ORDER BY id`,
  );
  const note = sqlite.prepare(
    `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at)
     VALUES (@id, @attempt, 'lease_lost', @code, @message, @startedAt, @now)`,
  );
  const takeBack = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', is_due = 1, attempt = max(attempt - 1, 0), next_retry_at = @now, lease_owner = NULL, lease_expires_at = NULL
      WHERE id = @id AND status = 'in_progress'`,
  );
  const countLosses = sqlite
    .prepare<object, number>(
      `SELECT count(*) FROM job_attempts WHERE job_id = @id AND outcome = 'lease_lost'
          AND id > coalesce((SELECT max(id) FROM job_attempts WHERE job_id = @id AND error_code = 'revived'), 0)`,
    )
    .pluck();
  const putBehind = sqlite.prepare(`UPDATE jobs SET priority = priority + ${BEHIND} WHERE id = ?`);
  const find = sqlite.prepare<[number], JobRow>(
    'SELECT id, job_type AS jobType, status, attempt FROM jobs WHERE id = ?',
  );
  const revive = sqlite.prepare(
    `UPDATE jobs SET status = 'pending', is_due = 1, attempt = 0, next_retry_at = @now, completed_at = NULL
      WHERE id = @id AND status IN ('failed', 'quarantined', 'cancelled')`,
  );
  const makeDue = sqlite.prepare(
    `UPDATE jobs SET is_due = 1, next_retry_at = @now WHERE id = @id AND status = 'pending'`,
  );
  const noteRevival = sqlite.prepare(
    `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at)
     SELECT id, 0, 'interrupted', 'revived', 'an operator asked for another try', @now, @now FROM jobs WHERE id = @id`,
  );
  const claimOne = sqlite.prepare<object, ClaimedJob>(
    `UPDATE jobs SET status = 'in_progress', attempt = min(attempt + 1, max_attempts), lease_owner = @owner, lease_seq = lease_seq + 1,
            lease_expires_at = @now + 60000, started_at = @now
      WHERE id = @id AND status = 'pending' RETURNING ${CLAIMED}`,
  );
  const hasTwin = sqlite.prepare<[number]>(
    `SELECT 1 FROM jobs twin JOIN jobs job ON job.id = ? WHERE twin.unique_key = job.unique_key AND twin.completed_at IS NULL AND twin.id <> job.id`,
  );
  const cancelPending = sqlite
    .prepare<object, string | null>(
      `UPDATE jobs SET status = 'cancelled', completed_at = @now WHERE status = 'pending' AND job_type = @jobType
        RETURNING cycle_date`,
    )
    .pluck();
  const releaseHalted = sqlite.prepare(
    `UPDATE jobs SET is_due = 1, next_retry_at = min(next_retry_at, @now), put_off_by = NULL
      WHERE status = 'pending' AND put_off_by IS NOT NULL AND (@target IS NULL OR put_off_by = @target)
        AND put_off_by NOT IN (SELECT value FROM json_each(@except))`,
  );
  const hurry = sqlite.prepare(
    `UPDATE jobs SET is_due = 1, next_retry_at = @now
      WHERE completed_at IS NULL AND status = 'pending' AND cycle_date = @cycleDate AND job_type = @jobType`,
  );
  const countUnfinished = sqlite.prepare<[], { jobType: string; status: string; n: number }>(
    `SELECT job_type AS jobType, status, count(*) AS n FROM jobs WHERE status IN ('pending', 'in_progress') GROUP BY 1, 2`,
  );
  const shift = sqlite.prepare(
    `UPDATE jobs SET next_retry_at = next_retry_at + @byMs WHERE status = 'pending' AND is_due = 0`,
  );
  const shiftLeases = sqlite.prepare(
    `UPDATE jobs SET lease_expires_at = lease_expires_at + @byMs WHERE status = 'in_progress'`,
  );

  return {
    abandoned: (running) => abandoned.all({ running: JSON.stringify(running) }),
    takeBack(job, { now, code, message }) {
      note.run({ id: job.id, attempt: job.attempt, code, message, startedAt: job.startedAt ?? now, now });
      takeBack.run({ id: job.id, now });
    },
    countLosses: (jobId) => countLosses.get({ id: jobId }) ?? 0,
    putBehind: (jobId) => void putBehind.run(jobId),
    find: (jobId) => find.get(jobId) ?? null,
    revive(jobId, now) {
      noteRevival.run({ id: jobId, now });
      if (revive.run({ id: jobId, now }).changes === 0) makeDue.run({ id: jobId, now });
    },
    claimOne: (id, { owner, now }) => claimOne.get({ id, owner, now }) ?? null,
    hasTwin: (jobId) => hasTwin.get(jobId) !== undefined,
    cancelPending: (facts) => cancelPending.all(facts),
    releaseHalted: ({ target, except = [], now }) =>
      releaseHalted.run({ target, except: JSON.stringify(except), now }).changes,
    hurry: (facts) => hurry.run(facts).changes,
    countUnfinished: () => countUnfinished.all(),
    shift(byMs) {
      // A lease whose handler is gone would else be held for so much longer.
      shiftLeases.run({ byMs });
      return shift.run({ byMs }).changes;
    },
  };
}
