import type { Db, SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import type { HaltPipelineError } from '../lib/index.ts';
import type { Clock, Log, Random } from '../ports/index.ts';
import type { Limit, Pause, Scope } from './controls.ts';
import type { AnyJobHandler, JobRequest, JobType } from './job-type.ts';
import type { JobChange } from './operator.ts';
import type { Rate, RateName } from './rates.ts';
import type { Halt } from './targets.ts';

/** What is left when nothing more can be done for now. */
export interface IdleReport {
  /** Targets that still have pending jobs but are halted, and not expected back soon. */
  halted: Halt[];
  /** What an operator holds although jobs wait for it. */
  paused: Pause[];
}

/** What follow-ups may know of the job itself. */
export interface FinishedJob {
  /** The cycle it worked for, as asked for; null when for none. */
  cycleDate: string | null;
}

/** What an operator may change while the queue works; everything is kept over a restart. */
export interface QueueControl {
  /** What runs goes on; nothing new of it is begun. */
  pause(scope: Scope, reason: string | null): void;
  /** Ends pauses, and tries halted targets again at once: those of that scope, or all. Returns what was resumed, as text. */
  resume(scope: Scope): string[];
  pauses(): Pause[];
  /** Jobs at once, of a type or of all types that name a target; null = as configured. */
  setLimit(scope: Scope, jobs: number | null): void;
  limits(): Limit[];
  /** Bytes per second; null = unlimited, undefined = as configured. Whoever moves the bytes hears of it by `rate:changed`. */
  setRate(name: RateName, bytesPerSecond: number | null | undefined): void;
  /** Undefined = none set by hand. */
  rateOf(name: RateName): number | null | undefined;
  rates(): Rate[];
  halts(): Halt[];
  retryJob(jobId: number): JobChange;
  cancelJob(jobId: number): JobChange;
  /** Names that a scope may use. */
  jobTypes(): string[];
  targets(): string[];
}

/** The durable queue with its pools. */
export interface Queue extends QueueControl {
  /** Adds handlers; before `start`. A type with two handlers is a programmer error. */
  register(handlers: readonly AnyJobHandler[]): void;
  /** Says which jobs follow a completed one; runs inside the completing transaction, so it may only read and write rows. */
  follow<I, O, R = unknown>(
    jobType: JobType<I, O>,
    follow: (input: I, output: O, recorded: R, job: FinishedJob) => readonly JobRequest[],
  ): void;
  /** The same for a job that failed for good, was put in quarantine or cancelled; `error` says of what, `errorCode` reads it. */
  followFailure<I, O>(
    jobType: JobType<I, O>,
    follow: (input: I, job: FinishedJob, error: Error) => readonly JobRequest[],
  ): void;
  /**
   * The barrier: says what follows when the last unfinished job of these types and one cycle has ended, however it ended.
   * Runs inside the transaction that ended it, after its follow-ups, so it can neither fire early nor be missed.
   */
  whenSettled(jobTypes: readonly string[], onSettled: (cycleDate: string) => readonly JobRequest[]): void;
  /** Stores requests and wakes the pools; joins a running transaction. Returns how many are new. */
  enqueue(requests: readonly JobRequest[]): number;
  /** Cancels what waits of a type that is switched off. */
  cancelPending(jobType: string): void;
  /** What waits for its time, of that type and cycle, becomes due now: what it waited for has happened. */
  hurry(cycleDate: string, jobType: string): void;
  /** True while a job of one of these types is pending or running for the cycle. */
  hasUnfinished(cycleDate: string, jobTypes: readonly string[]): boolean;
  /** Dump files that a pending or running job of the type is for. */
  unfinishedDumps(jobType: string): number[];
  /** Stops a target for something that is no job: a checkpoint met a full disk. `halt.scope` names it, else `all`. */
  halt(halt: HaltPipelineError): void;
  /** Tries a stopped target again at once, because what stopped it is over. Joins a running transaction; false = it was not stopped. */
  lift(target: string): boolean;
  /** While it is held no job that names the target is taken; in memory only, and nobody is told. What runs goes on. */
  hold(target: string, isHeld: boolean): void;
  /** Takes back leases that ran out; also done by itself. Returns how many. */
  rescue(): number;
  /** Takes back the leases of an earlier process, then works until `stop`. */
  start(): void;
  /** Stops claiming, aborts what runs, and resolves when every result is written or `timeoutMs` passed. */
  stop(timeoutMs?: number): Promise<void>;
  /** Resolves as soon as nothing runs and nothing is pending that could still run without new work. */
  whenIdle(): Promise<IdleReport>;
}

/** What the queue is given. */
export interface QueueDeps {
  db: Db;
  state: SystemState;
  clock: Clock;
  random: Random;
  log: Log;
  bus: Bus;
  /** Jobs at once by type; 1 for types not named. */
  concurrency: Readonly<Record<string, number>>;
}
