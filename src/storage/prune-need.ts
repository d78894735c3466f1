import type { StorageThresholds } from './mode.ts';

/** What is used and free, in bytes; every figure was measured, a guess is none. */
export interface PruneUsage {
  /** What counts as used, without reservations. */
  usedBytes: number;
  /** Promised to running downloads and not yet written. */
  reservedBytes: number;
  /** Usable size: the file system's, or `storage.max_size` when that is smaller. */
  totalBytes: number;
  freeBytes: number;
}

/** So far below the cleanup threshold pruning goes, percent of the usable size: else the next download would begin it again. */
export const PRUNE_MARGIN_PERCENT = 1;

/**
 * Bytes that must go; 0 while usage is below the cleanup threshold and the safety margin is free. Pure.
 * @throws RangeError when a figure is none: without facts nothing is deleted
 */
export function bytesToFree(
  usage: PruneUsage,
  thresholds: Pick<StorageThresholds, 'cleanupThresholdPercent' | 'safetyMarginBytes'>,
): number {
  for (const [name, value] of Object.entries(usage))
    if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} is not known`);
  const { totalBytes } = usage;
  const used = usage.usedBytes + usage.reservedBytes;
  const free = usage.freeBytes - usage.reservedBytes;
  const margin = Math.ceil((totalBytes * PRUNE_MARGIN_PERCENT) / 100);
  const cleanup = (totalBytes * thresholds.cleanupThresholdPercent) / 100;
  const tooMuch = used >= cleanup ? Math.ceil(used - cleanup) + margin : 0;
  const tooLittle = free < thresholds.safetyMarginBytes ? thresholds.safetyMarginBytes - free + margin : 0;
  return Math.max(tooMuch, tooLittle);
}
