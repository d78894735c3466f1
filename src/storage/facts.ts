import { join } from 'node:path';
import type { Disk } from '../ports/index.ts';
import { type StorageMode, type StorageThresholds, storageMode } from './mode.ts';

/** The disk as operators see it; all bytes. */
export interface DiskUsage extends StorageThresholds {
  /** Below our data directory; hard links count once. */
  usedBytes: number;
  freeBytes: number;
  totalBytes: number;
  mode: StorageMode;
}

/** Measures the data directory by walking it. */
export async function measureDisk(
  deps: { disk: Disk; dataDir: string },
  config: StorageThresholds & { maxSizeBytes: number | null },
): Promise<DiskUsage> {
  const space = await deps.disk.space(deps.dataDir);
  const usedBytes = await treeBytes(deps.disk, deps.dataDir);
  const isLimited = config.maxSizeBytes !== null && config.maxSizeBytes < space.totalBytes;
  const totalBytes = isLimited ? (config.maxSizeBytes as number) : space.totalBytes;
  const thresholds = {
    cleanupThresholdPercent: config.cleanupThresholdPercent,
    pauseThresholdPercent: config.pauseThresholdPercent,
    safetyMarginBytes: config.safetyMarginBytes,
  };
  // Without a limit of our own, what others wrote on the file system counts too.
  const counted = isLimited ? usedBytes : space.totalBytes - space.freeBytes;
  const mode = storageMode({ usedBytes: counted, totalBytes, freeBytes: space.freeBytes }, thresholds);
  return { usedBytes, freeBytes: space.freeBytes, totalBytes, mode, ...thresholds };
}

async function treeBytes(disk: Disk, root: string): Promise<number> {
  const seen = new Set<number>();
  const folders = [root];
  let sum = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const name of await disk.list(folder)) {
      const path = join(folder, name);
      const facts = await disk.stat(path);
      if (facts === null) continue;
      if (facts.isDirectory) folders.push(path);
      else if (facts.linkCount === 1 || !seen.has(facts.inode)) {
        if (facts.linkCount > 1) seen.add(facts.inode);
        sum += facts.sizeBytes;
      }
    }
  }
  return sum;
}
