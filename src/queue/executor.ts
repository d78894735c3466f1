import type PQueue from 'p-queue';
import type { Db } from '../db/index.ts';
import type { Bus, JobEvent } from '../events/index.ts';
import {
  assert,
  assertNever,
  describeError,
  errorCode,
  HaltPipelineError,
  PermanentError,
} from '../lib/index.ts';
import type { Clock, Log, Random } from '../ports/index.ts';
import { type Attempt, beginAttempt } from './attempt.ts';
import { decide } from './decide.ts';
import type { Halts } from './halts.ts';
import type { AnyJobHandler, JobRequest } from './job-type.ts';
import type { ClaimedJob, JobStore } from './store.ts';

/** Asks for follow-up jobs, inside the transaction that completes the job. */
export type Follow = (
  input: unknown,
  output: unknown,
  recorded: unknown,
  job: ClaimedJob,
) => readonly JobRequest[];
/** The same when a job failed for good. */
export type FollowFailure = (input: unknown, job: ClaimedJob) => readonly JobRequest[];

/** One pool: a job type with its handler, its listeners and its bound. */
export interface Pool {
  readonly handler: AnyJobHandler;
  readonly lane: PQueue;
  readonly follows: Follow[];
  readonly failureFollows: FollowFailure[];
}

/** What the executor is given. */
export interface ExecutorDeps {
  db: Db;
  store: JobStore;
  halts: Halts;
  clock: Clock;
  random: Random;
  log: Log;
  bus: Bus;
  owner: string;
  /** Enqueues inside the running transaction. */
  enqueue: (requests: readonly JobRequest[], parentJobId: number) => void;
}

/** What to do when SQLite refuses a write. */
export const DATABASE_HINT =
  'Free some space on the disk that holds the database; the work goes on by itself.';

/** Bars and pages get at most five updates a second for each job. */
const PROGRESS_EVENT_MS = 200;

