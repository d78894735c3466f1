import type { WhichTorrent } from '../which-torrent.ts';

/**
 * Version of the generated files: their names, layout and wording. Raise it with any change of them, because each
 * change gives new torrents another infohash. The version of the program is left out of the payload for that reason:
 * operators on two releases must still meet in one swarm. A recorded torrent is made again in the version it has, so the
 * texts of every version stay.
 *
 * - 1.0: the first.
 * - 1.1: supplements, gaps of dump types with their reasons, sources, and what proved each file.
 * - 1.2: of torrents with aligned files, whose README tells of the padding; otherwise as 1.1. Torrents without aligned
 *   files are still 1.1.
 * - 1.3: of torrents of one project or language, and of parts of a torrent that had to be split: every file says so. Torrents
 *   of whole cycles are still 1.1 or 1.2.
 * - 1.4: of torrents of unpacked files, which say so everywhere, and from which packed file each was unpacked.
 * - `none`: of torrents of a wiki's run, which hold upstream's own files alone.
 */
export type PayloadVersion = '1.0' | '1.1' | '1.2' | '1.3' | '1.4' | 'none';

/** Of a torrent that is made for the first time; those of later versions than 1.0 are told apart by what they are. */
export function newPayloadVersion(
  torrent: Pick<WhichTorrent, 'grouping' | 'part' | 'variant'> & { alignFilesFromBytes: number | null },
): PayloadVersion {
  if (torrent.grouping === 'wiki_run') return 'none';
  if (torrent.variant === 'uncompressed') return '1.4';
  if (torrent.grouping !== 'cycle' || torrent.part > 0) return '1.3';
  return torrent.alignFilesFromBytes === null ? '1.1' : '1.2';
}

/** Website of the project, as the added files name it; part of the payload, so a change needs another version. */
export const HOME_PAGE = 'https://wikiseed.app';
/** Where the program comes from; part of the payload as well. */
export const SOURCE_PAGE = 'https://github.com/WikiSeedProject/WikiSeed';

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;

/** `2026-11-20` -> `20 November 2026`. */
export function longDate(cycleDate: string): string {
  const [year = '', month = '', day = ''] = cycleDate.split('-');
  return `${Number(day)} ${MONTHS[Number(month) - 1] ?? month} ${year}`;
}

/** What the lines on top of a list depend on. */
export type HeaderFacts = Pick<WhichTorrent, 'cycleDate' | 'grouping' | 'scope' | 'part'> & {
  payloadVersion: PayloadVersion;
};

/** What a torrent is that does not hold the whole cycle; nothing for one that does. */
export function narrowness({
  grouping,
  scope,
  part,
}: Pick<WhichTorrent, 'grouping' | 'scope' | 'part'>): string[] {
  return [
    ...(grouping === 'cycle' ? [] : [`Only the ${grouping} ${scope}`]),
    ...(part === 0 ? [] : [`Only part ${part} of several`]),
  ];
}

/** The comment lines on top of the lists. The time is the cycle's own date: a wall clock would split the swarm. */
export function header(title: string, facts: HeaderFacts): string[] {
  const { cycleDate, payloadVersion } = facts;
  return [
    `# WikiSeed Torrent Dump ${title} - ${longDate(cycleDate)}`,
    ...narrowness(facts).map((line) => `# ${line}`),
    `# ${HOME_PAGE}`,
    `# Generated: ${cycleDate} 00:00 UTC (the date of the dump cycle)`,
    `# WikiSeed version: ${payloadVersion} (of these files; see VERSION.txt)`,
    `# WikiSeed GitHub: ${SOURCE_PAGE}`,
  ];
}

/** Lines to file content: one line feed after each. */
export function lines(...parts: (string | readonly string[])[]): string {
  return `${parts.flat().join('\n')}\n`;
}

/** JSON with sorted keys, two spaces and a final line feed, so that equal facts are equal bytes. */
export function stableJson(value: unknown): string {
  return `${JSON.stringify(sorted(value), null, 2)}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
