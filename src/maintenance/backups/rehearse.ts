import { join } from 'node:path';
import { isDatabaseTrouble, knownMigrations } from '../../db/index.ts';
import { errorCode, PermanentError, RetryableError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { assertSpace, type FolderDeps, inBackupsFolder } from './folder.ts';
import { type BackupEntry, bestDatedFirst, listBackups } from './list.ts';
import { MIGRATION_ROLLED_BACK } from './protocol.ts';
import { assertSpaceToUnpack, noteProof, type ProofOptions, proveInto } from './prove-backup.ts';
import { isDamage, runInThread, ThreadError } from './threads.ts';

/** A rehearsal that went well; `backup` null = there is none yet. */
export interface Rehearsal {
  backup: BackupEntry | null;
  /** Schema before and after. */
  schemaFrom: number;
  schemaTo: number;
  /** All rows of all tables. */
  rowCount: number;
  tookMs: number;
}

/**
 * Restores the newest good backup into the work folder, opens and migrates it as the daemon would, judges it before and
 * after, and removes it again. A backup that is found damaged is marked so.
 * @throws PermanentError `rehearsal_failed`; HaltPipelineError `disk_full`; RetryableError for this machine's other trouble;
 * Interrupted
 */
export async function rehearseRestore(deps: FolderDeps, options: ProofOptions): Promise<Rehearsal> {
  const { disk, clock, dataDir } = deps;
  return inBackupsFolder(deps, options.signal, async ({ work }) => {
    const startedMs = clock.monotonicMs();
    const backups = (await listBackups(disk, dataDir)).filter(({ kind }) => kind === 'backup');
    const backup = bestDatedFirst(backups, clock.now()).find(({ state }) => state === 'verified');
    if (backup === undefined) {
      if (backups.length > 0) throw failed(`none of ${backups.length} backups is known to be good`);
      return { backup: null, schemaFrom: 0, schemaTo: 0, rowCount: 0, tookMs: 0 };
    }
    const folder = join(work, 'db');
    await disk.makeDirectory(folder);
    const database = join(folder, 'jobs.db');
    await assertSpaceToUnpack(disk, folder, backup);
    const proof = await proveInto(disk, backup, database, options);
    await noteProof(deps, backup, proof);
    if (!proof.ok) throw failed(`${backup.name} cannot be restored: ${proof.reason}`);
    step('rehearsal:restored');
    // A migration may write every page once more, into the log.
    if (proof.schema < knownMigrations())
      await assertSpace(disk, folder, [{ what: 'its migration', sizeBytes: proof.databaseBytes }]);
    const { to } = await runInThread({ kind: 'migrate', database }, { signal: options.signal }).catch(
      (error: unknown) => {
        if (!(error instanceof ThreadError)) throw error;
        if (isOfThisMachine(error)) throw unfinished(backup.name, error);
        throw failed(
          `${backup.name} cannot be opened by this version (${errorCode(error)}: ${error.message})`,
        );
      },
    );
    const { problems, orphans, rows } = await runInThread(
      { kind: 'check', database },
      { signal: options.signal },
    );
    const faults = [...problems, ...orphans];
    if (faults.length > 0)
      throw failed(`${backup.name} is damaged once it is migrated: ${faults.join('; ')}`);
    const rowCount = Object.values(rows).reduce((sum, count) => sum + count, 0);
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    return { backup, schemaFrom: proof.schema, schemaTo: to, rowCount, tookMs };
  });
}

/** True for trouble while migrating that says nothing of the backup. */
function isOfThisMachine(error: ThreadError): boolean {
  return error.code === MIGRATION_ROLLED_BACK || (isDatabaseTrouble(error) && !isDamage(error));
}

function unfinished(name: string, error: ThreadError): RetryableError {
  return new RetryableError(error.code, `the rehearsal of ${name} came to no end: ${error.message}`, {
    hint: 'This says nothing of the backup. Look whether the disk that holds wikiseed.data_dir is full; the rehearsal is tried again.',
    cause: error,
  });
}

function failed(message: string): PermanentError {
  return new PermanentError('rehearsal_failed', message, {
    hint: 'Make a new backup now with "wikiseed backup"; "wikiseed backups --verify" says which of the others are good.',
  });
}
