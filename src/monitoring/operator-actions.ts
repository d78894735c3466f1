import type { Db } from '../db/index.ts';
import { DumpFileId, parseRate, UnitError, UsageError } from '../lib/index.ts';
import {
  type JobChange,
  type JobRequest,
  LIMIT_MAX,
  type Limit,
  type Pause,
  type Queue,
  RATE_NAMES,
  type Rate,
  type RateName,
  type Scope,
  scopeText,
} from '../queue/index.ts';
import { RefusedChange, scopesOf } from './scope-names.ts';
import type { StatusQueries } from './status-queries.ts';

/** What became of many jobs at once. */
export interface RetriedJobs {
  retried: number;
  /** Left as they were: another job does their work already. */
  skipped: number;
  /** The last job that was looked at: the next call goes on behind it. Null = that was all. */
  continueAfter: number | null;
}

/** What an operator may change, by the names a person would use. Every refusal is a `RefusedChange`. */
export interface OperatorActions {
  pause(name: string, reason: string | null): { paused: Pause; pauses: Pause[] };
  /** `resumed`: scopes as text, empty when nothing of that name was held. */
  resume(name: string): { resumed: string[]; pauses: Pause[] };
  /** Null = as configured. */
  setLimit(name: string, jobs: number | null): { scope: Scope; jobs: number | null; limits: Limit[] };
  /** How fast bytes may flow: `20MB/s`, `unlimited`, null = as configured. `name`: `download`, or `download_per_host` for each host. */
  setBandwidth(name: string, limit: string | null): { name: RateName; rate: Rate | null; rates: Rate[] };
  retryJob(jobId: number): JobChange;
  cancelJob(jobId: number): JobChange;
  /** Failed and quarantined jobs, oldest first, at most `RETRY_AT_ONCE` in one call. */
  retryFailed(filter: { type: string | null; after: number }): RetriedJobs;
  /** Asks for a prune now; one that waits or runs already is the same. */
  prune(): { jobId: number };
  /** Asks for held files to be read again and repaired now, by their ids, at most `REPAIR_AT_ONCE`; jobs in that order. */
  repairFiles(dumpIds: readonly number[]): { jobIds: number[] };
  /**
   * Records that held files were read and found damaged or missing, at most `DAMAGE_AT_ONCE`. `sha1` and `verifiedAt` as the catalog
   * had them then: what changed since is left alone. `damaged`: those of them that count as damaged now.
   */
  recordDamage(found: readonly FoundDamage[]): { damaged: number[] };
}

/** One finding. */
export interface FoundDamage {
  id: number;
  sha1: string;
  /** Epoch ms. */
  verifiedAt: number | null;
}

/** Findings told in one call; they fit a request. */
export const DAMAGE_AT_ONCE = 50;

/** Jobs asked for in one call. */
export const REPAIR_AT_ONCE = 500;

/** Jobs put back in one transaction: about 20 ms. */
export const RETRY_AT_ONCE = 500;

/** Longest reason of a pause, characters. */
export const REASON_MAX = 500;

