import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openDb } from '../../src/db/index.ts';
import { type RebuildReport, rebuildDatabase } from '../../src/maintenance/index.ts';
import { createNodeDisk, type Disk } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { shiftedClock } from './shifted-clock.ts';

/*
 * What the tests of `wikiseed rebuild` share: tables as a stranger sees them, a lost database, and a rebuild in this process.
 */

export const NOW = '2026-11-23T12:00:00Z';

/** A day later: whatever takes a time from the clock instead of from the records is seen. */
const LATER = '2026-11-24T12:00:00Z';

/** Every table that a rebuild brings back, by what identifies its rows in the world; row ids are left out. */
const TABLES: Readonly<Record<string, string>> = {
  wikis: 'SELECT * FROM wikis ORDER BY wiki_db_name',
  cycles: 'SELECT * FROM cycles ORDER BY cycle_date',
  dump_runs: 'SELECT * FROM dump_runs ORDER BY wiki_db_name, source, run_date',
  dumps: 'SELECT * FROM dumps ORDER BY wiki_db_name, source, run_date, filename',
  dump_piece_hashes: `SELECT d.filename, p.* FROM dump_piece_hashes p JOIN dumps d ON d.id = p.dump_id ORDER BY d.filename`,
  dump_replacements: `SELECT d.filename, r.* FROM dump_replacements r JOIN dumps d ON d.id = r.dump_id ORDER BY d.filename`,
  torrents: 'SELECT * FROM torrents ORDER BY cycle_date, name',
  torrent_files: `SELECT t.name, d.filename, f.* FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
                    JOIN dumps d ON d.id = f.dump_id ORDER BY t.name, f.path_in_torrent`,
  torrent_gaps:
    'SELECT t.name, g.* FROM torrent_gaps g JOIN torrents t ON t.id = g.torrent_id ORDER BY t.name, g.id',
  shares: 'SELECT * FROM shares ORDER BY subject, platform',
  page_snapshots: 'SELECT * FROM page_snapshots ORDER BY cycle_date, url, service',
  deletions: `SELECT x.*, d.filename FROM deletions x LEFT JOIN dumps d ON d.id = x.dump_id ORDER BY x.path`,
};

const ROW_IDS = ['id', 'dump_id', 'torrent_id'];

/** All columns of the catalog that are not row ids. Made from the tables themselves, with no code of what it judges. */
export function tablesOf(dataDir: string): Record<string, Record<string, unknown>[]> {
  const db = openDb(join(dataDir, 'db', 'jobs.db'), 'readonly');
  try {
    return Object.fromEntries(
      Object.entries(TABLES).map(([table, sql]) => [
        table,
        (db.sqlite.prepare(sql).all() as Record<string, unknown>[]).map((row) =>
          Object.fromEntries(
            Object.entries(row)
              .filter(([column]) => !ROW_IDS.includes(column))
              .map(([column, value]) => [column, Buffer.isBuffer(value) ? value.toString('hex') : value]),
          ),
        ),
      ]),
    );
  } finally {
    db.close();
  }
}

/** Throws the database away, as a disk would. */
export function loseDatabase(dataDir: string): void {
  rmSync(join(dataDir, 'db'), { recursive: true });
}

/** Rebuilds in this process, a day after `NOW`. */
export function rebuild(
  dataDir: string,
  options: { verify?: boolean; ignoreBackups?: boolean; signal?: AbortSignal; disk?: Disk } = {},
): Promise<RebuildReport> {
  return rebuildDatabase({
    disk: options.disk ?? createNodeDisk(),
    layout: createLayout(dataDir),
    clock: shiftedClock(LATER),
    signal: options.signal ?? new AbortController().signal,
    pid: process.pid,
    verify: options.verify ?? false,
    ignoreBackups: options.ignoreBackups ?? false,
  });
}

/** Every file below a folder, by its path with `/`. */
export function filesBelow(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory()
        ? filesBelow(join(folder, entry.name), `${prefix}${entry.name}/`)
        : [`${prefix}${entry.name}`],
    )
    .sort();
}

/** Inode, size and time of every file below some folders: equal means that nobody touched anything. */
export function untouched(dataDir: string, folders: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    folders.flatMap((folder) =>
      filesBelow(join(dataDir, folder)).map((path) => {
        const facts = statSync(join(dataDir, folder, path));
        return [`${folder}/${path}`, `${facts.ino} ${facts.size} ${facts.mtimeMs}`];
      }),
    ),
  );
}

/** A record's path by the end of its name. */
export function recordOf(dataDir: string, ending: string): string {
  const found = filesBelow(join(dataDir, 'records')).find((path) => path.endsWith(ending));
  if (found === undefined) throw new Error(`there is no record ${ending}`);
  return join(dataDir, 'records', found);
}

/** Parsed JSON of a file. */
export function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Calls `undo` when the test ends. */
export function afterwards(undo: () => void): void {
  onTestFinished(undo);
}
