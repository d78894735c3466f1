import type { Bus } from '../events/index.ts';
import { assert, PermanentError, RetryableError, Snooze } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock, Log } from '../ports/index.ts';
import { type Attempt, createAttempt } from './attempt.ts';
import type { Committer } from './committer.ts';
import type { Heartbeat } from './heartbeat.ts';
import { eventOf, type Finished } from './outcomes.ts';
import type { Pool } from './pool.ts';
import type { ClaimedJob } from './store.ts';

/** Bars and pages get at most five updates a second for each job. */
const PROGRESS_EVENT_MS = 200;

/** A job whose handler has not stopped waits for so long at a time. */
const STUCK_WAIT_MS = 5 * 60_000;

/** What the executor is given. */
export interface ExecutorDeps {
  clock: Clock;
  log: Log;
  bus: Bus;
  heartbeat: Heartbeat;
  committer: Committer;
  isStopping: () => boolean;
  /** Bytes move: whatever was being tried works. */
  onBytes: (pool: Pool) => void;
  /** A slot is free again. */
  onFree: (pool: Pool) => void;
}

/** Runs claimed jobs and hands over what they return. It decides nothing about when; see pools. */
export interface Executor {
  run(pool: Pool, job: ClaimedJob): void;
  /** The handler went on for too long after its abort: its result will be dropped, its slot is free. */
  release(attempt: Attempt, waitedMs: number): void;
  /** After the result is written. */
  finish(attempt: Attempt): void;
}

/** See `Executor`. */
export function createExecutor(deps: ExecutorDeps): Executor {
  const { clock, bus, heartbeat, committer } = deps;

  function onProgress(lastEvent: { ms: number }, attempt: Attempt, label: string | null): void {
    const { state, job, pool } = attempt;
    heartbeat.touch(attempt);
    const nowMs = clock.monotonicMs();
    if (nowMs - lastEvent.ms < PROGRESS_EVENT_MS && state.doneBytes !== state.totalBytes) return;
    lastEvent.ms = nowMs;
    const isWhole = (state.doneBytes ?? 0) > 0 && state.doneBytes === state.totalBytes;
    if (isWhole || (state.bytesPerSecond ?? 0) > 0) deps.onBytes(pool);
    bus.emit('job:progress', {
      ...eventOf(job),
      doneBytes: state.doneBytes ?? 0,
      totalBytes: state.totalBytes,
      bytesPerSecond: state.bytesPerSecond,
      label,
    });
  }

  async function work(attempt: Attempt): Promise<Finished> {
    const { job, pool } = attempt;
    let input: unknown;
    try {
      // The handler of an earlier attempt has not returned: two of them must not touch the same files.
      if (pool.stuck.has(job.id)) throw new Snooze('an earlier attempt has not stopped yet', STUCK_WAIT_MS);
      input = parseInput(pool, job);
      const output = await pool.handler.run(input, attempt.context);
      assert(
        pool.handler.jobType.output.safeParse(output).success,
        `${job.jobType} returned something its contract does not allow`,
      );
      return { attempt, input, isOk: true, output };
    } catch (error) {
      return { attempt, input, isOk: false, error };
    }
  }

  async function perform(attempt: Attempt): Promise<void> {
    const { job, pool } = attempt;
    const finished = await work(attempt);
    step('job:ran');
    attempt.isSettled = true;
    if (attempt.isReleased) {
      pool.stuck.delete(job.id);
      const waitedMs = Math.round(clock.monotonicMs() - attempt.abortedMs);
      attempt.context.log.warn({ waitedMs }, 'a stuck handler returned after all; its result is dropped');
      deps.onFree(pool);
    } else if (attempt.abortReason === 'lease_lost') {
      finish(attempt);
      deps.onFree(pool);
    } else committer.add(finished);
  }

  function finish(attempt: Attempt): void {
    attempt.pool.running.delete(attempt);
    heartbeat.remove(attempt);
  }

  return {
    run(pool, job) {
      const lastEvent = { ms: Number.NEGATIVE_INFINITY };
      const attempt = createAttempt({
        job,
        pool,
        clock,
        log: deps.log,
        onProgress: (it, label) => onProgress(lastEvent, it, label),
      });
      pool.running.add(attempt);
      heartbeat.add(attempt);
      if (deps.isStopping()) attempt.abort('shutdown');
      step('job:claimed');
      bus.emit('job:started', eventOf(job));
      void perform(attempt);
    },
    release(attempt, waitedMs) {
      const { pool, job, abortReason } = attempt;
      const { log } = attempt.context;
      const input = safeInput(pool, job);
      const error = new RetryableError('stuck', 'the handler did not stop when it was told to');
      if (abortReason !== 'lease_lost') committer.add({ attempt, input, isOk: false, error });
      attempt.isReleased = true;
      pool.stuck.add(job.id);
      finish(attempt);
      log.error({ abortReason, waitedMs }, 'a handler ignores its abort signal; its lease is given up');
      bus.emit('job:stuck', { ...eventOf(job), waitedMs: Math.round(waitedMs) });
      deps.onFree(pool);
    },
    finish,
  };
}

function parseInput(pool: Pool, job: ClaimedJob): unknown {
  let raw: unknown;
  try {
    raw = JSON.parse(job.params);
  } catch (cause) {
    throw badInput(job, cause);
  }
  const parsed = pool.handler.jobType.input.safeParse(raw);
  if (!parsed.success) throw badInput(job, parsed.error);
  return parsed.data;
}

function badInput(job: ClaimedJob, cause: unknown): PermanentError {
  return new PermanentError('bad_input', `the stored input of job ${job.id} does not fit ${job.jobType}`, {
    cause,
  });
}

/** The stored input, or undefined when it cannot be read. */
export function safeInput(pool: Pool, job: ClaimedJob): unknown {
  try {
    return parseInput(pool, job);
  } catch {
    return undefined;
  }
}
