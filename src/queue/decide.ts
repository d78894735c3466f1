import {
  AssertionError,
  backoffMs,
  describeError,
  errorCode,
  HaltPipelineError,
  isAbort,
  PermanentError,
  RetryableError,
  Snooze,
} from '../lib/index.ts';

/** A job that stopped its target this often before is given up. */
export const HALTS_MAX = 3;

/** What to do with an attempt that did not complete. */
export type Decision =
  | { action: 'retry'; delayMs: number; code: string; message: string }
  | { action: 'fail'; outcome: 'permanent' | 'retryable'; code: string; message: string }
  | { action: 'halt'; delayMs: number; code: string; message: string; hint: string | null }
  | { action: 'snooze'; delayMs: number; code: string; message: string; cursor: unknown }
  | { action: 'give_back'; code: string; message: string };

/**
 * The one table of what a thrown error means for its job (docs/state-machine.md); pure.
 * @param attempt the attempt that ended, from 1
 * @param random 0 <= random < 1, for the jitter
 * @param stopping true when the attempt was cut short by us: shutdown
 */
export function decide(facts: {
  error: unknown;
  attempt: number;
  maxAttempts: number;
  random: number;
  stopping: boolean;
  /** How often this job has stopped its target before. */
  halts: number;
}): Decision {
  const { error, attempt, maxAttempts, random } = facts;
  const code = errorCode(error);
  const message = describeError(error);
  if (facts.stopping && isAbort(error)) return { action: 'give_back', code: 'interrupted', message };
  if (error instanceof Snooze)
    return { action: 'snooze', delayMs: error.delayMs, code, message, cursor: error.cursor };
  // After this many rests of the whole target the trouble is most likely this job's own.
  if (error instanceof HaltPipelineError && !error.isNeverOwnFault && facts.halts >= HALTS_MAX)
    return { action: 'fail', outcome: 'permanent', code, message };
  if (error instanceof HaltPipelineError)
    return { action: 'halt', delayMs: error.pauseMs, code, message, hint: error.hint ?? null };
  if (error instanceof PermanentError || error instanceof AssertionError)
    return { action: 'fail', outcome: 'permanent', code, message };
  // Unknown is not the same as permanent: anything else may heal.
  if (attempt >= maxAttempts) return { action: 'fail', outcome: 'retryable', code, message };
  const asked = error instanceof RetryableError ? error.retryAfterMs : undefined;
  return {
    action: 'retry',
    delayMs: backoffMs({ attempt, random, ...(asked === undefined ? {} : { retryAfterMs: asked }) }),
    code,
    message,
  };
}
