import { formatBytes, HaltPipelineError, minutes } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';

/** Disk space promised to one running download. */
export interface Reservation {
  /** Says how many of the promised bytes are on disk by now; they no longer count twice. Absolute, not a difference. */
  written(sizeBytes: number): void;
  /** Gives the rest back; a second call does nothing. */
  release(): void;
}

/** Keeps running downloads from promising the same free bytes twice. */
export interface SpaceGuard {
  /**
   * Promises `sizeBytes` that will be written soon.
   * @throws HaltPipelineError `disk_full` when they do not fit beside the other promises and the safety margin
   */
  reserve(sizeBytes: number): Promise<Reservation>;
  /** Promised and not yet written, over all running downloads. */
  reservedBytes(): number;
}

/** What the guard needs. */
export interface SpaceGuardDeps {
  disk: Pick<Disk, 'space'>;
  dataDir: string;
  /** Free bytes that must remain after every promise is kept. */
  safetyMarginBytes: number;
  /** `storage.max_size`; null = as much as the file system has. */
  maxSizeBytes: number | null;
  /** Bytes of dump files held, from the catalog; needed only with `maxSizeBytes`. */
  heldBytes?: () => number;
}

/** How long downloads rest before one of them looks again. Cleaning and operators need minutes, not seconds. */
const PAUSE_MS = minutes(5);

/** One guard serves one data directory; promises live in memory because a restart ends every download. */
export function createSpaceGuard(deps: SpaceGuardDeps): SpaceGuard {
  const open = new Set<{ sizeBytes: number; leftBytes: number }>();
  const reservedBytes = (): number => [...open].reduce((sum, promise) => sum + promise.leftBytes, 0);
  const wholeBytes = (): number => [...open].reduce((sum, promise) => sum + promise.sizeBytes, 0);
  return {
    reservedBytes,
    async reserve(sizeBytes) {
      const { freeBytes } = await deps.disk.space(deps.dataDir);
      // From here to the end nothing is awaited, so two callers cannot both take the last bytes.
      const promisedBytes = reservedBytes();
      const availableBytes = freeBytes - promisedBytes - deps.safetyMarginBytes;
      if (sizeBytes > availableBytes)
        throw diskFull(
          `${formatBytes(sizeBytes)} do not fit in ${deps.dataDir}: ${formatBytes(freeBytes)} are free, ` +
            `${formatBytes(promisedBytes)} of them promised to running downloads and ${formatBytes(deps.safetyMarginBytes)} kept as safety margin.`,
          'Free some space and downloads go on by themselves; or lower storage.safety_margin and restart.',
        );
      // What a running download has written is not held yet, so its whole promise counts here.
      const runningBytes = wholeBytes();
      const heldBytes = deps.maxSizeBytes === null ? 0 : (deps.heldBytes?.() ?? 0);
      if (deps.maxSizeBytes !== null && heldBytes + runningBytes + sizeBytes > deps.maxSizeBytes)
        throw diskFull(
          `${formatBytes(sizeBytes)} exceed storage.max_size of ${formatBytes(deps.maxSizeBytes)}: ` +
            `${formatBytes(heldBytes)} are held and ${formatBytes(runningBytes)} promised to running downloads.`,
          'Raise storage.max_size and restart.',
        );
      const promise = { sizeBytes, leftBytes: sizeBytes };
      open.add(promise);
      return {
        written: (writtenBytes) => {
          promise.leftBytes = Math.max(0, sizeBytes - writtenBytes);
        },
        release: () => void open.delete(promise),
      };
    },
  };
}

/** The one error for a disk that cannot take more, whether foreseen or met while writing. */
export function diskFull(message: string, hint: string, cause?: unknown): HaltPipelineError {
  return new HaltPipelineError('disk_full', message, {
    // A full file system stops whatever writes to it; a limit of ours only what needs room for dumps.
    scope: cause === undefined ? 'storage' : 'disk',
    pauseMs: PAUSE_MS,
    hint,
    cause,
    isNeverOwnFault: true,
  });
}
