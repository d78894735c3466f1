import type { Catalog, Torrent } from '../../src/catalog/index.ts';
import { formatBytes } from '../../src/lib/index.ts';
import { type ManifestAddresses, publicAddress, torrentKey } from '../../src/publishing/addresses.ts';
import type { Manifest, ManifestFile, ManifestTorrent } from '../../src/publishing/manifest.ts';

/*
 * The manifests as they were first written, whole and at once: what is written in pieces must be the same bytes. Others read these files;
 * whoever changes their form changes it here as well, and knows it.
 */

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
}: ReturnType<Catalog['torrentFiles']>[number]): ManifestFile {
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

/**
 * The manifest for a human eye: cycle by cycle, one block for each torrent of a whole cycle, files counted by project, without
 * their hashes; then a line for each smaller torrent, of which a cycle may have hundreds. Pure.
 */
export function manifestText(manifest: Manifest, options: { version: string }): string {
  const { torrents } = manifest;
  const cycles = [...new Set(torrents.map((torrent) => torrent.cycle_date))];
  const head = [
    'WikiSeed manifest: Wikimedia database dumps as torrents',
    `Updated ${manifest.last_updated}; ${torrents.length} torrents, ${formatBytes(distinctBytes(torrents))}; made by WikiSeed ${options.version}.`,
    'manifest.json beside this file lists every file with its MD5, SHA-1 and SHA-256.',
  ].join('\n');
  const parts = cycles.flatMap((cycle) => {
    const own = torrents.filter((torrent) => torrent.cycle_date === cycle);
    const isWhole = own.some(({ grouping }) => grouping === 'cycle');
    const smaller = SMALLER.flatMap(({ grouping, title }) => {
      const list = own.filter((torrent) => torrent.grouping === grouping);
      return list.length === 0
        ? []
        : [table(`${title}, cycle ${cycle}${isWhole ? ': the same files again' : ''}`, list)];
    });
    return [...own.filter(({ grouping }) => grouping === 'cycle').map(block), ...smaller];
  });
  return `${[head, ...parts].join('\n\n')}\n`;
}

const SMALLER = [
  { grouping: 'project', title: 'Project by project' },
  { grouping: 'language', title: 'Language by language' },
  { grouping: 'wiki_run', title: 'Wiki by wiki, laid out as at Wikimedia' },
] as const;

/** A file is in several torrents: its bytes count once. */
function distinctBytes(torrents: readonly ManifestTorrent[]): number {
  const met = new Set<string>();
  let bytes = 0;
  for (const { files, is_uncompressed: isUnpacked } of torrents)
    for (const file of files) {
      const key = `${isUnpacked ? 'unpacked ' : ''}${file.wikimedia_url}`;
      if (met.has(key)) continue;
      met.add(key);
      bytes += file.size_bytes;
    }
  return bytes;
}

function block(torrent: ManifestTorrent): string {
  const projects = new Map<string, number>();
  for (const file of torrent.files) projects.set(file.project, (projects.get(file.project) ?? 0) + 1);
  const counts = [...projects]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([project, count]) => `${project} ${count}`);
  return [
    torrent.name,
    `  cycle     ${torrent.cycle_date}`,
    ...(torrent.supplements === null
      ? []
      : [`  adds to   ${torrent.supplements}: files that came later (supplement ${torrent.supplement})`]),
    ...(torrent.part === 0 ? [] : [`  part      ${torrent.part}: one torrent could not hold all files`]),
    ...(torrent.is_uncompressed ? ['  unpacked  files as they are inside the dumps'] : []),
    `  size      ${formatBytes(torrent.size_bytes)} (${torrent.size_bytes} bytes)`,
    `  files     ${torrent.files.length}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}`,
    ...(torrent.retired_at === undefined
      ? []
      : [`  retired   ${torrent.retired_at}: not seeded by this host any more`]),
    `  infohash  ${torrent.infohash}`,
    ...(torrent.url === null ? [] : [`  torrent   ${torrent.url}`]),
    `  magnet    ${torrent.magnet}`,
  ].join('\n');
}

/** One line each; an infohash is all that a client needs. */
function table(title: string, torrents: readonly ManifestTorrent[]): string {
  const rows = torrents.map(({ name, files, size_bytes: size, infohash, retired_at: retiredAt }) => [
    ...[name, `${files.length} ${files.length === 1 ? 'file' : 'files'}`, formatBytes(size), infohash],
    retiredAt === undefined ? '' : 'not seeded by this host any more',
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const lines = rows.map(([name = '', files = '', size = '', infohash = '', note = '']) =>
    `  ${name.padEnd(widths[0] ?? 0)}  ${files.padStart(widths[1] ?? 0)}  ${size.padStart(widths[2] ?? 0)}  ${infohash}  ${note}`.trimEnd(),
  );
  return [
    title,
    '  (magnet:?xt=urn:btih:<infohash> opens one in a client; manifest.json has their full links)',
    ...lines,
  ].join('\n');
}
