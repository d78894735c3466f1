import { PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { FolderDeps, OwnedFolder } from './folder.ts';
import { inBackupsFolder, removeIfPossible } from './folder.ts';
import { type BackupEntry, findBackup, listBackups } from './list.ts';
import { sidecarPath } from './names.ts';
import { type KeepPolicy, planBackupRetention, type RetentionPlan } from './retention.ts';

/** What was removed, and why. */
interface Removed {
  name: string;
  sizeBytes: number;
  reason: string;
}

/** What `removeOldBackups` would do now. */
export async function planOldBackups(
  deps: FolderDeps,
  keep: KeepPolicy,
): Promise<RetentionPlan<BackupEntry>> {
  return planBackupRetention(await listBackups(deps.disk, deps.dataDir), keep, deps.clock.now());
}

/** Removes what the plan says, each looked at once more just before. */
export function removeOldBackups(
  deps: FolderDeps,
  keep: KeepPolicy,
  signal: AbortSignal,
): Promise<Removed[]> {
  return inBackupsFolder(deps, signal, (folder) => removePlanned(deps, keep, folder));
}

async function removePlanned(deps: FolderDeps, keep: KeepPolicy, folder: OwnedFolder): Promise<Removed[]> {
  const { disk, dataDir } = deps;
  const removed: Removed[] = [];
  for (const { backup, reason } of (await planOldBackups(deps, keep)).remove) {
    const now = await findBackup(disk, dataDir, backup.name);
    if (now === null || now.sizeBytes !== backup.sizeBytes || now.state !== backup.state) continue;
    await assertNotLastGood(deps, backup);
    // The sidecar last: facts without a backup are swept away, a backup without facts would be a riddle.
    if (backup.kind === 'replaced') await disk.removeTree(backup.path);
    else if ((await disk.stat(backup.path).catch(() => null))?.isDirectory) continue;
    else await disk.remove(backup.path);
    step('backup:removed');
    await removeIfPossible(disk, sidecarPath(backup.path));
    removed.push({ name: backup.name, sizeBytes: backup.sizeBytes, reason });
  }
  if (removed.length > 0) await disk.syncDirectory(folder.path);
  return removed;
}

/** Asked again at the removal itself, of the disk and not of the plan: another good backup must be there. */
async function assertNotLastGood({ disk, dataDir }: FolderDeps, backup: BackupEntry): Promise<void> {
  if (backup.kind !== 'backup' || backup.state !== 'verified') return;
  const others = (await listBackups(disk, dataDir)).filter(
    (other) => other.kind === 'backup' && other.state === 'verified' && other.name !== backup.name,
  );
  if (others.length === 0)
    throw new PermanentError('last_backup', `refusing to remove ${backup.name}: it is the last good backup`);
}
