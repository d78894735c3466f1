import { hours } from '../lib/index.ts';

/** What the choice needs to know of a torrent. */
export interface RotatingTorrent {
  infoHash: string;
  /** Seeders besides us when they were last counted; null = unknown. */
  seeders: number | null;
  /** `new`: it was never served, and may be at once. */
  state: 'active' | 'resting' | 'new';
  /** Since when it is in this state, on the clock of `now`. */
  sinceMs: number;
}

/** A torrent is served so long before another takes its place, and rests so long before it is served again. */
export const TURN_MS = hours(6);

/** So long a rest counts like one seeder fewer, so that everybody gets a turn. */
const REST_PER_SEEDER_MS = hours(24);

/**
 * Which torrents are served when there are more than can be at once: those with the fewest seeders. Pure; the order of the list
 * does not matter.
 *
 * Unknown counts as none, since nobody is known to have it. Of two that need it equally, the one that rested longer is served, and of
 * two that are served, the one that was served longer rests. No place stays empty while any torrent rests.
 * @param now same clock as `sinceMs`
 * @returns their infohashes, neediest first
 */
export function chooseActive(torrents: readonly RotatingTorrent[], max: number, now: number): string[] {
  const ranked = torrents
    .map((torrent) => {
      const heldMs = Math.max(0, now - torrent.sinceMs);
      const isActive = torrent.state === 'active';
      return {
        infoHash: torrent.infoHash,
        // Those in the middle of their turn, then those that may change, then those whose rest has just begun.
        rank: isActive && heldMs < TURN_MS ? 0 : torrent.state === 'resting' && heldMs < TURN_MS ? 2 : 1,
        need: (torrent.seeders ?? 0) - (isActive ? 0 : heldMs / REST_PER_SEEDER_MS),
        restMs: isActive ? -heldMs : heldMs,
      };
    })
    .sort(
      (a, b) =>
        a.rank - b.rank || a.need - b.need || b.restMs - a.restMs || (a.infoHash < b.infoHash ? -1 : 1),
    );
  return ranked.slice(0, Math.max(0, max)).map(({ infoHash }) => infoHash);
}
