import { type Db, isDatabaseTrouble, type SystemState } from '../db/index.ts';
import type { Bus, JobEvent } from '../events/index.ts';
import {
  assertNever,
  describeError,
  HaltPipelineError,
  PermanentError,
  RetryableError,
  UnavailableError,
} from '../lib/index.ts';
import type { Clock, Log, Random } from '../ports/index.ts';
import type { Attempt } from './attempt.ts';
import { type Decision, decide } from './decide.ts';
import type { JobRequest } from './job-type.ts';
import type { Barrier, Pool } from './pool.ts';
import { cancelKey } from './state-keys.ts';
import type { ClaimedJob, EndWord, JobStore } from './store.ts';
import type { Targets } from './targets.ts';

/** What a handler left behind. `input` is undefined when it could not be read. */
export type Finished = { attempt: Attempt; input: unknown } & (
  | { isOk: true; output: unknown }
  | { isOk: false; error: unknown }
);

/** What the outcomes are written with. */
export interface OutcomeDeps {
  db: Db;
  state: SystemState;
  store: JobStore;
  targets: Targets;
  clock: Clock;
  random: Random;
  log: Log;
  bus: Bus;
  owner: string;
  barriers: readonly Barrier[];
  /** Enqueues inside the running transaction. */
  enqueue: (requests: readonly JobRequest[], parentJobId: number | null) => void;
}

/** Writes how attempts ended; every method joins the running transaction. */
export interface Outcomes {
  /** Result, facts and follow-up jobs; or what the error means. A lease that was lost writes nothing. */
  write(finished: Finished): void;
  /** Ends a job without its result, with everything that hangs on it. False = the lease was lost. */
  end(
    job: ClaimedJob,
    pool: Pool,
    facts: { owner: string; word: EndWord; input: unknown; error: Error },
  ): boolean;
  /** A job ended in this transaction without `write` or `end`: its barriers are asked as well. */
  noteEnd(job: Pick<ClaimedJob, 'jobType' | 'cycleDate'>): void;
  /**
   * Does all of `work` in one transaction, and calls the barriers of what ended in it. A barrier that throws undoes all of it,
   * unless `isolatesBarriers`: then only what the barrier did, and it is called again by the next look for unfinished work.
   */
  transaction(work: () => void, options?: { isolatesBarriers: boolean }): void;
}

export function eventOf(job: ClaimedJob): JobEvent {
  return {
    jobId: job.id,
    jobType: job.jobType,
    attempt: job.attempt,
    dumpId: job.dumpId,
    cycleDate: job.cycleDate,
  };
}