/** See `OperatorActions`. */
export function createOperatorActions(deps: {
  db: Db;
  queue: Queue;
  queries: Pick<StatusQueries, 'job' | 'failedJobIds' | 'halts'>;
  /** The job that makes room; without it pruning is refused. */
  pruneRequest?: () => JobRequest;
  /** The job that repairs a held file; without it repair is refused. */
  repairRequest?: (id: DumpFileId) => JobRequest;
  /** Records damage, and says which of the files are damaged now; without it that is refused. */
  noteDamage?: (found: readonly (FoundDamage & { id: DumpFileId })[]) => readonly number[];
}): OperatorActions {
  const { db, queue, queries } = deps;

  /** What is held or limited may also be of a type or target that this version does not have any more. */
  function scopes(name: string): Scope[] {
    const held = [...queue.pauses(), ...queue.limits()].map(({ scope }) => scope);
    const namesOf = (kind: Scope['kind']): string[] =>
      held.flatMap((scope) => (scope.kind === kind && scope.kind !== 'all' ? [scope.name] : []));
    const halted = [...queue.halts(), ...queries.halts()].map(({ target }) => target);
    return scopesOf(name, {
      types: [...new Set([...queue.jobTypes(), ...namesOf('type')])],
      targets: [...new Set([...queue.targets(), ...namesOf('target'), ...halted])],
    });
  }

  function ofJob(jobId: number, change: () => JobChange): JobChange {
    const job = queries.job(jobId);
    if (job === null) throw new RefusedChange(404, `there is no job ${jobId}`, '"wikiseed jobs" lists them.');
    if (!queue.jobTypes().includes(job.jobType))
      throw new RefusedChange(409, `this version of WikiSeed has no job type ${job.jobType} any more`);
    return refusing(409, change);
  }

  const unfinished = db.sqlite
    .prepare<[string], number>('SELECT id FROM jobs WHERE unique_key = ? AND completed_at IS NULL')
    .pluck();

  return {
    prune() {
      const request = deps.pruneRequest?.();
      if (request === undefined) throw new RefusedChange(404, 'this WikiSeed cannot prune');
      queue.enqueue([request]);
      const jobId = unfinished.get(request.uniqueKey);
      if (jobId === undefined) throw new RefusedChange(409, 'the prune was not taken');
      return { jobId };
    },
    repairFiles(dumpIds) {
      const { repairRequest } = deps;
      if (repairRequest === undefined) throw new RefusedChange(404, 'this WikiSeed cannot repair files');
      const requests = dumpIds.map((id) => repairRequest(DumpFileId.parse(id)));
      queue.enqueue(requests);
      return { jobIds: requests.flatMap(({ uniqueKey }) => unfinished.get(uniqueKey) ?? []) };
    },
    recordDamage(found) {
      if (deps.noteDamage === undefined)
        throw new RefusedChange(404, 'this WikiSeed keeps no record of damage');
      return {
        damaged: [...deps.noteDamage(found.map((each) => ({ ...each, id: DumpFileId.parse(each.id) })))],
      };
    },
    pause(name, reason) {
      const scope = scopes(name)[0] as Scope;
      const words = reason?.trim().slice(0, REASON_MAX) ?? '';
      queue.pause(scope, words === '' ? null : words);
      const pauses = queue.pauses();
      const paused = pauses.find((pause) => scopeText(pause.scope) === scopeText(scope)) as Pause;
      return { paused, pauses };
    },
    resume(name) {
      const resumed = scopes(name).flatMap((scope) => queue.resume(scope));
      return { resumed: [...new Set(resumed)], pauses: queue.pauses() };
    },
    setLimit(name, jobs) {
      const scope = scopes(name)[0] as Scope;
      if (scope.kind === 'all')
        throw new RefusedChange(
          400,
          'a limit belongs to one job type or one target',
          'To stop all work, use "wikiseed pause all".',
        );
      if (jobs === 0)
        throw new RefusedChange(
          400,
          `a limit is a whole number from 1 to ${LIMIT_MAX}`,
          `To stop it, use "wikiseed pause ${scope.name}".`,
        );
      refusing(400, () => queue.setLimit(scope, jobs));
      return { scope, jobs, limits: queue.limits() };
    },
    setBandwidth(name, limit) {
      const known = RATE_NAMES.find((each) => each === name.trim().replaceAll('-', '_'));
      if (known === undefined)
        throw new RefusedChange(
          404,
          `there is no bandwidth limit ${JSON.stringify(name.slice(0, 100))}`,
          `There are: ${RATE_NAMES.join(', ')}.`,
        );
      queue.setRate(known, limit === null ? undefined : readRate(limit));
      const rates = queue.rates();
      return { name: known, rate: rates.find((rate) => rate.name === known) ?? null, rates };
    },
    retryJob: (jobId) => ofJob(jobId, () => queue.retryJob(jobId)),
    // Also of a type that is gone: what can never run should not wait for ever.
    cancelJob: (jobId) => refusing(409, () => queue.cancelJob(jobId)),
    retryFailed({ type, after }) {
      // Of a type that this version does not know any more nothing would ever run.
      const types = type === null ? queue.jobTypes() : [typeOf(scopes(`type:${type}`)[0] as Scope)];
      const ids = queries.failedJobIds({ types, after, limit: RETRY_AT_ONCE });
      let retried = 0;
      db.transaction(() => {
        for (const id of ids) {
          try {
            queue.retryJob(id);
            retried += 1;
          } catch (error) {
            // Another job does its work: nothing was written for this one, the others go on.
            if (!(error instanceof UsageError)) throw error;
          }
        }
      });
      const continueAfter = ids.length < RETRY_AT_ONCE ? null : (ids.at(-1) ?? null);
      return { retried, skipped: ids.length - retried, continueAfter };
    },
  };
}

/**
 * A rate as an operator writes it: `20MB/s`, or `unlimited`, which becomes null.
 * @throws RefusedChange 400
 */
export function readRate(limit: string): number | null {
  if (limit.trim() === 'unlimited') return null;
  try {
    const rate = parseRate(limit);
    if (rate > 0) return rate;
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
    throw new RefusedChange(400, error.message, 'For example 20MB/s, or unlimited.');
  }
  throw new RefusedChange(
    400,
    'a bandwidth limit is more than 0',
    'To stop downloads, use "wikiseed pause download_dump".',
  );
}

const typeOf = (scope: Scope): string => (scope.kind === 'all' ? '' : scope.name);

/** The queue says no in its own words; here it gets the status. */
function refusing<T>(status: 400 | 409, change: () => T): T {
  try {
    return change();
  } catch (error) {
    if (error instanceof UsageError && !(error instanceof RefusedChange))
      throw new RefusedChange(status, error.message, error.hint);
    throw error;
  }
}
