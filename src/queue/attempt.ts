import { JobId, RetryableError } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { JobContext } from './job-type.ts';
import type { ClaimedJob, ProgressState } from './store.ts';

/** Rows are written at most this often for progress alone: once a second. */
const PROGRESS_WRITE_MS = 1000;

/** One running attempt: its signal, its lease and its progress. */
export interface Attempt {
  readonly job: ClaimedJob;
  readonly context: JobContext;
  readonly startedMonotonicMs: number;
  /** Set when the lease was found lost; nothing may be written any more. */
  isLeaseLost(): boolean;
  /** Set when the attempt was aborted because its time was up. */
  timeoutError(): RetryableError | null;
  cursorJson(): string | null;
  abort(): void;
  /** Stops its timers. */
  end(): void;
}

/**
 * Begins an attempt. The lease is renewed three times within its length and counts as lost when a renewal finds
 * another owner or comes too late (the last tenth of the lease is never used).
 */
export function beginAttempt(deps: {
  job: ClaimedJob;
  leaseMs: number;
  timeoutMs: number;
  clock: Clock;
  log: Log;
  renew: (expiresAt: number, state: ProgressState) => boolean;
  onProgress: (state: ProgressState, label: string | null) => void;
}): Attempt {
  const { job, clock, leaseMs } = deps;
  const controller = new AbortController();
  const startedMonotonicMs = clock.monotonicMs();
  const state: ProgressState = {
    cursor: job.cursor,
    doneBytes: null,
    totalBytes: null,
    bytesPerSecond: null,
  };
  let label: string | null = null;
  let isLost = false;
  let timeout: RetryableError | null = null;
  let lastRenewalMs = startedMonotonicMs;
  let lastWriteMs = startedMonotonicMs - PROGRESS_WRITE_MS;
  let firstBytes: number | null = null;
  let cancelRenewal = (): void => {};

  const renew = (): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - lastRenewalMs > leaseMs * 0.9 || !deps.renew(clock.now() + leaseMs, state)) {
      isLost = true;
      deps.log.warn(
        { jobId: job.id, jobType: job.jobType },
        'the lease of a running job was lost, its result will be dropped',
      );
      controller.abort();
      return;
    }
    lastRenewalMs = nowMs;
    lastWriteMs = nowMs;
  };
  const armRenewal = (): void => {
    cancelRenewal = clock.after(leaseMs / 3, () => {
      renew();
      if (!isLost) armRenewal();
    });
  };
  armRenewal();
  const cancelTimeout = clock.after(deps.timeoutMs, () => {
    timeout = new RetryableError('timeout', `gave up after ${Math.round(deps.timeoutMs / 60_000)} minutes`);
    controller.abort();
  });

  const context: JobContext = {
    jobId: JobId.parse(job.id),
    attempt: job.attempt,
    signal: controller.signal,
    clock,
    log: deps.log,
    cursor: parseCursor(job.cursor),
    progress(update) {
      if (isLost) return;
      if (update.cursor !== undefined) state.cursor = JSON.stringify(update.cursor);
      if (update.label !== undefined) label = update.label;
      if (update.totalBytes !== undefined) state.totalBytes = update.totalBytes;
      if (update.doneBytes !== undefined) {
        state.doneBytes = Math.round(update.doneBytes);
        // Bytes that were there before this attempt are no speed.
        firstBytes ??= update.doneBytes;
        const seconds = (clock.monotonicMs() - startedMonotonicMs) / 1000;
        state.bytesPerSecond = seconds > 0.2 ? Math.round((update.doneBytes - firstBytes) / seconds) : null;
      }
      deps.onProgress(state, label);
      if (clock.monotonicMs() - lastWriteMs >= PROGRESS_WRITE_MS) renew();
    },
  };

  return {
    job,
    context,
    startedMonotonicMs,
    isLeaseLost: () => isLost,
    timeoutError: () => timeout,
    cursorJson: () => state.cursor,
    abort: () => controller.abort(),
    end() {
      cancelRenewal();
      cancelTimeout();
    },
  };
}

function parseCursor(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
