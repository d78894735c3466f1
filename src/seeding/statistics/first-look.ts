import { minutes } from '../../lib/index.ts';
import type { Clock, Random } from '../../ports/index.ts';

/** Trackers have heard of us by then, and of those who hear of the torrent from them. */
const AFTER_MS = minutes(5);
/** Many who were updated at the same hour do not ask at the same minute. */
const SPREAD_MS = minutes(5);

/** What asking for a look needs. */
export interface FirstLookDeps {
  clock: Clock;
  random: Random;
  lastLookAt(): number | null;
  /** How often swarms are counted by the clock. */
  intervalMs: number;
  /** Asks for a look; asking twice is a no-op. */
  ask(delayMs: number): void;
}

/**
 * Asks for a look soon after the first torrents are served, when there was none for longer than there should be: by the clock it
 * may come hours later, and until then nobody knows who has what.
 * @returns to be called whenever a torrent is served
 */
export function createFirstLook(deps: FirstLookDeps): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    const lastAt = deps.lastLookAt();
    const now = deps.clock.now();
    if (lastAt !== null && lastAt <= now && now - lastAt < deps.intervalMs) return;
    isAsked = true;
    deps.ask(AFTER_MS + Math.floor(deps.random.next() * SPREAD_MS));
  };
}
