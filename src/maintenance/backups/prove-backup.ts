import { dirname, join } from 'node:path';
import { knownMigrations, MIGRATIONS_TABLE } from '../../db/index.ts';
import { PermanentError, UsageError } from '../../lib/index.ts';
import type { Disk } from '../../ports/index.ts';
import type { BackupProgress } from './create-backup.ts';
import { assertSpace, type FolderDeps, inBackupsFolder } from './folder.ts';
import { ignoring } from './hint.ts';
import { type BackupEntry, findBackup, listBackups, mostUnpackedBytes } from './list.ts';
import { backupsFolder, parseBackupName } from './names.ts';
import type { UnpackTask } from './protocol.ts';
import { readSidecar, type Sidecar, writeSidecar } from './sidecar.ts';
import { isDamage, runInThread, type ThreadOptions } from './threads.ts';
import { lookAtFile } from './unreadable.ts';

/** How a proof may be watched and ended. */
export interface ProofOptions {
  signal: AbortSignal;
  onProgress?: (progress: BackupProgress) => void;
}

/** What reading all bytes of a backup showed. */
export type Proof =
  | { ok: true; schema: number; databaseBytes: number; rows: Record<string, number> }
  /** `isDamaged` false = sound but not for this version, or nobody can read it now. */
  | { ok: false; reason: string; isDamaged: boolean };

const FORMS: Readonly<Record<BackupEntry['kind'], UnpackTask['form']>> = {
  backup: 'packed',
  before_migration: 'plain',
  replaced: 'folder',
};

/**
 * Gets the database out of a backup into `target` and judges it: SHA-256 and rows against the sidecar where there is one,
 * unpacking, integrity, foreign keys, and a schema that this version knows. A missing sidecar is no fault of the bytes.
 * @throws what is this machine's trouble and says nothing of the backup: HaltPipelineError `disk_full`, Interrupted, …
 */
export async function proveInto(
  disk: Disk,
  backup: BackupEntry,
  target: string,
  { signal, onProgress }: ProofOptions,
): Promise<Proof> {
  const sidecar = backup.kind === 'backup' ? await readSidecar(disk, backup.path) : 'missing';
  const known = typeof sidecar === 'object' ? sidecar : null;
  const damaged = (reason: string): Proof => ({ ok: false, reason, isDamaged: true });
  const threads: ThreadOptions = {
    signal,
    onProgress: (doneBytes, totalBytes) => onProgress?.({ phase: 'unpack', doneBytes, totalBytes }),
  };
  const facts = backup.kind === 'replaced' ? backup.remark : await lookAtFile(disk, backup.path);
  if (typeof facts === 'string') return { ok: false, reason: facts, isDamaged: false };
  const most = mostUnpackedBytes(backup.sizeBytes);
  const { freeBytes } = await disk.space(dirname(target));
  let databaseBytes: number;
  try {
    const unpacked = await runInThread(
      {
        kind: 'unpack',
        form: FORMS[backup.kind],
        source: backup.path,
        target,
        maxBytes: Math.min(known?.databaseBytes ?? most, most),
        roomBytes: freeBytes,
      },
      threads,
    );
    databaseBytes = unpacked.databaseBytes;
    if (known !== null && unpacked.sha256 !== known.sha256)
      return damaged('its SHA-256 is not the one in its sidecar');
  } catch (error) {
    if (isDamage(error)) return damaged(`it cannot be unpacked: ${error.message}`);
    throw error;
  }
  const { problems, orphans, rows } = await runInThread({ kind: 'check', database: target }, { signal });
  const faults = [...problems, ...orphans];
  if (faults.length > 0) return damaged(`the database in it is damaged: ${faults.join('; ')}`);
  return judge(known, databaseBytes, rows);
}

