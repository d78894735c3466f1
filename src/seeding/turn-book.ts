import { z } from 'zod';
import { STATE_KEYS, type SystemState } from '../db/index.ts';

/** When each was served last, or was wanted first, ms since the epoch, by infohash. */
const Saved = z.record(z.string(), z.number());

/** Who waits how long for a place, over restarts: else the same would come first after each. */
export interface TurnBook {
  /** How long it had waited when this was last kept, and since then. 0 = nothing is known. */
  waitedMs(infoHash: string, nowMs: number): number;
  /** @param waits ms by infohash; null = all are served, and nobody waits */
  keep(waits: ReadonlyMap<string, number> | null, nowMs: number): void;
}

/** See `TurnBook`; tens of thousands of torrents are a megabyte of text, so it is kept every few minutes, not at each change. */
export function createTurnBook(state: SystemState): TurnBook {
  const since = new Map(Object.entries(read(state)));
  return {
    waitedMs(infoHash, nowMs) {
      const at = since.get(infoHash);
      // Later than now can only be a clock that was wrong.
      return at === undefined ? 0 : Math.max(0, nowMs - at);
    },
    keep(waits, nowMs) {
      if (waits === null && since.size === 0) return;
      since.clear();
      for (const [infoHash, waitedMs] of waits ?? []) since.set(infoHash, Math.round(nowMs - waitedMs));
      state.set(STATE_KEYS.seedingTurns, JSON.stringify(Object.fromEntries(since)), nowMs);
    },
  };
}

function read(state: SystemState): Record<string, number> {
  try {
    return Saved.parse(JSON.parse(state.get(STATE_KEYS.seedingTurns) ?? '{}'));
  } catch {
    // A wrong order is no reason not to seed.
    return {};
  }
}
