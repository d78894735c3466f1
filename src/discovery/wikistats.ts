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
 * the wiki of each row by project and language. Only an order of work depends on it, so that broken rows are left out.
 * @throws RetryableError `bad_wikistats` when it is no such table
 */
export function parseWikistats(csv: string, wikis: readonly WikiPlace[]): Wikistats {
  let ignored = 0;
  const bad = (why: string, cause?: unknown): RetryableError =>
    new RetryableError('bad_wikistats', `the Wikistats table cannot be read: ${why}`, { cause });
  let rows: Record<string, string>[];
  try {
    rows = parse(csv, {
      bom: true,
      trim: true,
      skip_empty_lines: true,
      max_record_size: 10_000,
      skip_records_with_error: true,
      on_skip: () => {
        ignored += 1;
        return undefined;
      },
      columns: (header: string[]) => {
        const names = header.map((name) => name.toLowerCase());
        const lacking = NEEDED.filter((name) => !names.includes(name));
        if (lacking.length > 0) throw bad(`it has no column ${lacking.join(', ')}`);
        return names;
      },
    });
  } catch (error) {
    throw error instanceof RetryableError ? error : bad('it is no CSV', error);
  }
  const byPlace = indexPlaces(wikis);
  const pages = new Map<string, number>();
  const unmatched: string[] = [];
  for (const { prefix = '', type = '', total = '' } of rows) {
    const count = /^\d{1,15}$/.test(total) ? Number(total) : null;
    if (count === null || prefix === '' || type === '') {
      ignored += 1;
      continue;
    }
    const place = `${type}:${prefix}`.toLowerCase();
    const wikiDbName = byPlace.get(place);
    if (wikiDbName === undefined) unmatched.push(place.slice(0, 80));
    // A wiki that is listed twice, in an old and a new row, counts with its larger number.
    else pages.set(wikiDbName, Math.max(count, pages.get(wikiDbName) ?? 0));
  }
  if (rows.length === 0 && ignored === 0 && csv.trim() === '') throw bad('it is empty');
  return { pages, ignored, unmatched };
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
    const labels = (URL.canParse(url) ? new URL(url).hostname : '').replace(/^www\./, '').split('.');
    const [first = '', second = ''] = labels;
    if (LANGUAGE_PROJECTS.has(project)) add(`${project}:${first}`, wikiDbName);
    else {
      add(`special:${first}`, wikiDbName);
      if (labels.length === 3) add(`${second}:${first}`, wikiDbName);
    }
  }
  return places;
}
