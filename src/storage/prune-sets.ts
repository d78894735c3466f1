import { type FamilyFacts, isSoundOnDisk, type TextSet, type WikiFlags } from './golden-rule.ts';
import { type PruneFacts, type PruneFile, runKey } from './prune-facts.ts';

/** What a set keeps of one of its files. */
export type SetFile = Pick<
  PruneFile,
  | 'id'
  | 'sizeBytes'
  | 'isHeld'
  | 'isIncluded'
  | 'isProved'
  | 'isDamaged'
  | 'isContested'
  | 'archivedAt'
  | 'isRefused'
>;

/** All files of one dump type of one run: what is kept or removed together, since a part of it is of no use. */
export interface PruneSet {
  project: string;
  language: string;
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  dumpType: string;
  isText: boolean;
  /** Every expected file, held or not. */
  files: SetFile[];
  /** Bytes that are on our disk. */
  heldBytes: number;
  heldFiles: number;
  /** Upstream finished the run and made all files of this type. */
  isComplete: boolean;
  /** Whole, proved by hashes and sound on our disk. */
  isWhole: boolean;
}

/** The sets of one wiki, source and dump type, newest run first. */
export type PruneLine = PruneSet[];

/** What the golden rule is asked about. */
export interface PruneFamily extends FamilyFacts {
  wikis: Map<string, WikiFlags | null>;
  textSets: TextSet[];
}

/** What the files amount to. */
export interface PruneSets {
  lines: PruneLine[];
  /** By project and language, see `familyKey`. */
  families: ReadonlyMap<string, PruneFamily>;
}

/** Names a project in one language. */
export const familyKey = ({ project, language }: { project: string; language: string }): string =>
  `${project}|${language}`;

/**
 * Sorts files into sets, lines and families, in one pass. Files of a run come one after the other, as a rule, so that few names
 * have to be looked up; what is kept of a file is its own copy.
 */
export function groupFiles(facts: Pick<PruneFacts, 'files' | 'runs' | 'wikis'>): PruneSets {
  const runs = new Map<string, Map<string, PruneSet>>();
  let last: { of: Pick<PruneFile, 'wikiDbName' | 'source' | 'runDate'>; sets: Map<string, PruneSet> } | null =
    null;
  for (const file of facts.files) {
    const { wikiDbName, source, runDate } = file;
    if (
      last === null ||
      last.of.runDate !== runDate ||
      last.of.wikiDbName !== wikiDbName ||
      last.of.source !== source
    ) {
      const key = runKey(file);
      const sets = runs.get(key) ?? new Map<string, PruneSet>();
      runs.set(key, sets);
      last = { of: { wikiDbName, source, runDate }, sets };
    }
    let set = last.sets.get(file.dumpType);
    if (set === undefined) {
      set = firstOf(file);
      last.sets.set(file.dumpType, set);
    } else set.files.push(copyOf(file));
    if (!file.isHeld) continue;
    set.heldFiles += 1;
    set.heldBytes += file.sizeBytes;
  }
  return arrange(runs, facts);
}

/** Most sets have one file: an array that is made with it has no room to spare, and there are hundreds of thousands. */
function firstOf(file: PruneFile): PruneSet {
  const { project, language, wikiDbName, source, runDate, cycleDate, dumpType, isText } = file;
  return {
    ...{ project, language, wikiDbName, source, runDate, cycleDate, dumpType, isText },
    files: [copyOf(file)],
    heldBytes: 0,
    heldFiles: 0,
    isComplete: false,
    isWhole: false,
  };
}

function copyOf(file: PruneFile): SetFile {
  return {
    id: file.id,
    sizeBytes: file.sizeBytes,
    isHeld: file.isHeld,
    isIncluded: file.isIncluded,
    isProved: file.isProved,
    isDamaged: file.isDamaged,
    isContested: file.isContested,
    archivedAt: file.archivedAt,
    isRefused: file.isRefused,
  };
}

function arrange(
  runs: ReadonlyMap<string, ReadonlyMap<string, PruneSet>>,
  facts: Pick<PruneFacts, 'runs' | 'wikis'>,
): PruneSets {
  const lines = new Map<string, Map<string, PruneLine>>();
  const families = new Map<string, PruneFamily>();
  for (const [key, sets] of runs) {
    const run = facts.runs.get(key);
    let own: Map<string, PruneLine> | undefined;
    let family: PruneFamily | undefined;
    for (const set of sets.values()) {
      set.isComplete = run?.isFinished === true && !run.lacking.has(set.dumpType) && !run.lacking.has('*');
      set.isWhole = isSoundOnDisk(set);
      if (own === undefined) {
        const place = `${set.wikiDbName}|${set.source}`;
        own = lines.get(place) ?? new Map<string, PruneLine>();
        lines.set(place, own);
      }
      const line = own.get(set.dumpType);
      if (line === undefined) own.set(set.dumpType, [set]);
      else line.push(set);
      if (family?.project !== set.project || family.language !== set.language)
        family = familyOf(families, set);
      if (!family.wikis.has(set.wikiDbName))
        family.wikis.set(set.wikiDbName, facts.wikis.get(set.wikiDbName) ?? null);
      if (set.isText) family.textSets.push(set);
    }
  }
  const all = [...lines.values()].flatMap((own) => [...own.values()]);
  for (const line of all) line.sort((a, b) => compare(b.runDate, a.runDate));
  return { lines: all, families };
}

function familyOf(families: Map<string, PruneFamily>, set: PruneSet): PruneFamily {
  const key = familyKey(set);
  const known = families.get(key);
  if (known !== undefined) return known;
  const { project, language } = set;
  const family: PruneFamily = { project, language, wikis: new Map(), textSets: [] };
  families.set(key, family);
  return family;
}

/** Byte order, the same everywhere. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** By wiki, source, dump type and run. */
export function byPlace(a: PruneSet, b: PruneSet): number {
  return (
    compare(a.wikiDbName, b.wikiDbName) ||
    compare(a.source, b.source) ||
    compare(a.dumpType, b.dumpType) ||
    compare(a.runDate, b.runDate)
  );
}
