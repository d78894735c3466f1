import { createCatalog } from '../../catalog/index.ts';
import { lockDataDirectory, refuseDamagedDatabase, schemaOf } from '../../db/index.ts';
import { WikiSeedError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import type { Layout } from '../../storage/index.ts';
import { listBackups } from '../backups/index.ts';
import { applyTombstones } from './apply-tombstones.ts';
import { checkFiles, findStrangers, HELD_SQL } from './check-files.ts';
import { checkTorrents } from './check-torrents.ts';
import { beginDatabase, type UnfinishedDatabase } from './database-file.ts';
import { fillGaps } from './fill-gaps.ts';
import { importRecords } from './import-records.ts';
import { importTorrents } from './import-torrents.ts';
import { readLocalManifest } from './read-manifest.ts';
import { hasRecords } from './read-records.ts';
import { createReport, type RebuildReport } from './report.ts';
import { createUnreadableFiles } from './unreadable-files.ts';
import { type VerifyProgress, verifyFiles } from './verify-files.ts';

/** What a rebuild works with and how thoroughly. */
export interface RebuildOptions {
  disk: Disk;
  layout: Layout;
  clock: Clock;
  signal: AbortSignal;
  /** Of this process, for the lock. */
  pid: number;
  /** Read every held file again and compare its hashes. */
  verify: boolean;
  /** Go on although there are backups. */
  ignoreBackups: boolean;
  onProgress?: (progress: VerifyProgress) => void;
}

/**
 * Makes the database again from what lies in the data directory: records, torrents and the local manifest. It is built
 * under another name and gets its own only when it is complete; killed at any point it leaves none, and can be repeated.
 * Nothing under `dumps/` is deleted.
 * @throws AlreadyRunningError; WikiSeedError `database_exists`, `backups_exist`, `nothing_to_rebuild`, `dumps_folder_empty`,
 * `dump_file_unreadable`, `verify_read_failed`, `rebuild_unsound`; Interrupted or AbortError when the signal aborts
 */
export async function rebuildDatabase(options: RebuildOptions): Promise<RebuildReport> {
  const { disk, layout, clock } = options;
  if ((await disk.stat(layout.dataDir)) === null)
    throw new WikiSeedError('nothing_to_rebuild', `there is no data directory ${layout.dataDir}`, {
      hint: 'Name the right configuration with --config, or correct wikiseed.data_dir. Is the disk mounted?',
    });
  const now = new Date(clock.now());
  const lock = lockDataDirectory(layout.dataDir, { pid: options.pid, startedAt: now.toISOString() });
  try {
    await assertWanted(options);
    const unfinished = await beginDatabase(disk, layout, now);
    try {
      const report = await fill(options, unfinished, now);
      await unfinished.finish();
      return report;
    } finally {
      await unfinished.abandon();
    }
  } finally {
    lock.release();
  }
}

async function assertWanted({ disk, layout, ignoreBackups }: RebuildOptions): Promise<void> {
  const { database } = layout;
  if (isUsable(database))
    throw new WikiSeedError('database_exists', `there is a whole database at ${database}`, {
      hint: `Nothing has to be rebuilt. To do it all the same, move it away first: mv ${database} ${database}.old (with ${database}-wal, if that is there).`,
    });
  const backups = (await listBackups(disk, layout.dataDir)).filter(({ kind }) => kind === 'backup');
  if (backups.length > 0 && !ignoreBackups)
    throw new WikiSeedError(
      'backups_exist',
      `there are ${backups.length} backups in ${layout.backups}, the newest is ${backups[0]?.name}`,
      {
        hint: 'A backup knows more than can be rebuilt (jobs, attempts, statistics): "wikiseed restore" takes the newest good one. To rebuild all the same: wikiseed rebuild --ignore-backups',
      },
    );
}

/** A database that a daemon would start with; one that is damaged or empty is set aside, not kept. */
function isUsable(path: string): boolean {
  try {
    refuseDamagedDatabase(path, { wasInUse: true });
  } catch (error) {
    if (error instanceof WikiSeedError && error.code === 'database_corrupt') return false;
    throw error;
  }
  return (schemaOf(path) ?? 0) > 0;
}

async function fill(options: RebuildOptions, { db }: UnfinishedDatabase, now: Date): Promise<RebuildReport> {
  const { disk, layout, clock, signal } = options;
  const report = createReport(layout.database);
  const stamp = now.toISOString().replaceAll(/[:.]/g, '-');
  const unreadable = createUnreadableFiles({ disk, layout, stamp }, report);
  const manifest = await readLocalManifest({ disk, layout, unreadable });
  const catalog = createCatalog({ db, clock });
  const deps = { disk, layout, signal, db, catalog, manifest, unreadable };
  const isRecorded = await hasRecords(deps);
  await importRecords(deps, report);
  step('rebuild:records_read');
  await importTorrents(deps, report);
  fillGaps(db, { manifest, nowMs: clock.now() }, report);
  await applyTombstones(deps, report);
  if (db.sqlite.prepare('SELECT 1 FROM cycles UNION ALL SELECT 1 FROM wikis LIMIT 1').get() === undefined)
    throw new WikiSeedError(
      'nothing_to_rebuild',
      `${layout.dataDir} has neither records nor torrents nor a manifest`,
      {
        hint: 'Is this the right data directory, and is its disk mounted? To begin anew: wikiseed run. Files under dumps/ that a cycle expects are proved and kept.',
      },
    );
  if (!isRecorded)
    report.notes.push(
      'there are no records of the catalog, so everything was taken from torrents and the manifest',
    );
  await checkTorrents(deps, report);
  await checkFiles(deps, report);
  step('rebuild:files_checked');
  if (options.verify) await verifyFiles({ ...deps, onProgress: options.onProgress }, report);
  await findStrangers(deps, report);
  await unreadable.moveAllAside();
  step('rebuild:moved_aside');
  summarize(db, report);
  return report;
}

function summarize(db: UnfinishedDatabase['db'], report: RebuildReport): void {
  const one = <T>(sql: string): T => db.sqlite.prepare<[], T>(sql).get() as T;
  report.wikis = one<{ n: number }>('SELECT count(*) AS n FROM wikis').n;
  report.cycles = db.sqlite
    .prepare<[], { cycleDate: string; status: string }>(
      'SELECT cycle_date AS cycleDate, status FROM cycles ORDER BY 1',
    )
    .all();
  report.torrents = db.sqlite
    .prepare<[], { name: string; infoHash: string }>(
      'SELECT name, info_hash AS infoHash FROM torrents ORDER BY cycle_date, name',
    )
    .all();
  const held = one<{ files: number; bytes: number }>(
    `SELECT count(*) AS files, coalesce(sum(size_bytes), 0) AS bytes FROM dumps WHERE ${HELD_SQL}`,
  );
  report.filesHeld = held.files;
  report.bytesHeld = held.bytes;
  report.isWhole = report.missing.length + report.damaged.length + report.problems.length === 0;
}
