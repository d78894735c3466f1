import type { Db } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';
import { createJobCounter } from './job-counter.ts';
import {
  type ChildJob,
  JOB_STATUSES,
  type JobAttempt,
  type JobCount,
  type JobDetail,
  type JobFailure,
  type JobRow,
  type JobStatus,
  type Movement,
  type Page,
  type RunningJob,
  type WakeUp,
} from './types.ts';

/** Pages one may leaf through; deeper ones would walk the index for too long, a filter is the way there. */
export const MAX_PAGES = 200;

/** Attempts looked back for jobs that wait after an error: there is no index on "pending with an error". */
const ATTEMPTS_LOOKED_AT = 1000;

const SUBJECT = 'coalesce(d.filename, j.cycle_date) AS subject';
const PROGRESS = `j.progress_bytes AS doneBytes, j.progress_total_bytes AS totalBytes,
  j.progress_bytes_per_second AS bytesPerSecond`;
const ROW = `j.id, j.job_type AS jobType, j.status, ${SUBJECT}, j.attempt, j.max_attempts AS maxAttempts,
  j.next_retry_at AS nextAttemptAt, j.last_error AS lastError, j.created_at AS createdAt, j.started_at AS startedAt,
  j.completed_at AS completedAt, ${PROGRESS}`;
const FROM = 'FROM jobs j LEFT JOIN dumps d ON d.id = j.dump_id';
const FROM_WAITING = 'FROM jobs j INDEXED BY idx_jobs_due LEFT JOIN dumps d ON d.id = j.dump_id';
const FROM_RUNNING = 'FROM jobs j INDEXED BY idx_jobs_leased LEFT JOIN dumps d ON d.id = j.dump_id';

/** Questions about the queue, read-only. */
export interface JobQueries {
  /** Sorted by job type. */
  jobCounts(): JobCount[];
  /** Counts a large queue in parts, so that what asks for counts next does not stop the event loop; see `JobCounter`. */
  freshenCounts(): Promise<void>;
  /** Longest running first; at most 200. */
  runningJobs(): RunningJob[];
  /** Newest first: failed and quarantined jobs, and pending ones that wait after an error. */
  failures(limit: number): JobFailure[];
  /** For each job type the next job that is not due yet. */
  nextJobs(): WakeUp[];
  /** Newest first. */
  jobs(filter: { status?: JobStatus; type?: string; page: number; pageSize: number }): Page<JobRow>;
  job(id: number): JobDetail | null;
  /** Failed and quarantined jobs with a higher id than `after`, oldest first. */
  failedJobIds(filter: { types: readonly string[]; after: number; limit: number }): number[];
  movement(): Movement;
}

