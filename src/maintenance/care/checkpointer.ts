import type { Bus } from '../../events/index.ts';
import {
  describeError,
  errorCode,
  HaltPipelineError,
  hours,
  minutes,
  WikiSeedError,
} from '../../lib/index.ts';
import type { Clock, Disk, Log } from '../../ports/index.ts';
import type { CareThread } from './care-thread.ts';
import { type CheckpointMode, type CheckpointResult, PASSIVE_FROM_BYTES } from './checkpoint.ts';
import type { Look } from './tasks.ts';
import { walTrouble } from './troubles.ts';

/** Keeps the write-ahead log small from a thread of its own, so that no commit on the main thread has to wait for an fsync. */
export interface Checkpointer {
  /** Idempotent. */
  start(): void;
  /** Idempotent; resolves when no checkpoint runs and its thread is gone. */
  stop(): Promise<void>;
  /** One look at once, as the timer would; for tests and for whoever has just written much. */
  look(): Promise<Look | null>;
}

/** What a checkpointer is made from. */
export interface CheckpointerDeps {
  databasePath: string;
  /** Its own; nobody else calls it. */
  thread: CareThread;
  disk: Disk;
  clock: Clock;
  bus: Bus;
  log: Log;
  config: { walWarnSizeBytes: number; walMaxSizeBytes: number };
  /** The disk is full: whatever writes to it should stop. */
  onHalt?: (halt: HaltPipelineError) => void;
}

const LOOK_EVERY_MS = 1000;
/** While much is written: a look at a thousand wikis fills a log with 70 MB a second, and what is copied late is copied under the lock. */
const LOOK_AGAIN_MS = 100;
/** A checkpoint that held up writers in vain is not repeated for so long. */
const BUSY_PAUSE_MS = 10_000;
/** After a failure: 1 s, 2 s, 4 s, … up to a minute. */
const FAILURE_PAUSE_MAX_MS = 60_000;

/** A log that stays too large is told again so often, with its size by then. */
const TELL_EVERY_MS = hours(1);

/** Until somebody acts: half an hour at a time. */
const GONE_PAUSE_MS = minutes(30);
/** The key of the alert while checkpoints fail. */
const ALERT_KEY = 'database:checkpoint';

/** See `Checkpointer`. */
export function createCheckpointer(deps: CheckpointerDeps): Checkpointer {
  const { clock, config } = deps;
  const log = deps.log.child({ room: 'maintenance' });
  let isStarted = false;
  let cancel = (): void => {};
  let current: Promise<Look | null> | null = null;
  let failures = 0;
  let hasCopied = false;
  let mayTakeWriteLockAt = 0;
  // Unknown at first: an earlier process may have left alerts open.
  let walSeverity: string | null | undefined;
  let toldAtMs = 0;
  let mayBeRaised = true;
  let inode: number | null = null;

  /** What is written into a file that has lost its name is lost with the process. */
  async function assertStillThere(): Promise<void> {
    const found = (await deps.disk.stat(deps.databasePath))?.inode ?? null;
    inode ??= found;
    if (found === inode) return;
    const what = found === null ? 'was deleted' : 'was replaced by another file';
    throw new HaltPipelineError('database_gone', `${deps.databasePath} ${what} while it was in use`, {
      scope: 'all',
      pauseMs: GONE_PAUSE_MS,
      isNeverOwnFault: true,
      hint: 'What is done from now on would be lost. Stop WikiSeed, then "wikiseed restore" or "wikiseed rebuild".',
    });
  }

  /** Null when the log is too small to care, or when it could not be looked at. */
  async function lookNow(): Promise<Look | null> {
    hasCopied = false;
    await assertStillThere();
    const file = await deps.disk.stat(`${deps.databasePath}-wal`);
    if (file === null || file.sizeBytes <= PASSIVE_FROM_BYTES) return noteSize(file?.sizeBytes ?? 0);
    const look = await deps.thread.call('look', {
      ...config,
      mayTakeWriteLock: clock.monotonicMs() >= mayTakeWriteLockAt,
    });
    hasCopied = look.done !== null;
    if (look.done !== null) noteDone(look.done, look.due);
    noteSize(look.done?.walBytesAfter ?? look.sizes.fileBytes);
    return look;
  }

  function noteDone(done: CheckpointResult, due: CheckpointMode | null): void {
    if (done.mode !== 'passive' && done.busy) {
      // Early it may only have met one long transaction; a reader that does not end shows in the size of the log.
      const isEarly = done.mode === 'restart' && done.walBytesAfter <= config.walWarnSizeBytes;
      mayTakeWriteLockAt = clock.monotonicMs() + (isEarly ? LOOK_EVERY_MS : BUSY_PAUSE_MS);
      if (isEarly) return;
      log.warn(
        { mode: done.mode, walBytes: done.walBytesAfter, retryInMs: BUSY_PAUSE_MS },
        'a reader keeps the write-ahead log from being emptied',
      );
      return;
    }
    log.debug({ ...done, due }, 'checkpoint');
  }

  /** Owns the alert about the size. Tells what is new, and seldom what is not: the alerts room counts, and once a second is too often to count. */
  function noteSize(walBytes: number): null {
    const trouble = walTrouble(walBytes, config);
    const isOld = (trouble?.severity ?? null) === walSeverity;
    if (isOld && (trouble === null || clock.monotonicMs() - toldAtMs < TELL_EVERY_MS)) return null;
    walSeverity = trouble?.severity ?? null;
    toldAtMs = clock.monotonicMs();
    if (trouble === null) deps.bus.emit('alert:resolved', { key: 'database:wal' });
    else deps.bus.emit('alert:raised', trouble);
    return null;
  }

  function noteFailure(error: unknown): void {
    failures += 1;
    mayBeRaised = true;
    const message = describeError(error);
    log.warn(
      { err: { code: errorCode(error), message }, failures },
      'a checkpoint failed, will be tried again',
    );
    // A thread that died once is nobody's business; one that dies again and again is.
    if (failures < 3 && errorCode(error) === 'care_thread_ended') return;
    if (error instanceof HaltPipelineError) deps.onHalt?.(error);
    const hint = error instanceof WikiSeedError ? (error.hint ?? null) : null;
    deps.bus.emit('alert:raised', {
      key: ALERT_KEY,
      severity: 'error',
      message:
        errorCode(error) === 'database_gone'
          ? message
          : `the write-ahead log cannot be moved into the database: ${message}`,
      hint,
    });
  }

  async function guarded(): Promise<Look | null> {
    try {
      const look = await lookNow();
      if (mayBeRaised) deps.bus.emit('alert:resolved', { key: ALERT_KEY });
      mayBeRaised = false;
      failures = 0;
      return look;
    } catch (error) {
      if (isStarted) noteFailure(error);
      return null;
    }
  }

  function look(): Promise<Look | null> {
    // Two at once would wait for each other in one thread: the second takes the answer of the first.
    current ??= guarded().finally(() => {
      current = null;
    });
    return current;
  }

  function arm(): void {
    if (!isStarted) return;
    const pauseMs =
      hasCopied && failures === 0
        ? LOOK_AGAIN_MS
        : Math.min(LOOK_EVERY_MS * 2 ** failures, FAILURE_PAUSE_MAX_MS);
    cancel = clock.after(pauseMs, () => void look().then(arm));
  }

  return {
    start() {
      if (isStarted) return;
      isStarted = true;
      arm();
    },
    async stop() {
      isStarted = false;
      cancel();
      await current;
      await deps.thread.close();
    },
    look,
  };
}
