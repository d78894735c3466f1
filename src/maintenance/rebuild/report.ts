/** One thing that is not as it was recorded: what (a path, a file name), and in one sentence how. */
export interface Finding {
  what: string;
  reason: string;
}

/** What a rebuild found and made; sizes in bytes. */
export interface RebuildReport {
  database: string;
  wikis: number;
  /** Oldest first. */
  cycles: { cycleDate: string; status: string }[];
  filesHeld: number;
  bytesHeld: number;
  /** Oldest cycle first. */
  torrents: { name: string; infoHash: string }[];
  /** Records that were read, and those made good from torrents and the manifest instead. */
  recordsRead: number;
  torrentsFromFiles: number;
  /** Files whose bytes were compared with their hashes; null without `--verify`. */
  filesVerified: number | null;
  /** Held files that are gone from the disk; they are recorded as pending. */
  missing: Finding[];
  /** Held files with other bytes than recorded, moved aside to `dumps/.damaged/`; they are recorded as pending. */
  damaged: Finding[];
  /** Files that lost their name under `dumps/` and got it back from a torrent's folder. */
  relinked: string[];
  /** On disk and expected, but never recorded as proved; the daemon proves them without fetching. */
  unproved: string[];
  /** Under `dumps/` and unknown; left alone. */
  foreign: string[];
  /** Records, torrents and rows that could not be used. */
  problems: Finding[];
  /** Worth knowing, no gap. */
  notes: string[];
  /** True when nothing is missing, damaged or unusable. */
  isWhole: boolean;
}

/** An empty report, to be filled. */
export function createReport(database: string): RebuildReport {
  return {
    database,
    wikis: 0,
    cycles: [],
    filesHeld: 0,
    bytesHeld: 0,
    torrents: [],
    recordsRead: 0,
    torrentsFromFiles: 0,
    filesVerified: null,
    missing: [],
    damaged: [],
    relinked: [],
    unproved: [],
    foreign: [],
    problems: [],
    notes: [],
    isWhole: false,
  };
}