/** Prepares the questions about the queue. */
export function createJobQueries({ db, clock }: { db: Db; clock: Clock }): JobQueries {
  const { sqlite } = db;
  // Jumps from type to type in the index, so that a million jobs of ten types cost ten look-ups.
  const types = sqlite
    .prepare<[], string>(
      `WITH RECURSIVE t(name) AS (
         SELECT min(job_type) FROM jobs
         UNION ALL SELECT (SELECT min(job_type) FROM jobs WHERE job_type > t.name) FROM t WHERE t.name IS NOT NULL)
       SELECT name FROM t WHERE name IS NOT NULL`,
    )
    .pluck();
  const running = sqlite.prepare<[], RunningJob>(
    `SELECT j.id, j.job_type AS jobType, ${SUBJECT}, j.attempt, j.started_at AS startedAt,
       j.lease_expires_at AS leaseExpiresAt, ${PROGRESS}
     ${FROM_RUNNING} WHERE j.status = 'in_progress' ORDER BY j.started_at, j.id LIMIT 200`,
  );
  const failureColumns = `j.id, j.job_type AS jobType, j.status, ${SUBJECT}, j.attempt, j.max_attempts AS maxAttempts,
    (SELECT error_code FROM job_attempts a WHERE a.job_id = j.id ORDER BY a.id DESC LIMIT 1) AS code,
    coalesce(j.last_error, 'no reason was recorded') AS message`;
  const finallyFailed = sqlite.prepare<[string, string, number], JobFailure>(
    `SELECT ${failureColumns}, j.completed_at AS at, NULL AS nextAttemptAt
     ${FROM} WHERE j.job_type = ? AND j.status = ? ORDER BY j.id DESC LIMIT ?`,
  );
  // CROSS JOIN keeps SQLite from walking all jobs first: 1 ms instead of 75 ms with a million of them.
  const waiting = sqlite.prepare<[number, number], JobFailure>(
    `SELECT ${failureColumns}, max(r.ended_at) AS at, j.next_retry_at AS nextAttemptAt
     FROM (SELECT job_id, ended_at FROM job_attempts ORDER BY id DESC LIMIT ?) r
     CROSS JOIN jobs j ON j.id = r.job_id LEFT JOIN dumps d ON d.id = j.dump_id
     WHERE j.status = 'pending' AND j.last_error IS NOT NULL
     GROUP BY j.id ORDER BY at DESC LIMIT ?`,
  );
  // Jobs whose time has come are marked `is_due` and stand in an index of their own: what waits for a later time is in the other one.
  const nextOfType = sqlite.prepare<[string, number], WakeUp>(
    `SELECT 'job' AS kind, j.job_type AS name, j.id AS jobId, ${SUBJECT}, j.next_retry_at AS at
     ${FROM_WAITING} WHERE j.job_type = ? AND j.status = 'pending' AND j.is_due = 0 AND j.next_retry_at > ? ORDER BY j.next_retry_at LIMIT 1`,
  );
  // The index of due jobs is ordered by time within one priority only, so it jumps from priority to priority; there are a few.
  const oldestDue = sqlite
    .prepare<{ type: string }, number | null>(
      `WITH RECURSIVE p(priority) AS (
         SELECT min(priority) FROM jobs INDEXED BY idx_jobs_claim WHERE status = 'pending' AND is_due = 1 AND job_type = @type
         UNION ALL
         SELECT (SELECT min(priority) FROM jobs INDEXED BY idx_jobs_claim
                  WHERE status = 'pending' AND is_due = 1 AND job_type = @type AND priority > p.priority)
           FROM p WHERE p.priority IS NOT NULL)
       SELECT min((SELECT min(next_retry_at) FROM jobs INDEXED BY idx_jobs_claim
                    WHERE status = 'pending' AND is_due = 1 AND job_type = @type AND priority = p.priority))
         FROM p WHERE p.priority IS NOT NULL`,
    )
    .pluck();
  const oldestWaiting = sqlite
    .prepare<{ type: string }, number | null>(
      `SELECT min(next_retry_at) FROM jobs INDEXED BY idx_jobs_due WHERE status = 'pending' AND is_due = 0 AND job_type = @type`,
    )
    .pluck();
  const oldestLease = sqlite.prepare<[], { id: number; at: number; n: number }>(
    `SELECT id, min(lease_expires_at) AS at, count(*) AS n FROM jobs INDEXED BY idx_jobs_leased WHERE status = 'in_progress'`,
  );
  const lastCompleted = sqlite
    .prepare<[], number | null>('SELECT max(completed_at) FROM jobs WHERE completed_at IS NOT NULL')
    .pluck();
  const lastAttempt = sqlite
    .prepare<[], number>('SELECT ended_at FROM job_attempts ORDER BY id DESC LIMIT 1')
    .pluck();
  const newestIds = sqlite
    .prepare<[number, number], number>('SELECT id FROM jobs ORDER BY id DESC LIMIT ? OFFSET ?')
    .pluck();
  const idsOf = sqlite
    .prepare<[string, string, number, number], number>(
      'SELECT id FROM jobs WHERE job_type = ? AND status = ? AND id > ? ORDER BY id DESC LIMIT ?',
    )
    .pluck();
  const row = sqlite.prepare<[number], JobRow>(`SELECT ${ROW} ${FROM} WHERE j.id = ?`);
  const detail = sqlite.prepare<[number], Omit<JobDetail, 'attempts' | 'children' | 'childCount'>>(
    `SELECT ${ROW}, j.unique_key AS uniqueKey, j.priority, j.parent_job_id AS parentJobId, j.dump_id AS dumpId,
       j.cycle_date AS cycleDate, j.params AS input, j.result, j.cursor, j.lease_owner AS leaseOwner,
       j.lease_expires_at AS leaseExpiresAt
     ${FROM} WHERE j.id = ?`,
  );
  const attempts = sqlite.prepare<[number], JobAttempt>(
    `SELECT attempt, outcome, error_code AS code, message, started_at AS startedAt, ended_at AS endedAt
     FROM job_attempts WHERE job_id = ? ORDER BY id DESC LIMIT 200`,
  );

  const children = sqlite.prepare<[number], ChildJob>(
    `SELECT j.id, j.job_type AS jobType, j.status, ${SUBJECT} ${FROM} WHERE j.parent_job_id = ? ORDER BY j.id LIMIT 50`,
  );
  const childCount = sqlite
    .prepare<[number], number>('SELECT count(*) FROM jobs WHERE parent_job_id = ?')
    .pluck();
  const idsAfter = sqlite
    .prepare<[string, string, number, number], number>(
      'SELECT id FROM jobs WHERE job_type = ? AND status = ? AND id > ? ORDER BY id LIMIT ?',
    )
    .pluck();

  const counter = createJobCounter({ db, clock });

  function pageOfIds(filter: { status?: JobStatus; type?: string }, offset: number, limit: number): number[] {
    if (filter.status === undefined && filter.type === undefined) return newestIds.all(limit, offset);
    // The index is ordered by id within one type and one state only; so every such stretch gives its newest and we merge. The largest one goes
    // first: what is older than all that is wanted of it need not be read of the others.
    const stretches = counter
      .counts()
      .filter(({ jobType }) => filter.type === undefined || jobType === filter.type)
      .flatMap(({ jobType, byStatus }) =>
        JOB_STATUSES.filter((status) => filter.status === undefined || status === filter.status).map(
          (status) => ({ jobType, status, n: byStatus[status] }),
        ),
      )
      .sort((a, b) => b.n - a.n);
    const wanted = offset + limit;
    let ids: number[] = [];
    for (const { jobType, status } of stretches) {
      const olderThanAll = ids.length < wanted ? 0 : (ids.at(-1) as number);
      const found = idsOf.all(jobType, status, olderThanAll, wanted);
      if (found.length > 0) ids = [...ids, ...found].sort((a, b) => b - a).slice(0, wanted);
    }
    return ids.slice(offset);
  }

  return {
    jobCounts: counter.counts,
    freshenCounts: counter.freshen,
    runningJobs: () => running.all(),
    failures(limit) {
      const found = waiting.all(ATTEMPTS_LOOKED_AT, limit);
      for (const type of types.all())
        for (const status of ['failed', 'quarantined'] as const)
          found.push(...finallyFailed.all(type, status, limit));
      return found.sort((a, b) => b.at - a.at || b.id - a.id).slice(0, limit);
    },
    nextJobs() {
      const now = clock.now();
      return types.all().flatMap((type) => nextOfType.get(type, now) ?? []);
    },
    jobs({ status, type, page, pageSize }) {
      const matching = counter.counts().filter((c) => type === undefined || c.jobType === type);
      const total = matching.reduce(
        (sum, c) => sum + (status === undefined ? c.total : c.byStatus[status]),
        0,
      );
      const pageCount = Math.min(MAX_PAGES, Math.max(1, Math.ceil(total / pageSize)));
      const at = Math.min(Math.max(page, 1), pageCount);
      const ids = pageOfIds({ status, type }, (at - 1) * pageSize, pageSize);
      return { items: ids.flatMap((id) => row.get(id) ?? []), page: at, pageSize, pageCount, total };
    },
    job(id) {
      const found = detail.get(id);
      if (found === undefined) return null;
      const asked = { children: children.all(id), childCount: childCount.get(id) ?? 0 };
      return { ...found, attempts: attempts.all(id), ...asked };
    },
    failedJobIds({ types: wanted, after, limit }) {
      const ids: number[] = [];
      for (const type of wanted)
        for (const status of ['failed', 'quarantined']) ids.push(...idsAfter.all(type, status, after, limit));
      return ids.sort((a, b) => a - b).slice(0, limit);
    },
    movement() {
      const now = clock.now();
      const lease = oldestLease.get();
      const due = types
        .all()
        .flatMap((type) => [oldestDue.get({ type }) ?? [], oldestWaiting.get({ type }) ?? []].flat());
      const oldestDueAt = due.length === 0 ? null : Math.min(...due);
      const ends = [lastCompleted.get(), lastAttempt.get()].filter((at) => typeof at === 'number');
      return {
        runningCount: lease?.n ?? 0,
        oldestLeaseExpiresAt: lease?.at ?? null,
        oldestLeaseJobId: lease?.id ?? null,
        oldestDueAt: oldestDueAt !== null && oldestDueAt <= now ? oldestDueAt : null,
        lastEndedAt: ends.length === 0 ? null : Math.max(...ends),
      };
    },
  };
}
