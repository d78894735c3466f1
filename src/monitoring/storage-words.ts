import { formatBytes } from '../lib/index.ts';
import type { StorageFacts } from './types.ts';

/** What is used of what may be used: without a limit all that is not free, else what is ours; promises included. */
export function usedOf(facts: StorageFacts): { usedBytes: number | null; isLimited: boolean } {
  const { fileSystemBytes = facts.totalBytes, totalBytes, freeBytes, reservedBytes = 0 } = facts;
  const isLimited = fileSystemBytes > totalBytes;
  const counted = facts.countedBytes === undefined ? totalBytes - freeBytes : facts.countedBytes;
  return { usedBytes: counted === null ? null : counted + reservedBytes, isLimited };
}

/** What happens now, and what will happen next without anybody's doing: whole sentences. */
export function storageWords(facts: StorageFacts): string | null {
  const { mode, cleanupThresholdPercent: cleanup, pauseThresholdPercent: pause } = facts;
  const at = (percent: number | undefined): string =>
    percent === undefined ? 'the next threshold' : `${percent} %`;
  if (mode === undefined) return null;
  if (facts.isOnlyPromised === true)
    return 'Running downloads were promised all the room there is: the others wait until one of them ends.';
  if (mode === 'normal') return `Plenty of room. From ${at(cleanup)} on, what may be deleted is deleted.`;
  if (mode === 'cleaning')
    return `What may be deleted is being deleted; downloads go on. From ${at(pause)} on, none starts.`;
  if (mode === 'paused')
    return 'Running downloads finish, none starts. They start again by themselves when there is room.';
  const margin = facts.safetyMarginBytes === undefined ? '' : ` (${formatBytes(facts.safetyMarginBytes)})`;
  return `Downloads are stopped and go on by themselves where they were, as soon as more than the safety margin${margin} is free.`;
}

/** What one glance says of the disk; null when it needs nobody. */
export function storageVerdict(
  facts: StorageFacts,
): { level: 'attention' | 'stopped'; reason: string } | null {
  if (facts.isOnlyPromised === true) return null;
  const why = facts.reason === undefined ? '' : ` (${facts.reason})`;
  if (facts.mode === 'hard_stop')
    return { level: 'stopped', reason: `The disk is full: downloads are stopped${why}.` };
  if (facts.mode === 'paused')
    return { level: 'attention', reason: `The disk is nearly full: no new download starts${why}.` };
  return null;
}
