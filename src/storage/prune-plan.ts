import { goldenVerdict, isFreshProof, type ProofAge, type StayingCopy, whyProtected } from './golden-rule.ts';
import type { PruneFacts, PrunePolicy } from './prune-facts.ts';
import { type Candidate, classify, inOrder, type RemovalRule, reasonOf } from './prune-order.ts';
import {
  byPlace,
  groupFiles,
  type PruneFamily,
  type PruneLine,
  type PruneSet,
  type SetFile,
} from './prune-sets.ts';

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

/** A set that stays. */
export interface KeptSet {
  set: PruneSet;
  action: 'keep';
  rule: KeepRule;
  reason: string;
}

/** A set that goes. */
export interface RemovedSet {
  set: PruneSet;
  action: 'remove';
  rule: RemovalRule;
  reason: string;
  /** Newest run of the same wiki, source and type that is held whole and verified; it stays. */
  newer: PruneSet;
  /** That run, and the one before it when that is held whole and newer, too. */
  newerRunDates: string[];
  /** What the golden rule found, one copy for each wiki. */
  copies: readonly StayingCopy[];
}

/** How much stays for one kind of reason. */
export interface KeptCount {
  rule: KeepRule;
  sets: number;
  files: number;
  sizeBytes: number;
}

/** What a prune would do. */
export interface PrunePlan {
  neededBytes: number;
  plannedBytes: number;
  /** In the order in which they go. */
  removed: RemovedSet[];
  /** Every other set of which something is held, by wiki, source, type and run; empty unless asked for. */
  kept: KeptSet[];
  /** The same, counted; the largest first. */
  keptCounts: KeptCount[];
  /** Files whose proof at the archive is too old; a fresh one would put their sets before others, or allow them to go. */
  toProve: { file: { id: number }; wikiDbName: string; runDate: string }[];
}

/**
 * Decides what goes when room is needed, and why everything else stays. Pure but for the questions of `facts`, which are asked
 * about what would go. A set (one dump type of one run) goes as a whole or not at all, and only when a newer run's set of the same wiki,
 * source and type is held whole and verified; it stops as soon as enough bytes are planned.
 * @param options.isDetailed also lists what stays, each with its reason
 * @param options.beforeBytes are freed before any set goes; they count as planned
 */
export function planPrune(
  facts: PruneFacts,
  policy: PrunePolicy,
  { isDetailed = true, beforeBytes = 0 }: { isDetailed?: boolean; beforeBytes?: number } = {},
): PrunePlan {
  const { lines } = groupFiles(facts);
  const age = { now: facts.now, remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs };
  const kept: KeptSet[] = [];
  const counts = new Map<KeepRule, KeptCount>();
  const keep = (set: PruneSet, rule: KeepRule, reason: () => string): void => {
    let count = counts.get(rule);
    if (count === undefined) {
      count = { rule, sets: 0, files: 0, sizeBytes: 0 };
      counts.set(rule, count);
    }
    count.sets += 1;
    count.files += set.heldFiles;
    count.sizeBytes += set.heldBytes;
    if (isDetailed) kept.push({ set, action: 'keep', rule, reason: reason() });
  };
  const candidates: Candidate[] = [];
  for (const line of lines) judgeLine(line, { facts, policy, keep, candidates });

  const plan: PrunePlan = {
    ...{ neededBytes: policy.neededBytes, plannedBytes: beforeBytes },
    ...{ removed: [], kept, keptCounts: [], toProve: [] },
  };
  const toProve = new Map<number, PrunePlan['toProve'][number]>();
  const removedIds = new Set<number>();
  const isEnough = (): boolean => plan.plannedBytes >= policy.neededBytes;
  for (const candidate of inOrder(candidates, policy, isEnough)) {
    const { set, newer, second, rule } = candidate;
    const { wikiDbName, runDate } = set;
    if (isEnough()) {
      keep(set, 'not_needed', () => notNeeded(policy, rule));
      continue;
    }
    if (candidate.isProofOld)
      for (const file of set.files) if (file.isHeld) toProve.set(file.id, { file, wikiDbName, runDate });
    const { family } = set;
    const own = set.files.filter(({ isHeld }) => isHeld);
    for (const { id } of own) removedIds.add(id);
    const verdict = goldenVerdict(family, { ids: removedIds, wikis: new Set([wikiDbName]) }, age);
    const refusal = verdict.isAllowed
      ? whyNotFreed(own, facts)
      : { rule: 'golden_rule' as const, reason: verdict.reason };
    if (!verdict.isAllowed || refusal !== null) {
      for (const { id } of own) removedIds.delete(id);
      if (refusal !== null) keep(set, refusal.rule, () => refusal.reason);
      if (!verdict.isAllowed)
        for (const old of oldProofs(family, wikiDbName, age)) toProve.set(old.file.id, old);
      continue;
    }
    plan.plannedBytes += set.heldBytes;
    plan.removed.push({
      ...{ set, action: 'remove', rule, newer, copies: verdict.copies },
      reason: reasonOf(candidate, policy),
      newerRunDates: second === null ? [newer.runDate] : [newer.runDate, second.runDate],
    });
  }
  kept.sort((a, b) => byPlace(a.set, b.set));
  plan.keptCounts = [...counts.values()].sort((a, b) => b.sizeBytes - a.sizeBytes);
  plan.toProve = [...toProve.values()];
  return plan;
}

