import type { z } from 'zod';
import type { DumpFileId, JobId } from '../lib/ids.ts';
import type { Clock, Log } from '../ports/index.ts';

/** A wish for one job; nothing happens until it is enqueued. */
export interface JobRequest {
  type: string;
  uniqueKey: string;
  /** JSON-safe. */
  input: unknown;
  maxAttempts: number;
  /** Lower runs first. */
  priority: number;
  dumpId: number | null;
  cycleDate: string | null;
  /** Earliest start after now, ms. */
  delayMs: number;
}

/** What may be said about one request beside its input. */
export interface RequestOptions {
  priority?: number;
  delayMs?: number;
  /** For types whose input does not name the cycle they work for. */
  cycleDate?: string;
}

/**
 * The contract of one kind of job: what goes in, what comes out, how it may fail. It has no behaviour, so any room may
 * ask for a job without knowing who does it.
 */
export interface JobType<I, O> {
  /** verb_noun, stable for ever: it is stored. */
  readonly type: string;
  readonly input: z.ZodType<I>;
  readonly output: z.ZodType<O>;
  readonly maxAttempts: number;
  /** Without renewal the lease is lost after this. */
  readonly leaseMs: number;
  /** Longest time one attempt may take. */
  readonly timeoutMs: number;
  /** What it needs: `wikimedia`, `dumps`, `storage`, `disk`, `internet_archive`, `r2`. When one is halted, it is not claimed. */
  readonly targets: readonly string[];
  /** Upkeep that may wait for its hour: a run until idle does not wait for it. */
  readonly isUpkeep: boolean;
  request(input: I, options?: RequestOptions): JobRequest;
}

/** Parts of a job type that have no default. */
export interface JobTypeFacts<I, O> {
  type: string;
  input: z.ZodType<I>;
  output: z.ZodType<O>;
  uniqueKey: (input: I) => string;
  /** One or several; an outage is the first one's unless the error says otherwise. Default: the type itself. */
  target?: string | readonly string[];
  maxAttempts?: number;
  leaseMs?: number;
  timeoutMs?: number;
  priority?: number | ((input: I) => number);
  isUpkeep?: boolean;
  /** Ids for the columns that lists filter by. */
  subject?: (input: I) => { dumpId?: DumpFileId; cycleDate?: string };
}

const MINUTE_MS = 60_000;

/** Declares a job type. Defaults: 5 attempts, a lease of 2 minutes, 12 hours for one attempt, priority 100. */
export function defineJob<I, O>(facts: JobTypeFacts<I, O>): JobType<I, O> {
  const priorityOf =
    typeof facts.priority === 'function' ? facts.priority : () => facts.priority as number | undefined;
  return {
    type: facts.type,
    input: facts.input,
    output: facts.output,
    maxAttempts: facts.maxAttempts ?? 5,
    leaseMs: facts.leaseMs ?? 2 * MINUTE_MS,
    timeoutMs: facts.timeoutMs ?? 12 * 60 * MINUTE_MS,
    targets: typeof facts.target === 'string' ? [facts.target] : (facts.target ?? [facts.type]),
    isUpkeep: facts.isUpkeep ?? false,
    request(input, options = {}) {
      const subject = facts.subject?.(input) ?? {};
      return {
        type: facts.type,
        uniqueKey: `${facts.type}:${facts.uniqueKey(input)}`,
        input,
        maxAttempts: facts.maxAttempts ?? 5,
        priority: options.priority ?? priorityOf(input) ?? 100,
        dumpId: subject.dumpId ?? null,
        cycleDate: options.cycleDate ?? subject.cycleDate ?? null,
        delayMs: options.delayMs ?? 0,
      };
    },
  };
}

/** What a running handler is given. */
export interface JobContext {
  readonly jobId: JobId;
  /** Counted from 1. */
  readonly attempt: number;
  /** Aborts at shutdown, at the timeout and when the lease is lost. Honour it at every await. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Bound to the job. */
  readonly log: Log;
  /** What an earlier attempt saved; null at first. Check its shape: it may stem from an older version. */
  readonly cursor: unknown;
  /** Says how far it is; cheap, call it as often as you like. `cursor` is saved with the next lease renewal. */
  progress(state: { doneBytes?: number; totalBytes?: number | null; cursor?: unknown; label?: string }): void;
}

/** The behaviour of a job type; made by a room from what it was given. */
export interface JobHandler<I, O> {
  readonly jobType: JobType<I, O>;
  /** The outside work; may take hours, must be safe to repeat from any point, returns facts. */
  run(input: I, context: JobContext): Promise<O>;
  /** Writes the facts; synchronous, inside the completing transaction. What it returns is handed to the follow-ups. */
  record?(input: I, output: O): unknown;
  /** The job failed, was put in quarantine or cancelled; synchronous, inside the transaction that says so. */
  recordFailure?(input: I, error: unknown): void;
  /** What to keep in `jobs.result`; default: the output. For outputs too large to keep. */
  summarize?(output: O): unknown;
}

/** Checks the pairing of contract and behaviour; the identity otherwise. */
export function handleJob<I, O>(
  jobType: JobType<I, O>,
  handler: Omit<JobHandler<I, O>, 'jobType'>,
): JobHandler<I, O> {
  return { jobType, ...handler };
}

/** A handler of any types, as lists of them need it. */
// biome-ignore lint/suspicious/noExplicitAny: input and output are checked by the schemas of the job type.
export type AnyJobHandler = JobHandler<any, any>;
