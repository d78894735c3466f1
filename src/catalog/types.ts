import type { schema } from '../db/index.ts';
import type { DumpFileId, TorrentId } from '../lib/index.ts';

/** One row of `wikis`. */
export type Wiki = typeof schema.wikis.$inferSelect;
/** One row of `dump_runs`. */
export type DumpRun = typeof schema.dumpRuns.$inferSelect;
/** One row of `cycles`. */
export type Cycle = typeof schema.cycles.$inferSelect;
/** How far a cycle is; the moves are drawn in docs/state-machine.md. */
export type CycleStatus = 'open' | 'sealed' | 'torrented' | 'seeding' | 'published';
/**
 * pending: to be fetched; downloading: a job is at it; downloaded: proved and held; uploading, uploaded: on its way to, and
 * verified at, the Internet Archive; included: in a torrent of its cycle; failed: upstream has it no more; quarantined: its
 * bytes never matched the published hashes; deleted: pruned, with a tombstone.
 */
export type DumpStatus =
  | 'pending'
  | 'downloading'
  | 'downloaded'
  | 'uploading'
  | 'uploaded'
  | 'included'
  | 'failed'
  | 'quarantined'
  | 'deleted';
/** Which hash of upstream's proved the bytes, or that only their container was checked. */
export type Verification = 'sha1' | 'md5' | 'sha256-upstream' | 'structure-only';

/** Verified and on our disk, whatever came later. */
export const HELD_STATUSES: readonly DumpStatus[] = ['downloaded', 'uploading', 'uploaded', 'included'];

/** One row of `dumps`, times in epoch ms. */
export type DumpFile = Omit<typeof schema.dumps.$inferSelect, 'id' | 'ourStatus' | 'verification'> & {
  id: DumpFileId;
  ourStatus: DumpStatus;
  verification: Verification | null;
};

/** One row of `torrents`; lists are parsed. */
export type Torrent = Omit<typeof schema.torrents.$inferSelect, 'id' | 'trackers' | 'webseeds'> & {
  id: TorrentId;
  trackers: string[];
  webseeds: string[];
};

/** What discovery knows of a wiki. */
export interface WikiFacts {
  wikiDbName: string;
  project: string;
  language: string;
  url: string;
  name: string;
  isClosed: boolean;
  isPrivate: boolean;
  isFishbowl: boolean;
}

/** A configured dump type that a run does not give us, and why; ends up in STATUS. */
export interface RunNotice {
  dumpType: string;
  reason: string;
}

/** A file that belongs to the expected set of a cycle. */
export interface ExpectedFile {
  dumpType: string;
  filename: string;
  isHistory: boolean;
  sizeBytes: number;
  upstreamMd5: string | null;
  upstreamSha1: string | null;
  wikimediaUrl: string;
  wikimediaStatus: string;
  /** Epoch ms, null when upstream names no time. */
  wikimediaDate: number | null;
}

/** One look at one wiki's run. */
export interface RunFacts {
  wikiDbName: string;
  cycleDate: string;
  runDate: string;
  status: 'absent' | 'in_progress' | 'finished';
  notices: RunNotice[];
  files: ExpectedFile[];
  /** The status document, as received or as it stood in `index.json`; null when there was none. */
  statusText: string | null;
}

/** What a download proved. */
export interface DownloadFacts {
  md5: string;
  sha1: string;
  sha256: string;
  sizeBytes: number;
  verification: Verification;
  /** Relative to the data directory. */
  localPath: string;
  fetchedFromUrl: string;
  /** SHA-1 of each piece of `pieceLength` bytes from the file's own start, 20 bytes each; the last one is short. */
  pieceHashes: { pieceLength: number; sha1s: Buffer } | null;
}

/** A finished torrent, to be recorded. */
export interface TorrentFacts {
  name: string;
  grouping: 'cycle' | 'wiki_run' | 'project' | 'language';
  cycleDate: string;
  isHistory: boolean;
  infoHash: string;
  magnetLink: string;
  totalSizeBytes: number;
  fileCount: number;
  pieceLength: number;
  pieceCount: number;
  torrentFilePath: string;
  contentPath: string;
  trackers: string[];
  webseeds: string[];
  files: { dumpId: DumpFileId; pathInTorrent: string; sizeBytes: number }[];
}

