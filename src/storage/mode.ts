/** normal: all goes; cleaning: prune; paused: running downloads finish, none start; hard_stop: running downloads stop. */
export type StorageMode = 'normal' | 'cleaning' | 'paused' | 'hard_stop';

/** Thresholds of `storage:` in the configuration. Percentages of the usable size. */
export interface StorageThresholds {
  cleanupThresholdPercent: number;
  pauseThresholdPercent: number;
  safetyMarginBytes: number;
}

/** All that the mode depends on besides the disk itself. */
export interface StorageLimits extends StorageThresholds {
  /** `storage.max_size`; null = as much as the file system has. */
  maxSizeBytes: number | null;
}

/** What the file system says, bytes. Free is what an ordinary user may still write. */
export interface FileSystemSpace {
  freeBytes: number;
  totalBytes: number;
}

/** What a look found, bytes. */
export interface StorageUse {
  /** null = the file system did not say. */
  space: FileSystemSpace | null;
  /** What WikiSeed itself occupies, hard links once; null = not measured yet. Asked for only below `storage.max_size`. */
  ownBytes: number | null;
  /** Promised to running downloads and not yet on disk. */
  reservedBytes: number;
}

/** The mode, why it is so, and what it was computed from. */
export interface StorageVerdict {
  mode: StorageMode;
  /** One sentence without its end: `91.2 % of 2 TB are used`. */
  reason: string;
  /** What counts as used, without reservations; null = unknown. */
  countedBytes: number | null;
  /** The file system's size, or `storage.max_size` when that is smaller; null = unknown. */
  usableBytes: number | null;
}

/**
 * A mode is left when usage is so many points of a percentage below the threshold at which it began: else it would come and
 * go with each file. Pruning goes as far.
 */
export const RETURN_POINTS = 1;

/** A hard stop is left when a tenth more than the safety margin is free, for the same reason. */
export const RETURN_SHARE_OF_MARGIN = 0.1;

/** Free bytes at which a hard stop ends; never more than the file system could ever have free. */
export function freeBytesToReturn(safetyMarginBytes: number, totalBytes: number): number {
  const more = Math.min(safetyMarginBytes * RETURN_SHARE_OF_MARGIN, (totalBytes - safetyMarginBytes) / 2);
  return safetyMarginBytes + Math.max(0, Math.floor(more));
}

/**
 * The mode for what is used and free, whatever was before. Pure, never throws. Each lower bound belongs to the stricter mode
 * (85 % is cleaning), reservations count as used, and what is not known counts as the worst: a file system that does not answer
 * stops everything, an own size that was not measured yet lets nothing begin.
 */
export function storageMode(
  use: StorageUse,
  limits: StorageLimits,
  previous: StorageMode = 'normal',
): StorageVerdict {
  const { space } = use;
  const stop = (reason: string): StorageVerdict => ({
    mode: 'hard_stop',
    reason,
    ...{ countedBytes: null, usableBytes: null },
  });
  if (space === null) return stop('the file system does not say how much is free');
  if (!isCount(space.freeBytes) || !isCount(space.totalBytes) || space.freeBytes > space.totalBytes)
    return stop(`the file system says that ${space.freeBytes} of ${space.totalBytes} bytes are free`);
  if (space.totalBytes === 0) return stop('the file system says that it has no room at all');
  if (!isCount(use.reservedBytes)) return stop('what is promised to running downloads is not known');

  const isLimited = limits.maxSizeBytes !== null && limits.maxSizeBytes < space.totalBytes;
  const usableBytes = isLimited ? (limits.maxSizeBytes as number) : space.totalBytes;
  // Without a limit of our own, what others wrote on the file system counts too.
  const countedBytes = isLimited ? use.ownBytes : space.totalBytes - space.freeBytes;
  const known = { countedBytes: isCount(countedBytes) ? countedBytes : null, usableBytes };

  const margin = limits.safetyMarginBytes;
  const wasStopped = previous === 'hard_stop';
  if (space.freeBytes < margin)
    return { mode: 'hard_stop', reason: 'less than the safety margin is free', ...known };
  if (wasStopped && space.freeBytes < freeBytesToReturn(margin, space.totalBytes))
    return { mode: 'hard_stop', reason: 'hardly more than the safety margin is free', ...known };

  if (known.countedBytes === null)
    return { mode: 'paused', reason: 'what WikiSeed itself occupies is not measured yet', ...known };
  const usedBytes = known.countedBytes + use.reservedBytes;
  const reaches = (percent: number): boolean => usedBytes * 100 >= percent * usableBytes;
  const exceeds = (percent: number): boolean => usedBytes * 100 > percent * usableBytes;
  const { cleanupThresholdPercent: cleanup, pauseThresholdPercent: pause } = limits;
  const words = `${percentText(usedBytes, usableBytes)} % are used`;
  if (reaches(pause)) return { mode: 'paused', reason: words, ...known };
  if ((wasStopped || previous === 'paused') && exceeds(returnPercent(pause)))
    return { mode: 'paused', reason: `${words}, and ${returnPercent(pause)} % end the pause`, ...known };
  if (reaches(cleanup)) return { mode: 'cleaning', reason: words, ...known };
  if (previous !== 'normal' && exceeds(returnPercent(cleanup)))
    return {
      mode: 'cleaning',
      reason: `${words}, and ${returnPercent(cleanup)} % end the cleaning`,
      ...known,
    };
  return { mode: 'normal', reason: words, ...known };
}

/** Percentage at or below which a mode is left that began at `percent`; above 0, so that it can be reached. */
export function returnPercent(percent: number): number {
  return Math.max(percent - RETURN_POINTS, percent / 2);
}

/** True for modes in which no download may begin. */
export function isClosed(mode: StorageMode): boolean {
  return mode === 'paused' || mode === 'hard_stop';
}

function isCount(value: number | null): value is number {
  return value !== null && Number.isFinite(value) && value >= 0;
}

/** Rounded down to a tenth: 89.999 is not 90. */
function percentText(part: number, whole: number): string {
  return (Math.floor((part / whole) * 1000) / 10).toString();
}
