import { describeError, formatBytes, HaltPipelineError, minutes } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';
import type { FileSystemSpace } from './mode.ts';

/** Disk space promised to one running download. */
export interface Reservation {
  /**
   * Says how many of the promised bytes are on disk, or allocated there, by now; they no longer count twice. Absolute, not a
   * difference.
   */
  written(sizeBytes: number): void;
  /** Gives the rest back; a second call does nothing. */
  release(): void;
}

/** Keeps running downloads from promising the same free bytes twice, and tells them when to stop. */
export interface SpaceGuard {
  /**
   * Promises `sizeBytes` that will be written soon. What a part file occupies already (`allocatedBytes`) needs no promise: it is
   * not free any more.
   * @throws HaltPipelineError `disk_full` when they do not fit beside the other promises and the safety margin,
   *   `storage_paused` or `storage_hard_stop` while no download may begin; Snooze while that is so only for running ones
   */
  reserve(sizeBytes: number): Promise<Reservation>;
  /** Promised and not yet written, over all running downloads. */
  reservedBytes(): number;
  /**
   * Called when running downloads must stop: abort what runs and throw the reason, which gives the job back uncounted.
   * @returns a function that removes the listener
   */
  onHardStop(listener: (reason: HaltPipelineError) => void): () => void;
  /** A write was refused for want of room (`ENOSPC`, `EDQUOT`), whatever the file system says of its free bytes. */
  noteFull(error: unknown): void;
}

/** What is told of promises as they come and go; called synchronously. */
export interface SpaceObserver {
  /** The file system was just asked. */
  looked(space: FileSystemSpace): void;
  /** A promise was given or ended. */
  changed(): void;
  full(reason: string): void;
}

/** The guard as the watch over it sees it. */
export interface SpaceControl extends SpaceGuard {
  /** Downloads that hold a promise. */
  running(): number;
  /** Promised bytes that the last measure of our own size did not see yet. */
  unmeasuredBytes(): number;
  /** Our own size was measured just now. */
  noteMeasured(): void;
  /** While it is not null nothing more is promised: what it makes is thrown instead. */
  close(refusal: (() => Error) | null): void;
  stopRunning(reason: HaltPipelineError): void;
  /** True when something was refused for want of room and the smallest of it would fit now. Then it is forgotten. */
  fitsAgain(space: FileSystemSpace): boolean;
  observe(observer: SpaceObserver): void;
}

/** What the guard needs. */
export interface SpaceGuardDeps {
  disk: Pick<Disk, 'space'>;
  dataDir: string;
  /** Free bytes that must remain after every promise is kept. */
  safetyMarginBytes: number;
  /** `storage.max_size`; null = as much as the file system has. */
  maxSizeBytes: number | null;
  /** What we occupy, from the catalog and the last measure; null = not known. Needed only with `maxSizeBytes`. */
  heldBytes?: () => number | null;
}

/** How long downloads rest before one of them looks again, when nothing else says that there is room. */
export const STORAGE_PAUSE_MS = minutes(5);

interface Promised {
  readonly sizeBytes: number;
  leftBytes: number;
  /** Left when our own size was last measured. */
  unmeasuredBytes: number;
}

