import { mkdir } from 'node:fs/promises';
import { writeApiFiles } from './api-files.ts';
import { loadBzip2 } from './bzip2.ts';
import { type ContentExportKind, contentRoot, generateContentExport } from './content-export.ts';
import { stampFolders } from './folder-times.ts';
import { generateRun } from './generate-run.ts';
import { buildPageModel } from './page-model.ts';
import { findSevenZip } from './seven-zip.ts';
import { buildTextPool } from './text-pool.ts';
import { openTree, writeTreeMarker } from './tree-marker.ts';
import { chooseWikis } from './wiki-table.ts';

/** What decides a tree's content completely. */
export interface DumpTreeOptions {
  /** Where the tree goes; must be absent, empty, or a tree made here before. */
  dir: string;
  seed: number;
  /** Number of wikis with dumps, 1 to `wikiCountMax`. */
  wikis: number;
  /** Sum of the published files of one run date over all wikis, in bytes; met within 10 % from 2 MB up. */
  sizeBytes: number;
  /** Dates as YYYYMMDD; a day from the 20th on makes a partial run without history. */
  runDates: readonly string[];
  /**
   * Content exports beside the classic runs of a 1st, default none. They come on top of `sizeBytes`: `current` about as much
   * as the pages-meta-current files have.
   */
  contentExports?: readonly ContentExportKind[] | undefined;
}

/** A finished tree. */
export interface DumpTree {
  readonly dir: string;
  readonly dbnames: readonly string[];
  /** Sum of the published files per run date, in bytes. */
  readonly bytesByDate: Readonly<Record<string, number>>;
  /** Sum of the content exports' files per classic run date (YYYYMMDD); a date without any is absent. */
  readonly contentBytesByDate: Readonly<Record<string, number>>;
  /** True when an older, equal tree was found and left as it was. */
  readonly isReused: boolean;
}

/** Raise it when the generator's output changes, so that older trees are made again. */
const FORMAT = 2;

/**
 * Writes a dump tree `<dir>/<dbname>/<YYYYMMDD>/…` with the site matrix and the Wikistats table under
 * `_api/`, and on request the content exports under `other/`. The same options give the same bytes. A complete tree of the
 * same options is reused, with everything that was scripted upon it since; one of other options is removed and made anew.
 * @throws RangeError for options out of range; Error when `dir` holds files that are not from here
 */
export async function generateDumpTree(options: DumpTreeOptions): Promise<DumpTree> {
  const { dir, seed, sizeBytes } = options;
  const runDates = [...new Set(options.runDates)].toSorted();
  for (const date of runDates) if (!isRunDate(date)) throw new RangeError(`not a run date: ${date}`);
  const wikis = chooseWikis(options.wikis);
  const dbnames = wikis.map((wiki) => wiki.dbname);
  const kinds = (['current', 'history'] as const).filter((kind) => options.contentExports?.includes(kind));
  const parameters = JSON.stringify({ seed, wikis: options.wikis, sizeBytes, runDates, kinds });

  const facts = { format: FORMAT, parameters, dbnames };
  const known = await openTree(dir, facts);
  if (known !== null) {
    const { bytesByDate, contentBytesByDate = {} } = known;
    return { dir, dbnames, bytesByDate, contentBytesByDate, isReused: true };
  }
  const bytesByDate: Record<string, number> = {};
  const contentBytesByDate: Record<string, number> = {};
  for (const kind of kinds) await mkdir(contentRoot(dir, kind), { recursive: true });
  const pageCounts = new Map<string, number>();

  const bzip2 = await loadBzip2();
  const sevenZip = await findSevenZip();
  const pool = await buildTextPool({ seed, bzip2, sevenZip, sizeBytes });
  const budgets = shareByRank(sizeBytes, wikis.length);
  for (const date of runDates) {
    const hasHistory = Number(date.slice(6)) < 20;
    let sum = 0;
    let doneBudgets = 0;
    // Two wikis at a time: one is written while the other waits for the archiver, which is a process of its own.
    const inFlight: { bytes: Promise<number>; budgetBytes: number }[] = [];
    const finishOldest = async (): Promise<void> => {
      const oldest = inFlight.shift();
      sum += (await oldest?.bytes) ?? 0;
      doneBudgets += oldest?.budgetBytes ?? 0;
    };
    for (const [i, wiki] of wikis.entries()) {
      // What finished wikis took too much or too little is spread over the rest: the sum is what counts.
      const budgetBytes = (budgets[i] as number) + (doneBudgets - sum) / (wikis.length - i);
      const shared = { seed, budgetBytes, hasHistory, bzip2 };
      const model = buildPageModel({ ...shared, wiki, date, hasSevenZip: sevenZip !== null, pool });
      pageCounts.set(
        wiki.dbname,
        model.segments.reduce((count, segment) => count + segment.pages.length, 0),
      );
      const bytes = (async (): Promise<number> => {
        const runBytes = await generateRun({ ...shared, root: dir, model, sevenZip });
        for (const kind of date.endsWith('01') ? kinds : []) {
          const added = await generateContentExport({ root: dir, model, kind, bzip2 });
          contentBytesByDate[date] = (contentBytesByDate[date] ?? 0) + added;
        }
        return runBytes;
      })();
      // Awaited in its turn; until then a failure must not count as unhandled.
      bytes.catch(() => undefined);
      inFlight.push({ bytes, budgetBytes: budgets[i] as number });
      if (inFlight.length > 1) await finishOldest();
    }
    while (inFlight.length > 0) await finishOldest();
    bytesByDate[date] = sum;
  }
  await writeApiFiles(dir, wikis, pageCounts);
  await stampFolders(dir, dbnames);
  await writeTreeMarker(dir, { ...facts, bytesByDate, contentBytesByDate, isComplete: true });
  return { dir, dbnames, bytesByDate, contentBytesByDate, isReused: false };
}

/** Sizes fall with the rank (1, 1/2, 1/3 …), over a floor that even an empty wiki needs. */
function shareByRank(sizeBytes: number, count: number): number[] {
  const floorBytes = Math.min(24_000, sizeBytes / count);
  const weights = Array.from({ length: count }, (_, i) => 1 / (i + 1));
  const weightSum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => floorBytes + ((sizeBytes - floorBytes * count) * weight) / weightSum);
}

/** True for a date that exists, as `YYYYMMDD`. */
export function isRunDate(date: string): boolean {
  const match = /^(\d{4})(\d{2})(\d{2})$/.exec(date);
  if (!match) return false;
  const day = new Date(`${match[1]}-${match[2]}-${match[3]}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().slice(0, 10).replaceAll('-', '') === date;
}
