import { WikiSeedError } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';
import {
  type FileSystemSpace,
  type StorageLimits,
  type StorageMode,
  type StorageThresholds,
  type StorageVerdict,
  storageMode,
} from './mode.ts';

/** The disk as operators see it; all bytes. */
export interface DiskUsage extends StorageThresholds {
  /** What WikiSeed itself occupies; hard links count once. null = not measured yet. */
  usedBytes: number | null;
  /** On the file system. */
  freeBytes: number;
  /** Usable size: the file system's, or `storage.max_size` when that is smaller. */
  totalBytes: number;
  fileSystemBytes: number;
  /** What counts as used, without reservations: all that is not free, or below `storage.max_size` what is ours. null = not measured yet. */
  countedBytes: number | null;
  /** Promised to running downloads and not yet on disk; counts as used. */
  reservedBytes: number;
  mode: StorageMode;
  /** Why, one sentence without its end. */
  reason: string;
  /** Only what is promised to running downloads lets no other begin: it ends with them. */
  isOnlyPromised: boolean;
  /** Epoch ms since when it is so; null = not watched. */
  since: number | null;
}

/**
 * Puts the facts of a look together.
 * @throws WikiSeedError `storage_unknown` when the file system did not say how full it is
 */
export function diskUsage(
  facts: {
    space: FileSystemSpace | null;
    usedBytes: number | null;
    reservedBytes: number;
    verdict: StorageVerdict;
    isOnlyPromised: boolean;
    since: number | null;
  },
  limits: StorageLimits,
): DiskUsage {
  const { space, verdict } = facts;
  if (space === null || verdict.usableBytes === null)
    throw new WikiSeedError('storage_unknown', verdict.reason, {
      hint: 'Look whether the disk that holds wikiseed.data_dir is there and mounted.',
    });
  return {
    usedBytes: facts.usedBytes,
    freeBytes: space.freeBytes,
    totalBytes: verdict.usableBytes,
    fileSystemBytes: space.totalBytes,
    countedBytes: verdict.countedBytes,
    reservedBytes: facts.reservedBytes,
    mode: verdict.mode,
    reason: verdict.reason,
    isOnlyPromised: facts.isOnlyPromised,
    since: facts.since,
    cleanupThresholdPercent: limits.cleanupThresholdPercent,
    pauseThresholdPercent: limits.pauseThresholdPercent,
    safetyMarginBytes: limits.safetyMarginBytes,
  };
}

/** What a daemon keeps in `system_state` for commands beside it, and for its next start. */
export interface SavedStorage {
  mode: StorageMode;
  isOnlyPromised: boolean;
  /** Epoch ms. */
  since: number;
  reservedBytes: number;
  /** What we occupy besides held and part files; null = not measured yet. */
  otherBytes: number | null;
}

const MODES: readonly string[] = ['normal', 'cleaning', 'paused', 'hard_stop'] satisfies StorageMode[];

/** null when there is none, or it has another shape. */
export function parseSavedStorage(text: string | null): SavedStorage | null {
  try {
    const saved = JSON.parse(text ?? 'null') as Partial<SavedStorage> | null;
    if (saved === null || !MODES.includes(String(saved.mode))) return null;
    const { since, reservedBytes, otherBytes } = saved;
    if (!Number.isFinite(since) || !Number.isFinite(reservedBytes)) return null;
    return {
      mode: saved.mode as StorageMode,
      isOnlyPromised: saved.isOnlyPromised === true,
      since: Number(since),
      reservedBytes: Number(reservedBytes),
      otherBytes: typeof otherBytes === 'number' && Number.isFinite(otherBytes) ? otherBytes : null,
    };
  } catch {
    return null;
  }
}

/**
 * The disk as a command beside the daemon sees it: it asks the file system itself, and takes from the daemon what only that knows. One
 * question; no tree is read.
 * @param saved what the daemon wrote down; null when none runs, or none did yet
 * @throws WikiSeedError `storage_unknown`, or what the disk says
 */
export async function lookAtDisk(
  deps: { disk: Pick<Disk, 'space'>; dataDir: string },
  limits: StorageLimits,
  known: { saved: SavedStorage | null; isDaemonRunning: boolean; heldBytes: number },
): Promise<DiskUsage> {
  const space = await deps.disk.space(deps.dataDir);
  const saved = known.isDaemonRunning ? known.saved : null;
  const otherBytes = known.saved?.otherBytes ?? null;
  // Part files are few, and what they will need is among the promises.
  const usedBytes = otherBytes === null ? null : known.heldBytes + otherBytes;
  const reservedBytes = saved?.reservedBytes ?? 0;
  const use = { space, ownBytes: usedBytes ?? known.heldBytes, reservedBytes };
  const computed = storageMode(use, limits, saved?.mode);
  // What the daemon does is what counts, as long as it does anything.
  const verdict = saved === null ? computed : { ...computed, mode: saved.mode };
  const { isOnlyPromised = false, since = null } = saved ?? {};
  return diskUsage({ space, usedBytes, reservedBytes, verdict, isOnlyPromised, since }, limits);
}
