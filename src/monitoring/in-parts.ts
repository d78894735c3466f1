import type { Clock } from '../ports/index.ts';
import { createBreather, keepMs } from './memo.ts';

/** An expensive question whose answer is made in parts and kept. */
export interface InParts<K, V> {
  /** As of the last `freshen` when that was not long ago, else made now, in one go. */
  answer(key: K): V;
  /**
   * Makes the answer between other work when the last one is too old, so that `answer` need not. Resolves when there is one, which while
   * a newer one is being made is the one before it. Never rejects: whoever asks for the answer next hears what is wrong.
   */
  freshen(key: K): Promise<void>;
}

/** An answer is kept 200 times as long as it took: making it takes at most half a percent of the time. */
const FACTOR = 200;
/** What is made so quickly is waited for; of anything slower the answer before will do. */
const QUICK_MS = 20;
/** Keys come from the database, never from a request, so this is a belt to those braces. */
const MAX_ENTRIES = 50;

interface Entry<V> {
  known: { value: V; until: number; tookMs: number } | null;
  round: Promise<void> | null;
}

/** @param work yields between parts, each a few milliseconds at most, and returns the answer */
export function createInParts<K, V>(deps: {
  clock: Clock;
  work: (key: K) => Generator<void, V>;
}): InParts<K, V> {
  const { clock, work } = deps;
  const entries = new Map<K, Entry<V>>();
  const entryOf = (key: K): Entry<V> => {
    const found = entries.get(key);
    if (found !== undefined) return found;
    if (entries.size >= MAX_ENTRIES) entries.clear();
    const made: Entry<V> = { known: null, round: null };
    entries.set(key, made);
    return made;
  };
  function keep(entry: Entry<V>, value: V, tookMs: number): V {
    entry.known = { value, until: clock.monotonicMs() + keepMs(FACTOR, tookMs), tookMs };
    return value;
  }

  async function makeInParts(entry: Entry<V>, key: K): Promise<void> {
    const breathe = createBreather(clock);
    const parts = work(key);
    for (let tookMs = 0; ; ) {
      const startedMs = clock.monotonicMs();
      const part = parts.next();
      tookMs += clock.monotonicMs() - startedMs;
      if (part.done === true) {
        keep(entry, part.value, tookMs);
        return;
      }
      await breathe();
    }
  }

  return {
    answer(key) {
      const entry = entryOf(key);
      const { known, round } = entry;
      if (known !== null && (round !== null || clock.monotonicMs() < known.until)) return known.value;
      const startedMs = clock.monotonicMs();
      const parts = work(key);
      for (;;) {
        const part = parts.next();
        if (part.done === true) return keep(entry, part.value, clock.monotonicMs() - startedMs);
      }
    },
    async freshen(key) {
      const entry = entryOf(key);
      if (entry.known !== null && clock.monotonicMs() < entry.known.until) return;
      entry.round ??= makeInParts(entry, key)
        // The database was closed meanwhile, or cannot be read.
        .catch(() => {})
        .finally(() => {
          entry.round = null;
        });
      if (entry.known === null || entry.known.tookMs < QUICK_MS) await entry.round;
    },
  };
}
