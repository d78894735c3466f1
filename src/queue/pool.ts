import type { Attempt } from './attempt.ts';
import type { AnyJobHandler, JobRequest } from './job-type.ts';
import type { ClaimedJob } from './store.ts';

/** Asks for follow-up jobs, inside the transaction that completes the job. */
export type Follow = (
  input: unknown,
  output: unknown,
  recorded: unknown,
  job: ClaimedJob,
) => readonly JobRequest[];
/** The same when a job ended without its result. */
export type FollowFailure = (input: unknown, job: ClaimedJob, error: Error) => readonly JobRequest[];

/** One pool: a job type with its handler, its listeners and what runs. */
export interface Pool {
  readonly handler: AnyJobHandler;
  /** Jobs at once as configured; an operator's limit goes before it. */
  readonly concurrency: number;
  readonly follows: Follow[];
  readonly failureFollows: FollowFailure[];
  readonly running: Set<Attempt>;
  /** Claimed in the running transaction and not begun yet. */
  readonly claimed: Set<number>;
  /** Jobs whose handler goes on although its lease is gone. Not run again before it returned. */
  readonly stuck: Set<number>;
}

/** Calls back when the last unfinished job of some types and one cycle ended, inside the transaction that ended it. */
export interface Barrier {
  readonly jobTypes: readonly string[];
  readonly onSettled: (cycleDate: string) => readonly JobRequest[];
}
