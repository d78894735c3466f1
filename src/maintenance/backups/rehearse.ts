import { join } from 'node:path';
import { errorCode, PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { type FolderDeps, inBackupsFolder } from './folder.ts';
import { type BackupEntry, listBackups } from './list.ts';
import { assertSpaceToUnpack, noteProof, type ProofOptions, proveInto } from './prove-backup.ts';
import { runInThread, ThreadError } from './threads.ts';

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
 * @throws PermanentError `rehearsal_failed`; HaltPipelineError `disk_full`; Interrupted
 */
export async function rehearseRestore(deps: FolderDeps, options: ProofOptions): Promise<Rehearsal> {
  const { disk, clock, dataDir } = deps;
  return inBackupsFolder(deps, options.signal, async ({ work }) => {
    const startedMs = clock.monotonicMs();
    const backups = (await listBackups(disk, dataDir)).filter(({ kind }) => kind === 'backup');
    const backup = backups.find(({ state }) => state === 'verified');
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
    const { to } = await runInThread({ kind: 'migrate', database }, { signal: options.signal }).catch(
      (error: unknown) => {
        if (!(error instanceof ThreadError)) throw error;
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

function failed(message: string): PermanentError {
  return new PermanentError('rehearsal_failed', message, {
    hint: 'Make a new backup now with "wikiseed backup"; "wikiseed backups --verify" says which of the others are good.',
  });
}
