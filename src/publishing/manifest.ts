import { z } from 'zod';
import { CycleDate } from '../lib/index.ts';

/**
 * One dump file inside a torrent. Size and hashes (lower-case hex) are those of the bytes the torrent carries, so of the unpacked
 * ones where it is uncompressed; null only where a fact was never taken.
 */
export const ManifestFile = z.object({
  project: z.string(),
  language: z.string(),
  dump_type: z.string(),
  /** As Wikimedia names it, packed. */
  filename: z.string(),
  path_in_torrent: z.string(),
  size_bytes: z.number().int().nonnegative(),
  md5: z.string().nullable(),
  sha1: z.string().nullable(),
  /** Ours: Wikimedia publishes none for classic dumps. */
  sha256: z.string().nullable(),
  /** Of the dump file; unpacked bytes come from it. */
  wikimedia_url: z.string(),
  /** Set once the Internet Archive was seen to hold the same bytes; it never holds unpacked ones. */
  ia_url: z.string().nullable(),
});

/** One torrent; `url` is where its .torrent file can be fetched, null when this host publishes none. */
export const ManifestTorrent = z.object({
  name: z.string(),
  infohash: z.string().regex(/^[0-9a-f]{40}$/),
  magnet: z.string(),
  url: z.string().nullable(),
  cycle_date: CycleDate,
  /** `cycle`: all of a cycle; `wiki_run`: one run of one wiki; `project`, `language`: of a cycle those of one. Files are in several. */
  grouping: z.enum(['cycle', 'wiki_run', 'project', 'language']),
  /** The wiki, the project or the language; null for a whole cycle. */
  scope: z.string().nullable(),
  /** Name in the torrent itself: that of the folder a client makes. Several torrents of a wiki share one. */
  folder: z.string(),
  /** 1, 2, …: what one torrent could not hold, in order; 0: it is whole. */
  part: z.number().int().nonnegative(),
  /** The files were unpacked. */
  is_uncompressed: z.boolean(),
  /** 0: the cycle's own torrent; 1, 2, …: what was finished after that one was made. */
  supplement: z.number().int().nonnegative(),
  /** Name of the torrent that a supplement belongs to; null for a cycle's own. */
  supplements: z.string().nullable(),
  size_bytes: z.number().int().nonnegative(),
  /** ISO 8601, UTC: since then this host does not seed it any more, because files of it were deleted. Absent: it does. */
  retired_at: z.string().optional(),
  files: z.array(ManifestFile),
});

/** What volunteers and other operators read. Field names are a public contract. */
export const Manifest = z.object({
  version: z.literal('1.0'),
  /** ISO 8601, UTC: the time of the newest fact in it, so that equal content is equal text. */
  last_updated: z.string(),
  torrents: z.array(ManifestTorrent),
});
export type Manifest = z.infer<typeof Manifest>;
export type ManifestTorrent = z.infer<typeof ManifestTorrent>;
export type ManifestFile = z.infer<typeof ManifestFile>;