/** See `Outcomes`. */
export function createOutcomes(deps: OutcomeDeps): Outcomes {
  const { store, owner, bus, clock } = deps;
  const ended = new Map<string, Set<string>>();
  const after = deps.db.afterCommit;

  function noteEnd(job: Pick<ClaimedJob, 'jobType' | 'cycleDate'>): void {
    if (job.cycleDate === null) return;
    const types = ended.get(job.cycleDate);
    if (types === undefined) ended.set(job.cycleDate, new Set([job.jobType]));
    else types.add(job.jobType);
  }

  function writeSuccess(attempt: Attempt, input: unknown, output: unknown): void {
    const { job, pool } = attempt;
    const kept = pool.handler.summarize === undefined ? output : pool.handler.summarize(output);
    if (!store.complete(job, { owner, now: clock.now(), result: JSON.stringify(kept ?? null) })) {
      attempt.context.log.warn({}, 'the lease was lost before the result could be recorded');
      return;
    }
    if (attempt.abortReason === 'cancelled') deps.state.delete(cancelKey(job.id));
    const recorded = pool.handler.record?.(input, output);
    for (const follow of pool.follows) deps.enqueue(follow(input, output, recorded, job), job.id);
    noteEnd(job);
    deps.targets.noteWorking([...pool.handler.jobType.targets, 'all']);
    after(() => {
      const durationMs = Math.round(clock.monotonicMs() - attempt.startedMs);
      deps.log.debug({ jobId: job.id, jobType: job.jobType, durationMs }, 'job completed');
      bus.emit('job:completed', { ...eventOf(job), durationMs });
    });
  }

  /** What an attempt that was aborted by us really died of. */
  function causeOf(attempt: Attempt, error: unknown): unknown {
    if (attempt.abortReason !== 'timeout') return error;
    const minutes = Math.round(attempt.pool.handler.jobType.timeoutMs / 60_000);
    return new RetryableError('timeout', `gave up after ${minutes} minutes`);
  }

  /** Halts that speak against the job. An outage does so only when the target worked for others since its first one. */
  function haltsOf(job: ClaimedJob, pool: Pool, error: unknown): number {
    const isOutage = error instanceof UnavailableError;
    if (!isOutage && !(error instanceof HaltPipelineError)) return 0;
    const { count, firstAt } = store.countHalts(job.id);
    if (!isOutage || firstAt === null) return count;
    return deps.targets.workedSince(pool.handler.jobType.targets[0] as string, firstAt) ? count : 0;
  }

  function writeFailure(attempt: Attempt, input: unknown, thrown: unknown): void {
    const { job, pool } = attempt;
    const error = causeOf(attempt, thrown);
    const expiresAt = clock.now() + pool.handler.jobType.leaseMs;
    if (attempt.isDirty) store.renew(job, { owner, expiresAt, state: attempt.state });
    if (attempt.abortReason === 'cancelled') {
      writeEnd(attempt, input, 'cancelled', { code: 'cancelled', message: 'cancelled by an operator' });
      return;
    }
    const decision = decide({
      error,
      attempt: job.attempt,
      maxAttempts: job.maxAttempts,
      random: deps.random.next(),
      wasShutDown: attempt.abortReason === 'shutdown',
      halts: haltsOf(job, pool, error),
    });
    if (!writeDecision(attempt, input, error, decision))
      attempt.context.log.warn(
        { code: decision.code },
        'the lease was lost before the failure could be recorded',
      );
    // A refusal is an answer, too; input that cannot be read never asked.
    else if (error instanceof PermanentError && error.code !== 'bad_input')
      deps.targets.noteWorking(pool.handler.jobType.targets);
  }

  /** False = the lease was lost. */
  function writeDecision(attempt: Attempt, input: unknown, error: unknown, decision: Decision): boolean {
    const { job } = attempt;
    const { log } = attempt.context;
    const now = clock.now();
    const { code, message } = decision;
    const note = { errorCode: code, message, now };
    const facts = { err: { code, message }, attempt: job.attempt };
    const { cursor } = attempt.state;
    switch (decision.action) {
      case 'retry': {
        const dueAt = Math.ceil(now + decision.delayMs);
        if (!store.retry(job, { owner, dueAt, error: message, cursor })) return false;
        store.addAttempt(job, { outcome: 'retryable', ...note });
        after(() => {
          log.warn({ ...facts, retryInMs: decision.delayMs }, 'attempt failed, will be retried');
          bus.emit('job:attemptFailed', {
            ...eventOf(job),
            code,
            message,
            isFinal: false,
            nextAttemptAt: dueAt,
          });
        });
        return true;
      }
      case 'fail':
      case 'quarantine': {
        const word = decision.action === 'fail' ? 'failed' : 'quarantined';
        return writeEnd(attempt, input, word, { code, message, outcome: decision.outcome, error });
      }
      case 'halt':
        return writeHalt(attempt, decision);
      case 'snooze': {
        const saved = decision.cursor === undefined ? cursor : JSON.stringify(decision.cursor);
        const dueAt = Math.ceil(now + decision.delayMs);
        if (!store.giveBack(job, { owner, dueAt, error: null, cursor: saved })) return false;
        after(() => {
          log.debug(facts, 'attempt given back');
          bus.emit('job:givenBack', { ...eventOf(job), reason: 'snooze', message });
        });
        return true;
      }
      case 'give_back': {
        if (!store.giveBack(job, { owner, dueAt: now, error: null, cursor })) return false;
        store.addAttempt(job, { outcome: 'interrupted', ...note });
        after(() => bus.emit('job:givenBack', { ...eventOf(job), reason: 'give_back', message }));
        return true;
      }
      default:
        return assertNever(decision);
    }
  }

  function writeHalt(attempt: Attempt, decision: Decision & { action: 'halt' }): boolean {
    const { job, pool } = attempt;
    const { code, message, hint, kind, pauseMs, askedMs } = decision;
    const says = { kind, code, message, hint, pauseMs, askedMs };
    const now = clock.now();
    const target = decision.scope ?? (pool.handler.jobType.targets[0] as string);
    // Several jobs meet the same outage: the first stops the target, and only that one is suspected.
    const wasStopped = deps.targets.list().some((halt) => halt.target === target && halt.until > now);
    const halt = deps.targets.plan({ target, ...says });
    const { cursor } = attempt.state;
    // Whoever stops its target goes to the end of the line: else the same file would stop it again, for ever.
    const behind = !wasStopped;
    if (!store.giveBack(job, { owner, dueAt: halt.until, error: message, cursor, behind, putOffBy: target }))
      return false;
    deps.targets.keep(halt);
    store.addAttempt(job, {
      outcome: wasStopped ? 'interrupted' : 'halted',
      errorCode: code,
      message,
      now,
    });
    after(() => {
      const facts = { err: { code, message }, target, hint, until: new Date(halt.until).toISOString() };
      attempt.context.log[kind === 'halted' ? 'error' : 'warn'](facts, 'target halted');
      bus.emit('job:givenBack', { ...eventOf(job), reason: 'halt', message });
      if (!wasStopped) bus.emit('target:halted', { target, kind, code, message, hint, until: halt.until });
    });
    return true;
  }

  /** The job ends here; the cycle goes on without it. */
  function writeEnd(
    attempt: Attempt,
    input: unknown,
    word: EndWord,
    facts: { code: string; message: string; outcome?: 'permanent' | 'retryable'; error?: unknown },
  ): boolean {
    const { job, pool } = attempt;
    const { code, message } = facts;
    const error = facts.error instanceof Error ? facts.error : new PermanentError(code, message);
    if (!end(job, pool, { owner, word, input, error, message })) return false;
    store.addAttempt(job, {
      outcome: facts.outcome ?? 'permanent',
      errorCode: code,
      message,
      now: clock.now(),
    });
    after(() => {
      const stack = error.stack;
      attempt.context.log.error({ err: { code, message }, attempt: job.attempt, stack }, `job ${word}`);
    });
    return true;
  }

  function end(
    job: ClaimedJob,
    pool: Pool,
    facts: { owner: string; word: EndWord; input: unknown; error: Error; message?: string },
  ): boolean {
    const message = facts.message ?? facts.error.message;
    if (!store.end(job, { owner: facts.owner, now: clock.now(), word: facts.word, error: message }))
      return false;
    if (facts.input !== undefined) {
      pool.handler.recordFailure?.(facts.input, facts.error);
      for (const follow of pool.failureFollows) deps.enqueue(follow(facts.input, job, facts.error), job.id);
    }
    noteEnd(job);
    if (facts.word === 'cancelled') deps.state.delete(cancelKey(job.id));
    const code = 'code' in facts.error ? String(facts.error.code) : 'unknown';
    after(() =>
      bus.emit('job:attemptFailed', { ...eventOf(job), code, message, isFinal: true, nextAttemptAt: null }),
    );
    return true;
  }

  /** In a savepoint, so that a throw undoes this alone. */
  function isolated(work: () => void, cycleDate: string): void {
    try {
      deps.db.savepoint(work);
    } catch (error) {
      if (isDatabaseTrouble(error)) throw error;
      const message = `what follows in cycle ${cycleDate} could not be asked for: ${describeError(error)}`;
      const hint =
        'It is tried again daily and at the next start. This is a bug; please report it with the log.';
      after(() => {
        deps.log.error({ err: error, cycle: cycleDate }, 'a barrier threw');
        bus.emit('alert:raised', { key: `barrier:${cycleDate}`, severity: 'error', message, hint });
      });
    }
  }

  return {
    write: (finished) =>
      finished.isOk
        ? writeSuccess(finished.attempt, finished.input, finished.output)
        : writeFailure(finished.attempt, finished.input, finished.error),
    end,
    noteEnd,
    transaction(work, options) {
      const undo = deps.targets.snapshot();
      try {
        deps.db.transaction(() => {
          ended.clear();
          work();
          const cycles = [...ended];
          ended.clear();
          for (const [cycleDate, types] of cycles)
            for (const { jobTypes, onSettled } of deps.barriers) {
              if (!jobTypes.some((type) => types.has(type))) continue;
              if (store.hasUnfinished(cycleDate, jobTypes)) continue;
              const settle = (): void => deps.enqueue(onSettled(cycleDate), null);
              if (options?.isolatesBarriers === true) isolated(settle, cycleDate);
              else settle();
            }
        });
      } catch (error) {
        undo();
        throw error;
      }
    },
  };
}
