import type { NoticeKind, SourceName } from '../catalog/index.ts';
import type { EpochMs } from '../ports/index.ts';

/** What one source gives a cycle. */
export interface SourceState {
  source: SourceName;
  runs: { finished: number; unfinished: number; absent: number };
  files: { expected: number; held: number; waiting: number; failed: number; deleted: number };
  bytes: { expected: number; held: number };
}

/**
 * failed, quarantined: a file that upstream has no more, or whose bytes never matched; missing: a file that the cycle was
 * sealed without. Of configured dump types: failed_upstream: its job failed; lacking: done, but files are missing; refused: its
 * address is not what it must be; skipped: left out of this run by upstream; not_offered: the wiki has none; awaited: what a
 * run that goes on does not give yet. absent: a run that is not there.
 */
export type GapKind =
  | 'failed'
  | 'quarantined'
  | 'missing'
  | 'failed_upstream'
  | 'lacking'
  | 'refused'
  | 'skipped'
  | 'not_offered'
  | 'absent'
  | 'awaited';

/** What is missing for one reason. */
export interface GapGroup {
  kind: GapKind;
  source: SourceName;
  /** `*`: whole runs. */
  dumpType: string;
  /** Names that differ from file to file are `<file>` and `<wiki>`. */
  reason: string;
  wikis: number;
  /** 0: dump types, or runs, as a whole. */
  files: number;
}

/** One thing that is missing. */
export interface Gap {
  kind: GapKind;
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  dumpType: string;
  /** null: the dump type, or the run, as a whole. */
  filename: string | null;
  reason: string;
}

/** A held file that upstream published anew, or lists no more. */
export interface ReplacedFile {
  wikiDbName: string;
  source: SourceName;
  filename: string;
  kind: 'replaced' | 'withdrawn';
  sizeBytes: number;
  /** null for a withdrawn one. */
  newSizeBytes: number | null;
  foundAt: EpochMs;
}

/** A torrent of what settled after the cycle's own torrents were made. */
export interface SupplementState {
  name: string;
  supplement: number;
  isHistory: boolean;
  fileCount: number;
  sizeBytes: number;
  createdAt: EpochMs;
}

/** The torrents of one kind that a cycle has. The kinds carry the same files, so their bytes must not be added up. */
export interface CycleTorrents {
  grouping: 'cycle' | 'wiki_run' | 'project' | 'language';
  isUncompressed: boolean;
  torrents: number;
  /** Handed to the seeder, and not retired. */
  seeding: number;
  retired: number;
  sizeBytes: number;
}

/** Everything about one cycle that the counts do not say. */
export interface CycleDetail {
  sources: SourceState[];
  /** Largest first. */
  gaps: GapGroup[];
  replaced: ReplacedFile[];
  /** Those of the whole cycle first. */
  torrents: CycleTorrents[];
  /** Of the whole cycle. */
  supplements: SupplementState[];
  /** Until when files that settle late are taken; null while the cycle is open. */
  lateUntil: EpochMs | null;
}

/** What a notice is among the gaps, of a run that is there. */
export const KIND_OF_NOTICE: Readonly<Record<NoticeKind, GapKind>> = {
  failed: 'failed_upstream',
  lacking: 'lacking',
  refused: 'refused',
  waiting: 'awaited',
  skipped: 'skipped',
  not_offered: 'not_offered',
};

/** What kinds of gaps are called. */
export const GAP_WORDS: Readonly<Record<GapKind, string>> = {
  failed: 'failed',
  quarantined: 'quarantined',
  missing: 'not fetched in time',
  failed_upstream: 'failed upstream',
  lacking: 'incomplete upstream',
  refused: 'refused',
  skipped: 'skipped upstream',
  not_offered: 'not offered',
  absent: 'no run',
  awaited: 'not there yet',
};

/** What kinds of torrents are called. */
export const GROUPING_WORDS: Readonly<Record<CycleTorrents['grouping'], string>> = {
  cycle: 'whole cycle',
  wiki_run: 'one wiki',
  project: 'one project',
  language: 'one language',
};

/** What sources are called. */
export const SOURCE_WORDS: Readonly<Record<SourceName, string>> = {
  classic: 'classic dumps',
  content_current: 'content exports, current',
  content_history: 'content exports, history',
};
