import { z } from 'zod';

/** Row ids are branded so that one kind cannot be passed for another. */
export const JobId = z.number().int().positive().brand<'JobId'>();
export type JobId = z.infer<typeof JobId>;

/** Row id of `dumps`, one dump file. */
export const DumpFileId = z.number().int().positive().brand<'DumpFileId'>();
export type DumpFileId = z.infer<typeof DumpFileId>;

/** Row id of `torrents`. */
export const TorrentId = z.number().int().positive().brand<'TorrentId'>();
export type TorrentId = z.infer<typeof TorrentId>;

/** `YYYY-MM-DD`, the date that names a cycle. */
export const CycleDate = z.string().regex(/^\d{4}-\d{2}-\d{2}$/);

/** `2026-11-20` -> `20261120`. */
export function runDateOf(cycleDate: string): string {
  return cycleDate.replaceAll('-', '');
}

/** `20261120` -> `2026-11-20`. */
export function cycleDateOf(runDate: string): string {
  return `${runDate.slice(0, 4)}-${runDate.slice(4, 6)}-${runDate.slice(6, 8)}`;
}
