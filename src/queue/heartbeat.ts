import type { Clock } from '../ports/index.ts';
import type { Attempt } from './attempt.ts';

/** Rows are written at most this often for progress alone. */
const PROGRESS_WRITE_MS = 1000;
/** A handler that goes on for so long after its abort is stuck. */
export const STUCK_AFTER_MS = 60_000;

/** What the heartbeat finds; every list belongs to one look. */
export interface HeartbeatDeps {
  clock: Clock;
  /** Renews leases and saves progress, all in one transaction. False = the lease is somebody else's; absent = not written. */
  renew: (attempts: readonly Attempt[]) => ReadonlyMap<Attempt, boolean>;
  onLost: (attempt: Attempt) => void;
  onStuck: (attempt: Attempt, waitedMs: number) => void;
}

/** One timer for all running attempts: renewals, progress, timeouts, handlers that do not stop. */
export interface Heartbeat {
  add(attempt: Attempt): void;
  remove(attempt: Attempt): void;
  /** Something of it changed: progress, or an abort. */
  touch(attempt: Attempt): void;
  running(): readonly Attempt[];
  stop(): void;
}

/**
 * A lease is renewed three times within its length and counts as lost when a renewal finds another owner or comes too late:
 * the last tenth of the lease is never used. An attempt whose result waits to be written keeps its lease.
 */
export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { clock } = deps;
  const attempts = new Set<Attempt>();
  let cancel = (): void => {};
  let armedForMs = Number.POSITIVE_INFINITY;
  /** While the database cannot be written, once a second is enough. */
  let notBeforeMs = 0;

  /** At shutdown nobody is given up: whoever stops the queue says how long it waits, and until then leases are renewed. */
  const stuckAtMs = ({ abortReason, abortedMs }: Attempt): number =>
    abortReason === 'shutdown' ? Number.POSITIVE_INFINITY : abortedMs + STUCK_AFTER_MS;

  /** The next moment at which something has to be done for an attempt, monotonic ms. */
  function dueMs(attempt: Attempt): number {
    const { leaseMs, timeoutMs } = attempt.pool.handler.jobType;
    if (attempt.isReleased) return Number.POSITIVE_INFINITY;
    // Nothing is left to renew; a result that waits will be fenced.
    if (attempt.abortReason === 'lease_lost')
      return attempt.isSettled ? Number.POSITIVE_INFINITY : stuckAtMs(attempt);
    if (attempt.abortReason !== null && !attempt.isSettled)
      return Math.min(stuckAtMs(attempt), attempt.renewedMs + leaseMs / 3);
    const renewal =
      attempt.renewedMs + (attempt.isDirty ? Math.min(PROGRESS_WRITE_MS, leaseMs / 3) : leaseMs / 3);
    return attempt.isSettled ? renewal : Math.min(renewal, attempt.startedMs + timeoutMs);
  }

  function arm(atMs: number): void {
    const wantedMs = Math.max(atMs, notBeforeMs);
    if (wantedMs >= armedForMs) return;
    cancel();
    armedForMs = wantedMs;
    cancel = clock.after(Math.max(0, wantedMs - clock.monotonicMs()), beat);
  }

  function rearm(): void {
    cancel();
    armedForMs = Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    for (const attempt of attempts) next = Math.min(next, dueMs(attempt));
    if (Number.isFinite(next)) arm(next);
  }

  function beat(): void {
    armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = clock.monotonicMs();
    const due = [...attempts].filter((attempt) => !attempt.isReleased && dueMs(attempt) <= nowMs);
    const renewals: Attempt[] = [];
    for (const attempt of due) {
      const { leaseMs, timeoutMs } = attempt.pool.handler.jobType;
      if (!attempt.isSettled && attempt.abortReason !== null && nowMs >= stuckAtMs(attempt)) {
        deps.onStuck(attempt, nowMs - attempt.abortedMs);
        continue;
      }
      if (attempt.abortReason === 'lease_lost') continue;
      if (!attempt.isSettled && nowMs - attempt.renewedMs > leaseMs * 0.9) {
        lose(attempt);
        continue;
      }
      if (!attempt.isSettled && nowMs >= attempt.startedMs + timeoutMs) attempt.abort('timeout');
      renewals.push(attempt);
    }
    if (renewals.length > 0) {
      const kept = deps.renew(renewals);
      for (const attempt of renewals) {
        if (kept.get(attempt) === false) lose(attempt);
        else if (kept.get(attempt) === true) {
          attempt.renewedMs = nowMs;
          attempt.isDirty = false;
        } else notBeforeMs = nowMs + PROGRESS_WRITE_MS;
      }
    }
    rearm();
  }

  function lose(attempt: Attempt): void {
    attempt.abort('lease_lost');
    // Aborted for another reason before: the lease is gone all the same.
    attempt.abortReason = 'lease_lost';
    deps.onLost(attempt);
  }

  return {
    add(attempt) {
      attempts.add(attempt);
      arm(dueMs(attempt));
    },
    remove(attempt) {
      attempts.delete(attempt);
      if (attempts.size > 0) return;
      cancel();
      armedForMs = Number.POSITIVE_INFINITY;
    },
    touch: (attempt) => arm(dueMs(attempt)),
    running: () => [...attempts],
    stop: () => cancel(),
  };
}
