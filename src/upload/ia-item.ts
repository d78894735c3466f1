import type { DumpFile } from '../catalog/index.ts';
import { cycleDateOf, PermanentError } from '../lib/index.ts';
import type { ItemMetadata } from './ia-headers.ts';

/** Documented form, at most 80 of the 100 characters allowed, lower case because identifiers collide without regard to case. */
const IDENTIFIER = /^[a-z0-9][a-z0-9._-]{2,79}$/;

/**
 * Name of the item that takes a wiki's run: `wikiseed-aawiki-20261120`, further parts `…-2`, `…-3`.
 * @param part counted from 1
 * @throws PermanentError `bad_identifier`
 */
export function itemIdentifier(run: { wikiDbName: string; runDate: string }, part: number): string {
  const name = `wikiseed-${run.wikiDbName}-${run.runDate}`.toLowerCase() + (part > 1 ? `-${part}` : '');
  if (IDENTIFIER.test(name)) return name;
  throw new PermanentError(
    'bad_identifier',
    `${name.slice(0, 120)} cannot be an Internet Archive identifier`,
  );
}

/** Name of the file inside the item; upstream's own layout, so that the item is a webseed root (BEP 19). */
export function itemKey(file: { wikiDbName: string; runDate: string; filename: string }): string {
  return `${file.wikiDbName}/${file.runDate}/${file.filename}`;
}

/**
 * Which part of its run's items a file belongs to, first fit in the order of names.
 * @returns the part, from 1, and the bytes planned for the whole item
 */
export function placeFile(
  files: readonly { filename: string; sizeBytes: number }[],
  filename: string,
  limits: { maxItemSizeBytes: number; maxItemFiles: number },
): { part: number; itemSizeBytes: number } {
  const parts: { sizeBytes: number; names: Set<string> }[] = [];
  for (const file of [...files].sort((a, b) => (a.filename < b.filename ? -1 : 1))) {
    const last = parts.at(-1);
    const fits =
      last !== undefined &&
      last.names.size < limits.maxItemFiles &&
      last.sizeBytes + file.sizeBytes <= limits.maxItemSizeBytes;
    const part = fits ? last : { sizeBytes: 0, names: new Set<string>() };
    if (!fits) parts.push(part);
    part.sizeBytes += file.sizeBytes;
    part.names.add(file.filename);
  }
  const index = Math.max(
    0,
    parts.findIndex((part) => part.names.has(filename)),
  );
  return { part: index + 1, itemSizeBytes: parts[index]?.sizeBytes ?? 0 };
}

/** Text of the wikis; Wikidata and Wikinews have their own (legal.html of the dump site). */
function licenceUrl(project: string): string {
  if (project === 'wikidata') return 'https://creativecommons.org/publicdomain/zero/1.0/';
  if (project === 'wikinews') return 'https://creativecommons.org/licenses/by/2.5/';
  return 'https://creativecommons.org/licenses/by-sa/4.0/';
}

/** What the item says about itself; read by the archive only at creation, `mediatype` can never change. */
export function itemMetadata(
  row: Pick<DumpFile, 'wikiDbName' | 'runDate' | 'project' | 'language' | 'wikimediaUrl'>,
  options: { collection: string; part: number },
): ItemMetadata {
  const date = /^\d{8}$/.test(row.runDate) ? cycleDateOf(row.runDate) : row.runDate;
  const runUrl = row.wikimediaUrl.slice(0, row.wikimediaUrl.lastIndexOf('/') + 1);
  return {
    mediatype: 'data',
    collection: options.collection,
    title: `Wikimedia database dump of ${row.wikiDbName} on ${date}${options.part > 1 ? `, part ${options.part}` : ''}`,
    description:
      `Database dump of ${row.wikiDbName} (${row.project}, language ${row.language}) made by the Wikimedia Foundation on ${date}. ` +
      'The files are unchanged copies; each was checked against the hashes published with it.',
    date,
    creator: 'Wikimedia projects editors',
    subject: ['wikimedia', 'dumps', 'data dumps', row.project, row.wikiDbName],
    language: row.language,
    licenseurl: licenceUrl(row.project),
    originalurl: runUrl,
    source: runUrl,
    'wiki-dbname': row.wikiDbName,
    'wiki-project': row.project,
    'dump-date': date,
  };
}
