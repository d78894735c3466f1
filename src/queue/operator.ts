import type { Db, SystemState } from '../db/index.ts';
import { PermanentError, UsageError } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Attempt } from './attempt.ts';
import type { CareStore } from './care-store.ts';
import { safeInput } from './executor.ts';
import type { Outcomes } from './outcomes.ts';
import type { Pools } from './pools.ts';
import { cancelKey } from './state-keys.ts';
import type { JobStore } from './store.ts';

/** What became of an operator's wish for one job. */
export interface JobChange {
  jobId: number;
  jobType: string;
  /** The state before. */
  was: string;
  /** `due`: it starts as soon as a slot is free. `stopping`: its handler was told to stop. */
  now: 'due' | 'cancelled' | 'stopping';
}

/** Changes to single jobs by hand. */
export interface JobOperator {
  /** @throws UsageError when there is no such job, it runs, is completed, or another one does its work */
  retry(jobId: number): JobChange;
  /** @throws UsageError when there is no such job or it has ended */
  cancel(jobId: number): JobChange;
}

/** See `JobOperator`. */
export function createJobOperator(deps: {
  db: Db;
  care: CareStore;
  store: JobStore;
  outcomes: Outcomes;
  pools: Pools;
  clock: Clock;
  owner: string;
  state: SystemState;
  running: () => readonly Attempt[];
}): JobOperator {
  const { care, clock, owner } = deps;

  function find(jobId: number): NonNullable<ReturnType<CareStore['find']>> {
    const job = care.find(jobId);
    if (job === null) throw new UsageError(`there is no job ${jobId}`, '"wikiseed jobs" lists them.');
    return job;
  }

  return {
    retry: (jobId) =>
      deps.db.transaction(() => {
        const { status, jobType } = find(jobId);
        if (status === 'in_progress') throw new UsageError(`job ${jobId} is running`);
        if (status === 'completed')
          throw new UsageError(
            `job ${jobId} is completed`,
            'Only what failed, was quarantined, cancelled or waits can be tried again.',
          );
        if (status !== 'pending' && care.hasTwin(jobId))
          throw new UsageError(
            `another job does the work of job ${jobId} already`,
            '"wikiseed jobs --status pending" shows it.',
          );
        care.revive(jobId, clock.now());
        deps.state.delete(cancelKey(jobId));
        return { jobId, jobType, was: status, now: 'due' };
      }),
    cancel(jobId) {
      const { status, jobType } = find(jobId);
      if (status === 'in_progress') {
        const attempt = deps.running().find(({ job }) => job.id === jobId);
        if (attempt === undefined) throw new UsageError(`job ${jobId} is about to end; try again`);
        // Written down first: should the process die before its handler stops, the next one knows.
        deps.state.set(cancelKey(jobId), '', clock.now());
        attempt.abort('cancelled');
        return { jobId, jobType, was: status, now: 'stopping' };
      }
      if (status !== 'pending') throw new UsageError(`job ${jobId} is ${status} already`);
      deps.outcomes.transaction(() => {
        const now = clock.now();
        const job = care.claimOne(jobId, { owner, now });
        const pool = deps.pools.get(jobType);
        if (job === null) throw new UsageError(`job ${jobId} cannot be cancelled now`);
        const error = new PermanentError('cancelled', 'cancelled by an operator');
        // A type of another version has no hooks here.
        if (pool === undefined) deps.store.end(job, { owner, now, word: 'cancelled', error: error.message });
        else deps.outcomes.end(job, pool, { owner, word: 'cancelled', input: safeInput(pool, job), error });
      });
      return { jobId, jobType, was: status, now: 'cancelled' };
    },
  };
}
