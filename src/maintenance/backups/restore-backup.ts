import { join } from 'node:path';
import {
  type DirectoryLock,
  decideRestore,
  finishRestore,
  knownMigrations,
  lockDataDirectory,
  restoringFolder,
} from '../../db/index.ts';
import { errorCode, HaltPipelineError, PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { type FolderDeps, inBackupsFolder } from './folder.ts';
import { type BackupEntry, bestDatedFirst, isRestorable, listBackups } from './list.ts';
import { stampOf } from './names.ts';
import {
  assertSpaceToUnpack,
  namedBackup,
  noGoodBackup,
  noteProof,
  type Proof,
  type ProofOptions,
  proveInto,
  type Rejected,
} from './prove-backup.ts';
import { diskFull, isDiskFull, ThreadError } from './threads.ts';
import { isOfTheProcess, isUnreadable } from './unreadable.ts';

/** What a restore is asked. */
export interface RestoreOptions extends ProofOptions {
  /** Null = the newest good one. */
  name: string | null;
  /** Says what it would do: proves the backup and touches nothing. Needs no lock of the data directory. */
  isDryRun?: boolean;
}

/** What a restore did, or would do. */
export interface Restored {
  backup: BackupEntry;
  /** Newer ones that were passed over. */
  rejected: Rejected[];
  schema: number;
  /** True when the next start brings the schema up to this version. */
  willMigrate: boolean;
  databaseBytes: number;
  /** Folder with the database that was there before; null when there was none. */
  replacedPath: string | null;
}

/**
 * Puts a backup in the place of the database. It is proved before anything is touched; what it replaces is kept, with its
 * log, under `db/replaced-<time>/`; and the swap, once decided, is finished by whoever takes the lock next.
 * @throws AlreadyRunningError while a daemon runs; UsageError for an unknown name; PermanentError `backup_unusable`,
 * `no_good_backup`; HaltPipelineError `disk_full`; Interrupted
 */
export async function restoreBackup(deps: FolderDeps, options: RestoreOptions): Promise<Restored> {
  const { clock, dataDir } = deps;
  const candidates = await candidatesOf(deps, options.name);
  if (options.isDryRun === true)
    return inBackupsFolder(deps, options.signal, async ({ work }) => {
      const chosen = await choose(deps, candidates, options, work);
      return { ...chosen, replacedPath: null };
    });
  const lock = lockFor(clock, dataDir);
  try {
    // Nobody reads the database for a backup, or removes one, while it is exchanged.
    return await inBackupsFolder(deps, options.signal, () => exchange(deps, candidates, options));
  } finally {
    lock.release();
  }
}

async function exchange(
  deps: FolderDeps,
  candidates: readonly BackupEntry[],
  options: RestoreOptions,
): Promise<Restored> {
  const { disk, clock, dataDir } = deps;
  const folder = restoringFolder(dataDir);
  let chosen: Omit<Restored, 'replacedPath'>;
  try {
    await disk.makeDirectory(folder);
    chosen = await choose(deps, candidates, options, folder);
    await disk.chmod(join(folder, 'jobs.db'), 0o600);
    step('restore:proved');
  } catch (error) {
    await disk.removeTree(folder);
    throw isDiskFull(errorCode(error)) ? diskFull((error as Error).message) : error;
  }
  decideRestore(dataDir, { backupName: chosen.backup.name, stamp: await freeStamp(disk, clock, dataDir) });
  const done = finishRestore(dataDir);
  return { ...chosen, replacedPath: done?.replacedPath ?? null };
}

/** Leaves the database of the first good candidate as `jobs.db` in `folder`, and notes what became of each. */
async function choose(
  deps: FolderDeps,
  candidates: readonly BackupEntry[],
  options: RestoreOptions,
  folder: string,
): Promise<Omit<Restored, 'replacedPath'>> {
  const { disk, dataDir } = deps;
  const rejected: Rejected[] = [];
  let tooLarge: HaltPipelineError | null = null;
  for (const backup of candidates) {
    const proof = await tryOne(disk, backup, folder, options);
    if (proof instanceof HaltPipelineError) tooLarge ??= proof;
    // What was found is for the list and for retention; a folder that takes no note is no reason not to restore.
    else if (options.isDryRun !== true) await noteProof(deps, backup, proof).catch(() => {});
    if (!(proof instanceof HaltPipelineError) && proof.ok) {
      const { schema, databaseBytes } = proof;
      return { backup, rejected, schema, databaseBytes, willMigrate: schema < knownMigrations() };
    }
    rejected.push({ name: backup.name, reason: proof instanceof Error ? proof.message : proof.reason });
    for (const suffix of ['', '-wal', '-shm', '-journal'])
      await disk.remove(join(folder, `jobs.db${suffix}`));
  }
  // With more space it may be good, so that nobody should give it up and rebuild.
  if (tooLarge !== null) throw tooLarge;
  const [only] = rejected;
  if (options.name === null || only === undefined) throw noGoodBackup(dataDir, rejected);
  throw new PermanentError('backup_unusable', `${only.name} cannot be restored: ${only.reason}`, {
    hint: 'Without a name, "wikiseed restore" takes the newest good one. Nothing was changed.',
  });
}

/**
 * Whatever keeps one backup from being read is said of that one, for the next may be good; so is a disk too small for it.
 * @throws what would meet all of them: Interrupted, no more file handles or memory
 */
async function tryOne(
  disk: Disk,
  backup: BackupEntry,
  folder: string,
  options: RestoreOptions,
): Promise<Proof | HaltPipelineError> {
  try {
    await assertSpaceToUnpack(disk, folder, backup);
    return await proveInto(disk, backup, join(folder, 'jobs.db'), options);
  } catch (error) {
    if (error instanceof HaltPipelineError && error.code === 'disk_full') return error;
    const code = errorCode(error);
    if (isOfTheProcess(code) || !(error instanceof ThreadError || isUnreadable(error))) throw error;
    return { ok: false, reason: `it cannot be read (${(error as Error).message})`, isDamaged: false };
  }
}

/** What to try, in order. */
async function candidatesOf(
  { disk, clock, dataDir }: FolderDeps,
  name: string | null,
): Promise<BackupEntry[]> {
  if (name !== null) return [await namedBackup(disk, dataDir, name)];
  const candidates = bestDatedFirst((await listBackups(disk, dataDir)).filter(isRestorable), clock.now());
  if (candidates.length === 0) throw noGoodBackup(dataDir, []);
  return candidates;
}

function lockFor(clock: Clock, dataDir: string): DirectoryLock {
  const startedAt = new Date(clock.now()).toISOString();
  return lockDataDirectory(dataDir, { pid: process.pid, startedAt });
}

/** A folder name of its own for what is replaced, also when the clock jumped back. */
async function freeStamp(disk: Disk, clock: Clock, dataDir: string): Promise<string> {
  let atMs = clock.now();
  while ((await disk.stat(join(dataDir, 'db', `replaced-${stampOf(atMs)}`))) !== null) atMs += 1;
  return stampOf(atMs);
}
