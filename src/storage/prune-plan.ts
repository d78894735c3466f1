import { formatBytes, formatDuration } from '../lib/index.ts';
import { goldenVerdict, isFreshProof, type ProofAge, type StayingCopy, whyProtected } from './golden-rule.ts';
import type { PruneFacts, PruneFile, PrunePolicy } from './prune-facts.ts';
import {
  compare,
  familyKey,
  groupFiles,
  type PruneFamily,
  type PruneLine,
  type PruneSet,
} from './prune-sets.ts';

/** Why a set goes, in the order in which they go; see docs/storage.md. */
export const REMOVAL_RULES = ['damaged', 'surplus', 'seeded', 'older'] as const;
export type RemovalRule = (typeof REMOVAL_RULES)[number];

/** Why a set stays, in one word. */
export type KeepRule =
  | 'protected'
  | 'newest'
  | 'newer'
  | 'no_whole_set'
  | 'cycle'
  | 'awaits_supplement'
  | 'awaits_upload'
  | 'busy'
  | 'not_on_disk'
  | 'linked_elsewhere'
  | 'golden_rule'
  | 'not_needed';

/** What becomes of one set; all its files share it. */
export type PlannedSet = PruneSet &
  (
    | { action: 'keep'; rule: KeepRule; reason: string }
    | {
        action: 'remove';
        rule: RemovalRule;
        reason: string;
        /** Newer run of the same wiki, source and type that stays, whole and verified. */
        newer: PruneSet;
        /** That run and the one before it, when that is held whole, too. */
        newerRunDates: string[];
        /** What the golden rule found, one copy for each wiki. */
        copies: readonly StayingCopy[];
      }
  );
/** A set that goes. */
export type RemovedSet = Extract<PlannedSet, { action: 'remove' }>;

/** What a prune would do. */
export interface PrunePlan {
  neededBytes: number;
  plannedBytes: number;
  /** Sets that go, in the order they go. */
  removed: RemovedSet[];
  /** Every other set of which something is held, by wiki, source, type and run. */
  kept: PlannedSet[];
  /** Files whose proof at the archive is too old; a fresh one would put their sets before others, or allow them to go. */
  toProve: PruneFile[];
}

/** A set below this is not worth the swarm's help: 1 GB. */
export const LARGE_SET_BYTES = 1_000_000_000;

/**
 * Decides what goes when room is needed, and why everything else stays. Pure but for `facts.look` and `facts.otherSeeders`,
 * which are asked for what would go. A set (one dump type of one run) goes as a whole or not at all, and only when a newer run's
 * set of the same wiki, source and type is held whole and verified; it stops as soon as enough bytes are planned.
 */
export function planPrune(facts: PruneFacts, policy: PrunePolicy): PrunePlan {
  const { lines, families } = groupFiles(facts);
  const kept: PlannedSet[] = [];
  const candidates: Candidate[] = [];
  const age = { now: facts.now, remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs };
  for (const line of lines)
    for (const [index, set] of line.entries()) {
      if (set.heldFiles === 0) continue;
      const protection = whyProtected(families.get(familyKey(set)) as PruneFamily, set.wikiDbName);
      const keep =
        protection !== null
          ? ({ rule: 'protected', reason: protection } as const)
          : (whyKeptInLine(line, index) ?? whyKept(set, facts, policy));
      if (keep !== null) kept.push({ ...set, action: 'keep', ...keep });
      else candidates.push(classify(line, index, facts, policy));
    }
  candidates.sort(order(policy));

  const plan: PrunePlan = {
    neededBytes: policy.neededBytes,
    plannedBytes: 0,
    removed: [],
    kept,
    toProve: [],
  };
  const removedIds = new Set<number>();
  for (const candidate of candidates) {
    const { set, rule, reason, newer, newerRunDates } = candidate;
    const keep = (keepRule: KeepRule, why: string): void =>
      void kept.push({ ...set, action: 'keep', rule: keepRule, reason: why });
    if (plan.plannedBytes >= policy.neededBytes) {
      keep('not_needed', notNeeded(policy, candidate));
      continue;
    }
    if (candidate.isProofOld) plan.toProve.push(...set.files.filter(({ archivedAt }) => archivedAt !== null));
    const family = families.get(familyKey(set)) as PruneFamily;
    const own = set.files.filter(({ isHeld }) => isHeld).map(({ id }) => id);
    for (const id of own) removedIds.add(id);
    const verdict = goldenVerdict(family, { ids: removedIds, wikis: new Set([set.wikiDbName]) }, age);
    const refusal = verdict.isAllowed
      ? whyNotFreed(set, facts)
      : ({ rule: 'golden_rule', reason: verdict.reason } as const);
    if (!verdict.isAllowed || refusal !== null) {
      for (const id of own) removedIds.delete(id);
      if (refusal !== null) keep(refusal.rule, refusal.reason);
      if (!verdict.isAllowed) plan.toProve.push(...oldProofs(family, set.wikiDbName, age));
      continue;
    }
    plan.plannedBytes += set.heldBytes;
    plan.removed.push({
      ...set,
      action: 'remove',
      rule,
      reason,
      newer,
      newerRunDates,
      copies: verdict.copies,
    });
  }
  kept.sort(byPlace);
  plan.toProve = [...new Map(plan.toProve.map((file) => [file.id, file])).values()];
  return plan;
}

