import { formatBytes, formatDuration } from '../lib/index.ts';
import { isFreshProof } from './golden-rule.ts';
import type { PruneFacts, PrunePolicy } from './prune-facts.ts';
import { byPlace, compare, type PruneSet } from './prune-sets.ts';

/** Why a set goes, in the order in which they go; see docs/storage.md. */
export const REMOVAL_RULES = ['damaged', 'surplus', 'seeded', 'older'] as const;
export type RemovalRule = (typeof REMOVAL_RULES)[number];

/** A set below this is not worth the swarm's help: 1 GB. */
export const LARGE_SET_BYTES = 1_000_000_000;

/** A set that may go, if room is needed. */
export interface Candidate {
  set: PruneSet;
  rule: RemovalRule;
  /** The newest whole verified set of its line. */
  newer: PruneSet;
  /** The one before that, if it is newer than this set. */
  second: PruneSet | null;
  /** Others that seed it; null = unknown or not asked. */
  seeders: number | null;
  /** It would go earlier, did the archive say again that it has it. */
  isProofOld: boolean;
}

/** Finds out why a set would go, and so when. */
export function classify(
  place: Pick<Candidate, 'set' | 'newer' | 'second'>,
  facts: PruneFacts,
  policy: PrunePolicy,
): Candidate {
  const { set, newer, second } = place;
  const plain: Candidate = { set, newer, second, rule: 'older', seeders: null, isProofOld: false };
  for (const file of set.files)
    if (file.isHeld && file.isDamaged) {
      plain.rule = 'damaged';
      return plain;
    }
  if (second !== null) plain.rule = 'surplus';
  if (second !== null || set.heldBytes < LARGE_SET_BYTES) return plain;
  const held = set.files.filter(({ isHeld }) => isHeld);
  const counts = held.map((file) => facts.otherSeeders(file));
  const seeders = counts.some((count) => count === null) ? null : Math.min(...(counts as number[]));
  if (seeders === null || seeders < policy.minSeedersBeforePrune) return plain;
  const age = { now: facts.now, remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs };
  if (held.every(({ archivedAt }) => isFreshProof(archivedAt, age)))
    return { ...plain, rule: 'seeded', seeders };
  return { ...plain, isProofOld: held.every(({ archivedAt }) => archivedAt !== null) };
}

/** In the words of an operator. */
export function reasonOf({ set, rule, newer, second, seeders }: Candidate, policy: PrunePolicy): string {
  switch (rule) {
    case 'damaged':
      return `damaged, and the newer run ${newer.runDate} is whole and verified`;
    case 'surplus':
      return `surplus: the newer runs ${newer.runDate} and ${second?.runDate} are held whole`;
    case 'seeded':
      return `large (${formatBytes(set.heldBytes)}), seeded by ${seeders} others, proved at the Internet Archive within ${formatDuration(policy.remoteProofMaxAgeMs)}; the newer run ${newer.runDate} is held whole`;
    case 'older':
      return `older: the newer run ${newer.runDate} is held whole`;
  }
}

/**
 * Candidates in the order in which they go: by rule; then oldest cycle first, and all of it before the next, so that few torrents lose
 * files; or largest first.
 * @param isEnough asked now and then: once nothing more is wanted, what is left comes unsorted
 */
export function* inOrder(
  candidates: readonly Candidate[],
  { pruneOldestFirst }: Pick<PrunePolicy, 'pruneOldestFirst'>,
  isEnough: () => boolean,
): Generator<Candidate> {
  const bySize = (a: Candidate, b: Candidate): number => b.set.heldBytes - a.set.heldBytes;
  const byAge = (a: Candidate, b: Candidate): number => compare(a.set.cycleDate, b.set.cycleDate);
  const byRule = new Map(REMOVAL_RULES.map((rule) => [rule, new Map<string, Candidate[]>()]));
  for (const candidate of candidates) {
    const buckets = byRule.get(candidate.rule) as Map<string, Candidate[]>;
    const key = pruneOldestFirst ? candidate.set.cycleDate : '';
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [candidate]);
    else bucket.push(candidate);
  }
  for (const buckets of byRule.values())
    for (const key of [...buckets.keys()].sort()) {
      const bucket = buckets.get(key) as Candidate[];
      if (!isEnough()) bucket.sort((a, b) => bySize(a, b) || byAge(a, b) || byPlace(a.set, b.set));
      yield* bucket;
    }
}
