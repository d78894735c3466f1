import type { Database } from 'better-sqlite3';

/** How SQLite moves the write-ahead log (WAL) into the database; each does what the one before does, and more. */
export const CHECKPOINT_MODES = ['passive', 'full', 'restart', 'truncate'] as const;
/** See `CHECKPOINT_MODES`: only `passive` waits for nobody and holds nobody up. */
export type CheckpointMode = (typeof CHECKPOINT_MODES)[number];

/** What a checkpoint did. */
export interface CheckpointResult {
  mode: CheckpointMode;
  /** True when readers or a writer kept it from doing all its mode promises; what it could do is done. */
  busy: boolean;
  /** Pages in the log, and how many of them are in the database by now. */
  logPages: number;
  checkpointedPages: number;
  walBytesBefore: number;
  walBytesAfter: number;
}

/**
 * The most a checkpoint may wait for readers. `full` and above wait with the write lock in hand, so everybody who wants to
 * write waits with them: this is what a reader that does not end may cost, once.
 */
export const CHECKPOINT_BUSY_MS = 20;

/** Copied under the write lock, together with two fsyncs: writers were seen to wait up to 20 ms. */
const FEW_PAGES = 250;
const PASSIVE_ROUNDS = 5;

/**
 * Moves the log into the database. Before any mode that takes the write lock a `passive` one does nearly all the copying and
 * the fsync without it, so that the lock is held for the few pages that came in between.
 * @param walBytes tells the size of the log's file
 * @throws SqliteError `SQLITE_FULL` or `SQLITE_IOERR…` when the disk refuses; the log keeps everything
 */
export function checkpoint(
  connection: Database,
  options: { mode: CheckpointMode; walBytes: () => number },
): CheckpointResult {
  const walBytesBefore = options.walBytes();
  const run = (mode: CheckpointMode): { busy: number; log: number; checkpointed: number } =>
    (
      connection.pragma(`wal_checkpoint(${mode})`) as [{ busy: number; log: number; checkpointed: number }]
    )[0];
  let counts = run('passive');
  if (options.mode !== 'passive') {
    // Where much is written much came in meanwhile, and each round leaves less: whoever writes waits for the last one.
    for (let round = 1; round < PASSIVE_ROUNDS && counts.log - counts.checkpointed > FEW_PAGES; round += 1)
      counts = run('passive');
    connection.pragma(`busy_timeout = ${CHECKPOINT_BUSY_MS}`);
    counts = run(options.mode);
  }
  // Without a log (-1) there is nothing to move.
  return {
    mode: options.mode,
    busy: counts.busy !== 0,
    logPages: Math.max(0, counts.log),
    checkpointedPages: Math.max(0, counts.checkpointed),
    walBytesBefore,
    walBytesAfter: options.walBytes(),
  };
}

/** Sizes of the log, bytes. */
export interface WalSizes {
  /** Of its file, which SQLite uses again from the start and does not make smaller by itself. */
  fileBytes: number;
  /** Of what was written since the log began anew. */
  logBytes: number;
  /** Of that, what is not in the database yet. */
  pendingBytes: number;
}

/** Bytes before each page in the log (https://www.sqlite.org/walformat.html). */
const FRAME_HEADER_BYTES = 24;

/** Looks without moving anything: `NOOP` exists since SQLite 3.51. */
export function walSizes(connection: Database, fileBytes: number): WalSizes {
  const [counts] = connection.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }];
  const frameBytes = (connection.pragma('page_size', { simple: true }) as number) + FRAME_HEADER_BYTES;
  const log = Math.max(0, counts.log);
  return {
    fileBytes,
    logBytes: log * frameBytes,
    pendingBytes: (log - Math.max(0, counts.checkpointed)) * frameBytes,
  };
}

/** From so much on it is worth an fsync: 4 MB, about 1,000 pages as SQLite's own default. */
export const PASSIVE_FROM_BYTES = 4_000_000;

/** Less than this is waiting where little is written. */
const QUIET_BYTES = 1_000_000;
/** A log is begun anew from this part of the size on that is worth a warning. */
const RESTART_PART = 3;

/**
 * Which checkpoint is due; null = none. A log that grows although it is copied all the time is never empty at a moment when
 * SQLite could begin anew: `restart` makes that moment, unless copying once more does. `truncate` gives the file's space back. Pure.
 */
export function dueCheckpoint(
  sizes: WalSizes,
  limits: { walWarnSizeBytes: number; walMaxSizeBytes: number },
): CheckpointMode | null {
  if (sizes.fileBytes > limits.walMaxSizeBytes) return 'truncate';
  // Long before the limit: what is written until the next look comes on top of it.
  if (sizes.logBytes > limits.walWarnSizeBytes / RESTART_PART && sizes.pendingBytes > 0) return 'restart';
  // Everything is in the database, only the file is still as large as the log once was.
  // Not in the middle of the writing: it would hold it up for 50 ms, and the file be needed again at once.
  if (sizes.fileBytes > limits.walWarnSizeBytes && sizes.pendingBytes < QUIET_BYTES) return 'truncate';
  return sizes.pendingBytes > PASSIVE_FROM_BYTES ? 'passive' : null;
}
