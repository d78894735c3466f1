import type { EpochMs } from '../ports/index.ts';

/** Where a cycle stands. All times epoch ms, null = not yet. */
export interface CycleState {
  cycleDate: string;
  status: 'open' | 'sealed' | 'torrented' | 'seeding' | 'published';
  includesHistory: boolean;
  openedAt: EpochMs;
  /** Every wiki was looked at once; before that the expected numbers still grow. */
  scannedAt: EpochMs | null;
  sealedAt: EpochMs | null;
  torrentedAt: EpochMs | null;
  seedingAt: EpochMs | null;
  publishedAt: EpochMs | null;
  deadlineAt: EpochMs;
  runs: { total: number; unfinished: number; absent: number };
  files: FileCounts;
  bytes: { expected: number; held: number };
}

/** Files of a cycle by what became of them; `held` is verified on disk, whatever came later. */
export interface FileCounts {
  expected: number;
  /** downloaded, uploading, uploaded or included. */
  held: number;
  /** Ever verified at the Internet Archive; overlaps with `held`. */
  uploaded: number;
  /** In a torrent. */
  included: number;
  failed: number;
  quarantined: number;
  /** pending or downloading. */
  pending: number;
  /** Pruned after they were safe elsewhere. */
  deleted: number;
}

/** States of a job in the order they are shown; the moves are drawn in docs/state-machine.md. */
export const JOB_STATUSES = [
  'pending',
  'in_progress',
  'completed',
  'failed',
  'quarantined',
  'cancelled',
] as const;
/** State of a job. */
export type JobStatus = (typeof JOB_STATUSES)[number];

/** States of a dump file in the order it moves through them; the moves are drawn in docs/state-machine.md. */
export const FILE_STATUSES = [
  'pending',
  'downloading',
  'downloaded',
  'uploading',
  'uploaded',
  'included',
  'failed',
  'quarantined',
  'deleted',
] as const;
/** State of a dump file. */
export type FileStatus = (typeof FILE_STATUSES)[number];

/** How many jobs of one type are in each state. */
export interface JobCount {
  jobType: string;
  total: number;
  byStatus: Record<JobStatus, number>;
}

/** How far an attempt is; null = unknown. */
export interface JobProgress {
  doneBytes: number | null;
  totalBytes: number | null;
  bytesPerSecond: number | null;
}

/** A job that holds a lease. */
export interface RunningJob extends JobProgress {
  id: number;
  jobType: string;
  /** Dump file name or cycle date; null when it is about nothing in particular. */
  subject: string | null;
  attempt: number;
  startedAt: EpochMs | null;
  leaseExpiresAt: EpochMs;
}

/** A job that failed for good, or one that waits after a failed attempt. */
export interface JobFailure {
  id: number;
  jobType: string;
  status: JobStatus;
  subject: string | null;
  attempt: number;
  maxAttempts: number;
  /** Stable code of the last failed attempt; null when none was recorded. */
  code: string | null;
  message: string;
  at: EpochMs;
  /** null when it will not be tried again. */
  nextAttemptAt: EpochMs | null;
}

/** A target that is not worked on freely for now. */
export interface Halt {
  target: string;
  /** `unavailable`: out of reach or overloaded, heals by itself. `halted`: somebody may have to act. */
  kind: 'unavailable' | 'halted';
  code: string;
  message: string;
  hint: string | null;
  since: EpochMs | null;
  /** From then on one job at a time tries it; null = when an operator resumes it. */
  until: EpochMs | null;
  /** How often it stopped since it last worked. */
  failures: number;
}

/** An open matter that somebody should look at. */
export interface Alert {
  id: number;
  key: string;
  severity: 'info' | 'warn' | 'error';
  message: string;
  hint: string | null;
  /** How often it was raised. */
  count: number;
  firstAt: EpochMs;
  lastAt: EpochMs;
}

/** How the last backup of the database went. */
export interface LastBackup {
  at: EpochMs;
  ok: boolean;
  /** The last good one; null = unknown. */
  goodAt: EpochMs | null;
  name: string | null;
  sizeBytes: number | null;
  /** Why it failed. */
  message: string | null;
}

/** Something that will happen by itself. */
export interface WakeUp {
  kind: 'job' | 'schedule';
  /** Job type or name of the schedule. */
  name: string;
  jobId: number | null;
  subject: string | null;
  at: EpochMs;
}

/** One row of the list of jobs. */
export interface JobRow extends JobProgress {
  id: number;
  jobType: string;
  status: JobStatus;
  subject: string | null;
  attempt: number;
  maxAttempts: number;
  nextAttemptAt: EpochMs;
  lastError: string | null;
  createdAt: EpochMs;
  startedAt: EpochMs | null;
  completedAt: EpochMs | null;
}

