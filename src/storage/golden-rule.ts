/** What the catalog knows of a wiki, as far as deleting depends on it. */
export interface WikiFlags {
  project: string;
  language: string;
  isClosed: boolean;
  isPrivate: boolean;
  /** The site matrix names it no more. */
  isVanished: boolean;
}

/** One expected file of a text set, held or not. */
export interface CopyFile {
  id: number;
  /** Its bytes are recorded as being on our disk. */
  isHeld: boolean;
  /** A hash of upstream's proved its bytes; a check of the structure alone is none. */
  isProved: boolean;
  /** Known to be wrong or missing on disk, or about to be deleted. */
  isDamaged: boolean;
  /** Upstream published it anew, or withdrew it. */
  isContested: boolean;
  /** Epoch ms of the last time the Internet Archive's metadata agreed; null = never, or not any more. */
  archivedAt: number | null;
}

/** Every expected file of one text dump type of one run. */
export interface TextSet {
  wikiDbName: string;
  source: string;
  runDate: string;
  dumpType: string;
  /** Upstream finished the run, and nothing says that files of this type are lacking. */
  isComplete: boolean;
  files: readonly CopyFile[];
}

/** All that is known of one project in one language. */
export interface FamilyFacts {
  project: string;
  language: string;
  /** Every wiki that has files of it; null: the catalog does not know the wiki. */
  wikis: ReadonlyMap<string, WikiFlags | null>;
  /** Over all its wikis, sources and runs. */
  textSets: readonly TextSet[];
}

/** What is to be deleted from our disk. */
export interface Removal {
  ids: ReadonlySet<number>;
  /** Wikis of those files. */
  wikis: ReadonlySet<string>;
}

/** How old a proof may be, and when we are. */
export interface ProofAge {
  /** Epoch ms. */
  now: number;
  /** `storage.remote_proof_max_age`. */
  remoteProofMaxAgeMs: number;
}

/** A whole verified copy of a wiki's text that stays. */
export interface StayingCopy {
  wikiDbName: string;
  source: string;
  runDate: string;
  dumpType: string;
  where: 'disk' | 'internet_archive';
  ids: readonly number[];
}

/** The word of the golden rule: which copies stay, one for each wiki, or why nothing may go. */
export type GoldenVerdict =
  | { isAllowed: true; copies: readonly StayingCopy[] }
  | { isAllowed: false; reason: string };

/**
 * The golden rule: never delete the only verified copy of a project+language. Asked when a plan is made and again at the
 * unlink. A copy is one whole text set of one finished run, proved by hashes, that is sound on our disk or was proved at the
 * Internet Archive lately. Wikis that share a project and a language each need one of their own. What is missing or
 * contradicts itself counts against deletion.
 */
export function goldenVerdict(family: FamilyFacts, removal: Removal, age: ProofAge): GoldenVerdict {
  const copies: StayingCopy[] = [];
  for (const wikiDbName of removal.wikis) {
    const protection = whyProtected(family, wikiDbName);
    if (protection !== null) return { isAllowed: false, reason: protection };
    const copy = stayingCopy(family, wikiDbName, removal.ids, age);
    if (copy === null)
      return {
        isAllowed: false,
        reason: `golden rule: no other whole verified copy of ${wikiDbName} (${family.project}, ${family.language}) would stay`,
      };
    copies.push(copy);
  }
  return copies.length > 0
    ? { isAllowed: true, copies }
    : { isAllowed: false, reason: 'golden rule: it is not known which wiki the files belong to' };
}

/** Why files of this wiki are never deleted; null = the wiki's flags do not forbid it. */
export function whyProtected(
  { project, language, wikis }: Pick<FamilyFacts, 'project' | 'language' | 'wikis'>,
  wikiDbName: string,
): string | null {
  const flags = wikis.get(wikiDbName) ?? null;
  if (flags === null) return `nothing is known of the wiki ${wikiDbName}, so its files are protected`;
  if (flags.isVanished) return `${wikiDbName} vanished from the site matrix: protected for ever`;
  if (flags.isClosed) return `${wikiDbName} is a closed wiki: protected for ever`;
  if (flags.isPrivate) return `${wikiDbName} is private by now, so upstream dumps it no more: protected`;
  if (flags.project !== project || flags.language !== language)
    return `the catalog calls ${wikiDbName} ${flags.project} (${flags.language}) and its file ${project} (${language}): protected until that is clear`;
  return null;
}

/** The newest copy of a wiki that a removal leaves, one on our disk before one elsewhere. */
function stayingCopy(
  { textSets }: FamilyFacts,
  wikiDbName: string,
  removed: ReadonlySet<number>,
  age: ProofAge,
): StayingCopy | null {
  let best: StayingCopy | null = null;
  for (const set of textSets) {
    if (set.wikiDbName !== wikiDbName) continue;
    const where = isSoundOnDisk(set, removed)
      ? 'disk'
      : isProvedElsewhere(set, age)
        ? 'internet_archive'
        : null;
    if (where === null) continue;
    if (best !== null && !isBetter(where, set.runDate, best)) continue;
    const { source, runDate, dumpType } = set;
    best = { wikiDbName, source, runDate, dumpType, where, ids: set.files.map(({ id }) => id) };
  }
  return best;
}

function isBetter(where: StayingCopy['where'], runDate: string, best: StayingCopy): boolean {
  if (where !== best.where) return where === 'disk';
  return digits(runDate) > digits(best.runDate);
}

/** Sources write dates differently. */
const digits = (runDate: string): string => (runDate.includes('-') ? runDate.replaceAll('-', '') : runDate);

/** Every expected file is on our disk, proved and sound, and stays there. */
export function isSoundOnDisk(
  { isComplete, files }: Pick<TextSet, 'isComplete' | 'files'>,
  removed?: ReadonlySet<number>,
): boolean {
  return (
    isComplete &&
    files.length > 0 &&
    files.every(
      (file) =>
        file.isHeld &&
        file.isProved &&
        !file.isDamaged &&
        !file.isContested &&
        removed?.has(file.id) !== true,
    )
  );
}

/** Every expected file was seen at the Internet Archive lately, the same bytes that upstream's hashes proved. */
export function isProvedElsewhere(
  { isComplete, files }: Pick<TextSet, 'isComplete' | 'files'>,
  age: ProofAge,
): boolean {
  return (
    isComplete &&
    files.length > 0 &&
    files.every((file) => file.isProved && !file.isContested && isFreshProof(file.archivedAt, age))
  );
}

/** A proof from the future comes from a clock that was wrong, and proves nothing. */
export function isFreshProof(archivedAt: number | null, { now, remoteProofMaxAgeMs }: ProofAge): boolean {
  return archivedAt !== null && archivedAt <= now && now - archivedAt <= remoteProofMaxAgeMs;
}
