import { DumpFileId } from '../lib/index.ts';
import type { KeepRule, PlannedSet, RemovalRule, RemovedSet } from '../storage/index.ts';

/** A set that goes, as far as the deletion needs it: everything else is read anew. */
export interface ChosenSet {
  key: string;
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  dumpType: string;
  rule: RemovalRule;
  reason: string;
  /** Held files. */
  ids: DumpFileId[];
  sizeBytes: number;
  /** The newest runs that stay, one or two: what the reason names. */
  newerRunDates: string[];
}

/** How many sets stay for one kind of reason. */
export interface KeptCount {
  rule: KeepRule;
  sets: number;
  files: number;
  sizeBytes: number;
}

/** A set as `prune --dry-run` shows it. */
export interface SetView {
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  dumpType: string;
  action: 'keep' | 'remove';
  rule: KeepRule | RemovalRule;
  reason: string;
  sizeBytes: number;
  files: { filename: string; sizeBytes: number }[];
}

/** What the deletion needs of a set. */
export function chosenOf(set: RemovedSet): ChosenSet {
  const { key, wikiDbName, source, runDate, cycleDate, dumpType, rule, reason } = set;
  return {
    ...{ key, wikiDbName, source, runDate, cycleDate, dumpType, rule, reason },
    ids: set.files.filter(({ isHeld }) => isHeld).map(({ id }) => DumpFileId.parse(id)),
    sizeBytes: set.heldBytes,
    newerRunDates: set.newerRunDates,
  };
}

/** What people and scripts are shown of a set. */
export function viewOf(set: PlannedSet): SetView {
  const { wikiDbName, source, runDate, cycleDate, dumpType, action, rule, reason } = set;
  return {
    ...{ wikiDbName, source, runDate, cycleDate, dumpType, action, rule, reason },
    sizeBytes: set.heldBytes,
    files: set.files
      .filter(({ isHeld }) => isHeld)
      .map(({ filename, sizeBytes }) => ({ filename, sizeBytes })),
  };
}

/** Why things stay, counted; the largest first. */
export function countKept(kept: readonly PlannedSet[]): KeptCount[] {
  const counts = new Map<string, KeptCount>();
  for (const set of kept) {
    const rule = set.rule as KeepRule;
    const count = counts.get(rule) ?? { rule, sets: 0, files: 0, sizeBytes: 0 };
    count.sets += 1;
    count.files += set.heldFiles;
    count.sizeBytes += set.heldBytes;
    counts.set(rule, count);
  }
  return [...counts.values()].sort((a, b) => b.sizeBytes - a.sizeBytes);
}
