/**
 * A dump file's name, cut up: `<db>-<date>-<base>[<part>][.<content>][-p<first>p<last>][.<packing>]`. What was cut up and put
 * together again is the same text.
 */
export interface DumpFileName {
  wikiDbName: string;
  /** `YYYYMMDD`, or `latest` for links. */
  date: string;
  /** `pages-articles-multistream-index`, `page_props`, …; may end in digits of its own. */
  baseName: string;
  part: number | null;
  content: 'xml' | 'sql' | 'txt' | 'json' | null;
  /** Page ids as written, leading zeros included. */
  range: { first: string; last: string } | null;
  packing: 'bz2' | 'gz' | '7z' | null;
}

const REST =
  /^(?<stem>[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*)(?:\.(?<content>xml|sql|txt|json))?(?:-p(?<first>\d{1,20})p(?<last>\d{1,20}))?(?:\.(?<packing>bz2|gz|7z))?$/;

/** Names whose last digits count nothing. */
const ENDS_IN_DIGITS: ReadonlySet<string> = new Set(['all-titles-in-ns0', 'siteinfo2-namespacesv2']);

/** null when it is no dump file's name of this wiki. */
export function parseFileName(filename: string, wikiDbName: string): DumpFileName | null {
  if (!filename.startsWith(`${wikiDbName}-`)) return null;
  const afterDb = filename.slice(wikiDbName.length + 1);
  const date = /^(?:\d{8}|latest)(?=-)/.exec(afterDb)?.[0];
  if (date === undefined) return null;
  const groups = REST.exec(afterDb.slice(date.length + 1))?.groups;
  if (groups === undefined) return null;
  const { stem = '', content, first, last, packing } = groups;
  if (content === undefined && packing === undefined) return null;
  // Tables and lists of titles come whole: digits before `.sql` or a bare `.gz` belong to the name.
  const isSplittable = (content === 'xml' || content === 'txt') && !ENDS_IN_DIGITS.has(stem);
  const split = isSplittable ? /^(.*[^0-9])([1-9]\d{0,5})$/.exec(stem) : null;
  return {
    wikiDbName,
    date,
    baseName: split?.[1] ?? stem,
    part: split === null ? null : Number(split[2]),
    content: (content as DumpFileName['content']) ?? null,
    range: first === undefined || last === undefined ? null : { first, last },
    packing: (packing as DumpFileName['packing']) ?? null,
  };
}

/** The reverse of `parseFileName`. */
export function formatFileName(name: DumpFileName): string {
  const { wikiDbName, date, baseName, part, content, range, packing } = name;
  return [
    `${wikiDbName}-${date}-${baseName}${part ?? ''}`,
    content === null ? '' : `.${content}`,
    range === null ? '' : `-p${range.first}p${range.last}`,
    packing === null ? '' : `.${packing}`,
  ].join('');
}

/** The dump type that a file belongs to. An index of a multistream is of no use alone, so both are one type. */
export function dumpTypeOf(name: DumpFileName): string {
  return name.baseName.replace(/-multistream-index$/, '-multistream');
}

/** Whether the file is all of its kind, or one of several parts. */
export function isPart(name: DumpFileName): boolean {
  return name.part !== null || name.range !== null;
}

/** What upstream calls files that it has not finished: `.inprog`, `.truncated`, `.empty`, `-tmp`; null for others. */
export function temporarySuffix(filename: string): string | null {
  return /(?:\.inprog|\.truncated|\.empty|[-.]tmp)$/.exec(filename)?.[0] ?? null;
}