interface Judging {
  facts: PruneFacts;
  policy: PrunePolicy;
  keep: (set: PruneSet, rule: KeepRule, reason: () => string) => void;
  candidates: Candidate[];
}

/** The newest whole verified set of a line stays, and so does everything newer; what is older may go. */
function judgeLine(line: PruneLine, judging: Judging): void {
  const { facts, policy, keep, candidates } = judging;
  const isAnyWhole = line.some(({ isWhole }) => isWhole);
  let newer: PruneSet | null = null;
  let second: PruneSet | null = null;
  for (const set of line) {
    const what = (): string => `${set.dumpType} of ${set.wikiDbName} (${set.source})`;
    if (set.heldFiles > 0) {
      const protection = whyProtected(set.family, set.wikiDbName);
      if (protection !== null) keep(set, 'protected', () => protection);
      else if (!isAnyWhole) keep(set, 'no_whole_set', () => `no whole verified set of ${what()} is held`);
      else if (newer === null && set.isWhole)
        keep(set, 'newest', () => `newest whole verified set of ${what()}`);
      else if (newer === null)
        keep(set, 'newer', () => `newer than the last whole verified set of ${what()}, and ${lackOf(set)}`);
      else {
        const why = whyKept(set, facts, policy);
        if (why !== null) keep(set, why.rule, () => why.reason);
        else candidates.push(classify({ set, newer, second }, facts, policy));
      }
    }
    if (!set.isWhole) continue;
    if (newer === null) newer = set;
    else second ??= set;
  }
}

function lackOf(set: PruneSet): string {
  const held = set.files.filter(({ isHeld }) => isHeld);
  if (!set.isComplete) return 'its run is not complete';
  if (held.length < set.files.length) return `${set.files.length - held.length} of its files are not held`;
  if (held.some(({ isDamaged }) => isDamaged)) return 'damaged';
  if (held.some(({ isContested }) => isContested)) return 'changed upstream since';
  return 'no hash proved it';
}

type Why = { rule: KeepRule; reason: string };

/** What the files, their cycle and their jobs say against it. */
function whyKept(set: PruneSet, facts: PruneFacts, policy: PrunePolicy): Why | null {
  const cycle = facts.cycles.get(set.cycleDate);
  if (cycle === undefined) return { rule: 'cycle', reason: `nothing is known of its cycle ${set.cycleDate}` };
  if (!cycle.isPublished) return { rule: 'cycle', reason: `its cycle ${set.cycleDate} is not published yet` };
  if (cycle.isBusy) return { rule: 'busy', reason: `a torrent of its cycle ${set.cycleDate} is being made` };
  const isLate = cycle.takesFilesUntil === null || cycle.takesFilesUntil > facts.now;
  for (const file of set.files) {
    if (!file.isHeld) continue;
    const work = facts.busy.get(file.id);
    if (work !== undefined) return { rule: 'busy', reason: work };
    if (policy.uploadsEnabled && file.archivedAt === null && !file.isRefused)
      return { rule: 'awaits_upload', reason: 'it waits for its upload to the Internet Archive' };
    if (!file.isIncluded && isLate)
      return { rule: 'awaits_supplement', reason: 'it waits for a supplement of its cycle' };
  }
  return null;
}

/** What the disk says against it: nothing would be freed, or it is not what was recorded. */
function whyNotFreed(files: readonly SetFile[], facts: PruneFacts): Why | null {
  for (const file of files) {
    const look = facts.look(file);
    if (look === null) return { rule: 'not_on_disk', reason: 'a file of it is not where it is recorded' };
    if (!look.isFile || look.sizeBytes !== file.sizeBytes)
      return { rule: 'not_on_disk', reason: 'a file of it is not what was recorded' };
    if (look.linkCount > look.ownLinks)
      return {
        rule: 'linked_elsewhere',
        reason: 'a file of it has another name outside our folders, so nothing would be freed',
      };
  }
  return null;
}

function notNeeded({ neededBytes }: PrunePolicy, rule: RemovalRule): string {
  return neededBytes <= 0
    ? `no room is needed; else it could go (${rule})`
    : `enough goes before it; the next time it could go (${rule})`;
}

/** What a fresh look at the archive might turn into a copy that stays. */
function oldProofs({ textSets }: PruneFamily, wikiDbName: string, age: ProofAge): PrunePlan['toProve'] {
  return textSets
    .filter((set) => set.wikiDbName === wikiDbName)
    .flatMap(({ files, runDate }) => files.map((file) => ({ file, wikiDbName, runDate })))
    .filter(({ file }) => file.archivedAt !== null && !isFreshProof(file.archivedAt, age));
}
