import type { schema } from '../db/index.ts';
import type { DumpFileId, TorrentId } from '../lib/index.ts';

export type { CycleProgress } from './cycle-progress.ts';

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
export type Torrent = Omit<
  typeof schema.torrents.$inferSelect,
  'id' | 'trackers' | 'webseeds' | 'infoName' | 'source' | 'grouping'
> & {
  grouping: TorrentFacts['grouping'];
  id: TorrentId;
  /** Name in the info dictionary; the folder of the torrent is `contentPath`/`infoName`. */
  infoName: string;
  /** Of the run, for `wiki_run` alone. */
  source: SourceName | null;
  trackers: string[];
  webseeds: string[];
};

/** What the torrents of one kind have in common; a `Torrent` will do. Each file of a cycle is in at most one of them. */
export type TorrentKind = Pick<
  Torrent,
  'grouping' | 'scope' | 'source' | 'runDate' | 'isHistory' | 'isUncompressed'
>;

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
  /** Names it on this host, and its .torrent file. */
  name: string;
  /** In the info dictionary, and of the folder; absent = `name`. */
  infoName?: string;
  grouping: 'cycle' | 'wiki_run' | 'project' | 'language';
  /** Whose files: the wiki (`wiki_run`), the project or the language; null or absent = of the whole cycle. */
  scope?: string | null;
  /** Which run; for `wiki_run` alone. */
  source?: SourceName | null;
  runDate?: string | null;
  cycleDate: string;
  isHistory: boolean;
  isUncompressed?: boolean;
  /** 0 = the cycle's own torrent; 1, 2, … = what settled later. */
  supplement: number;
  /** 0 or absent = all of it; 1, 2, … = what one torrent could not hold, in order. */
  part?: number;
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
    /** Of the unpacked bytes; null or absent where the torrent carries the dump file as it is. */
    md5?: string | null;
    sha1?: string | null;
    sha256?: string | null;
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