interface Candidate {
  set: PruneSet;
  rule: RemovalRule;
  reason: string;
  newer: PruneSet;
  newerRunDates: string[];
  /** It would go earlier, did the archive say again that it has it. */
  isProofOld: boolean;
}

type Keep = { rule: KeepRule; reason: string };

/** The newest whole verified set of a line stays, and so does everything newer. */
function whyKeptInLine(line: PruneLine, index: number): Keep | null {
  const newest = line.findIndex(({ isWhole }) => isWhole);
  const set = line[index] as PruneSet;
  const what = `${set.dumpType} of ${set.wikiDbName} (${set.source})`;
  if (newest < 0) return { rule: 'no_whole_set', reason: `no whole verified set of ${what} is held` };
  if (index === newest) return { rule: 'newest', reason: `newest whole verified set of ${what}` };
  if (index > newest) return null;
  return {
    rule: 'newer',
    reason: `newer than the last whole verified set of ${what}, and ${lackOf(set)}`,
  };
}

function lackOf(set: PruneSet): string {
  const held = set.files.filter(({ isHeld }) => isHeld);
  if (!set.isComplete) return 'its run is not complete';
  if (held.length < set.files.length) return `${set.files.length - held.length} of its files are not held`;
  if (held.some(({ isDamaged }) => isDamaged)) return 'damaged';
  if (held.some(({ isContested }) => isContested)) return 'changed upstream since';
  return 'no hash proved it';
}

/** What the files, their cycle and their jobs say against it. */
function whyKept(set: PruneSet, facts: PruneFacts, policy: PrunePolicy): Keep | null {
  const cycle = facts.cycles.get(set.cycleDate);
  if (cycle === undefined) return { rule: 'cycle', reason: `nothing is known of its cycle ${set.cycleDate}` };
  if (!cycle.isPublished) return { rule: 'cycle', reason: `its cycle ${set.cycleDate} is not published yet` };
  if (cycle.isBusy) return { rule: 'busy', reason: `a torrent of its cycle ${set.cycleDate} is being made` };
  for (const file of set.files) {
    if (!file.isHeld) continue;
    const work = facts.busy.get(file.id);
    if (work !== undefined) return { rule: 'busy', reason: `${file.filename}: ${work}` };
    if (policy.uploadsEnabled && file.archivedAt === null && !file.isRefused)
      return { rule: 'awaits_upload', reason: `${file.filename} waits for its upload` };
    const isLate = cycle.takesFilesUntil === null || cycle.takesFilesUntil > facts.now;
    if (!file.isIncluded && isLate)
      return { rule: 'awaits_supplement', reason: `${file.filename} waits for a supplement of its cycle` };
  }
  return null;
}

