import { isDatabaseTrouble } from '../db/index.ts';
import {
  AssertionError,
  backoffMs,
  CorruptError,
  describeError,
  errorCode,
  HaltPipelineError,
  PermanentError,
  RetryableError,
  Snooze,
  UnavailableError,
} from '../lib/index.ts';

/** A job that stopped its target this often before is treated as the trouble itself. */
export const HALTS_MAX = 3;

/** Nothing waits for longer than a year, whatever was computed. */
const WAIT_MAX_MS = 366 * 24 * 60 * 60_000;
const DATABASE_REST_MS = 10_000;

/** What to do with an attempt that did not complete. */
export type Decision = { code: string; message: string } & (
  | { action: 'retry'; delayMs: number }
  | { action: 'fail'; outcome: 'permanent' | 'retryable' }
  | { action: 'quarantine'; outcome: 'permanent' | 'retryable' }
  | {
      action: 'halt';
      kind: 'unavailable' | 'halted';
      /** null = the first target of the job's type. */
      scope: string | null;
      /** null = the backoff of the target, and at least `askedMs`. */
      pauseMs: number | null;
      /** What the other side asked for. */
      askedMs: number | null;
      hint: string | null;
    }
  | { action: 'snooze'; delayMs: number; cursor: unknown }
  | { action: 'give_back' }
);

/**
 * The one table of what a thrown error means for its job (docs/state-machine.md); pure.
 * @param attempt the attempt that ended, from 1
 * @param random 0 <= random < 1, for the jitter
 * @param wasShutDown the attempt was cut short by us, to stop: whatever its handler made of that is not its fault
 */
export function decide(facts: {
  error: unknown;
  attempt: number;
  maxAttempts: number;
  random: number;
  wasShutDown: boolean;
  /** How often this job has stopped its target before, as far as that speaks against it. */
  halts: number;
}): Decision {
  const { error, attempt, maxAttempts } = facts;
  const says = { code: errorCode(error), message: describeError(error) };
  if (facts.wasShutDown && !isVerdict(error)) return { ...says, action: 'give_back', code: 'interrupted' };
  if (error instanceof Snooze)
    return { ...says, action: 'snooze', delayMs: bounded(error.delayMs), cursor: error.cursor };
  // The handler met a full or a locked database: that is not its fault, and the queue will notice by itself.
  if (isDatabaseTrouble(error))
    return { ...says, action: 'snooze', delayMs: DATABASE_REST_MS, cursor: undefined };
  // After so many rests of the whole target the trouble is most likely this job's own.
  const isSuspect = facts.halts >= HALTS_MAX;
  if (error instanceof HaltPipelineError && (!isSuspect || error.isNeverOwnFault))
    return {
      ...says,
      action: 'halt',
      kind: 'halted',
      // `database` is the queue's own: it alone notices when that is over.
      scope: error.scope === 'database' ? 'all' : (error.scope ?? null),
      pauseMs: bounded(error.pauseMs),
      askedMs: null,
      hint: error.hint ?? null,
    };
  if (error instanceof HaltPipelineError) return { ...says, action: 'quarantine', outcome: 'permanent' };
  if (error instanceof UnavailableError && (!isSuspect || error.isNeverOwnFault))
    return {
      ...says,
      action: 'halt',
      kind: 'unavailable',
      scope: null,
      pauseMs: error.pauseMs === undefined ? null : bounded(error.pauseMs),
      askedMs: error.retryAfterMs ?? null,
      hint: error.hint ?? null,
    };
  if (error instanceof PermanentError || error instanceof AssertionError)
    return { ...says, action: 'fail', outcome: 'permanent' };
  // Unknown is not the same as permanent: anything else may heal.
  if (attempt >= maxAttempts)
    return { ...says, action: error instanceof CorruptError ? 'quarantine' : 'fail', outcome: 'retryable' };
  const asked = error instanceof RetryableError ? error.retryAfterMs : undefined;
  const delayMs = backoffMs({
    attempt,
    random: facts.random,
    ...(asked === undefined ? {} : { retryAfterMs: asked }),
  });
  return { ...says, action: 'retry', delayMs };
}

/** Errors that say something of the job or its target, whatever else is going on. */
function isVerdict(error: unknown): boolean {
  return [PermanentError, AssertionError, CorruptError, HaltPipelineError, Snooze].some(
    (kind) => error instanceof kind,
  );
}

/** A wait that can be stored and will end. */
function bounded(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), WAIT_MAX_MS);
}
