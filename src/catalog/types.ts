import type { schema } from '../db/index.ts';
import type { DumpFileId, TorrentId } from '../lib/index.ts';
import type { ArchivedFile, Deletion, DeletionFacts, OpenDeletion } from './deletion-store.ts';
import type { HeldCatalog } from './held-store.ts';

/** One row of `wikis`. */
export type Wiki = typeof schema.wikis.$inferSelect;
/** One row of `dump_runs`. */
export type DumpRun = Omit<typeof schema.dumpRuns.$inferSelect, 'source' | 'status'> & {
  source: SourceName;
  status: RunStatus;
};
/** absent: upstream has no such run and will not make one, or has removed it; in_progress: not begun or not settled; finished: it will not change by itself. */
export type RunStatus = 'absent' | 'in_progress' | 'finished';
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
/** A family of dumps at the origin, with its own place, calendar and kind of description. */
export type SourceName = (typeof SOURCE_NAMES)[number];
/** Every source; the words are stored. */
export const SOURCE_NAMES = ['classic', 'content_current', 'content_history'] as const;
/** The hashes that upstream publishes; which of them, is up to the source and the day. */
export type HashAlgorithm = 'md5' | 'sha1' | 'sha256';
/** Hashes by algorithm, lower-case hex; an algorithm that upstream does not give is absent. */
export type UpstreamHashes = Readonly<Partial<Record<HashAlgorithm, string>>>;
/** Which hash of upstream's proved the bytes, or that only their container was checked. */
export type Verification = 'sha1' | 'md5' | 'sha256-upstream' | 'structure-only';

/** Verified and on our disk, whatever came later. */
export const HELD_STATUSES: readonly DumpStatus[] = ['downloaded', 'uploading', 'uploaded', 'included'];

/** The types of which one is enough to read a wiki: a verified set of one of them is a copy of its project+language. */
export const TEXT_TYPES: readonly string[] = ['pages-articles', 'pages-meta-current', 'pages-meta-history'];

/** One row of `dumps`, times in epoch ms. */
export type DumpFile = Omit<
  typeof schema.dumps.$inferSelect,
  'id' | 'source' | 'ourStatus' | 'verification'
> & {
  id: DumpFileId;
  source: SourceName;
  ourStatus: DumpStatus;
  verification: Verification | null;
};

/** One row of `torrents`; lists are parsed. */
export type Torrent = Omit<typeof schema.torrents.$inferSelect, 'id' | 'trackers' | 'webseeds'> & {
  id: TorrentId;
  trackers: string[];
  webseeds: string[];
};

/** A file that should be fetched, with what its place in the order of work depends on. */
export interface WantedFile {
  id: DumpFileId;
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  dumpType: string;
  sizeBytes: number;
  cycleDate: string;
}

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
  /** `*`: the whole run. */
  dumpType: string;
  reason: string;
  /** Rows of earlier versions have none, and neither has what is said of a whole run: see `noticeKind`. */
  kind?: NoticeKind | undefined;
}

/** What matters most comes first. */
export const NOTICE_KINDS = ['failed', 'lacking', 'refused', 'waiting', 'skipped', 'not_offered'] as const;
/**
 * failed: its job failed upstream; lacking: upstream says that it is done, but files are missing; refused: its address is not
 * what it must be; waiting: upstream is still at it; skipped: left out of this run by upstream; not_offered: this wiki has none.
 */
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** A file that belongs to the expected set of a cycle. */
export interface ExpectedFile {
  dumpType: string;
  filename: string;
  isHistory: boolean;
  sizeBytes: number;
  hashes: UpstreamHashes;
  wikimediaUrl: string;
  wikimediaStatus: string;
  /** Epoch ms, null when upstream names no time. */
  wikimediaDate: number | null;
}

/** One look at one wiki's run. */
export interface RunFacts {
  wikiDbName: string;
  source: SourceName;
  cycleDate: string;
  /** As upstream writes it. */
  runDate: string;
  status: RunStatus;
  notices: readonly RunNotice[];
  /** Finished, but a rerun on the old date may still bring what failed. Default false. */
  mayChange?: boolean;
  files: readonly ExpectedFile[];
  /** Every name the run lists, wanted or not: a held file that is not among them was withdrawn. null: no list was read. */
  listedNames: ReadonlySet<string> | null;
  /** The description of the run, as the source gave it; null when there was none: the last one stays. */
  document: RunDocument | null;
}

