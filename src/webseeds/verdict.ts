import { days, hours, minutes } from '../lib/index.ts';
import type { CandidateKind } from './candidates.ts';

/** How the reason begins when pieces were compared and are not what they should be. */
export const OTHER_BYTES = 'it sends other bytes than the torrent has';

/** So long every server of dumps keeps a run. */
const KEPT_MS = days(30);

/**
 * Whether it is no news that a root was given up: servers of dumps keep a run for some months. Pure.
 * @param torrentAgeMs since the torrent was made
 */
export function isExpectedEnd(kind: CandidateKind, reason: string | null, torrentAgeMs: number): boolean {
  const isServerOfDumps = kind === 'origin' || kind === 'mirror';
  return isServerOfDumps && reason?.startsWith(OTHER_BYTES) !== true && torrentAgeMs > KEPT_MS;
}

/** What one look at a root found. */
export type Look =
  /** `isProved`: pieces were compared with their hashes. */
  | { kind: 'works'; isProved: boolean }
  /** It answers, and not as a webseed of this torrent must. `isFinal`: no doubt is possible, it sends other bytes. */
  | { kind: 'broken'; reason: string; isFinal: boolean }
  /** It could not be asked, or is overloaded: that says nothing of what it has. */
  | { kind: 'unproved'; reason: string };

/** What is known of one root of one torrent; times in epoch ms. */
export interface WebseedRow {
  url: string;
  /** unproved: it was never seen to work. */
  state: 'working' | 'dead' | 'unproved';
  reason: string | null;
  checkedAt: number;
  since: number;
  provedAt: number | null;
  failingSince: number | null;
  failedLooks: number;
}

/** A root that worked is given up after so many looks in a row that found it not working, or after so long. */
const FAILED_LOOKS_MAX = 3;
const FAILING_MAX_MS = hours(24);

/** What is known after a look. Pure. */
export function judgeLook(url: string, earlier: WebseedRow | null, look: Look, now: number): WebseedRow {
  const enter = (state: WebseedRow['state']): Pick<WebseedRow, 'state' | 'since'> => ({
    state,
    since: earlier?.state === state ? earlier.since : now,
  });
  const fresh = { url, checkedAt: now, failingSince: null, failedLooks: 0 };
  const provedAt = earlier?.provedAt ?? null;
  if (look.kind === 'works')
    return { ...fresh, ...enter('working'), reason: null, provedAt: look.isProved ? now : provedAt };
  const failing = {
    failingSince: earlier?.failingSince ?? now,
    failedLooks: (earlier?.failedLooks ?? 0) + 1,
  };
  const rest = { ...fresh, ...failing, provedAt, reason: look.reason };
  if (look.kind === 'broken' && look.isFinal) return { ...rest, ...enter('dead') };
  // What worked is not given up for a bad hour.
  if (earlier?.state === 'working') {
    const isOver = failing.failedLooks >= FAILED_LOOKS_MAX || now - failing.failingSince >= FAILING_MAX_MS;
    return { ...rest, ...enter(isOver ? 'dead' : 'working') };
  }
  if (look.kind === 'broken') return { ...rest, ...enter('dead') };
  return { ...rest, ...enter(earlier?.state ?? 'unproved') };
}

/** How closely a root is looked at: pieces against their hashes, the end of some files, or not at all. */
export type Closeness = 'pieces' | 'bytes' | 'none';

/** Looks that were not due yet are not repeated by a job that is asked for twice. */
const AGAIN_AFTER_MS = hours(20);
/** A root that stopped working is looked at again soon, to know whether that lasts. */
const FAILING_AGAIN_MS = hours(3);
/** Pieces are compared again so often. */
const PIECES_AGAIN_MS = days(30);
/** Mirrors copy a run days after upstream published it; later they will not any more. */
const MIRROR_LAG_MS = days(14);
const DEAD_AGAIN_MS = days(7);
const DEAD_FOR_GOOD_MS = days(90);
/** One small request a week for each run that upstream still has. */
const ORIGIN_AGAIN_MS = days(7);
const UNPROVED_AGAIN_MS = minutes(50);

/**
 * How closely a root is to be looked at now; see docs/decisions/0025. Pure.
 * @param torrentAt epoch ms at which the torrent was made
 */
export function closenessOf(
  kind: CandidateKind,
  earlier: WebseedRow | null,
  torrentAt: number,
  now: number,
): Closeness {
  if (earlier === null) return 'pieces';
  // A clock that was set back must not stop the looks for good.
  const passed = (since: number): number => Math.abs(now - since);
  const age = passed(earlier.checkedAt);
  if (earlier.state === 'unproved') return age >= UNPROVED_AGAIN_MS ? 'pieces' : 'none';
  if (earlier.state === 'dead') {
    // Upstream removes a run for good.
    if (kind === 'origin' || passed(earlier.since) > DEAD_FOR_GOOD_MS) return 'none';
    const again = passed(torrentAt) < MIRROR_LAG_MS || kind === 'self' ? AGAIN_AFTER_MS : DEAD_AGAIN_MS;
    return age >= again ? 'pieces' : 'none';
  }
  const isProofOld = kind !== 'origin' && passed(earlier.provedAt ?? 0) >= PIECES_AGAIN_MS;
  // What failed with pieces is not cleared by less.
  const closeness = isProofOld ? 'pieces' : 'bytes';
  if (earlier.failingSince !== null) return age >= FAILING_AGAIN_MS ? closeness : 'none';
  return age >= (kind === 'origin' ? ORIGIN_AGAIN_MS : AGAIN_AFTER_MS) ? closeness : 'none';
}
