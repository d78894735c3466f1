import { z } from 'zod';
import type { SystemState } from '../../db/index.ts';
import type { Bus } from '../../events/index.ts';
import { describeError, errorCode, hours, WikiSeedError } from '../../lib/index.ts';
import type { Log } from '../../ports/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { applyRetention } from '../backups/apply-retention.ts';
import { type CreateDeps, createBackup } from '../backups/create-backup.ts';
import type { KeepPolicy } from '../backups/retention.ts';
import { BackupReason } from '../backups/sidecar.ts';

const Input = z.object({ reason: BackupReason });
const Output = z.object({
  name: z.string(),
  sizeBytes: z.number(),
  databaseBytes: z.number(),
  tookMs: z.number(),
  /** Old backups that were removed. */
  removed: z.array(z.string()),
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

/** Key of `system_state` with the outcome of the last backup, JSON: `LastBackup`. */
export const LAST_BACKUP = 'maintenance:last_backup';

/** How the last backup went; times are epoch ms. */
export const LastBackup = z.discriminatedUnion('ok', [
  Output.extend({ ok: z.literal(true), at: z.number(), reason: BackupReason }),
  z.object({ ok: z.literal(false), at: z.number(), code: z.string(), message: z.string() }),
]);
export type LastBackup = z.infer<typeof LastBackup>;

/** Key of the alert about backups that fail. */
export const BACKUP_ALERT = 'backup_failed';

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
  const note = (facts: LastBackup): void => state.set(LAST_BACKUP, JSON.stringify(facts), clock.now());
  return handleJob(backupDb, {
    async run({ reason }, { signal, log, progress }) {
      const created = await createBackup(deps, {
        reason,
        signal,
        onProgress: ({ phase, doneBytes, totalBytes }) => progress({ doneBytes, totalBytes, label: phase }),
      });
      const { name, sizeBytes } = created.backup;
      const tookMs = Math.round(created.tookMs.all);
      log.info(
        { name, sizeBytes, databaseBytes: created.databaseBytes, tookMs },
        'the database is backed up',
      );
      const removed = await applyRetention(deps, deps.keep, signal);
      for (const each of removed) log.info(each, 'an old backup was removed');
      const names = removed.map((each) => each.name);
      return { name, sizeBytes, databaseBytes: created.databaseBytes, tookMs, removed: names };
    },
    record({ reason }, output) {
      note({ ok: true, at: clock.now(), reason, ...output });
      bus.emit('alert:resolved', { key: BACKUP_ALERT });
    },
    recordFailure(_input, error) {
      const message = describeError(error);
      note({ ok: false, at: clock.now(), code: errorCode(error), message });
      const hint = (error instanceof WikiSeedError ? error.hint : undefined) ?? null;
      bus.emit('alert:raised', {
        key: BACKUP_ALERT,
        severity: 'error',
        message: `the database could not be backed up: ${message}`,
        hint,
      });
    },
  });
}