/** One job with everything we know. `input`, `result` and `cursor` are JSON text as stored. */
export interface JobDetail extends JobRow {
  uniqueKey: string;
  priority: number;
  parentJobId: number | null;
  dumpId: number | null;
  cycleDate: string | null;
  input: string;
  result: string | null;
  cursor: string | null;
  leaseOwner: string | null;
  leaseExpiresAt: EpochMs | null;
  attempts: JobAttempt[];
  /** Jobs it asked for, oldest first, at most 50; `childCount` says how many there are. */
  children: ChildJob[];
  childCount: number;
}

/** A job that another one asked for. */
export interface ChildJob {
  id: number;
  jobType: string;
  status: JobStatus;
  subject: string | null;
}

/** One attempt that did not complete the job. */
export interface JobAttempt {
  attempt: number;
  outcome: string;
  code: string | null;
  message: string | null;
  startedAt: EpochMs;
  endedAt: EpochMs;
}

/** One file of a cycle. */
export interface FileState {
  id: number;
  wikiDbName: string;
  runDate: string;
  dumpType: string;
  filename: string;
  isHistory: boolean;
  sizeBytes: number;
  status: FileStatus;
  verification: string | null;
  sha1: string | null;
  wikimediaUrl: string;
  iaUrl: string | null;
  errorMessage: string | null;
}

/** A torrent with the newest swarm numbers; null = unknown, never zero. */
export interface TorrentState {
  id: number;
  name: string;
  grouping: string;
  cycleDate: string;
  sizeBytes: number;
  fileCount: number;
  infoHash: string;
  magnetLink: string;
  /** Path on this server: `/torrents/<infohash>.torrent`. */
  torrentFileUrl: string;
  /** Where it was published elsewhere. */
  publicUrl: string | null;
  seedingSince: EpochMs | null;
  publishedAt: EpochMs | null;
  createdAt: EpochMs;
  /** Besides us. */
  seeders: number | null;
  leechers: number | null;
}

/** Part of a long list; `page` counts from 1. */
export interface Page<T> {
  items: T[];
  page: number;
  pageSize: number;
  /** Pages that can be looked at: bounded, so that no request walks a million rows. */
  pageCount: number;
  total: number;
}

/** What `/healthz` judges by. */
export interface Movement {
  runningCount: number;
  /** Lease of a running job that ended longest ago or will end first; null = nothing runs. */
  oldestLeaseExpiresAt: EpochMs | null;
  oldestLeaseJobId: number | null;
  /** Since when the longest waiting due job could have been claimed; null = nothing is due. */
  oldestDueAt: EpochMs | null;
  /** Newest end of any attempt, good or bad. */
  lastEndedAt: EpochMs | null;
}

/** The disk as the storage room sees it; all bytes. What is left out is not shown. */
export interface StorageFacts {
  /** Bytes of our own tree; null = not measured yet. */
  usedBytes: number | null;
  freeBytes: number;
  /** Size of the file system, or of the configured limit when that is smaller. */
  totalBytes: number;
  /** The file system's; larger than `totalBytes` when there is a limit. */
  fileSystemBytes?: number;
  /** What counts as used, without promises; null = not measured yet. */
  countedBytes?: number | null;
  /** Promised to running downloads; counts as used. */
  reservedBytes?: number;
  mode?: 'normal' | 'cleaning' | 'paused' | 'hard_stop';
  /** Why the mode is what it is, one sentence without its end. */
  reason?: string;
  /** Only what running downloads were promised lets no other begin. */
  isOnlyPromised?: boolean;
  since?: EpochMs | null;
  cleanupThresholdPercent?: number;
  pauseThresholdPercent?: number;
  safetyMarginBytes?: number;
}

/** What the seeder says of one torrent right now. */
export interface SeedingFact {
  infoHash: string;
  peers: number;
  uploadedBytes: number;
  uploadBytesPerSecond: number;
  /** As the engine puts it: `seeding`, `resting`, …; absent = it does not say. */
  state?: string;
  /** What is wrong, in one sentence; null or absent while nothing is. */
  problem?: string | null;
}

/** What was learned of a mirror. Times epoch ms. */
export interface MirrorState {
  baseUrl: string;
  /** Files of which it gave at least a part, and that were proved. */
  goodFiles: number;
  /** Files that were wrong because of it. */
  badHashes: number;
  faultsInARow: number;
  /** Of one connection, moving average; null = never measured. */
  bytesPerSecond: number | null;
  /** `YYYYMMDD` of the newest run of which it had a file. */
  newestRunDate: string | null;
  lastFault: string | null;
  lastFaultAt: EpochMs | null;
  /** It sent wrong bytes and is not asked until then. */
  probationUntil: EpochMs | null;
  lastUsedAt: EpochMs | null;
}
