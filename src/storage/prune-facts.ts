import type { WikiFlags } from './golden-rule.ts';

/** One row of `dumps`, as far as deleting depends on it; rows of files that are not held count too. */
export interface PruneFile {
  id: number;
  project: string;
  language: string;
  wikiDbName: string;
  source: string;
  /** As upstream writes it. */
  runDate: string;
  cycleDate: string;
  dumpType: string;
  sizeBytes: number;
  /** A whole set of this type is a copy of its wiki. */
  isText: boolean;
  isHeld: boolean;
  /** In a torrent of its cycle. */
  isIncluded: boolean;
  /** A hash of upstream's proved its bytes. */
  isProved: boolean;
  isDamaged: boolean;
  /** Upstream published it anew, or withdrew it. */
  isContested: boolean;
  /** Epoch ms; null = never. */
  archivedAt: number | null;
  /** The archive refused it for good. */
  isRefused: boolean;
}

/** One row of `cycles`. */
export interface PruneCycle {
  isPublished: boolean;
  /** Epoch ms until which what settles late goes into a supplement; null = it is not sealed. */
  takesFilesUntil: number | null;
  /** A torrent of it is being made. */
  isBusy: boolean;
}

/** One row of `dump_runs`. */
export interface PruneRun {
  isFinished: boolean;
  /** Dump types of which the run lacks files that upstream should have made; `*` = all. */
  lacking: ReadonlySet<string>;
}

/** What a look at the disk says of a held file. */
export interface DiskLook {
  sizeBytes: number;
  isFile: boolean;
  /** Names that share its bytes. */
  linkCount: number;
  /** How many of them are ours: under `dumps/` and in the folders of torrents. */
  ownLinks: number;
}

/** Everything a prune plan is made from. */
export interface PruneFacts {
  /** Epoch ms. */
  now: number;
  /**
   * Every file; those of the runs and wikis that are asked about must be complete. Each is looked at before the next is asked
   * for, so that one object may serve for all.
   */
  files: Iterable<PruneFile>;
  wikis: ReadonlyMap<string, WikiFlags>;
  cycles: ReadonlyMap<string, PruneCycle>;
  /** By `runKey`. */
  runs: ReadonlyMap<string, PruneRun>;
  /** What jobs that are not over do with a file, in words, by its id. */
  busy: ReadonlyMap<number, string>;
  /** Seeders of a torrent that carries the file, other than us; null = not known, or not lately. */
  otherSeeders(file: { id: number }): number | null;
  /** Asked only of files that would go; null = there is nothing under its name. */
  look(file: { id: number }): DiskLook | null;
}

/** What the operator decided. */
export interface PrunePolicy {
  /** Bytes that must go; see `bytesToFree`. */
  neededBytes: number;
  remoteProofMaxAgeMs: number;
  minSeedersBeforePrune: number;
  /** How old a count of seeders may be. */
  seedersMaxAgeMs: number;
  /** False: largest first, within a class. */
  pruneOldestFirst: boolean;
  /** Held files that the archive lacks wait for their upload. */
  uploadsEnabled: boolean;
}

/** How old a count of seeders may be, where they are counted that often: one look may fail. */
export function seedersMaxAgeMs(statsIntervalMs: number): number {
  return 2 * statsIntervalMs;
}

/** Names a run: `aawiki|classic|20261120`. None of the three has a bar. */
export function runKey(run: { wikiDbName: string; source: string; runDate: string }): string {
  return `${run.wikiDbName}|${run.source}|${run.runDate}`;
}