/** A run's description, kept so that it can be judged again without asking upstream. */
export interface RunDocument {
  /** JSON. */
  text: string;
  /** Of the run's own document; null when it came as part of another one. */
  etag: string | null;
  lastModified: string | null;
}

/** What a look at a run changed. */
export interface RunChanges {
  /** Files that should be fetched now: those with a hash that are not held. */
  wanted: DumpFileId[];
  /** Held files that upstream published anew, or lists no more, since the last look. */
  replaced: { id: DumpFileId; filename: string; kind: 'replaced' | 'withdrawn' }[];
}

/** What upstream says now of a file whose older bytes we hold. */
export type Replacement =
  | { kind: 'replaced'; sizeBytes: number; hashes: UpstreamHashes }
  | { kind: 'withdrawn' };

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
  /** Modification time of the stored file, in ms as the file system gives it; null or absent when nobody looked. */
  storedMtimeMs?: number | null;
}

/** A finished torrent, to be recorded. */
export interface TorrentFacts {
  name: string;
  grouping: 'cycle' | 'wiki_run' | 'project' | 'language';
  cycleDate: string;
  isHistory: boolean;
  /** 0 = the cycle's own torrent; 1, 2, … = what settled later. */
  supplement: number;
  /** Form of the added text files; it is kept when the torrent is made again. */
  payloadVersion: string;
  infoHash: string;
  magnetLink: string;
  /** With padding. */
  totalSizeBytes: number;
  /** Without padding files. */
  fileCount: number;
  pieceLength: number;
  pieceCount: number;
  /** Dump files of at least so many bytes begin on a piece, each followed by padding; null or absent = all files lie end to end. */
  alignFilesFromBytes?: number | null;
  torrentFilePath: string;
  contentPath: string;
  trackers: string[];
  webseeds: string[];
  files: {
    dumpId: DumpFileId;
    pathInTorrent: string;
    sizeBytes: number;
    /** As its texts say; null in torrents of payload 1.0. */
    verification: Verification | null;
  }[];
  /** What it does not carry, as its STATUS says. */
  gaps: readonly TorrentGap[];
}

/** Something expected that a torrent does not carry, as it stood when the torrent was made. */
export interface TorrentGap {
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  dumpType: string;
  /** null: the whole dump type of that run. */
  filename: string | null;
  sizeBytes: number | null;
  state: 'not_included' | 'failed_upstream' | 'missing' | 'quarantined' | 'not_offered';
  reason: string;
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
export interface Catalog extends HeldCatalog {
  /** Inserts and updates; a wiki that is no longer listed is marked vanished, never removed. */
  recordWikis(list: readonly WikiFacts[]): { added: number; vanished: number };
  /** Notes that upstream's index or listings name these wikis as dumped. Unknown names are ignored. */
  noteDumped(wikiDbNames: readonly string[]): void;
  /** Notes the oldest run date (`YYYYMMDD`) that upstream lists for a wiki: it tells how long runs are kept. */
  noteOldestRun(wikiDbName: string, runDate: string): void;
  /** Pages of each wiki according to Wikistats. Unknown names are ignored. */
  recordPageCounts(counts: ReadonlyMap<string, number>): void;
  /** Sorted by name. */
  wikis(): Wiki[];
  /** True when a whole set of text files of any run is held, or verified at the Internet Archive. */
  isCovered(wikiDbName: string): boolean;