function classify(line: PruneLine, index: number, facts: PruneFacts, policy: PrunePolicy): Candidate {
  const set = line[index] as PruneSet;
  const newerSets = line.slice(0, index).filter(({ isWhole }) => isWhole);
  const newer = newerSets[0] as PruneSet;
  const newerRunDates = newerSets.slice(0, 2).map(({ runDate }) => runDate);
  const candidate = (rule: RemovalRule, reason: string, isProofOld = false): Candidate => ({
    ...{ set, rule, reason, newer, newerRunDates, isProofOld },
  });
  if (set.files.some((file) => file.isHeld && file.isDamaged))
    return candidate('damaged', `damaged, and the newer run ${newer.runDate} is whole and verified`);
  if (newerSets.length >= 2)
    return candidate('surplus', `surplus: the newer runs ${newerRunDates.join(' and ')} are held whole`);
  const older = `older: the newer run ${newer.runDate} is held whole`;
  if (set.heldBytes < LARGE_SET_BYTES) return candidate('older', older);
  const held = set.files.filter(({ isHeld }) => isHeld);
  const seeders = held.map((file) => facts.otherSeeders(file));
  const least = seeders.some((count) => count === null) ? null : Math.min(...(seeders as number[]));
  if (least === null || least < policy.minSeedersBeforePrune) return candidate('older', older);
  const age = { now: facts.now, remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs };
  if (!held.every(({ archivedAt }) => isFreshProof(archivedAt, age)))
    return candidate(
      'older',
      older,
      held.every(({ archivedAt }) => archivedAt !== null),
    );
  return candidate(
    'seeded',
    `large (${formatBytes(set.heldBytes)}), seeded by ${least} others, proved at the Internet Archive within ${formatDuration(policy.remoteProofMaxAgeMs)}; the newer run ${newer.runDate} is held whole`,
  );
}

/** Oldest cycle first, and all of it before the next: so few torrents lose files. */
function order({ pruneOldestFirst }: PrunePolicy): (a: Candidate, b: Candidate) => number {
  const rank = ({ rule }: Candidate): number => REMOVAL_RULES.indexOf(rule);
  const byAge = (a: Candidate, b: Candidate): number => compare(a.set.cycleDate, b.set.cycleDate);
  const bySize = (a: Candidate, b: Candidate): number => b.set.heldBytes - a.set.heldBytes;
  const [first, second] = pruneOldestFirst ? [byAge, bySize] : [bySize, byAge];
  return (a, b) => rank(a) - rank(b) || first(a, b) || second(a, b) || compare(a.set.key, b.set.key);
}

/** What the disk says against it: nothing would be freed, or it is not what was recorded. */
function whyNotFreed(set: PruneSet, facts: PruneFacts): Keep | null {
  for (const file of set.files) {
    if (!file.isHeld) continue;
    const look = facts.look(file);
    if (look === null) return { rule: 'not_on_disk', reason: `${file.filename} is not where it is recorded` };
    if (!look.isFile || look.sizeBytes !== file.sizeBytes)
      return { rule: 'not_on_disk', reason: `${file.filename} is not what was recorded` };
    if (look.linkCount > look.ownLinks)
      return {
        rule: 'linked_elsewhere',
        reason: `${file.filename} has another name outside our folders, so nothing would be freed`,
      };
  }
  return null;
}

function notNeeded({ neededBytes }: PrunePolicy, { rule }: Candidate): string {
  return neededBytes <= 0
    ? `no room is needed; else it could go (${rule})`
    : `enough goes before it; the next time it could go (${rule})`;
}

/** What a fresh look at the archive might turn into a copy that stays. */
function oldProofs({ textSets }: PruneFamily, wikiDbName: string, age: ProofAge): PruneFile[] {
  return textSets
    .filter((set) => set.wikiDbName === wikiDbName)
    .flatMap(({ files }) => files)
    .filter(({ archivedAt }) => archivedAt !== null && !isFreshProof(archivedAt, age));
}

function byPlace(a: PruneSet, b: PruneSet): number {
  return (
    compare(a.wikiDbName, b.wikiDbName) ||
    compare(a.source, b.source) ||
    compare(a.dumpType, b.dumpType) ||
    compare(a.runDate, b.runDate)
  );
}
