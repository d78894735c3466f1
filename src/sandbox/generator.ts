import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadBzip2 } from './bzip2.ts';
import { generateRun } from './generate-run.ts';
import { buildPageModel } from './page-model.ts';
import { findSevenZip } from './seven-zip.ts';
import { buildTextPool } from './text-pool.ts';
import { chooseWikis, siteMatrix } from './wiki-table.ts';

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
}

/** A finished tree. */
export interface DumpTree {
  readonly dir: string;
  readonly dbnames: readonly string[];
  /** Sum of the published files per run date, in bytes. */
  readonly bytesByDate: Readonly<Record<string, number>>;
  /** True when an older, equal tree was found and left as it was. */
  readonly isReused: boolean;
}

/** Raise it when the generator's output changes, so that older trees are made again. */
const FORMAT = 1;
const MARKER = '.sandbox-tree.json';

interface Marker {
  format: number;
  parameters: string;
  dbnames: string[];
  bytesByDate: Record<string, number>;
  isComplete: boolean;
}

/**
 * Writes a dump tree `<dir>/<dbname>/<YYYYMMDD>/…` with the site matrix under `_api/`. The same options give the same
 * bytes. A complete tree of the same options is reused; one of other options is removed and made anew.
 * @throws RangeError for options out of range; Error when `dir` holds files that are not from here
 */
export async function generateDumpTree(options: DumpTreeOptions): Promise<DumpTree> {
  const { dir, seed, sizeBytes } = options;
  const runDates = [...new Set(options.runDates)].toSorted();
  for (const date of runDates) if (!isRunDate(date)) throw new RangeError(`not a run date: ${date}`);
  const wikis = chooseWikis(options.wikis);
  const dbnames = wikis.map((wiki) => wiki.dbname);
  const parameters = JSON.stringify({ seed, wikis: options.wikis, sizeBytes, runDates });

  await mkdir(dir, { recursive: true });
  const known = await readMarker(dir);
  if (known?.isComplete && known.format === FORMAT && known.parameters === parameters) {
    return { dir, dbnames, bytesByDate: known.bytesByDate, isReused: true };
  }
  if (known === null && (await readdir(dir)).length > 0)
    throw new Error(`${dir} holds files that are not a sandbox tree`);
  for (const dbname of known?.dbnames ?? []) await rm(join(dir, dbname), { recursive: true, force: true });
  const marker: Marker = { format: FORMAT, parameters, dbnames, bytesByDate: {}, isComplete: false };
  await writeMarker(dir, marker);

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
      const bytes = generateRun({ ...shared, root: dir, model, sevenZip });
      // Awaited in its turn; until then a failure must not count as unhandled.
      bytes.catch(() => undefined);
      inFlight.push({ bytes, budgetBytes: budgets[i] as number });
      if (inFlight.length > 1) await finishOldest();
    }
    while (inFlight.length > 0) await finishOldest();
    marker.bytesByDate[date] = sum;
  }
  await mkdir(join(dir, '_api'), { recursive: true });
  await writeFile(join(dir, '_api', 'sitematrix.json'), JSON.stringify(siteMatrix(wikis, 1)));
  await writeFile(join(dir, '_api', 'sitematrix.formatversion2.json'), JSON.stringify(siteMatrix(wikis, 2)));
  await writeMarker(dir, { ...marker, isComplete: true });
  return { dir, dbnames, bytesByDate: marker.bytesByDate, isReused: false };
}

/** Sizes fall with the rank (1, 1/2, 1/3 …), over a floor that even an empty wiki needs. */
function shareByRank(sizeBytes: number, count: number): number[] {
  const floorBytes = Math.min(24_000, sizeBytes / count);
  const weights = Array.from({ length: count }, (_, i) => 1 / (i + 1));
  const weightSum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => floorBytes + ((sizeBytes - floorBytes * count) * weight) / weightSum);
}

function isRunDate(date: string): boolean {
  const match = /^(\d{4})(\d{2})(\d{2})$/.exec(date);
  if (!match) return false;
  const day = new Date(`${match[1]}-${match[2]}-${match[3]}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().slice(0, 10).replaceAll('-', '') === date;
}

async function readMarker(dir: string): Promise<Marker | null> {
  try {
    return JSON.parse(await readFile(join(dir, MARKER), 'utf8')) as Marker;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Atomic, so that a torn marker never vouches for a torn tree. */
async function writeMarker(dir: string, marker: Marker): Promise<void> {
  await writeFile(join(dir, `${MARKER}.tmp`), JSON.stringify(marker));
  await rename(join(dir, `${MARKER}.tmp`), join(dir, MARKER));
}
