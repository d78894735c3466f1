import { join } from 'node:path';
import { isDamage, MIGRATIONS_TABLE } from '../../db/index.ts';
import { describeError, errorCode, PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import { assertSpace, type FolderDeps, inBackupsFolder, type OwnedFolder } from './folder.ts';
import { type BackupEntry, findBackup, listBackups } from './list.ts';
import { makePackedCopy, type PackedCopy, type PackedCopyOptions, type PartsMs } from './make-packed-copy.ts';
import { backupName } from './names.ts';
import type { CheckResult } from './protocol.ts';
import { type BackupReason, type Sidecar, writeSidecar } from './sidecar.ts';
import { unsoundSource } from './unsound-source.ts';

/** What making a backup needs. */
export interface CreateDeps extends FolderDeps {
  /** Of WikiSeed, for the sidecar. */
  version: string;
  /** Named in the restore command; null when none was. */
  configPath: string | null;
}

/** How one is asked for. */
export interface CreateOptions {
  reason: BackupReason;
  signal: AbortSignal;
  onProgress?: (progress: BackupProgress) => void;
}

/** How far a backup, a check or a restore is. */
export interface BackupProgress {
  phase: 'copy' | 'pack' | 'unpack';
  doneBytes: number;
  totalBytes: number;
}

/** A backup that was just made and proved. */
export interface CreatedBackup {
  backup: BackupEntry;
  sha256: string;
  schema: number;
  databaseBytes: number;
  /** Milliseconds of each part; check and pack run at the same time. */
  tookMs: PartsMs & { all: number };
}

/** Without an earlier backup to go by, a packed database is taken to be half as large. */
const PACKED_SHARE = 0.5;

/**
 * Copies the database while others write to it, proves the copy, packs it, and only then gives it its name. Reads the
 * database and nothing else of the daemon's, so it works beside one or without.
 * @throws PermanentError `no_database`, `database_missing` (empty), `foreign_keys_broken`; HaltPipelineError `disk_full`, `database_corrupt` (scope `all`);
 * RetryableError; Interrupted
 */
export async function createBackup(deps: CreateDeps, options: CreateOptions): Promise<CreatedBackup> {
  const { disk, clock, dataDir } = deps;
  const database = join(dataDir, 'db', 'jobs.db');
  const expectedBytes = await bytesToCopy(disk, database);
  if (expectedBytes === null)
    throw new PermanentError('no_database', `there is no database at ${database}`, {
      hint: 'Start "wikiseed run" once, or name the right configuration with --config.',
    });
  return inBackupsFolder(deps, options.signal, async (folder) => {
    const startedMs = clock.monotonicMs();
    const packedShare = shareOf(await listBackups(disk, dataDir));
    await assertSpace(disk, folder.path, [
      { what: 'a copy of the database', sizeBytes: expectedBytes },
      { what: 'the packed backup', sizeBytes: Math.ceil(expectedBytes * packedShare) },
    ]);
    const createdAt = clock.now();
    const made = await makeSoundCopy(deps, {
      clock,
      signal: options.signal,
      onProgress: options.onProgress ?? (() => {}),
      database,
      expectedBytes,
      work: folder.work,
    });
    step('backup:packed');
    await disk.remove(made.copy);
    const sidecar: Omit<Sidecar, 'name'> = {
      format: 1,
      reason: options.reason,
      createdAt: new Date(createdAt).toISOString(),
      verifiedAt: new Date(clock.now()).toISOString(),
      sizeBytes: made.sizeBytes,
      sha256: made.sha256,
      databaseBytes: made.databaseBytes,
      schema: made.rows[MIGRATIONS_TABLE] ?? 0,
      wikiseedVersion: deps.version,
      rows: made.rows,
      damage: null,
    };
    const name = await place(deps, folder, { createdAt, sidecar, packed: made.packed });
    const backup = await findBackup(disk, dataDir, name);
    if (backup === null) throw new Error(`${name} vanished as soon as it was made`);
    const all = clock.monotonicMs() - startedMs;
    const { sha256, schema, databaseBytes } = sidecar;
    return { backup, sha256, schema, databaseBytes, tookMs: { ...made.tookMs, all } };
  });
}

/** @throws what `unsoundSource` says of a database that is not fit to be backed up */
async function makeSoundCopy(deps: CreateDeps, options: PackedCopyOptions): Promise<PackedCopy> {
  let found: PackedCopy | CheckResult;
  try {
    found = await makePackedCopy(options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    found = { problems: [describeError(error)], orphans: [], rows: {} };
  }
  const unsound = await unsoundSource(deps, found);
  if (unsound !== null) throw unsound;
  return found as PackedCopy;
}

/** Sidecar first: every backup that has its name has its facts, and facts without a backup are swept away. */
async function place(
  { disk }: CreateDeps,
  folder: OwnedFolder,
  { createdAt, sidecar, packed }: { createdAt: number; sidecar: Omit<Sidecar, 'name'>; packed: string },
): Promise<string> {
  let atMs = createdAt;
  // The clock may have jumped back to the very millisecond of another one.
  while ((await disk.stat(join(folder.path, backupName(atMs)))) !== null) atMs += 1;
  const name = backupName(atMs);
  const path = join(folder.path, name);
  await writeSidecar(disk, path, { ...sidecar, name });
  step('backup:sidecar_written');
  await disk.rename(packed, path);
  await disk.syncDirectory(folder.path);
  step('backup:renamed');
  return name;
}

/** Database and log together: no less than the copy will need. Null = there is none. */
async function bytesToCopy(disk: Disk, path: string): Promise<number | null> {
  try {
    const database = await disk.stat(path);
    if (database === null) return null;
    return database.sizeBytes + ((await disk.stat(`${path}-wal`))?.sizeBytes ?? 0);
  } catch (error) {
    throw new PermanentError('no_database', `${path} cannot be read (${errorCode(error)})`, { cause: error });
  }
}

/** How much smaller the last backup was than its database, with a quarter to spare. */
function shareOf(backups: readonly BackupEntry[]): number {
  const last = backups.find(({ kind, state }) => kind === 'backup' && state === 'verified');
  if (last?.databaseBytes === null || last?.databaseBytes === undefined || last.databaseBytes === 0)
    return PACKED_SHARE;
  return Math.min(1.01, (last.sizeBytes / last.databaseBytes) * 1.25);
}
