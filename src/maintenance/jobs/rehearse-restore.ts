import { z } from 'zod';
import { STATE_KEYS } from '../../db/index.ts';
import { describeError, errorCode, hours } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import { rehearseRestore as rehearse } from '../backups/rehearse.ts';
import type { BackupJobDeps } from './backup-db.ts';
import { alertOf, isCancelled } from './failure.ts';

const Input = z.object({});
const Output = z.object({
  /** Null = there was no backup yet. */
  name: z.string().nullable(),
  schemaFrom: z.number(),
  schemaTo: z.number(),
  rowCount: z.number(),
  tookMs: z.number(),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** Proves that the newest good backup can be restored, by doing it in a folder of its own. */
export const rehearseRestore = defineJob<Input, Output>({
  type: 'rehearse_restore',
  input: Input,
  output: Output,
  uniqueKey: () => 'rehearsal',
  target: 'disk',
  isUpkeep: true,
  timeoutMs: hours(4),
});

/** How the last rehearsal went, as `system_state` keeps it in JSON; times are epoch ms. */
type LastRehearsal =
  | ({ ok: true; at: number } & Output)
  | { ok: false; at: number; code: string; message: string };

/** Key of the alert about backups that cannot be restored. */
const REHEARSAL_ALERT = 'rehearsal_failed';

/** The handler of `rehearse_restore`. */
export function handleRehearseRestore(
  deps: Pick<BackupJobDeps, 'disk' | 'clock' | 'dataDir' | 'state' | 'bus'>,
): JobHandler<Input, Output> {
  const { state, bus, clock } = deps;
  const note = (facts: LastRehearsal): void =>
    state.set(STATE_KEYS.lastRehearsal, JSON.stringify(facts), clock.now());
  return handleJob(rehearseRestore, {
    async run(_input, { signal, log, progress }) {
      const { backup, ...facts } = await rehearse(deps, {
        signal,
        onProgress: ({ phase, doneBytes, totalBytes }) => progress({ doneBytes, totalBytes, label: phase }),
      });
      const name = backup?.name ?? null;
      if (name === null) log.info({}, 'there is no backup yet whose restore could be rehearsed');
      else log.info({ name, ...facts }, 'the restore was rehearsed');
      return { name, ...facts };
    },
    record(_input, output) {
      note({ ok: true, at: clock.now(), ...output });
      bus.emit('alert:resolved', { key: REHEARSAL_ALERT });
    },
    recordFailure(_input, error) {
      // Somebody did not want it: that says nothing of backups.
      if (isCancelled(error)) return;
      note({ ok: false, at: clock.now(), code: errorCode(error), message: describeError(error) });
      bus.emit('alert:raised', alertOf(REHEARSAL_ALERT, 'the rehearsal of a restore failed', error));
    },
  });
}
