import type { Inode, SmallDisk } from './pruning-disk.ts';

/** One file of a run as the world knows it. */
export interface TrueFile {
  id: number;
  filename: string;
  /** Absolute, under `dumps/`. */
  path: string;
  sizeBytes: number;
  /** Which bytes upstream publishes under that name, as far as anybody looked; null = it lists it no more. */
  toldVersion: number | null;
  /** Which bytes were fetched last; null = none, or given up. */
  heldVersion: number | null;
  /** A hash of upstream's was compared with them. */
  isProved: boolean;
  /** When those bytes were written. */
  writtenMs: number;
  /** Somebody read them and found them wrong. */
  isKnownBad: boolean;
  /** When the archive last listed exactly these bytes to somebody who asked, and has not been heard to say otherwise since. */
  saidYes: { version: number; at: number } | null;
  /** What the archive really has. */
  archived: number | null;
  /** Names in folders of torrents. */
  links: Set<string>;
  /** Our own process took its name under `dumps/` away. */
  isRemoved: boolean;
}

/** All files of one dump type of one run. */
export interface TrueSet {
  wiki: string;
  label: string;
  source: string;
  runDate: string;
  cycle: string;
  type: string;
  isFinished: boolean;
  isLacking: boolean;
  files: TrueFile[];
}

/** What upstream's site matrix says of a wiki, as far as we looked. */
export interface TrueWiki {
  name: string;
  project: string;
  language: string;
  isClosed: boolean;
  isPrivate: boolean;
  isListed: boolean;
}

/** What truly is, kept by whoever makes it so. */
export interface Ledger<Set extends TrueSet = TrueSet> {
  wikis: Map<string, TrueWiki>;
  sets: Set[];
  /** By path under `dumps/`. */
  files: Map<string, TrueFile>;
  disk: SmallDisk;
  /** What the wall clock shows. */
  now: () => number;
  /** `storage.remote_proof_max_age`, as set now. */
  proofMaxAgeMs: number;
}

/** A wiki's whole text may be read from one of these. */
const TEXTS = new Set(['pages-articles', 'pages-meta-current', 'pages-meta-history']);

/** The word that stands for the bytes of a file. */
export const bytesOf = (file: Pick<TrueFile, 'path'>, version: number): string => `${file.path}#${version}`;

/** The bytes that were fetched are on the disk, as far as anybody can tell who does not read them again. */
export function isOnDisk(file: TrueFile, disk: SmallDisk): boolean {
  if (file.heldVersion === null || file.isKnownBad) return false;
  for (const name of [file.path, ...file.links]) {
    const inode = disk.names.get(name);
    if (inode !== undefined && looksRight(file, inode)) return true;
  }
  return false;
}

/** Right, or wrong in a way that only reading would show: same size, same time of writing. */
function looksRight(file: TrueFile, inode: Inode): boolean {
  if (inode.sizeBytes !== file.sizeBytes) return false;
  return inode.bytes === bytesOf(file, file.heldVersion ?? -1) || inode.mtimeMs === file.writtenMs;
}

const isUncontested = (file: TrueFile): boolean =>
  file.isProved && file.heldVersion !== null && file.heldVersion === file.toldVersion;

/**
 * Where a whole verified copy of a set is.
 * @param isHere what counts as being on our disk
 */
export function copyOf(
  ledger: Ledger,
  set: TrueSet,
  isHere: (file: TrueFile) => boolean = (file) => isOnDisk(file, ledger.disk),
): 'disk' | 'archive' | null {
  if (!TEXTS.has(set.type) || !set.isFinished || set.isLacking || set.files.length === 0) return null;
  if (set.files.every((file) => isUncontested(file) && isHere(file))) return 'disk';
  const now = ledger.now();
  const isAtArchive = (file: TrueFile): boolean =>
    file.saidYes !== null &&
    file.saidYes.version === file.toldVersion &&
    file.saidYes.at <= now &&
    now - file.saidYes.at <= ledger.proofMaxAgeMs;
  return set.files.every((file) => isUncontested(file) && isAtArchive(file)) ? 'archive' : null;
}

/** Wikis, and projects in one language, of which there is a whole verified copy. */
export function covered(ledger: Ledger): Set<string> {
  const names = new Set<string>();
  for (const set of ledger.sets) {
    if (names.has(set.wiki) && names.has(set.label)) continue;
    if (copyOf(ledger, set) === null) continue;
    names.add(set.wiki);
    names.add(set.label);
  }
  return names;
}
