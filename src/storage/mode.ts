/** normal: all goes; cleaning: prune; paused: running downloads finish, none start; hard_stop: running downloads stop. */
export type StorageMode = 'normal' | 'cleaning' | 'paused' | 'hard_stop';

/** Thresholds of `storage:` in the configuration. Percentages of the usable size. */
export interface StorageThresholds {
  cleanupThresholdPercent: number;
  pauseThresholdPercent: number;
  safetyMarginBytes: number;
}

/**
 * The mode for what is used and free. Pure; each lower bound belongs to the stricter mode (85 % is cleaning).
 * @param usedBytes what counts as used, reservations of running downloads included
 * @param totalBytes usable size: the file system's, or `storage.max_size` when that is smaller
 */
export function storageMode(
  facts: { usedBytes: number; totalBytes: number; freeBytes: number },
  thresholds: StorageThresholds,
): StorageMode {
  if (facts.freeBytes < thresholds.safetyMarginBytes) return 'hard_stop';
  const usedPercent = facts.totalBytes === 0 ? 100 : (facts.usedBytes / facts.totalBytes) * 100;
  if (usedPercent >= thresholds.pauseThresholdPercent) return 'paused';
  if (usedPercent >= thresholds.cleanupThresholdPercent) return 'cleaning';
  return 'normal';
}
