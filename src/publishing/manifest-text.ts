import { formatBytes } from '../lib/index.ts';
import type { Manifest, ManifestTorrent } from './manifest.ts';

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
