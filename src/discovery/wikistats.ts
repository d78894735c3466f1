import { parse } from 'csv-parse/sync';
import type { Wiki } from '../catalog/index.ts';
import { RetryableError } from '../lib/index.ts';

/** What of a wiki Wikistats' rows are matched by. */
export type WikiPlace = Pick<Wiki, 'wikiDbName' | 'project' | 'language' | 'url'>;

/** Pages of wikis according to Wikistats, and how much of its table could not be used. */
export interface Wikistats {
  /** Pages of all kinds (column `total`), by database name: what `Catalog.recordPageCounts` takes. */
  pages: Map<string, number>;
  /** Rows that are broken: cut off, badly quoted, without a number. */
  ignored: number;
  /** Rows of wikis that we do not know, as `type:prefix`. */
  unmatched: string[];
}

const NEEDED = ['prefix', 'type', 'total'] as const;

/**
 * Reads a CSV table of Wikistats (columns `rank, prefix, type, language, loclang, good, total, …`, in any order) and finds
 * the wiki of each row by project and language. Only the order of work depends on it, so that broken rows are left out.
 * @throws RetryableError `bad_wikistats` when it is no such table
 */
export function parseWikistats(csv: string, wikis: readonly WikiPlace[]): Wikistats {
  const [first = '', ...lines] = csv
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  const header = readRow(first)?.map((name) => name.toLowerCase()) ?? [];
  const lacking = NEEDED.filter((name) => !header.includes(name));
  if (lacking.length > 0)
    throw new RetryableError('bad_wikistats', `the Wikistats table has no column ${lacking.join(', ')}`, {
      hint: 'Check discovery.wikistats_url; without it nothing is lost but an order of work by size.',
    });
  const byPlace = indexPlaces(wikis);
  const result: Wikistats = { pages: new Map(), ignored: 0, unmatched: [] };
  for (const row of readRows(lines)) {
    const cell = (name: string): string => row?.[header.indexOf(name)] ?? '';
    if (row?.length !== header.length || cell('prefix') === '' || !/^\d{1,15}$/.test(cell('total'))) {
      result.ignored += 1;
      continue;
    }
    const place = `${cell('type')}:${cell('prefix')}`.toLowerCase();
    const wikiDbName = byPlace.get(place);
    if (wikiDbName === undefined) result.unmatched.push(place.slice(0, 80));
    // A wiki that is listed twice, in an old and a new row, counts with its larger number.
    else result.pages.set(wikiDbName, Math.max(Number(cell('total')), result.pages.get(wikiDbName) ?? 0));
  }
  return result;
}

/**
 * Cells of every line, null for a broken one. Few lines have quotes, and those are read all at once, which is ten times
 * faster; but a quote that never ends takes all lines after it, or up to the next one, so that each is read alone as soon as
 * one is broken.
 */
function readRows(lines: readonly string[]): (string[] | null)[] {
  const quoted = lines.filter((line) => line.includes('"'));
  const together = quoted.length === 0 ? [] : parseCells(quoted.join('\n'));
  const cells = together?.length === quoted.length ? together : quoted.map(readRow);
  let next = 0;
  return lines.map((line) => {
    if (!line.includes('"')) return line.split(',').map((cell) => cell.trim());
    next += 1;
    return cells[next - 1] ?? null;
  });
}

function readRow(line: string): string[] | null {
  return parseCells(line)?.[0] ?? null;
}

function parseCells(text: string): string[][] | null {
  try {
    return parse(text, { trim: true, relax_column_count: true }) as string[][];
  } catch {
    return null;
  }
}

/** Projects that exist in many languages; the rest are specials. */
const LANGUAGE_PROJECTS: ReadonlySet<string> = new Set([
  'wikipedia',
  'wiktionary',
  'wikibooks',
  'wikinews',
  'wikiquote',
  'wikisource',
  'wikiversity',
  'wikivoyage',
]);

/**
 * Names of wikis by `type:prefix`. Wikistats writes a prefix as a language, as the first part of the domain (`be-tarask`),
 * or as a special's own name under the type `special`, chapters under `wikimedia`; the most exact of them wins.
 */
function indexPlaces(wikis: readonly WikiPlace[]): Map<string, string> {
  const places = new Map<string, string>();
  const add = (place: string, wikiDbName: string): void => {
    const key = place.toLowerCase();
    if (!places.has(key)) places.set(key, wikiDbName);
  };
  for (const { wikiDbName, project, language } of wikis)
    add(LANGUAGE_PROJECTS.has(project) ? `${project}:${language}` : `special:${project}`, wikiDbName);
  for (const { wikiDbName, project, url } of wikis) {
    const labels = (/^https?:\/\/([^/:?#]+)/.exec(url)?.[1] ?? '').split('.');
    const [first = '', second = ''] = labels;
    if (LANGUAGE_PROJECTS.has(project)) add(`${project}:${first}`, wikiDbName);
    else {
      add(`special:${first}`, wikiDbName);
      if (labels.length === 3) add(`${second}:${first}`, wikiDbName);
    }
  }
  return places;
}