/** Where a cycle stands, counted from the tables. */
export interface CycleProgress {
  isScanned: boolean;
  runsTotal: number;
  runsUnfinished: number;
  filesExpected: number;
  filesSettled: number;
  filesFailed: number;
  filesHeld: number;
  /** In a torrent. */
  filesIncluded: number;
  /** Held, and seen at the Internet Archive. */
  filesArchived: number;
  filesDeleted: number;
  bytesExpected: number;
  bytesHeld: number;
}

/**
 * The ledger of wikis, cycles, dump runs, dump files and torrents; sole owner of those tables. Every method is synchronous
 * and joins a running transaction. Writers name the move they make; a move that the state does not allow throws AssertionError.
 */
export interface Catalog {
  /** Inserts and updates; a wiki that is no longer listed is marked vanished, never removed. */
  recordWikis(list: readonly WikiFacts[]): { added: number; vanished: number };
  /** Sorted by name. */
  wikis(): Wiki[];

  openCycle(cycle: { cycleDate: string; includesHistory: boolean; deadlineAt: number }): boolean;
  cycle(cycleDate: string): Cycle | null;
  /** Newest first. */
  cycles(): Cycle[];
  /** Marks that every wiki was looked at once. */
  markScanned(cycleDate: string): void;
  progress(cycleDate: string): CycleProgress;
  /**
   * Moves an open cycle to sealed when it is settled and something of it is held, or when `force` (deadline) and every wiki
   * was looked at once. True when it moved.
   */
  sealIfSettled(cycleDate: string, options?: { force?: boolean }): boolean;
  /** torrented, seeding and published follow in that order; repeating one is a no-op. */
  advanceCycle(cycleDate: string, to: 'torrented' | 'seeding' | 'published'): void;

  /** Records one look at a run; returns the ids of all its files that should be fetched now: those with a hash that are not held. */
  recordRun(facts: RunFacts): DumpFileId[];
  runs(cycleDate: string): DumpRun[];
  run(wikiDbName: string, runDate: string): DumpRun | null;

  dumpFile(id: DumpFileId): DumpFile | null;
  /** Sorted by wiki, then file name. */
  dumpFiles(cycleDate: string): DumpFile[];
  pieceHashes(id: DumpFileId): { pieceLength: number; sha1s: Buffer } | null;
  markDownloading(id: DumpFileId): void;
  recordDownloaded(id: DumpFileId, facts: DownloadFacts): void;
  /**
   * `failed`: upstream has it no more; `quarantined`: its bytes never matched; `pending`: it could not be fetched now, and
   * the next look asks again.
   */
  recordNotDownloaded(id: DumpFileId, state: 'pending' | 'failed' | 'quarantined', message: string): void;
  /** A held file turned out missing or damaged on disk: forgets our copy, so that it is fetched again. */
  reopenDumpFile(id: DumpFileId, reason: string): void;
  /**
   * Files that should be fetched now, also those a dead process left: of open cycles all that upstream gives a hash for, of
   * others only those that were held once and were reopened.
   */
  filesToDownload(): { id: DumpFileId; sizeBytes: number; cycleDate: string }[];
  /** Held files the Internet Archive is not known to have and has not refused, of every cycle. */
  filesToUpload(): { id: DumpFileId; cycleDate: string }[];
  /** Whether anything is held for the regular and for the history torrent of a cycle. */
  heldVariants(cycleDate: string): { regular: boolean; history: boolean };
  /** Bytes of all held files. */
  heldBytes(): number;
  markUploading(id: DumpFileId): void;
  /**
   * Notes the item that a file is sent to, before its last byte leaves: whoever finds the note without a verified upload
   * asks the archive first. null: nothing was taken.
   */
  noteSending(id: DumpFileId, iaIdentifier: string | null): void;
  recordUploaded(id: DumpFileId, facts: { iaIdentifier: string; iaUrl: string }): void;
  /** `isFinal`: the archive will never take it; it is not asked again. */
  recordNotUploaded(id: DumpFileId, message: string, isFinal: boolean): void;

  recordTorrent(facts: TorrentFacts): TorrentId;
  torrent(id: TorrentId): Torrent | null;
  torrentsOfCycle(cycleDate: string): Torrent[];
  /** Newest cycle first, then by name. */
  torrents(): Torrent[];
  /** Torrents with files that were lost, fetched again and are all held now: their folders lack them. */
  torrentsToMakeAgain(cycleDate: string): Torrent[];
  torrentFiles(id: TorrentId): { dump: DumpFile; pathInTorrent: string; sizeBytes: number }[];
  markSeeding(id: TorrentId): void;
  markPublished(id: TorrentId, torrentUrl: string | null): void;
}
