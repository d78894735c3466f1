import type { EpochMs } from '../ports/index.ts';
import type { Copy, CoverageRow, CoverageTotals } from './coverage-queries.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Whole days since a cycle's date (`YYYY-MM-DD`). */
export function ageInDays(cycleDate: string, now: EpochMs): number {
  return Math.max(0, Math.floor((now - Date.parse(`${cycleDate}T00:00:00Z`)) / DAY_MS));
}

/** Percent with one decimal, rounded down so that 100 means all; null when there is nothing to cover. */
export function percentCovered({ counted, covered }: CoverageTotals): number | null {
  return counted === 0 ? null : Math.floor((1000 * covered) / counted) / 10;
}

/** Places in words; a set that is whole only together says so. */
export function placeWords(copy: Copy): string {
  const words = { disk: 'this disk', internet_archive: 'Internet Archive', torrent: 'seeded torrent' };
  if (copy.places.length === 0) return 'in parts on this disk and at the Internet Archive';
  return copy.places.map((place) => words[place]).join(', ');
}

const CSV_HEADS = [
  'wiki',
  'project',
  'language',
  'state',
  'cycle',
  'age_days',
  'source',
  'dump_type',
  'files',
  'size_bytes',
  'places',
  'reason',
] as const;

/** What became of a wiki, in one word. */
export function stateOf(row: CoverageRow): 'covered' | 'missing' | 'not_counted' {
  if (!row.isCounted) return 'not_counted';
  return row.copy === null ? 'missing' : 'covered';
}

/** Comma-separated values as RFC 4180 has them, with a line of names. */
export function coverageCsv(rows: readonly CoverageRow[], now: EpochMs): string {
  const lines = rows.map((row) => {
    const { copy } = row;
    return [
      row.wikiDbName,
      row.project,
      row.language,
      stateOf(row),
      copy?.cycleDate ?? '',
      copy === null ? '' : String(ageInDays(copy.cycleDate, now)),
      copy?.source ?? '',
      copy?.dumpType ?? '',
      String(copy?.files ?? ''),
      String(copy?.sizeBytes ?? ''),
      copy?.places.join(' ') ?? '',
      row.reason ?? '',
    ];
  });
  return [CSV_HEADS, ...lines].map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
