import { type Db, isDatabaseTrouble, type SystemState } from '../db/index.ts';
import { PermanentError } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { CareStore } from './care-store.ts';
import { safeInput } from './executor.ts';
import type { Outcomes } from './outcomes.ts';
import type { Pool } from './pool.ts';
import type { Pools } from './pools.ts';
import { cancelKey } from './state-keys.ts';
import type { ClaimedJob, EndWord, JobStore } from './store.ts';

/** A job under which the process died so often runs after the others of its type. */
const DEATHS_BEHIND = 3;
/** A job under which the process died so often is put in quarantine: most likely it is the reason. */
export const DEATHS_MAX = 10;

/** Takes leases back that nobody works under: of an earlier process, or expired. */
export interface Rescuer {
  /** Returns how many jobs were taken back. `running` are the jobs this process is at: their leases are its own business. */
  rescue(running: readonly number[]): number;
}

/** See `Rescuer`. A lost lease costs no attempt. */
export function createRescuer(deps: {
  db: Db;
  state: SystemState;
  store: JobStore;
  care: CareStore;
  outcomes: Outcomes;
  pools: Pools;
  clock: Clock;
  log: Log;
  owner: string;
}): Rescuer {
  const { care, store, clock, log } = deps;

  /** Its failure hooks may throw: then it ends without them. */
  function end(
    job: ClaimedJob & { leaseOwner: string },
    pool: Pool,
    facts: { word: EndWord; error: PermanentError },
  ): void {
    const { leaseOwner: owner } = job;
    try {
      deps.db.savepoint(() => deps.outcomes.end(job, pool, { ...facts, owner, input: safeInput(pool, job) }));
    } catch (thrown) {
      if (isDatabaseTrouble(thrown)) throw thrown;
      log.error({ err: thrown, jobId: job.id }, 'the failure of a job could not be recorded');
      deps.outcomes.end(job, pool, { ...facts, owner, input: undefined });
    }
  }

  return {
    rescue(running) {
      const now = clock.now();
      let count = 0;
      deps.outcomes.transaction(
        () => {
          for (const job of care.abandoned(running)) {
            count += 1;
            const pool = deps.pools.get(job.jobType);
            if (deps.state.get(cancelKey(job.id)) !== null && pool !== undefined) {
              const error = new PermanentError('cancelled', 'cancelled by an operator');
              end(job, pool, { word: 'cancelled', error });
              continue;
            }
            if (job.leaseOwner === deps.owner) {
              care.takeBack(job, { now, code: 'lease_lost', message: 'its lease was lost' });
              continue;
            }
            const deaths = care.countDeaths(job.id) + 1;
            if (deaths < DEATHS_MAX || pool === undefined) {
              care.takeBack(job, { now, code: 'process_died', message: 'the process that ran it ended' });
              if (deaths === DEATHS_BEHIND) care.putBehind(job.id);
              continue;
            }
            const message = `the process ended ${deaths} times while it ran this job`;
            const error = new PermanentError('process_died', message, {
              hint: `Find out why, then: wikiseed jobs retry ${job.id}`,
            });
            store.addAttempt(job, { outcome: 'lease_lost', errorCode: 'process_died', message, now });
            end(job, pool, { word: 'quarantined', error });
            log.error(
              { jobId: job.id, jobType: job.jobType, deaths },
              'job quarantined: it may be what ends the process',
            );
          }
        },
        { isolatesBarriers: true },
      );
      return count;
    },
  };
}
