import { DumpFileId } from '../lib/index.ts';
import type { KeepRule, KeptSet, RemovalRule, RemovedSet } from '../storage/index.ts';

/** A set that goes, as far as the deletion needs it: everything else is read anew. */
export interface ChosenSet {
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
export function chosenOf({ set, rule, reason, newerRunDates }: RemovedSet): ChosenSet {
  const { wikiDbName, source, runDate, cycleDate, dumpType } = set;
  return {
    ...{ wikiDbName, source, runDate, cycleDate, dumpType, rule, reason, newerRunDates },
    ids: set.files.filter(({ isHeld }) => isHeld).map(({ id }) => DumpFileId.parse(id)),
    sizeBytes: set.heldBytes,
  };
}

/**
 * What people and scripts are shown of a set.
 * @param nameOf name of a file, by its id
 */
export function viewOf(
  { set, action, rule, reason }: KeptSet | RemovedSet,
  nameOf: (id: number) => string,
): SetView {
  const { wikiDbName, source, runDate, cycleDate, dumpType } = set;
  return {
    ...{ wikiDbName, source, runDate, cycleDate, dumpType, action, rule, reason },
    sizeBytes: set.heldBytes,
    files: set.files
      .filter(({ isHeld }) => isHeld)
      .map(({ id, sizeBytes }) => ({ filename: nameOf(id), sizeBytes })),
  };
}
