import { z } from 'zod';
import type { Catalog, Torrent } from '../catalog/index.ts';
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

/** Where our .torrent files can be fetched from, as far as configured; without trailing slash. */
export interface ManifestAddresses {
  publicBaseUrl: string | null;
  /** null as well when no object store is used. */
  r2PublicBaseUrl: string | null;
}

/** Address of one object that we publish, the object store before our own host; null when neither has an address. */
export function publicAddress(addresses: ManifestAddresses, key: string): string | null {
  const base = addresses.r2PublicBaseUrl ?? addresses.publicBaseUrl;
  return base === null ? null : `${base.replace(/\/+$/, '')}/${key}`;
}

/** Key in the object store and path below `publish/` of a .torrent file. */
export function torrentKey(infoHash: string): string {
  return `torrents/${infoHash}.torrent`;
}

/**
 * The manifest of some torrents. Pure in the catalog: no clock, sorted by cycle (newest first), name and infohash, files by path.
 */
export function buildManifest(
  catalog: Pick<Catalog, 'torrentFiles'>,
  torrents: readonly Torrent[],
  addresses: ManifestAddresses,
): Manifest {
  let newestMs = 0;
  const entries = torrents.map((torrent): ManifestTorrent => {
    const files = catalog.torrentFiles(torrent.id);
    newestMs = Math.max(newestMs, torrent.createdAt, torrent.retiredAt ?? 0);
    for (const { dump } of files)
      newestMs = Math.max(newestMs, dump.iaVerifiedAt === null ? 0 : (dump.uploadedAt ?? 0));
    return {
      name: torrent.name,
      infohash: torrent.infoHash,
      magnet: torrent.magnetLink,
      url: publicAddress(addresses, torrentKey(torrent.infoHash)),
      cycle_date: torrent.cycleDate,
      grouping: torrent.grouping as ManifestTorrent['grouping'],
      scope: torrent.scope,
      folder: torrent.infoName,
      part: torrent.part,
      is_uncompressed: torrent.isUncompressed,
      supplement: torrent.supplement,
      supplements: torrent.supplement === 0 ? null : torrent.name.replace(/-supplement-\d+(-part-\d+)?$/, ''),
      size_bytes: torrent.totalSizeBytes,
      ...(torrent.retiredAt === null ? {} : { retired_at: new Date(torrent.retiredAt).toISOString() }),
      files: files.map(manifestFile).sort((a, b) => compare(a.path_in_torrent, b.path_in_torrent)),
    };
  });
  entries.sort(
    (a, b) =>
      compare(b.cycle_date, a.cycle_date) || compare(a.name, b.name) || compare(a.infohash, b.infohash),
  );
  return { version: '1.0', last_updated: new Date(newestMs).toISOString(), torrents: entries };
}

function manifestFile({
  dump,
  pathInTorrent,
  sizeBytes,
  unpacked,
}: ReturnType<Catalog['torrentFiles']>[number]): z.infer<typeof ManifestFile> {
  const { md5, sha1, sha256 } = unpacked ?? dump;
  return {
    project: dump.project,
    language: dump.language,
    dump_type: dump.dumpType,
    filename: dump.filename,
    path_in_torrent: pathInTorrent,
    size_bytes: sizeBytes,
    ...{ md5, sha1, sha256 },
    wikimedia_url: dump.wikimediaUrl,
    ia_url: dump.iaVerifiedAt === null || unpacked !== null ? null : dump.iaUrl,
  };
}

/** Byte order, the same on every machine; `localeCompare` is not. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The manifest as a file: two spaces, newline at the end. */
export function manifestJson(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
