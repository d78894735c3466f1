import type { Clock } from '../ports/index.ts';

/**
 * Remembers the answer of an expensive question for `factor` times as long as it took: a question that takes 1 ms is asked
 * nearly every time, one that takes 50 ms at factor 200 every 10 s, so that asking never takes more than 1 / factor of the
 * time. At most 60 s.
 */
export function memoByCost<K, V>(clock: Clock, factor: number, ask: (key: K) => V): (key: K) => V {
  const known = new Map<K, { value: V; until: number }>();
  return (key) => {
    const startedMs = clock.monotonicMs();
    const hit = known.get(key);
    if (hit !== undefined && startedMs < hit.until) return hit.value;
    const value = ask(key);
    const endedMs = clock.monotonicMs();
    if (known.size >= MAX_ENTRIES) known.clear();
    known.set(key, { value, until: endedMs + Math.min(60_000, factor * (endedMs - startedMs)) });
    return value;
  };
}

/** Keys come from the database, never from a request, so this is a belt to those braces. */
const MAX_ENTRIES = 200;
