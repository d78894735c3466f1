import type { JobId } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { JobContext } from './job-type.ts';
import type { Pool } from './pool.ts';
import type { ClaimedJob, ProgressState } from './store.ts';

/** Why an attempt's signal was aborted. */
export type AbortReason = 'shutdown' | 'timeout' | 'lease_lost' | 'cancelled';

/** One running attempt: its signal, its lease, its progress. Its times are monotonic ms. */
export interface Attempt {
  readonly job: ClaimedJob;
  readonly pool: Pool;
  readonly context: JobContext;
  readonly state: ProgressState;
  readonly startedMs: number;
  renewedMs: number;
  /** Progress that no row has yet. */
  isDirty: boolean;
  /** null while it may work; the first reason stands. */
  abortReason: AbortReason | null;
  abortedMs: number;
  /** The handler returned or threw; its result waits to be written. */
  isSettled: boolean;
  /** The queue gave up on it: whatever the handler still returns is dropped. */
  isReleased: boolean;
  abort(reason: AbortReason): void;
}

/** Builds the attempt of a job that was just claimed. */
export function createAttempt(deps: {
  job: ClaimedJob;
  pool: Pool;
  clock: Clock;
  log: Log;
  onProgress: (attempt: Attempt, label: string | null) => void;
}): Attempt {
  const { job, pool, clock } = deps;
  const controller = new AbortController();
  const startedMs = clock.monotonicMs();
  const state: ProgressState = {
    cursor: job.cursor,
    doneBytes: null,
    totalBytes: null,
    bytesPerSecond: null,
  };
  let label: string | null = null;
  let firstBytes: number | null = null;
  let log: Log | undefined;

  const context: JobContext = {
    jobId: job.id as JobId,
    attempt: job.attempt,
    signal: controller.signal,
    clock,
    // Most jobs write no line, and a bound logger costs more than an empty job.
    get log() {
      log ??= deps.log.child({ jobId: job.id, jobType: job.jobType });
      return log;
    },
    cursor: parseCursor(job.cursor),
    progress(update) {
      if (attempt.isReleased || attempt.abortReason === 'lease_lost') return;
      if (update.cursor !== undefined) state.cursor = JSON.stringify(update.cursor);
      if (update.label !== undefined) label = update.label;
      if (update.totalBytes !== undefined) state.totalBytes = countOrNull(update.totalBytes);
      if (update.doneBytes !== undefined && Number.isFinite(update.doneBytes)) {
        state.doneBytes = Math.round(update.doneBytes);
        // Bytes that were there before this attempt are no speed.
        firstBytes ??= update.doneBytes;
        const seconds = (clock.monotonicMs() - startedMs) / 1000;
        state.bytesPerSecond = seconds > 0.2 ? Math.round((update.doneBytes - firstBytes) / seconds) : null;
      }
      attempt.isDirty = true;
      deps.onProgress(attempt, label);
    },
  };

  const attempt: Attempt = {
    job,
    pool,
    context,
    state,
    startedMs,
    renewedMs: startedMs,
    isDirty: false,
    abortReason: null,
    abortedMs: 0,
    isSettled: false,
    isReleased: false,
    abort(reason) {
      // An operator's word goes before the others: the job must not come back.
      if (reason === 'cancelled' && attempt.abortReason !== null && attempt.abortReason !== 'lease_lost')
        attempt.abortReason = reason;
      if (attempt.abortReason !== null) return;
      attempt.abortReason = reason;
      attempt.abortedMs = clock.monotonicMs();
      controller.abort();
    },
  };
  return attempt;
}

/** What a handler says is not trusted into a column. */
function countOrNull(value: number | null): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? Math.round(value) : null;
}

function parseCursor(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
