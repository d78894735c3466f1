import { z } from 'zod';
import { STATE_KEYS, type SystemState } from '../../db/index.ts';
import type { Bus } from '../../events/index.ts';
import { describeError, errorCode, hours, isAbort } from '../../lib/index.ts';
import type { Log } from '../../ports/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { type CreateDeps, createBackup } from '../backups/create-backup.ts';
import { removeOldBackups } from '../backups/remove-old.ts';
import type { KeepPolicy } from '../backups/retention.ts';
import { BackupReason } from '../backups/sidecar.ts';
import { alertOf, isCancelled } from './failure.ts';

const Input = z.object({ reason: BackupReason });
const Output = z.object({
  name: z.string(),
  sizeBytes: z.number(),
  databaseBytes: z.number(),
  tookMs: z.number(),
  /** Old backups that were removed. */
  removed: z.array(z.string()),
  /** Why old backups were not removed; null = they were. */
  removalTrouble: z.object({ message: z.string(), hint: z.string().nullable() }).nullable(),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** Makes a proved backup of the database, then removes the ones past keeping. */
export const backupDb = defineJob<Input, Output>({
  type: 'backup_db',
  input: Input,
  output: Output,
  uniqueKey: () => 'backup',
  target: 'disk',
  isUpkeep: true,
  timeoutMs: hours(2),
  // A day without a backup is worse than a download that starts a minute later.
  priority: 50,
});

/** How the last backup went, as `system_state` keeps it in JSON; times are epoch ms. */
type LastBackup =
  | ({ ok: true; at: number; reason: Input['reason'] } & Output)
  | { ok: false; at: number; code: string; message: string };

/** Key of the alert about backups that fail. */
const BACKUP_ALERT = 'backup_failed';
/** Key of the alert about old backups that stay. */
const REMOVAL_ALERT = 'backup_removal_failed';

/** What both jobs of this folder need. */
export interface BackupJobDeps extends CreateDeps {
  state: SystemState;
  bus: Bus;
  log: Log;
  keep: KeepPolicy;
}

/** The handler of `backup_db`. */
export function handleBackupDb(deps: BackupJobDeps): JobHandler<Input, Output> {
  const { state, bus, clock } = deps;
  const note = (facts: LastBackup): void =>
    state.set(STATE_KEYS.lastBackup, JSON.stringify(facts), clock.now());
  const raise = (error: unknown): void =>
    bus.emit('alert:raised', alertOf(BACKUP_ALERT, 'the database could not be backed up', error));

  /** The backup is made, whatever happens here: another attempt would only make one more. */
  async function removeOld(
    signal: AbortSignal,
    log: Log,
  ): Promise<Pick<Output, 'removed' | 'removalTrouble'>> {
    try {
      const removed = await removeOldBackups(deps, deps.keep, signal);
      for (const each of removed) log.info(each, 'an old backup was removed');
      return { removed: removed.map(({ name }) => name), removalTrouble: null };
    } catch (error) {
      // The next backup does what a stop cut short.
      if (isAbort(error)) return { removed: [], removalTrouble: null };
      const { message, hint } = alertOf(REMOVAL_ALERT, 'old backups could not be removed', error);
      log.warn({ err: { code: errorCode(error), message: describeError(error) }, hint }, message);
      return { removed: [], removalTrouble: { message, hint } };
    }
  }

  return handleJob(backupDb, {
    async run({ reason }, { signal, log, progress }) {
      const created = await createBackup(deps, {
        reason,
        signal,
        onProgress: ({ phase, doneBytes, totalBytes }) => progress({ doneBytes, totalBytes, label: phase }),
      }).catch((error: unknown) => {
        // A job that halts everything is not a failed one: nobody would tell of it below.
        if (errorCode(error) === 'database_corrupt') raise(error);
        throw error;
      });
      const { name, sizeBytes } = created.backup;
      const { databaseBytes } = created;
      const tookMs = Math.round(created.tookMs.all);
      log.info({ name, sizeBytes, databaseBytes, tookMs }, 'the database is backed up');
      return { name, sizeBytes, databaseBytes, tookMs, ...(await removeOld(signal, log)) };
    },
    record({ reason }, output) {
      note({ ok: true, at: clock.now(), reason, ...output });
      bus.emit('alert:resolved', { key: BACKUP_ALERT });
      if (output.removalTrouble === null) bus.emit('alert:resolved', { key: REMOVAL_ALERT });
      else bus.emit('alert:raised', { key: REMOVAL_ALERT, severity: 'warn', ...output.removalTrouble });
    },
    recordFailure(_input, error) {
      // Somebody did not want it: that says nothing of backups.
      if (isCancelled(error)) return;
      note({ ok: false, at: clock.now(), code: errorCode(error), message: describeError(error) });
      raise(error);
    },
  });
}
