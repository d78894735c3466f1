import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContentExportKind, contentRoot } from './content-export.ts';

/** Folders of dates in a wiki's folder, oldest first: `YYYYMMDD`, or `YYYY-MM-DD` for content exports. */
export async function dateFolders(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /^(?:\d{8}|\d{4}-\d{2}-\d{2})$/.test(name)).toSorted();
}

/** Sets the time of a file or folder, as listings show it. Nothing to do when it is not there. */
export async function setTime(path: string, time: Date): Promise<void> {
  await utimes(path, time, time).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/**
 * Gives the folders of a new tree the times that they have upstream: a run's folder that of its status file, a wiki's folder
 * that of its newest run's beginning. What the machine's clock said while they were made must not show in listings.
 */
export async function stampFolders(root: string, dbnames: readonly string[]): Promise<void> {
  await Promise.all(dbnames.map((dbname) => stampRuns(root, dbname)));
  for (const kind of ['current', 'history'] as const) await stampContent(root, kind);
}

async function stampRuns(root: string, dbname: string): Promise<void> {
  const dates = await dateFolders(join(root, dbname));
  for (const date of dates) {
    const folder = join(root, dbname, date);
    const status = await stat(join(folder, 'dumpstatus.json')).catch(() => null);
    if (status !== null) await setTime(folder, status.mtime);
  }
  const newest = dates.at(-1);
  if (newest !== undefined) await setTime(join(root, dbname), beginOf(newest));
}

async function stampContent(root: string, kind: ContentExportKind): Promise<void> {
  const base = contentRoot(root, kind);
  const stampWiki = async (dbname: string): Promise<string[]> => {
    const dates = await dateFolders(join(base, dbname));
    for (const date of dates) {
      const folder = join(base, dbname, date);
      const success = await stat(join(folder, 'xml', 'bzip2', '_SUCCESS')).catch(() => null);
      if (success !== null) await setTime(join(folder, 'xml', 'bzip2'), success.mtime);
      for (const path of [join(folder, 'xml'), folder]) await setTime(path, beginOf(date));
    }
    const newest = dates.at(-1);
    if (newest !== undefined) await setTime(join(base, dbname), beginOf(newest));
    return dates;
  };
  const dates = await Promise.all((await readdir(base).catch(() => [])).map(stampWiki));
  const oldest = dates.flat().toSorted()[0];
  if (oldest === undefined) return;
  await setTime(base, beginOf(oldest));
  await setTime(join(root, 'other'), beginOf(oldest));
}

/** When upstream makes the folder of a run. */
function beginOf(date: string): Date {
  const [, year, month, day] = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(date) ?? [];
  return new Date(`${year}-${month}-${day}T02:00:00Z`);
}