/** Runs claimed jobs and commits what they return. It decides nothing about when; see pools. */
export function createExecutor(deps: ExecutorDeps): {
  run(pool: Pool, job: ClaimedJob): Promise<void>;
  running(): Attempt[];
  setStopping(): void;
} {
  const running = new Set<Attempt>();
  let isStopping = false;

  const eventOf = (job: ClaimedJob): JobEvent => ({
    jobId: job.id,
    jobType: job.jobType,
    attempt: job.attempt,
    dumpId: job.dumpId,
    cycleDate: job.cycleDate,
  });

  /** Result, facts and follow-up jobs in one transaction; false = the lease was lost and nothing was written. */
  function commitSuccess(pool: Pool, job: ClaimedJob, input: unknown, output: unknown): boolean {
    return deps.db.transaction(() => {
      const kept = pool.handler.summarize === undefined ? output : pool.handler.summarize(output);
      const now = deps.clock.now();
      if (!deps.store.complete(job, { owner: deps.owner, now, result: JSON.stringify(kept ?? null) }))
        return false;
      const recorded = pool.handler.record?.(input, output);
      for (const follow of pool.follows) deps.enqueue(follow(input, output, recorded, job), job.id);
      return true;
    });
  }

  function commitFailure(pool: Pool, attempt: Attempt, input: unknown, error: unknown): void {
    const { job } = attempt;
    const { store, owner } = deps;
    const now = deps.clock.now();
    const decision = decide({
      error,
      halts: error instanceof HaltPipelineError ? store.countHalts(job.id) : 0,
      attempt: job.attempt,
      maxAttempts: job.maxAttempts,
      random: deps.random.next(),
      stopping: isStopping,
    });
    const log = attempt.context.log;
    const facts = { err: { code: decision.code, message: decision.message }, attempt: job.attempt };
    const cursor = attempt.cursorJson();
    const isWritten = deps.db.transaction((): boolean => {
      const note = { errorCode: decision.code, message: decision.message, now };
      switch (decision.action) {
        case 'retry': {
          const dueAt = Math.ceil(now + decision.delayMs);
          if (!store.retry(job, { owner, dueAt, error: decision.message, cursor })) return false;
          store.addAttempt(job, { outcome: 'retryable', ...note });
          return true;
        }
        case 'fail': {
          if (!store.fail(job, { owner, now, error: decision.message })) return false;
          store.addAttempt(job, { outcome: decision.outcome, ...note });
          if (input !== undefined) {
            pool.handler.recordFailure?.(input, error);
            for (const follow of pool.failureFollows) deps.enqueue(follow(input, job), job.id);
          }
          return true;
        }
        case 'halt': {
          const dueAt = Math.ceil(now + decision.delayMs);
          // Whoever stops its target goes to the end of the line: else the same file would stop it again, for ever.
          if (!store.giveBack(job, { owner, dueAt, error: decision.message, cursor, behind: true }))
            return false;
          store.addAttempt(job, { outcome: 'halted', ...note });
          deps.halts.set({
            target: pool.handler.jobType.target,
            code: decision.code,
            message: decision.message,
            hint: decision.hint,
            until: dueAt,
          });
          return true;
        }
        case 'snooze': {
          const saved = decision.cursor === undefined ? cursor : JSON.stringify(decision.cursor);
          return store.giveBack(job, {
            owner,
            dueAt: Math.ceil(now + decision.delayMs),
            error: null,
            cursor: saved,
          });
        }
        case 'give_back': {
          if (!store.giveBack(job, { owner, dueAt: now, error: null, cursor })) return false;
          store.addAttempt(job, { outcome: 'interrupted', ...note });
          return true;
        }
        default:
          return assertNever(decision);
      }
    });
    if (!isWritten) {
      log.warn(facts, 'the lease was lost before the failure could be recorded');
      return;
    }
    const event = { ...eventOf(job), code: decision.code, message: decision.message };
    if (decision.action !== 'retry' && decision.action !== 'fail')
      deps.bus.emit('job:givenBack', { ...eventOf(job), reason: decision.action, message: decision.message });
    switch (decision.action) {
      case 'retry':
        log.warn({ ...facts, retryInMs: decision.delayMs }, 'attempt failed, will be retried');
        deps.bus.emit('job:attemptFailed', {
          ...event,
          isFinal: false,
          nextAttemptAt: now + decision.delayMs,
        });
        break;
      case 'fail':
        log.error({ ...facts, stack: error instanceof Error ? error.stack : undefined }, 'job failed');
        deps.bus.emit('job:attemptFailed', { ...event, isFinal: true, nextAttemptAt: null });
        break;
      case 'halt':
        log.error({ ...facts, hint: decision.hint, pauseMs: decision.delayMs }, 'target halted');
        deps.bus.emit('target:halted', {
          target: pool.handler.jobType.target,
          code: decision.code,
          message: decision.message,
          hint: decision.hint,
          until: now + decision.delayMs,
        });
        break;
      default:
        log.debug(facts, 'attempt given back');
    }
  }

  async function run(pool: Pool, job: ClaimedJob): Promise<void> {
    const { jobType } = pool.handler;
    const log = deps.log.child({ jobId: job.id, jobType: job.jobType });
    let lastEventMs = -PROGRESS_EVENT_MS;
    const attempt = beginAttempt({
      job,
      leaseMs: jobType.leaseMs,
      timeoutMs: jobType.timeoutMs,
      clock: deps.clock,
      log,
      renew: (expiresAt, state) => deps.store.renew(job, { owner: deps.owner, expiresAt, state }),
      onProgress: (state, label) => {
        const nowMs = deps.clock.monotonicMs();
        if (nowMs - lastEventMs < PROGRESS_EVENT_MS && state.doneBytes !== state.totalBytes) return;
        lastEventMs = nowMs;
        deps.bus.emit('job:progress', {
          ...eventOf(job),
          doneBytes: state.doneBytes ?? 0,
          totalBytes: state.totalBytes,
          bytesPerSecond: state.bytesPerSecond,
          label,
        });
      },
    });
    running.add(attempt);
    if (isStopping) attempt.abort();
    deps.bus.emit('job:started', eventOf(job));
    let input: unknown;
    try {
      input = parseInput(pool, job);
      const output = await pool.handler.run(input, attempt.context);
      if (attempt.isLeaseLost()) return;
      assert(
        jobType.output.safeParse(output).success,
        `${job.jobType} returned something its contract does not allow`,
      );
      if (!commitSuccess(pool, job, input, output)) {
        log.warn({}, 'the lease was lost before the result could be recorded');
        return;
      }
      const durationMs = Math.round(deps.clock.monotonicMs() - attempt.startedMonotonicMs);
      log.debug({ durationMs }, 'job completed');
      deps.bus.emit('job:completed', { ...eventOf(job), durationMs });
    } catch (error) {
      if (attempt.isLeaseLost()) return;
      try {
        commitFailure(pool, attempt, input, attempt.timeoutError() ?? error);
      } catch (trouble) {
        // The database cannot be written: the lease runs out and the job is taken back, nothing is lost.
        log.error(
          { err: { code: errorCode(trouble), message: describeError(trouble) }, hint: DATABASE_HINT },
          'the database could not be written',
        );
      }
    } finally {
      attempt.end();
      running.delete(attempt);
    }
  }

  return {
    run,
    running: () => [...running],
    setStopping: () => {
      isStopping = true;
    },
  };
}

function parseInput(pool: Pool, job: ClaimedJob): unknown {
  const parsed = pool.handler.jobType.input.safeParse(JSON.parse(job.params));
  if (!parsed.success)
    throw new PermanentError('bad_input', `the stored input of job ${job.id} does not fit ${job.jobType}`, {
      cause: parsed.error,
    });
  return parsed.data;
}