function judge(known: Sidecar | null, databaseBytes: number, rows: Record<string, number>): Proof {
  const schema = rows[MIGRATIONS_TABLE] ?? 0;
  if (schema === 0) return { ok: false, reason: 'it holds no database of WikiSeed', isDamaged: true };
  for (const [table, count] of Object.entries(known?.rows ?? {}))
    if (rows[table] !== count)
      return {
        ok: false,
        reason: `table ${table} has ${rows[table] ?? 'no'} rows instead of ${count}`,
        isDamaged: true,
      };
  if (schema > knownMigrations())
    return {
      ok: false,
      reason: `it was written by a newer WikiSeed (schema ${schema}, this version knows ${knownMigrations()})`,
      isDamaged: false,
    };
  return { ok: true, schema, databaseBytes, rows };
}

/** Room for what a backup holds, before it is unpacked. */
export async function assertSpaceToUnpack(disk: Disk, path: string, backup: BackupEntry): Promise<void> {
  // Ours shrink to a third; without a sidecar nobody can say.
  const sizeBytes = backup.databaseBytes ?? backup.sizeBytes * 4;
  await assertSpace(disk, path, [{ what: `the database in ${backup.name}`, sizeBytes }]);
}

/**
 * Reads a backup from its first byte to its last, in the work folder, and notes the outcome in its sidecar.
 * @throws UsageError when there is none of that name
 */
export async function verifyBackup(deps: FolderDeps, name: string, options: ProofOptions): Promise<Proof> {
  const { disk } = deps;
  const backup = await namedBackup(disk, deps.dataDir, name);
  return inBackupsFolder(deps, options.signal, async ({ work }) => {
    await assertSpaceToUnpack(disk, work, backup);
    const proof = await proveInto(disk, backup, join(work, 'jobs.db'), options);
    await noteProof(deps, backup, proof);
    return proof;
  });
}

/** Writes what was found into the sidecar, so that neither retention nor a hint counts on a damaged backup. */
export async function noteProof(deps: FolderDeps, backup: BackupEntry, proof: Proof): Promise<void> {
  if (backup.kind !== 'backup') return;
  const sidecar = await readSidecar(deps.disk, backup.path);
  if (typeof sidecar !== 'object' || (!proof.ok && !proof.isDamaged)) return;
  const now = new Date(deps.clock.now()).toISOString();
  await writeSidecar(
    deps.disk,
    backup.path,
    proof.ok
      ? { ...sidecar, verifiedAt: now, damage: null }
      : { ...sidecar, damage: { foundAt: now, reason: proof.reason } },
  );
}

/** @throws UsageError, which names what there is */
export async function namedBackup(disk: Disk, dataDir: string, name: string): Promise<BackupEntry> {
  const backup = await findBackup(disk, dataDir, name);
  if (backup !== null) return backup;
  const all = await listBackups(disk, dataDir);
  // What a restore put aside may be newer, but it was replaced for a reason.
  const newest = all.find(({ kind, state }) => kind === 'backup' && state !== 'damaged');
  const others =
    all.length === 0
      ? 'There are no backups at all.'
      : 'There are no backups, or damaged ones only; "wikiseed backups" lists what there is.';
  throw new UsageError(
    `there is no backup "${name}" in ${backupsFolder(dataDir)}`,
    newest === undefined ? others : `The newest is ${newest.name}; "wikiseed backups" lists them.`,
  );
}

/** Nothing that could be restored is there. */
export function noGoodBackup(dataDir: string, rejected: readonly Rejected[]): PermanentError {
  const reasons = rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  const tried = rejected.flatMap(({ name }) => parseBackupName(name) ?? []);
  return new PermanentError(
    'no_good_backup',
    `there is no good backup in ${backupsFolder(dataDir)}${reasons === '' ? '' : ` (${reasons})`}`,
    {
      hint: `The data directory and its manifest are enough to make the database again: "wikiseed rebuild${ignoring(tried)}".`,
    },
  );
}

/** A backup that was not used, and why. */
export interface Rejected {
  name: string;
  reason: string;
}
