import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, futimesSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { writeApiFiles } from './api-files.ts';
import { type ContentExportKind, contentDate, contentFolder, contentRoot } from './content-export.ts';
import { stampFolders } from './folder-times.ts';
import { isRunDate } from './generator.ts';
import { inventedSize, statusDocument, statusText, type WikiSplit, wikiSplits } from './status-documents.ts';
import { openTree, writeTreeMarker } from './tree-marker.ts';
import { chooseWikis, type SandboxWiki } from './wiki-table.ts';

/** A world as large as Wikimedia's, without the bytes. */
export interface StatusWorldOptions {
  /** Where it goes; must be absent, empty, or a tree made here before. */
  dir: string;
  /** Number of wikis with dumps, 1 to `wikiCountMax`; default 1,000. */
  wikis?: number;
  /** Dates as YYYYMMDD; a day from the 20th on makes a partial run whose history is skipped. */
  runDates: readonly string[];
  /** How many of the wikis have 2,184 files in a run; default 10. */
  giants?: number;
  /** How many have 292; default 60. All others have 54. */
  large?: number;
  /** Content exports beside the runs of a 1st; default the current ones. */
  contentExports?: readonly ContentExportKind[];
}

/** A finished world. */
export interface StatusWorld {
  readonly dir: string;
  /** The giants first, then the large ones. */
  readonly dbnames: readonly string[];
  /** Files that the status documents of each run date name. */
  readonly filesByDate: Readonly<Record<string, number>>;
  readonly isReused: boolean;
}

/** Raise it when the world changes, so that older ones are made again. */
const FORMAT = 1;

/**
 * Writes a tree that `startDumpSite` serves and scripts like any other, but only what is asked about dumps: status documents of
 * 48 jobs, sums lists, the site matrix, the Wikistats table; content exports with listings and `SHA256SUMS`. Of dump files there
 * are none (404), but those of content exports are there as holes of the right length, so that listings name it. With 1,000
 * wikis the site's `index.json` has about 26 MB. A world of the same options is reused.
 * @throws RangeError for options out of range; Error when `dir` holds files that are not from here
 */
export async function generateStatusWorld(options: StatusWorldOptions): Promise<StatusWorld> {
  const { dir, giants = 10, large = 60, contentExports = ['current'] } = options;
  const runDates = [...new Set(options.runDates)].toSorted();
  for (const date of runDates) if (!isRunDate(date)) throw new RangeError(`not a run date: ${date}`);
  const wikis = chooseWikis(options.wikis ?? 1000);
  const dbnames = wikis.map((wiki) => wiki.dbname);
  const parameters = JSON.stringify({ world: wikis.length, runDates, giants, large, contentExports });
  const facts = { dbnames, format: FORMAT, parameters };
  const known = await openTree(dir, facts);
  if (known !== null) return { dir, dbnames, filesByDate: known.filesByDate ?? {}, isReused: true };
  const filesByDate: Record<string, number> = {};
  for (const kind of contentExports) await mkdir(contentRoot(dir, kind), { recursive: true });
  for (const [rank, wiki] of wikis.entries()) {
    await nextTurn();
    const split = wikiSplits[rank < giants ? 'giant' : rank < giants + large ? 'large' : 'small'];
    for (const date of runDates) {
      filesByDate[date] = (filesByDate[date] ?? 0) + writeRun(dir, wiki, date, split);
      for (const kind of date.endsWith('01') ? contentExports : [])
        writeContent(contentFolder(dir, kind, wiki.dbname, contentDate(date)), wiki, date, split);
    }
  }
  const pages = wikis.map(({ dbname }, rank) => [dbname, Math.ceil(60_000_000 / (rank + 1))] as const);
  await writeApiFiles(dir, wikis, new Map(pages));
  await stampFolders(dir, dbnames);
  await writeTreeMarker(dir, { ...facts, bytesByDate: {}, filesByDate, isComplete: true, isHollow: true });
  return { dir, dbnames, filesByDate, isReused: false };
}

/** Returns how many files the run names. */
function writeRun(root: string, wiki: SandboxWiki, date: string, split: WikiSplit): number {
  const { dbname } = wiki;
  const folder = join(root, dbname, date);
  mkdirSync(folder, { recursive: true });
  const document = statusDocument({ dbname, date, split });
  const files = Object.values(document.jobs).flatMap((job) => Object.entries(job.files ?? {}));
  const time = new Date(`${contentDate(date)}T09:46:00Z`);
  for (const algorithm of ['md5', 'sha1'] as const) {
    const lines = files.flatMap(([name, file]) =>
      file[algorithm] === undefined ? [] : [`${file[algorithm]}  ${name}\n`],
    );
    put(join(folder, `${dbname}-${date}-${algorithm}sums.txt`), time, lines.join(''));
  }
  put(join(folder, 'dumpstatus.json'), time, statusText(document));
  return files.length;
}

function writeContent(folder: string, { dbname }: SandboxWiki, date: string, split: WikiSplit): void {
  mkdirSync(folder, { recursive: true });
  const day = contentDate(date);
  const time = new Date(`${day}T06:00:00Z`);
  // Larger files than the classic history's: one for eight of those.
  const count = Math.ceil(split.historyParts / 8);
  const names = Array.from(
    { length: count },
    (_, at) => `${dbname}-${day}-p${at * 330_000 + 1}p${(at + 1) * 330_000}.xml.bz2`,
  );
  for (const name of names) put(join(folder, name), time, inventedSize(name, split));
  const sums = names
    .toSorted()
    .map((name) => `${createHash('sha256').update(name).digest('hex')}  ${name}\n`);
  put(join(folder, 'SHA256SUMS'), time, sums.join(''));
  put(join(folder, '_SUCCESS'), time, '');
}

/**
 * Writes a file with a text, or a hole of so many bytes. Synchronously: ten thousand small files are made in a third of the
 * time, and nobody is served yet.
 */
function put(path: string, time: Date, content: string | number): void {
  const file = openSync(path, 'w');
  try {
    if (typeof content === 'number') ftruncateSync(file, content);
    else writeFileSync(file, content);
    futimesSync(file, time, time);
  } finally {
    closeSync(file);
  }
}
