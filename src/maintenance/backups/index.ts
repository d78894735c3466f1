import type { AnyJobHandler } from '../../queue/index.ts';
import { type BackupJobDeps, handleBackupDb } from '../jobs/backup-db.ts';
import { handleRehearseRestore } from '../jobs/rehearse-restore.ts';

export { backupDb } from '../jobs/backup-db.ts';
export { rehearseRestore } from '../jobs/rehearse-restore.ts';
export { type BackupProgress, type CreatedBackup, createBackup } from './create-backup.ts';
export { restoreHint } from './hint.ts';
export { type BackupEntry, listBackups } from './list.ts';
export { backupName, backupsFolder } from './names.ts';
export { verifyBackup } from './prove-backup.ts';
export { rehearseRestore as rehearseRestoreNow } from './rehearse.ts';
export { planOldBackups, removeOldBackups } from './remove-old.ts';
export { type Restored, restoreBackup } from './restore-backup.ts';
export { planBackupRetention, type Retainable } from './retention.ts';
export { readSidecar, writeSidecar } from './sidecar.ts';

/** The jobs of backups: `backup_db` and `rehearse_restore`. */
export function backupHandlers(deps: BackupJobDeps): AnyJobHandler[] {
  return [handleBackupDb(deps), handleRehearseRestore(deps)];
}
