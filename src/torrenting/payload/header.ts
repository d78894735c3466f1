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
 */
export type PayloadVersion = '1.0' | '1.1' | '1.2';

/** Of a torrent that is made for the first time. */
export function newPayloadVersion(alignFilesFromBytes: number | null): PayloadVersion {
  return alignFilesFromBytes === null ? '1.1' : '1.2';
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

/** The comment lines on top of the lists. The time is the cycle's own date: a wall clock would split the swarm. */
export function header(
  title: string,
  { cycleDate, payloadVersion }: { cycleDate: string; payloadVersion: PayloadVersion },
): string[] {
  return [
    `# WikiSeed Torrent Dump ${title} - ${longDate(cycleDate)}`,
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
