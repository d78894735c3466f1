import type { EpochMs } from '../ports/index.ts';
import type { CycleTorrents } from './cycle-types.ts';
import type { Page, TorrentState } from './types.ts';

/** What there is to say of one torrent in a list. `seeders` are others than us; null = unknown, never zero. */
export interface ListedTorrent extends Omit<TorrentState, 'grouping'> {
  grouping: CycleTorrents['grouping'];
  /** Name in the info dictionary and of the folder. */
  infoName: string;
  isHistory: boolean;
  isUncompressed: boolean;
  /** 0: of the cycle itself; above: the supplement of that number, with what came later. */
  supplement: number;
  retiredAt: EpochMs | null;
  /** How often it was downloaded whole; null = unknown. */
  completed: number | null;
  /** All we ever gave of it; null = nothing is known of that. */
  uploadedBytes: number | null;
  /** When it was counted last; null = never. */
  countedAt: EpochMs | null;
  /** Where the number of seeders is from: a tracker's address or an engine's name. */
  countedBy: string | null;
  webseeds: WebseedCounts;
}

/** How many web servers are known for a torrent, by what the last look at them said. */
export interface WebseedCounts {
  working: number;
  dead: number;
  unproved: number;
}

/** One torrent in full. */
export interface TorrentDetail extends ListedTorrent {
  pieceLength: number;
  pieceCount: number;
  alignFilesFromBytes: number | null;
  part: number;
  scope: string | null;
  source: string | null;
  runDate: string | null;
  trackers: string[];
  /** Relative to the data directory. */
  torrentFilePath: string;
  contentPath: string;
}

/** A web server and what the last look said. */
export interface WebseedState {
  url: string;
  state: 'working' | 'dead' | 'unproved';
  reason: string | null;
  checkedAt: EpochMs;
  since: EpochMs;
}

/** A tracker and what it said when it was last asked. */
export interface TrackerState {
  url: string;
  askedAt: EpochMs | null;
  answeredAt: EpochMs | null;
  /** Torrents of ours it was asked for, and of how many it said something. */
  asked: number;
  known: number;
  problem: { code: string; message: string } | null;
  restsUntil: EpochMs | null;
}

/** A dump file in a torrent. */
export interface TorrentFileState {
  dumpId: number;
  path: string;
  sizeBytes: number;
  status: string;
  verification: string | null;
}

/** What a torrent does not carry. */
export interface TorrentGapState {
  wikiDbName: string;
  source: string;
  runDate: string;
  dumpType: string;
  filename: string | null;
  sizeBytes: number | null;
  state: string;
  reason: string;
}

/** One count of a swarm; null = unknown, never zero. */
export interface SwarmCount {
  at: EpochMs;
  seeders: number | null;
  leechers: number | null;
  completed: number | null;
  uploadedBytes: number | null;
  source: string;
}

/** Which torrents to list. */
export interface TorrentFilter {
  grouping?: CycleTorrents['grouping'];
  cycleDate?: string;
  page: number;
  pageSize: number;
}

/** "Which torrents are there, and how are they?", answered from the database. Synchronous, read-only. */
export interface TorrentQueries {
  /** Newest cycle first, those of whole cycles first, then by name. */
  list(filter: TorrentFilter): Page<ListedTorrent>;
  /** By infohash, or by name: newest cycle first. */
  find(nameOrInfoHash: string): TorrentDetail[];
  /** Cycles that have torrents, newest first. */
  cycleDates(): string[];
  webseeds(torrentId: number): WebseedState[];
  trackers(urls: readonly string[]): TrackerState[];
  /** In the order of their paths. */
  files(torrentId: number, options: { page: number; pageSize: number }): Page<TorrentFileState>;
  gaps(torrentId: number, options: { page: number; pageSize: number }): Page<TorrentGapState>;
  /** Oldest first. */
  history(torrentId: number, since: EpochMs): SwarmCount[];
}
