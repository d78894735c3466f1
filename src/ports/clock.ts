import { Interrupted } from '../lib/errors.ts';

/** Milliseconds since 1970 UTC. */
export type EpochMs = number;

/** Time as the rooms see it; a test passes one it can turn by hand. */
export interface Clock {
  /** Wall time, for what is stored. */
  now(): EpochMs;
  /** Monotonic milliseconds, for durations; meaningless across processes. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with `Interrupted` as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms` (any length); returns a function that cancels it. Never keeps the process alive by itself. */
  after(ms: number, fn: () => void): () => void;
}

/** `setTimeout` overflows beyond 2^31-1 ms (24.8 days), so longer waits are taken in steps. */
const MAX_TIMER_MS = 2_000_000_000;

/** The real clock. */
export function createSystemClock(): Clock {
  const after = (ms: number, fn: () => void): (() => void) => {
    const end = performance.now() + ms;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const left = end - performance.now();
      timer = setTimeout(
        () => (left > MAX_TIMER_MS ? arm() : fn()),
        Math.min(Math.max(left, 0), MAX_TIMER_MS),
      );
      timer.unref();
    };
    arm();
    return () => clearTimeout(timer);
  };
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new Interrupted());
        const onAbort = (): void => {
          clearTimeout(timer);
          reject(new Interrupted());
        };
        const timer = setTimeout(
          () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
          Math.min(ms, MAX_TIMER_MS),
        );
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
  };
}
