import type { DumpFileId, TorrentId } from '../lib/index.ts';
import type { CycleProgress } from './cycle-progress.ts';
import type { Deletions } from './deletion-store.ts';
import type { HeldCatalog } from './held-store.ts';
import type {
  Cycle,
  DownloadFacts,
  DumpFile,
  DumpRun,
  DumpStatus,
  Replacement,
  RunChanges,
  RunDocument,
  RunFacts,
  SourceName,
  Torrent,
  TorrentFacts,
  TorrentGap,
  TorrentKind,
  Verification,
  WantedFile,
  Wiki,
  WikiFacts,
} from './types.ts';

/**
 * The ledger of wikis, cycles, dump runs, dump files and torrents; sole owner of those tables. Every method is synchronous
 * and joins a running transaction. Writers name the move they make; a move that the state does not allow throws AssertionError.
 */
export interface Catalog extends Deletions, HeldCatalog {
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
  /** Whether it holds files that no regular, or no history torrent of the whole cycle carries, although they belong there. */
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
  /** All files of one run; sorted by file name. */
  runFiles(run: { wikiDbName: string; source: SourceName; runDate: string }): DumpFile[];
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
  /** What `heldSlice` counts, of all files. Reads every row: for a few hundred thousand of them `heldSlice`, in turns. */
  heldBytes(): number;
  /**
   * Bytes that the next `count` files after that id, in the order of ids, have on disk: held ones, and those whose deletion was
   * decided and not carried out yet. `lastId` null = there are none.
   */
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

  /**
   * Writes the files of a torrent that is about to be recorded, in transactions of a few milliseconds with a pause after each;
   * nobody sees it before `recordTorrent` is called with the same facts. Files are `included` from here on.
   */
  prepareTorrent(facts: TorrentFacts): Generator<void, void>;
  /** Whole and at once; little is left to do for one that was prepared. */
  recordTorrent(facts: TorrentFacts): TorrentId;
  torrent(id: TorrentId): Torrent | null;
  torrentsOfCycle(cycleDate: string): Torrent[];
  /** Newest cycle first, then by name. */
  torrents(): Torrent[];
  /** One recorded torrent by its infohash, 40 hex digits; null = unknown. */
  torrentByInfoHash(infoHash: string): Torrent | null;
  /** What a recorded torrent does not carry; empty for torrents of earlier versions. */
  torrentGaps(id: TorrentId): TorrentGap[];
  /** Torrents with files that were lost, fetched again and are all held now: their folders lack them. */
  torrentsToMakeAgain(cycleDate: string): Torrent[];
  torrentFiles(id: TorrentId): {
    dump: DumpFile;
    pathInTorrent: string;
    sizeBytes: number;
    verification: Verification | null;
    /** Of the bytes it carries, when they were unpacked from the dump file; null = it carries the file as it is. */
    unpacked: { md5: string | null; sha1: string | null; sha256: string | null } | null;
  }[];
  /** Files of a cycle that its torrents of one kind carry, each with the first torrent that does. */
  carriedFiles(cycleDate: string, kind: TorrentKind): Map<DumpFileId, TorrentId>;
  /**
   * Runs of a cycle of which at least so many bytes are held and sound, the files with full history apart from the others; the
   * largest first. Without those from which files were deleted.
   */
  heldRuns(
    cycleDate: string,
    minSizeBytes: number,
  ): { wikiDbName: string; source: SourceName; runDate: string; isHistory: boolean; heldBytes: number }[];
  /** Projects, or languages, of which a cycle has held and sound files, with full history or without. */
  heldScopes(cycleDate: string, grouping: 'project' | 'language'): { scope: string; isHistory: boolean }[];
  /** Those which have a torrent of their own that lacks files which belong there: what `lateVariants` is for a whole cycle. */
  lateScopes(
    cycleDate: string,
    grouping: 'project' | 'language',
    historyTypes: readonly string[],
  ): { scope: string; isHistory: boolean }[];
  /** True when files that were there as the first part of a torrent was made are in no part of it yet. */
  hasMoreParts(
    cycleDate: string,
    kind: TorrentKind,
    options: { supplement: number; historyTypes: readonly string[] },
  ): boolean;
  /** `replacement` of every file of a cycle that has one. */
  replacements(cycleDate: string): Map<DumpFileId, Replacement>;
  markSeeding(id: TorrentId): void;
  markPublished(id: TorrentId, torrentUrl: string | null): void;
  /** The webseeds that its .torrent file names from now on, with the link that names them too. */
  recordWebseeds(id: TorrentId, facts: { webseeds: readonly string[]; magnetLink: string }): void;
}
