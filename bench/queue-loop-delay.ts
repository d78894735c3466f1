import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a timer of 1 ms saw while something ran, in ms. */
export interface LoopDelay {
  p99Ms: number;
  maxMs: number;
}

/** Time for the timer to be armed before the work, and to fire once more after it. */
const SETTLE_MS = 5;

/**
 * Runs `work` under `monitorEventLoopDelay`: a timer of 1 ms notes the time since it last fired. Nothing is subtracted, so a
 * loop at rest shows about 1.1 ms and a block of x ms shows as x to x + 1. A percentile is one of firings, not of time:
 * one long block among many short turns is seen by the maximum alone, which is why both are reported.
 */
export async function watchLoop<T>(work: () => Promise<T>): Promise<{ result: T; loop: LoopDelay }> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  // Without these a loop that never turns during the work would show nothing at all.
  await sleep(SETTLE_MS);
  const result = await work();
  await sleep(SETTLE_MS);
  histogram.disable();
  return { result, loop: { p99Ms: histogram.percentile(99) / 1e6, maxMs: histogram.max / 1e6 } };
}
