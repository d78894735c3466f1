import type { Clock } from '../ports/index.ts';

/**
 * Remembers the answer of an expensive question for `factor` times as long as it took: a question that takes 1 ms is asked
 * nearly every time, one that takes 50 ms at factor 200 every 10 s, so that asking never takes more than 1 / factor of the
 * time. At most 60 s.
 */
export function memoByCost<K, V>(
  clock: Clock,
  factor: number,
  ask: (key: K) => V,
): ((key: K) => V) & { isFresh(key: K): boolean } {
  const known = new Map<K, { value: V; until: number }>();
  const fresh = (key: K): { value: V } | undefined => {
    const hit = known.get(key);
    return hit !== undefined && clock.monotonicMs() < hit.until ? hit : undefined;
  };
  const memo = (key: K): V => {
    const hit = fresh(key);
    if (hit !== undefined) return hit.value;
    const startedMs = clock.monotonicMs();
    const value = ask(key);
    const endedMs = clock.monotonicMs();
    if (known.size >= MAX_ENTRIES) known.clear();
    known.set(key, { value, until: endedMs + keepMs(factor, endedMs - startedMs) });
    return value;
  };
  return Object.assign(memo, { isFresh: (key: K) => fresh(key) !== undefined });
}

/** How long an answer that took so long is good for, ms. */
export const keepMs = (factor: number, tookMs: number): number => Math.min(60_000, factor * tookMs);

/** Lets the rest of the process run between parts of a long question: after each 5 ms of work, for 1 ms. */
export function createBreather(clock: Clock): () => Promise<void> {
  let startedMs = clock.monotonicMs();
  return async () => {
    if (clock.monotonicMs() - startedMs < WORK_MS) return;
    await clock.sleep(PAUSE_MS);
    startedMs = clock.monotonicMs();
  };
}

const WORK_MS = 5;
const PAUSE_MS = 1;

/** Keys come from the database, never from a request, so this is a belt to those braces. */
const MAX_ENTRIES = 200;
