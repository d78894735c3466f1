import type { AnyJobHandler } from '../../queue/index.ts';
import { type BackupJobDeps, handleBackupDb } from '../jobs/backup-db.ts';
import { handleRehearseRestore } from '../jobs/rehearse-restore.ts';

export * from '../jobs/backup-db.ts';
export * from '../jobs/rehearse-restore.ts';
export { applyRetention, planRetention, type Removed } from './apply-retention.ts';
export {
  type BackupProgress,
  type CreateDeps,
  type CreatedBackup,
  type CreateOptions,
  createBackup,
} from './create-backup.ts';
export type { FolderDeps } from './folder.ts';
export { restoreHint } from './hint.ts';
export { type BackupEntry, findBackup, listBackups } from './list.ts';
export { type BackupKind, backupName, backupsFolder, parseBackupName } from './names.ts';
export { type Proof, type ProofOptions, type Rejected, verifyBackup } from './prove-backup.ts';
export { type Rehearsal, rehearseRestore as rehearseRestoreNow } from './rehearse.ts';
export { type Restored, type RestoreOptions, restoreBackup } from './restore-backup.ts';
export {
  KEEP_BEFORE_MIGRATION_MS,
  KEEP_DOUBTFUL_MS,
  KEEP_REPLACED_MS,
  type KeepPolicy,
  planBackupRetention,
  type Retainable,
  type RetentionPlan,
} from './retention.ts';
export { BackupReason, readSidecar, Sidecar, writeSidecar } from './sidecar.ts';

/** The jobs of backups: `backup_db` and `rehearse_restore`. */
export function backupHandlers(deps: BackupJobDeps): AnyJobHandler[] {
  return [handleBackupDb(deps), handleRehearseRestore(deps)];
}