  openCycle(cycle: { cycleDate: string; includesHistory: boolean; deadlineAt: number }): boolean;
  cycle(cycleDate: string): Cycle | null;
  /** Newest first. */
  cycles(): Cycle[];
  /** True while it is open, and for four weeks after it was sealed: what settles then goes into a supplement. */
  takesFiles(cycleDate: string): boolean;
  /** True when a file of it may still be fetched, or a run may still bring some. */
  hasUnsettled(cycleDate: string): boolean;
  /** True when a look may still find something: it is unsettled, or something of it failed upstream and may be run again. */
  mayBringMore(cycleDate: string): boolean;
  /** Whether it holds files that no regular, or no history torrent of it carries, although they belong there. */
  lateVariants(cycleDate: string, historyTypes: readonly string[]): { regular: boolean; history: boolean };
  /** Nothing more is awaited: files that were not had end as failed, descriptions of runs are removed. Idempotent. */
  closeLateWindow(cycleDate: string): void;
  /** Moves the deadline of an open cycle on, once: it was not looked at when its time ran out. @returns false when that was done before */
  postponeDeadline(cycleDate: string, deadlineAt: number): boolean;
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

  /**
   * Records one look at a run. What is not listed any more leaves the expected set, unless the run itself is gone or not
   * wanted any more: then its files end as failed, with the first notice as the reason. A held file that upstream published
   * anew keeps its bytes and gets a `replacement`, which is fetched while its cycle is open.
   */
  recordRun(facts: RunFacts): RunChanges;
  /**
   * Notes that a run was looked at and is as it was. What could not be had before is asked for again, as at any look.
   * @returns files that should be fetched now and were given up long enough ago
   */
  touchRun(run: { wikiDbName: string; source: SourceName; runDate: string }): DumpFileId[];
  /** Notes that the description of a run was read, and was as before. */
  noteRead(run: { wikiDbName: string; source: SourceName; runDate: string }): void;
  /** True when upstream answered 404 for a file of the run that it lists. */
  lacksFiles(run: { wikiDbName: string; source: SourceName; runDate: string }): boolean;
  /** True when a file of the run waits for a hash. */
  lacksHashes(run: { wikiDbName: string; source: SourceName; runDate: string }): boolean;
  /** Wikis with a run of this cycle and source that is not settled, or has files that are not. */
  unsettledWikis(cycleDate: string, source: SourceName): string[];
  /** The same, and those with files that were given up, or that upstream published anew: what a look may bring back. */
  restlessWikis(cycleDate: string, source: SourceName): Set<string>;
  /** Sorted by wiki, then source. */
  runs(cycleDate: string): DumpRun[];
  run(wikiDbName: string, runDate: string, source?: SourceName): DumpRun | null;
  /** The last description of a run that could be read; null before the first. */
  runDocument(runId: number): RunDocument | null;
  /** True when the last description of a run was this very one, by text and validators: it need not be judged again. */
  isLastDocument(
    run: { wikiDbName: string; source: SourceName; runDate: string },
    document: RunDocument,
  ): boolean;
  /** The same without its text. */
  runDocumentFacts(runId: number): (Omit<RunDocument, 'text'> & { askedAt: number | null }) | null;

