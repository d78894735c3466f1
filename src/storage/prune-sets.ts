import { type FamilyFacts, isSoundOnDisk, type TextSet, type WikiFlags } from './golden-rule.ts';
import { type PruneFacts, type PruneFile, type PruneRun, runKey } from './prune-facts.ts';

/*
 * Of files and sets there are hundreds of thousands at once, and most of the time of a plan went into making and moving them: what is
 * true or not are bits of one number, and what a run's sets have in common is kept once.
 */
const [HELD, INCLUDED, PROVED, DAMAGED, CONTESTED, REFUSED] = [1, 2, 4, 8, 16, 32] as const;

/** What a set keeps of one of its files. */
export class SetFile {
  readonly id: number;
  readonly sizeBytes: number;
  readonly archivedAt: number | null;
  private readonly bits: number;

  constructor(file: PruneFile) {
    this.id = file.id;
    this.sizeBytes = file.sizeBytes;
    this.archivedAt = file.archivedAt;
    this.bits =
      (file.isHeld ? HELD : 0) |
      (file.isIncluded ? INCLUDED : 0) |
      (file.isProved ? PROVED : 0) |
      (file.isDamaged ? DAMAGED : 0) |
      (file.isContested ? CONTESTED : 0) |
      (file.isRefused ? REFUSED : 0);
  }

  get isHeld(): boolean {
    return (this.bits & HELD) !== 0;
  }
  get isIncluded(): boolean {
    return (this.bits & INCLUDED) !== 0;
  }
  get isProved(): boolean {
    return (this.bits & PROVED) !== 0;
  }
  get isDamaged(): boolean {
    return (this.bits & DAMAGED) !== 0;
  }
  get isContested(): boolean {
    return (this.bits & CONTESTED) !== 0;
  }
  get isRefused(): boolean {
    return (this.bits & REFUSED) !== 0;
  }
}

/** What the sets of one run have in common. */
interface Place {
  project: string;
  language: string;
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  run: PruneRun | undefined;
  family: PruneFamily;
}

/** All files of one dump type of one run: what is kept or removed together, since a part of it is of no use. */
export class PruneSet {
  private readonly place: Place;
  readonly dumpType: string;
  readonly isText: boolean;
  /** Every expected file, held or not. */
  readonly files: SetFile[];
  /** Bytes that are on our disk. */
  heldBytes = 0;
  heldFiles = 0;
  /** Upstream finished the run and made all files of this type. */
  readonly isComplete: boolean;
  /** Whole, proved by hashes and sound on our disk. */
  isWhole = false;

  /** Most sets have one file: an array that is made with it has no room to spare. */
  constructor(place: Place, file: PruneFile) {
    const { run } = place;
    this.place = place;
    this.dumpType = file.dumpType;
    this.isText = file.isText;
    this.files = [new SetFile(file)];
    this.isComplete = run?.isFinished === true && !run.lacking.has(file.dumpType) && !run.lacking.has('*');
  }

  get project(): string {
    return this.place.project;
  }
  get language(): string {
    return this.place.language;
  }
  get wikiDbName(): string {
    return this.place.wikiDbName;
  }
  get source(): string {
    return this.place.source;
  }
  get runDate(): string {
    return this.place.runDate;
  }
  get cycleDate(): string {
    return this.place.cycleDate;
  }
  /** What the golden rule is asked about. */
  get family(): PruneFamily {
    return this.place.family;
  }
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
 * Sorts files into sets, lines and families, in one pass. Files of a run come one after the other and runs from old to new, as a
 * rule, so that few names have to be looked up; what is kept of a file is its own copy.
 */
export function groupFiles(facts: Pick<PruneFacts, 'files' | 'runs' | 'wikis'>): PruneSets {
  const lines = new Map<string, Map<string, PruneLine>>();
  const families = new Map<string, PruneFamily>();
  let place: Place | null = null;
  let own = new Map<string, PruneLine>();
  for (const file of facts.files) {
    if (place === null || !isOf(place, file)) {
      place = placeOf(file, facts, families);
      const key = `${file.wikiDbName}|${file.source}`;
      own = lines.get(key) ?? new Map<string, PruneLine>();
      lines.set(key, own);
    }
    let line = own.get(file.dumpType);
    if (line === undefined) {
      line = [];
      own.set(file.dumpType, line);
    }
    const set = addTo(line, place, file);
    if (!file.isHeld) continue;
    set.heldFiles += 1;
    set.heldBytes += file.sizeBytes;
  }
  const all: PruneLine[] = [];
  for (const ofWiki of lines.values())
    for (const line of ofWiki.values()) {
      for (const set of line) set.isWhole = isSoundOnDisk(set);
      all.push(line.reverse());
    }
  return { lines: all, families };
}

function isOf(place: Place, file: PruneFile): boolean {
  return (
    place.runDate === file.runDate &&
    place.wikiDbName === file.wikiDbName &&
    place.source === file.source &&
    place.cycleDate === file.cycleDate &&
    place.project === file.project &&
    place.language === file.language
  );
}

function placeOf(
  { project, language, wikiDbName, source, runDate, cycleDate }: PruneFile,
  facts: Pick<PruneFacts, 'runs' | 'wikis'>,
  families: Map<string, PruneFamily>,
): Place {
  const family = familyOf(families, { project, language });
  if (!family.wikis.has(wikiDbName)) family.wikis.set(wikiDbName, facts.wikis.get(wikiDbName) ?? null);
  const run = facts.runs.get(runKey({ wikiDbName, source, runDate }));
  return { project, language, wikiDbName, source, runDate, cycleDate, run, family };
}

/** Adds a file to the set of its run, in a line that has the oldest run first. */
function addTo(line: PruneSet[], place: Place, file: PruneFile): PruneSet {
  let at = line.length;
  while (at > 0 && (line[at - 1] as PruneSet).runDate > place.runDate) at -= 1;
  const known = line[at - 1];
  if (known?.runDate === place.runDate) {
    known.files.push(new SetFile(file));
    return known;
  }
  const set = new PruneSet(place, file);
  if (at === line.length) line.push(set);
  else line.splice(at, 0, set);
  if (set.isText) place.family.textSets.push(set);
  return set;
}

function familyOf(
  families: Map<string, PruneFamily>,
  { project, language }: { project: string; language: string },
): PruneFamily {
  const key = familyKey({ project, language });
  const known = families.get(key);
  if (known !== undefined) return known;
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
