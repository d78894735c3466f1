import { z } from 'zod';
import type { Catalog, DumpFile, Torrent } from '../catalog/index.ts';
import { CycleDate, formatBytes } from '../lib/index.ts';

/** One dump file inside a torrent. Hashes are lower-case hex of the bytes we proved; null only where a fact was never taken. */
export const ManifestFile = z.object({
  project: z.string(),
  language: z.string(),
  dump_type: z.string(),
  filename: z.string(),
  path_in_torrent: z.string(),
  size_bytes: z.number().int().nonnegative(),
  md5: z.string().nullable(),
  sha1: z.string().nullable(),
  /** Ours: Wikimedia publishes none for classic dumps. */
  sha256: z.string().nullable(),
  wikimedia_url: z.string(),
  /** Set once the Internet Archive was seen to hold the same bytes. */
  ia_url: z.string().nullable(),
});

/** One torrent; `url` is where its .torrent file can be fetched, null when this host publishes none. */
export const ManifestTorrent = z.object({
  name: z.string(),
  infohash: z.string().regex(/^[0-9a-f]{40}$/),
  magnet: z.string(),
  url: z.string().nullable(),
  cycle_date: CycleDate,
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
      supplement: torrent.supplement,
      supplements: torrent.supplement === 0 ? null : torrent.name.replace(/-supplement-\d+$/, ''),
      size_bytes: torrent.totalSizeBytes,
      ...(torrent.retiredAt === null ? {} : { retired_at: new Date(torrent.retiredAt).toISOString() }),
      files: files
        .map(({ dump, pathInTorrent, sizeBytes }) => manifestFile(dump, pathInTorrent, sizeBytes))
        .sort((a, b) => compare(a.path_in_torrent, b.path_in_torrent)),
    };
  });
  entries.sort(
    (a, b) =>
      compare(b.cycle_date, a.cycle_date) || compare(a.name, b.name) || compare(a.infohash, b.infohash),
  );
  return { version: '1.0', last_updated: new Date(newestMs).toISOString(), torrents: entries };
}

function manifestFile(
  dump: DumpFile,
  pathInTorrent: string,
  sizeBytes: number,
): z.infer<typeof ManifestFile> {
  return {
    project: dump.project,
    language: dump.language,
    dump_type: dump.dumpType,
    filename: dump.filename,
    path_in_torrent: pathInTorrent,
    size_bytes: sizeBytes,
    md5: dump.md5,
    sha1: dump.sha1,
    sha256: dump.sha256,
    wikimedia_url: dump.wikimediaUrl,
    ia_url: dump.iaVerifiedAt === null ? null : dump.iaUrl,
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

/** The manifest for a human eye: one block for each torrent, files counted by project, without their hashes. */
export function manifestText(manifest: Manifest, options: { version: string }): string {
  const totalBytes = manifest.torrents.reduce((sum, torrent) => sum + torrent.size_bytes, 0);
  const blocks = manifest.torrents.map((torrent) => {
    const projects = new Map<string, number>();
    for (const file of torrent.files) projects.set(file.project, (projects.get(file.project) ?? 0) + 1);
    const counts = [...projects]
      .sort(([a], [b]) => compare(a, b))
      .map(([project, count]) => `${project} ${count}`);
    return [
      torrent.name,
      `  cycle     ${torrent.cycle_date}`,
      ...(torrent.supplements === null
        ? []
        : [`  adds to   ${torrent.supplements}: files that came later (supplement ${torrent.supplement})`]),
      `  size      ${formatBytes(torrent.size_bytes)} (${torrent.size_bytes} bytes)`,
      `  files     ${torrent.files.length}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}`,
      ...(torrent.retired_at === undefined
        ? []
        : [`  retired   ${torrent.retired_at}: not seeded by this host any more`]),
      `  infohash  ${torrent.infohash}`,
      ...(torrent.url === null ? [] : [`  torrent   ${torrent.url}`]),
      `  magnet    ${torrent.magnet}`,
    ].join('\n');
  });
  const head = [
    'WikiSeed manifest: Wikimedia database dumps as torrents',
    `Updated ${manifest.last_updated}; ${manifest.torrents.length} torrents, ${formatBytes(totalBytes)}; made by WikiSeed ${options.version}.`,
    'manifest.json beside this file lists every file with its MD5, SHA-1 and SHA-256.',
  ].join('\n');
  return `${[head, ...blocks].join('\n\n')}\n`;
}