/** One guard serves one data directory; promises live in memory because a restart ends every download. */
export function createSpaceGuard(deps: SpaceGuardDeps): SpaceControl {
  const open = new Set<Promised>();
  const stops = new Set<(reason: HaltPipelineError) => void>();
  let observer: SpaceObserver | null = null;
  let refusal: (() => Error) | null = null;
  let smallestRefused: number | null = null;
  const sum = (of: (promise: Promised) => number): number =>
    [...open].reduce((total, promise) => total + of(promise), 0);
  const reservedBytes = (): number => sum(({ leftBytes }) => leftBytes);
  const unmeasuredBytes = (): number => sum((promise) => promise.unmeasuredBytes);

  /** Why so much cannot be promised; null when it can. */
  function shortage(sizeBytes: number, { freeBytes }: FileSystemSpace): HaltPipelineError | null {
    const promisedBytes = reservedBytes();
    if (sizeBytes > freeBytes - promisedBytes - deps.safetyMarginBytes)
      return diskFull(
        `${formatBytes(sizeBytes)} do not fit in ${deps.dataDir}: ${formatBytes(freeBytes)} are free, ` +
          `${formatBytes(promisedBytes)} of them promised to running downloads and ${formatBytes(deps.safetyMarginBytes)} kept as safety margin.`,
        'Free some space and downloads go on by themselves; or lower storage.safety_margin and restart.',
      );
    if (deps.maxSizeBytes === null) return null;
    const heldBytes = deps.heldBytes?.() ?? 0;
    const runningBytes = unmeasuredBytes();
    if (heldBytes + runningBytes + sizeBytes <= deps.maxSizeBytes) return null;
    return diskFull(
      `${formatBytes(sizeBytes)} exceed storage.max_size of ${formatBytes(deps.maxSizeBytes)}: ` +
        `${formatBytes(heldBytes)} are held and ${formatBytes(runningBytes)} promised to running downloads.`,
      'Raise storage.max_size and restart.',
    );
  }

  async function look(): Promise<FileSystemSpace> {
    try {
      const space = await deps.disk.space(deps.dataDir);
      if (!Number.isFinite(space.freeBytes)) throw new Error(`the file system says ${space.freeBytes}`);
      return space;
    } catch (error) {
      throw new HaltPipelineError(
        'storage_unknown',
        `how much is free in ${deps.dataDir} cannot be found out: ${describeError(error)}`,
        {
          scope: 'storage',
          pauseMs: STORAGE_PAUSE_MS,
          hint: 'Look whether the disk that holds wikiseed.data_dir is there and mounted; downloads go on by themselves.',
          cause: error,
          isNeverOwnFault: true,
        },
      );
    }
  }

  return {
    reservedBytes,
    unmeasuredBytes,
    running: () => open.size,
    async reserve(sizeBytes) {
      const space = await look();
      // From here to the end nothing is awaited, so two callers cannot both take the last bytes.
      observer?.looked(space);
      if (refusal !== null) throw refusal();
      const short = shortage(sizeBytes, space);
      if (short !== null) {
        smallestRefused = Math.min(sizeBytes, smallestRefused ?? sizeBytes);
        throw short;
      }
      const promise: Promised = { sizeBytes, leftBytes: sizeBytes, unmeasuredBytes: sizeBytes };
      open.add(promise);
      observer?.changed();
      return {
        written: (writtenBytes) => {
          promise.leftBytes = Math.max(0, sizeBytes - writtenBytes);
        },
        release: () => {
          if (open.delete(promise)) observer?.changed();
        },
      };
    },
    noteMeasured() {
      for (const promise of open) promise.unmeasuredBytes = promise.leftBytes;
    },
    close(next) {
      refusal = next;
    },
    onHardStop(listener) {
      stops.add(listener);
      return () => void stops.delete(listener);
    },
    stopRunning(reason) {
      for (const listener of [...stops]) listener(reason);
    },
    noteFull: (error) => observer?.full(describeError(error)),
    fitsAgain(space) {
      if (smallestRefused === null || shortage(smallestRefused, space) !== null) return false;
      smallestRefused = null;
      return true;
    },
    observe(next) {
      observer = next;
    },
  };
}

/** The one error for a disk that cannot take more, whether foreseen or met while writing. */
export function diskFull(message: string, hint: string, cause?: unknown): HaltPipelineError {
  return new HaltPipelineError('disk_full', message, {
    // A full file system stops whatever writes to it; a limit of ours only what needs room for dumps.
    scope: cause === undefined ? 'storage' : 'disk',
    pauseMs: STORAGE_PAUSE_MS,
    hint,
    cause,
    isNeverOwnFault: true,
  });
}
