import { join } from 'node:path';
import { type DirectoryLock, tryLockFile } from '../../db/index.ts';
import { days, errorCode, formatBytes, minutes, RetryableError } from '../../lib/index.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { backupsFolder, parseBackupName } from './names.ts';
import { diskFull, isDiskFull } from './threads.ts';
import { isUnreadable, lookAtFile } from './unreadable.ts';

const POLL_MS = 100;
/** Longer than a backup of a few gigabytes takes. */
const WAIT_MAX_MS = minutes(10);
/** `migrateDb` writes its copy under such a name and takes no lock of ours. */
const FOREIGN_TEMPORARY = /^before-migration-.*\.db\.tmp$/;

/** What the work on the folder of backups needs. */
export interface FolderDeps {
  disk: Disk;
  clock: Clock;
  dataDir: string;
}

/** One worker at a time in the folder of backups. */
export interface OwnedFolder {
  path: string;
  /** For temporaries; empty at first, removed afterwards. */
  work: string;
}

/**
 * Runs `work` as the only one in the folder of backups, over all processes; waits while another is at it. The lock is the
 * operating system's, so what lies in the work folder when we get it stems from a process that is gone, and is removed.
 * @throws RetryableError `backup_busy`; Interrupted; HaltPipelineError `disk_full`
 */
export async function inBackupsFolder<T>(
  deps: FolderDeps,
  signal: AbortSignal,
  work: (folder: OwnedFolder) => Promise<T>,
): Promise<T> {
  const { disk } = deps;
  const path = backupsFolder(deps.dataDir);
  await disk.makeDirectory(path);
  await disk.chmod(path, 0o700);
  const lock = await waitForLock(deps, path, signal);
  const folder = { path, work: join(path, '.work') };
  try {
    await sweep(deps, folder);
    await disk.makeDirectory(folder.work);
    return await work(folder);
  } catch (error) {
    throw isDiskFull(errorCode(error)) ? diskFull((error as Error).message) : error;
  } finally {
    try {
      await disk.removeTree(folder.work);
    } catch {
      // The work is done, or failed for a reason of its own that must not be hidden. What is left is in nobody's way: the next
      // owner of the folder sweeps it before its work, and does not begin when it cannot.
    } finally {
      lock.release();
    }
  }
}

async function waitForLock({ clock }: FolderDeps, path: string, signal: AbortSignal): Promise<DirectoryLock> {
  const startedMs = clock.monotonicMs();
  for (;;) {
    const lock = tryLockFile(join(path, '.lock.db'));
    if (lock !== null) return lock;
    if (clock.monotonicMs() - startedMs > WAIT_MAX_MS)
      throw new RetryableError('backup_busy', `another process has been at work in ${path} for ten minutes`, {
        hint: 'Look for a "wikiseed backup" or "wikiseed restore" that hangs, and end it.',
      });
    await clock.sleep(POLL_MS, signal);
  }
}

/** Removes what dead processes left: the work folder, sidecars without their backup, torn copies. */
async function sweep({ disk, clock }: FolderDeps, { path, work }: OwnedFolder): Promise<void> {
  await disk.removeTree(work);
  for (const name of await disk.list(path)) {
    const owner = /^(.*)\.json(\.tmp)?$/.exec(name);
    if (owner !== null && parseBackupName(owner[1] as string) !== null) {
      if (owner[2] !== undefined || (await lookAtFile(disk, join(path, owner[1] as string))) === null)
        await removeIfPossible(disk, join(path, name));
    } else if (FOREIGN_TEMPORARY.test(name)) {
      const facts = await lookAtFile(disk, join(path, name));
      if (facts !== null && typeof facts === 'object' && clock.now() - facts.mtimeMs > days(1))
        await removeIfPossible(disk, join(path, name));
    }
  }
}

/** What is left beside the backups is in nobody's way, such as a folder under the name of a sidecar. */
export async function removeIfPossible(disk: Disk, path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch (error) {
    // Node's own word for a folder.
    if (!isUnreadable(error) && errorCode(error) !== 'ERR_FS_EISDIR') throw error;
  }
}

/**
 * Looks before it writes.
 * @param needs what will be written below `path`, named for the message
 * @throws HaltPipelineError `disk_full` with all figures
 */
export async function assertSpace(
  disk: Disk,
  path: string,
  needs: readonly { what: string; sizeBytes: number }[],
): Promise<void> {
  const { freeBytes } = await disk.space(path);
  const sum = needs.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  if (sum <= freeBytes) return;
  const parts = needs.map(({ what, sizeBytes }) => `${formatBytes(sizeBytes)} for ${what}`).join(' and ');
  throw diskFull(`${parts} are needed in ${path}, and ${formatBytes(freeBytes)} are free`);
}
