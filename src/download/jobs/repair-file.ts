import { z } from 'zod';
import { DumpFileId, hours } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { HeldFiles, HeldOutcome } from '../held/held-files.ts';

const Input = z.object({ dumpFileId: DumpFileId });
const Output = z.object({
  state: z.enum(['sound', 'repaired', 'damaged', 'gone']),
  healedPieces: z.number().int().nonnegative(),
  reason: z.string().nullable(),
});
type Input = z.infer<typeof Input>;

/**
 * Reads one held file again and puts right what is wrong with it. A file that nobody has the bytes of stays damaged, which is
 * no failure of the job: the next scrub asks again.
 */
export const repairFile = defineJob<Input, HeldOutcome>({
  type: 'repair_file',
  input: Input,
  output: Output,
  uniqueKey: ({ dumpFileId }) => String(dumpFileId),
  target: 'disk',
  timeoutMs: hours(24),
  subject: ({ dumpFileId }) => ({ dumpId: dumpFileId }),
});

/** Safe to repeat from any point; the catalog is told on the way. */
export function handleRepairFile(deps: { held: HeldFiles }): JobHandler<Input, HeldOutcome> {
  return handleJob(repairFile, {
    run: ({ dumpFileId }, context) =>
      deps.held.repair(dumpFileId, {
        signal: context.signal,
        onProgress: (doneBytes, totalBytes, label) => context.progress({ doneBytes, totalBytes, label }),
      }),
  });
}
