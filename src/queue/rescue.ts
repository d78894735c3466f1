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

/** A job that lost its lease so often, mostly because the process died, runs after the others of its type. */
const LOSSES_BEHIND = 3;
/** A job that lost its lease so often is put in quarantine: most likely it is the reason. */
const LOSSES_MAX = 10;

const DIED = { code: 'process_died', message: 'the process that ran it ended' } as const;
const LOST = { code: 'lease_lost', message: 'its lease was lost' } as const;

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
            const isOwn = job.leaseOwner === deps.owner;
            const losses = care.countLosses(job.id) + 1;
            if (losses < LOSSES_MAX || pool === undefined) {
              care.takeBack(job, isOwn ? { now, ...LOST } : { now, ...DIED });
              if (losses === LOSSES_BEHIND) care.putBehind(job.id);
              continue;
            }
            const message = isOwn
              ? `the lease of this job was lost ${losses} times`
              : `the process ended ${losses} times while it ran this job`;
            const error = new PermanentError(isOwn ? LOST.code : DIED.code, message, {
              hint: `Find out why, then: wikiseed jobs retry ${job.id}`,
            });
            store.addAttempt(job, { outcome: 'lease_lost', errorCode: error.code, message, now });
            end(job, pool, { word: 'quarantined', error });
            log.error(
              { jobId: job.id, jobType: job.jobType, losses },
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
