import { WikiSeedError } from '../lib/index.ts';
import type { DiskUsage } from './facts.ts';
import { freeBytesToReturn, returnPercent } from './mode.ts';

/** What it takes to know how much must go. */
export type PruneUsage = Pick<
  DiskUsage,
  | 'mode'
  | 'countedBytes'
  | 'reservedBytes'
  | 'totalBytes'
  | 'fileSystemBytes'
  | 'freeBytes'
  | 'cleanupThresholdPercent'
  | 'pauseThresholdPercent'
  | 'safetyMarginBytes'
>;

/**
 * Bytes that must go until the storage mode is `normal` again; 0 while it is. Pure.
 * @throws WikiSeedError `prune_no_facts` when a figure is unknown: without facts nothing is deleted
 */
export function bytesToFree(usage: PruneUsage): number {
  if (usage.mode === 'normal') return 0;
  const { countedBytes, reservedBytes, totalBytes, fileSystemBytes, freeBytes } = usage;
  const figures = [countedBytes, reservedBytes, totalBytes, fileSystemBytes, freeBytes];
  if (countedBytes === null || figures.some((figure) => !Number.isFinite(figure) || Number(figure) < 0))
    throw new WikiSeedError('prune_no_facts', 'it is not known how full the disk is, so nothing is deleted', {
      hint: 'A daemon that has just started measures for some minutes; else look whether the disk is mounted.',
    });
  const mayUse = Math.floor((totalBytes * returnPercent(usage.cleanupThresholdPercent)) / 100);
  const mustBeFree = freeBytesToReturn(usage.safetyMarginBytes, fileSystemBytes);
  return Math.max(0, countedBytes + reservedBytes - mayUse, mustBeFree - freeBytes);
}
