import { formatBytes } from '../lib/units.ts';
import type { ManifestTorrent } from './manifest.ts';

/** A torrent as people are told of it. */
export interface TorrentOutline {
  /** Its `files` are not looked at. */
  torrent: ManifestTorrent;
  fileCount: number;
  /** How many files each project has. */
  projects: Map<string, number>;
}

/** What the text is made from. */
export interface TextFacts {
  /** ISO 8601, UTC. */
  lastUpdated: string;
  /** Of all files, each counted once. */
  distinctBytes: number;
  /** In the order of the manifest. */
  torrents: readonly TorrentOutline[];
}

/**
 * The manifest for a human eye: cycle by cycle, one block for each torrent of a whole cycle, files counted by project, without
 * their hashes; then a line for each smaller torrent, of which a cycle may have hundreds. Pure.
 */
export function manifestText(facts: TextFacts, options: { version: string }): string {
  const { torrents, lastUpdated } = facts;
  const cycles = Map.groupBy(torrents, ({ torrent }) => torrent.cycle_date);
  const head = [
    'WikiSeed manifest: Wikimedia database dumps as torrents',
    `Updated ${lastUpdated}; ${torrents.length} torrents, ${formatBytes(facts.distinctBytes)}; made by WikiSeed ${options.version}.`,
    'manifest.json beside this file lists every file with its MD5, SHA-1 and SHA-256.',
  ].join('\n');
  const parts = [...cycles].flatMap(([cycle, own]) => {
    const whole = own.filter(({ torrent }) => torrent.grouping === 'cycle');
    const smaller = SMALLER.flatMap(({ grouping, title }) => {
      const list = own.filter(({ torrent }) => torrent.grouping === grouping);
      return list.length === 0
        ? []
        : [table(`${title}, cycle ${cycle}${whole.length > 0 ? ': the same files again' : ''}`, list)];
    });
    return [...whole.map(block), ...smaller];
  });
  return `${[head, ...parts].join('\n\n')}\n`;
}

const SMALLER = [
  { grouping: 'project', title: 'Project by project' },
  { grouping: 'language', title: 'Language by language' },
  { grouping: 'wiki_run', title: 'Wiki by wiki, laid out as at Wikimedia' },
] as const;

function block({ torrent, fileCount, projects }: TorrentOutline): string {
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
    `  files     ${fileCount}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}`,
    ...(torrent.retired_at === undefined
      ? []
      : [`  retired   ${torrent.retired_at}: not seeded by this host any more`]),
    `  infohash  ${torrent.infohash}`,
    ...(torrent.url === null ? [] : [`  torrent   ${torrent.url}`]),
    `  magnet    ${torrent.magnet}`,
  ].join('\n');
}

/** One line each; an infohash is all that a client needs. */
function table(title: string, torrents: readonly TorrentOutline[]): string {
  const rows = torrents.map(({ torrent, fileCount }) => [
    ...[torrent.name, `${fileCount} ${fileCount === 1 ? 'file' : 'files'}`],
    ...[formatBytes(torrent.size_bytes), torrent.infohash],
    torrent.retired_at === undefined ? '' : 'not seeded by this host any more',
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
