import { join } from 'node:path';
import { MIGRATIONS_TABLE } from '../../db/index.ts';
import { errorCode, isAbort, PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import { assertSpace, type FolderDeps, inBackupsFolder, type OwnedFolder } from './folder.ts';
import { type BackupEntry, findBackup, listBackups } from './list.ts';
import { backupName } from './names.ts';
import { type BackupReason, type Sidecar, writeSidecar } from './sidecar.ts';
import { damagedDatabase, isDamage, runInThread } from './threads.ts';

/** What making a backup needs. */
export interface CreateDeps extends FolderDeps {
  /** Of WikiSeed, for the sidecar. */
  version: string;
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
  tookMs: { copy: number; check: number; pack: number; all: number };
}

/** Without an earlier backup to go by, a packed database is taken to be half as large. */
const PACKED_SHARE = 0.5;

/**
 * Copies the database while others write to it, proves the copy, packs it, and only then gives it its name. Reads the
 * database and nothing else of the daemon's, so it works beside one or without.
 * @throws PermanentError `no_database`, `database_damaged`; HaltPipelineError `disk_full`; RetryableError; Interrupted
 */
export async function createBackup(deps: CreateDeps, options: CreateOptions): Promise<CreatedBackup> {
  const { disk, clock, dataDir } = deps;
  const database = join(dataDir, 'db', 'jobs.db');
  const expectedBytes = await databaseBytes(disk, database);
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
    const made = await makeFiles(deps, options, { folder, database });
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
    const name = await place(deps, folder, { createdAt, sidecar });
    const backup = await findBackup(disk, dataDir, name);
    if (backup === null) throw new Error(`${name} vanished as soon as it was made`);
    const all = clock.monotonicMs() - startedMs;
    const { sha256, schema, databaseBytes } = sidecar;
    return { backup, sha256, schema, databaseBytes, tookMs: { ...made.tookMs, all } };
  });
}

interface MadeFiles {
  sizeBytes: number;
  sha256: string;
  databaseBytes: number;
  rows: Record<string, number>;
  tookMs: { copy: number; check: number; pack: number };
}

/** Leaves `jobs.db.gz` in the work folder, proved and on stable storage. */
async function makeFiles(
  { disk, clock }: CreateDeps,
  { signal, onProgress }: CreateOptions,
  { folder, database }: { folder: OwnedFolder; database: string },
): Promise<MadeFiles> {
  const copy = join(folder.work, 'jobs.db');
  const target = join(folder.work, 'jobs.db.gz');
  const timed = async <T>(work: Promise<T>): Promise<{ value: T; ms: number }> => {
    const startedMs = clock.monotonicMs();
    return { value: await work, ms: clock.monotonicMs() - startedMs };
  };
  const tell =
    (phase: BackupProgress['phase']) =>
    (doneBytes: number, totalBytes: number): void =>
      onProgress?.({ phase, doneBytes, totalBytes });

  const copied = await timed(
    runInThread({ kind: 'copy', database, target: copy }, { signal, onProgress: tell('copy') }).catch(
      (error: unknown) => {
        throw isDamage(error) ? damagedDatabase([error.message]) : error;
      },
    ),
  );
  step('backup:copied');
  // All at once; the first trouble of one ends the others, so that nobody writes any more when the files are removed.
  const stretches = cutInTwo(copied.value.databaseBytes);
  const parts = stretches.map((_, index) => (index === 0 ? target : `${target}.${index}`));
  const done = stretches.map(() => 0);
  const packing = (index: number, signal: AbortSignal): Promise<unknown> => {
    const onProgress = (doneBytes: number): void => {
      done[index] = doneBytes;
      tell('pack')(
        done.reduce((sum, bytes) => sum + bytes, 0),
        copied.value.databaseBytes,
      );
    };
    const stretch = stretches[index] as Stretch;
    return runInThread(
      { kind: 'pack', source: copy, target: parts[index] as string, ...stretch },
      { signal, onProgress },
    );
  };
  const [checked, packedMs] = await allOrNone(
    signal,
    (all) => timed(runInThread({ kind: 'check', database: copy }, { signal: all })),
    (all) => timed(Promise.all(stretches.map((_, index) => packing(index, all)))),
  );
  if (checked.value.problems.length > 0) throw damagedDatabase(checked.value.problems);
  const joined = await timed(runInThread({ kind: 'join', parts }, { signal }));
  step('backup:packed');
  await disk.remove(copy);
  return {
    ...joined.value,
    databaseBytes: copied.value.databaseBytes,
    rows: checked.value.rows,
    tookMs: { copy: copied.ms, check: checked.ms, pack: packedMs.ms + joined.ms },
  };
}

/** A part of a file, in bytes. */
interface Stretch {
  fromByte: number;
  endExclusive: number;
}

/** Below this a second thread costs more than it saves. */
const ONE_PART_BYTES = 8 * 2 ** 20;

/** Two halves, so that packing fills the processor that the check leaves idle when it is through. */
function cutInTwo(sizeBytes: number): Stretch[] {
  if (sizeBytes <= ONE_PART_BYTES) return [{ fromByte: 0, endExclusive: sizeBytes }];
  const middle = Math.ceil(sizeBytes / 2);
  return [
    { fromByte: 0, endExclusive: middle },
    { fromByte: middle, endExclusive: sizeBytes },
  ];
}

async function allOrNone<A, B>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const failure = new AbortController();
  const all = AbortSignal.any([signal, failure.signal]);
  const guard = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      failure.abort();
      throw error;
    });
  const [a, b] = await Promise.allSettled([guard(first(all)), guard(second(all))]);
  if (a.status === 'fulfilled' && b.status === 'fulfilled') return [a.value, b.value];
  const errors = [a, b].flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  // The one that was ended for the other's sake says nothing of what happened.
  throw errors.find((error) => !isAbort(error)) ?? errors[0];
}

/** Sidecar first: every backup that has its name has its facts, and facts without a backup are swept away. */
async function place(
  { disk }: CreateDeps,
  folder: OwnedFolder,
  { createdAt, sidecar }: { createdAt: number; sidecar: Omit<Sidecar, 'name'> },
): Promise<string> {
  let atMs = createdAt;
  // The clock may have jumped back to the very millisecond of another one.
  while ((await disk.stat(join(folder.path, backupName(atMs)))) !== null) atMs += 1;
  const name = backupName(atMs);
  const path = join(folder.path, name);
  await writeSidecar(disk, path, { ...sidecar, name });
  step('backup:sidecar_written');
  await disk.rename(join(folder.work, 'jobs.db.gz'), path);
  await disk.syncDirectory(folder.path);
  step('backup:renamed');
  return name;
}

/** Database and log together: no less than the copy will need. Null = there is none. */
async function databaseBytes(disk: Disk, path: string): Promise<number | null> {
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