  dumpFile(id: DumpFileId): DumpFile | null;
  /** Sorted by wiki, then file name. */
  dumpFiles(cycleDate: string): DumpFile[];
  pieceHashes(id: DumpFileId): { pieceLength: number; sha1s: Buffer } | null;
  markDownloading(id: DumpFileId): void;
  recordDownloaded(id: DumpFileId, facts: DownloadFacts): void;
  /** What upstream says now of a held file, when that is something else; null: nothing else. */
  replacement(id: DumpFileId): Replacement | null;
  /** The new bytes of a replaced file lie where the old ones lay. No-op when there is no replacement any more. */
  recordReplaced(id: DumpFileId, facts: DownloadFacts): void;
  /**
   * `failed`: upstream has it no more; `quarantined`: its bytes never matched; `pending`: it could not be fetched now, and
   * the next look asks again.
   */
  recordNotDownloaded(id: DumpFileId, state: 'pending' | 'failed' | 'quarantined', message: string): void;
  /**
   * Upstream answers 404 for a file that it lists. The first time that may be a bad day, so it stays pending; it ends as
   * failed when the same is said on another day.
   */
  recordMissing(id: DumpFileId, message: string): void;
  /** The new bytes of a held file could not be had; they are asked for again after a while, or when upstream changes them. */
  recordNotReplaced(id: DumpFileId): void;
  /** True when the deadline is so near that a file without any published hash is taken for what it is. */
  mayGoWithoutHash(cycleDate: string): boolean;
  /** True when the deadline is so near, or over, that what is there complete is taken instead of what is preferred and may still come. */
  takesNextBest(cycleDate: string): boolean;
  /** Where each file of a run stands that was ever expected; in no order. */
  fileStates(run: {
    wikiDbName: string;
    source: SourceName;
    runDate: string;
  }): { filename: string; ourStatus: DumpStatus }[];
  /** A held file turned out missing or damaged on disk: forgets our copy, so that it is fetched again. */
  reopenDumpFile(id: DumpFileId, reason: string): void;
  /**
   * Files that should be fetched now, also those a dead process left, of open cycles and of those that still take late
   * files: all that upstream gives a hash for, and shortly before the deadline also those without one; of open cycles also
   * what was published anew. Of other cycles only what was held once and was reopened.
   * @param except files that are left out: tens of thousands wait for weeks, and to read them all takes 0.1 s
   */
  filesToDownload(cycleDate?: string, except?: readonly number[]): WantedFile[];
  /** The same of one run. */
  filesOfRun(run: { wikiDbName: string; source: SourceName; runDate: string }): WantedFile[];
  /** Held files the Internet Archive is not known to have and has not refused, of every cycle. */
  filesToUpload(): { id: DumpFileId; cycleDate: string }[];
  /** Whether anything is held for the regular and for the history torrent of a cycle. */
  heldVariants(cycleDate: string): { regular: boolean; history: boolean };
  /** Bytes of all held files. Reads every row: for a few hundred thousand of them `heldSlice`, in turns. */
  heldBytes(): number;
  /** Bytes of the held ones among the next `count` files after that id, in the order of ids. `lastId` null = there are none. */
  heldSlice(afterId: number, count: number): { heldBytes: number; lastId: number | null };
  /** All files of a run, and whether their bytes are still to come: pending, downloading, damaged, or held and published anew. */
  partsOfRun(run: {
    wikiDbName: string;
    source: SourceName;
    runDate: string;
  }): { id: number; filename: string; isToCome: boolean }[];
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
  /** What a recorded torrent does not carry; empty for torrents of earlier versions. */
  torrentGaps(id: TorrentId): TorrentGap[];
  /** Torrents with files that were lost, fetched again and are all held now: their folders lack them. */
  torrentsToMakeAgain(cycleDate: string): Torrent[];
  torrentFiles(id: TorrentId): {
    dump: DumpFile;
    pathInTorrent: string;
    sizeBytes: number;
    verification: Verification | null;
  }[];
  /** Files of a cycle that its regular, or its history, torrents carry, each with the first torrent that does. */
  carriedFiles(cycleDate: string, isHistory: boolean): Map<DumpFileId, TorrentId>;
  /** `replacement` of every file of a cycle that has one. */
  replacements(cycleDate: string): Map<DumpFileId, Replacement>;
  markSeeding(id: TorrentId): void;
  markPublished(id: TorrentId, torrentUrl: string | null): void;

  /**
   * Decides deletions: a tombstone for each file that is held, the file counts as deleted from here on, and every torrent that
   * carries it is retired. Its bytes are removed by the caller, once this is committed; `local_path` stays until then.
   */
  beginDeletions(files: readonly DeletionFacts[]): { count: number; retired: TorrentId[] };
  /** The last name of a file is gone. */
  finishDeletion(id: number): void;
  /** It is not carried out: the file has its earlier state again. @returns torrents that lack nothing any more and are retired no more */
  takeBackDeletion(id: number): TorrentId[];
  /** Decided and not recorded as done, oldest first. */
  openDeletions(): OpenDeletion[];
  /** Tombstones, newest first. */
  deletions(filter: { wikiDbName?: string | null; limit: number }): Deletion[];
  /** Files of a run that an item of the Internet Archive was last seen to have. */
  archivedFiles(item: { iaIdentifier: string; wikiDbName: string; runDate: string }): ArchivedFile[];
  /** The archive's metadata agrees again. */
  recordRemoteProof(id: DumpFileId): void;
  /** The archive does not have what it had: it is to be uploaded again. @returns false when nobody believed it any more */
  recordRemoteLie(id: DumpFileId, message: string): boolean;
}
