import { type FamilyFacts, isSoundOnDisk, type TextSet, type WikiFlags } from './golden-rule.ts';
import { type PruneFacts, type PruneFile, runKey, setKey } from './prune-facts.ts';

/** All files of one dump type of one run: what is kept or removed together, since a part of it is of no use. */
export interface PruneSet {
  key: string;
  project: string;
  language: string;
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  dumpType: string;
  isText: boolean;
  /** Every expected file, held or not. */
  files: PruneFile[];
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

/** What the files amount to. */
export interface PruneSets {
  lines: PruneLine[];
  /** By project and language, see `familyKey`. */
  families: ReadonlyMap<string, PruneFamily>;
}

/** What the golden rule is asked about. */
export interface PruneFamily extends FamilyFacts {
  wikis: Map<string, WikiFlags | null>;
  textSets: (TextSet & { files: readonly PruneFile[] })[];
}

/** Names a project in one language. */
export const familyKey = ({ project, language }: { project: string; language: string }): string =>
  `${project}|${language}`;

/** Sorts files into sets, lines and families, in one pass over the files. */
export function groupFiles(facts: Pick<PruneFacts, 'files' | 'runs' | 'wikis'>): PruneSets {
  const sets = new Map<string, PruneSet>();
  for (const file of facts.files) {
    const key = setKey(file);
    let set = sets.get(key);
    if (set === undefined) {
      const { project, language, wikiDbName, source, runDate, cycleDate, dumpType, isText } = file;
      set = {
        ...{ key, project, language, wikiDbName, source, runDate, cycleDate, dumpType, isText },
        ...{ files: [], heldBytes: 0, heldFiles: 0, isComplete: false, isWhole: false },
      };
      sets.set(key, set);
    }
    set.files.push(file);
    if (!file.isHeld) continue;
    set.heldFiles += 1;
    set.heldBytes += file.sizeBytes;
  }
  const lines = new Map<string, PruneLine>();
  const families = new Map<string, PruneFamily>();
  for (const set of sets.values()) {
    const run = facts.runs.get(runKey(set));
    set.isComplete =
      run !== undefined && run.isFinished && !run.lacking.has(set.dumpType) && !run.lacking.has('*');
    set.isWhole = isSoundOnDisk(set);
    const lineKey = `${set.wikiDbName}|${set.source}|${set.dumpType}`;
    const line = lines.get(lineKey);
    if (line === undefined) lines.set(lineKey, [set]);
    else line.push(set);
    addToFamily(families, set, facts.wikis);
  }
  for (const line of lines.values()) line.sort((a, b) => compare(b.runDate, a.runDate));
  return { lines: [...lines.values()], families };
}

function addToFamily(families: Map<string, PruneFamily>, set: PruneSet, wikis: PruneFacts['wikis']): void {
  const key = familyKey(set);
  let family = families.get(key);
  if (family === undefined) {
    family = { project: set.project, language: set.language, wikis: new Map(), textSets: [] };
    families.set(key, family);
  }
  family.wikis.set(set.wikiDbName, wikis.get(set.wikiDbName) ?? null);
  if (set.isText) family.textSets.push(set);
}

/** Byte order, the same everywhere. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
