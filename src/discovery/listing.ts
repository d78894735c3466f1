import { RetryableError } from '../lib/index.ts';
import { isSafeName } from '../storage/index.ts';

/** One entry of a directory listing. */
export interface ListingEntry {
  /** One safe path segment, percent-decoded, without a final slash. */
  name: string;
  isDirectory: boolean;
  /** Exact bytes; null for a folder, and when the listing only gives a rounded size. */
  sizeBytes: number | null;
  /** Epoch ms, as exact as the listing writes it (minutes or seconds); null when unreadable. */
  modifiedAt: number | null;
}

/** A listing, and the names in it that must not become a path. */
export interface Listing {
  entries: ListingEntry[];
  /** At most 120 characters of each. */
  refused: string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const LINK = /<a\s[^<>]{0,200}?href="([^"<>]{0,800})"[^<>]{0,200}>/gi;

/**
 * Reads a directory listing as nginx or lighttpd writes it: names that can be one path segment, in the listing's order.
 * Links to elsewhere (`../`, absolute ones, those that sort the table) are no entries.
 * @param where for the error's message
 * @throws RetryableError `torn_listing` when it is no listing, or cut off
 */
export function parseListing(html: string, where = 'a directory'): ListingEntry[] {
  return readListing(html, where).entries;
}

/**
 * See `parseListing`; also tells which names were refused.
 * @throws RetryableError `torn_listing`
 */
export function readListing(html: string, where = 'a directory'): Listing {
  // A maintenance page must not pass for an empty folder, nor half a listing for the whole: what is absent counts as gone.
  if (!/<title>\s*Index of\b/i.test(html) || !/<\/html>\s*$/i.test(html.slice(-200)))
    throw new RetryableError('torn_listing', `the listing of ${where} is not complete`);
  const entries = new Map<string, ListingEntry>();
  const refused: string[] = [];
  const links = [...html.matchAll(LINK)];
  for (const [index, link] of links.entries()) {
    const href = link[1] as string;
    if (isElsewhere(href)) continue;
    const isDirectory = href.endsWith('/');
    const name = decodeName(isDirectory ? href.slice(0, -1) : href);
    if (name === null) {
      refused.push(href.slice(0, 120));
      continue;
    }
    const row = html.slice(link.index + link[0].length, links[index + 1]?.index);
    const entry = { name, isDirectory, ...readRow(row, isDirectory) };
    const twin = entries.get(name);
    // Two that say different things leave us with neither.
    if (twin !== undefined && (twin.sizeBytes !== entry.sizeBytes || twin.isDirectory !== isDirectory))
      entry.sizeBytes = null;
    entries.set(name, entry);
  }
  return { entries: [...entries.values()], refused };
}

/** Sorting links of a table, the parent folder, this folder, other places and other hosts. */
function isElsewhere(href: string): boolean {
  return /^(?:$|[?#/]|\.{1,2}\/?$|[a-z][a-z0-9+.-]*:)/i.test(href);
}

/** Decoded once, and only then judged: `%2e%2e%2f` is no better than `../`. */
function decodeName(text: string): string | null {
  let name: string;
  try {
    name = decodeURIComponent(text);
  } catch {
    return null;
  }
  return isSafeName(name) ? name : null;
}

/** Date and size stand after the link; in a lighttpd table in cells of their own. */
function readRow(row: string, isDirectory: boolean): Pick<ListingEntry, 'sizeBytes' | 'modifiedAt'> {
  const closed = row.indexOf('</a>');
  // A long row is no row: whatever follows the last link is looked at no further than a row is long.
  const text = row
    .slice(closed === -1 ? 0 : closed + 4, (closed === -1 ? 0 : closed) + 1000)
    .replaceAll(/<[^<>]*>|&nbsp;/g, ' ');
  const date =
    /(?:^|\s)(?<day>\d{2})-(?<month>[A-Za-z]{3})-(?<year>\d{4})\s+(?<hour>\d{2}):(?<minute>\d{2})(?::(?<second>\d{2}))?(?=\s|$)/.exec(
      text,
    ) ??
    /(?:^|\s)(?<year>\d{4})-(?<month>[A-Za-z]{3})-(?<day>\d{2})\s+(?<hour>\d{2}):(?<minute>\d{2})(?::(?<second>\d{2}))?(?=\s|$)/.exec(
      text,
    );
  if (date === null) return { sizeBytes: null, modifiedAt: null };
  const size = /^\s+(\d{1,16})(?=\s|$)/.exec(text.slice(date.index + date[0].length))?.[1];
  const sizeBytes = isDirectory || size === undefined ? null : Number(size);
  return {
    sizeBytes: Number.isSafeInteger(sizeBytes) ? sizeBytes : null,
    modifiedAt: epochOf(date.groups as Record<string, string | undefined>),
  };
}

/** Epoch ms of a written UTC time; null when there is no such time. */
function epochOf(part: Record<string, string | undefined>): number | null {
  const month = MONTHS.indexOf((part.month ?? '').toLowerCase());
  if (month === -1) return null;
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = realDay(`${part.year}-${two(month + 1)}-${part.day}`);
  const at = Date.parse(`${day}T${part.hour}:${part.minute}:${part.second ?? '00'}Z`);
  return day === null || Number.isNaN(at) ? null : at;
}

/** The text, when it is a day (`YYYY-MM-DD`) of the real calendar. */
function realDay(text: string): string | null {
  const at = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text ? null : text;
}

/** How a source writes its run dates: `20260101` in classic runs, `2026-01-01` in content exports. */
export type DateForm = 'compact' | 'dashed';

/** True for the name of a run: a day of the real calendar, so neither `latest` nor `20260231`. */
export function isRunDate(name: string, form: DateForm = 'compact'): boolean {
  const pattern = form === 'compact' ? /^(\d{4})(\d{2})(\d{2})$/ : /^(\d{4})-(\d{2})-(\d{2})$/;
  const match = pattern.exec(name);
  return match !== null && realDay(`${match[1]}-${match[2]}-${match[3]}`) !== null;
}

/** Dates of the runs that have a folder, oldest first. */
export function runDatesOf(entries: readonly ListingEntry[], form: DateForm = 'compact'): string[] {
  return entries
    .filter((entry) => entry.isDirectory && isRunDate(entry.name, form))
    .map((entry) => entry.name)
    .sort();
}
