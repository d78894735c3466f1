import { Interrupted } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/**
 * Waits until a signal says that it is enough; the work goes on.
 * @throws Interrupted; what the work throws
 */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw new Interrupted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Interrupted());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Waits so long at most, whatever comes of the work; never fails. */
export async function waitAtMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  const deadline = new AbortController();
  await Promise.race([work.catch(() => {}), clock.sleep(ms, deadline.signal).catch(() => {})]);
  deadline.abort();
}
