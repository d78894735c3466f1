import { z } from 'zod';
import { hours } from '../../lib/index.ts';
import { defineJob, handleJob, type JobHandler } from '../../queue/index.ts';
import type { ProofWaits } from '../proof-waits.ts';
import type { Prune } from '../prune.ts';

const Input = z.object({});

const Output = z.object({
  /** Bytes that had to go; 0 = there was room. */
  neededBytes: z.number().nonnegative(),
  removedBytes: z.number().nonnegative(),
  removedFiles: z.number().int().nonnegative(),
  removedSets: z.number().int().nonnegative(),
  /** Torrents of unpacked files that were retired. */
  removedTorrents: z.number().int().nonnegative().default(0),
  /** Planned, but not so any more when it came to it. */
  refusedSets: z.number().int().nonnegative(),
  /** Sets that wait for a fresh look at the archive. */
  waitingSets: z.number().int().nonnegative(),
  /** Decided on, and not gone because they may still be seeded. */
  waitingFiles: z.number().int().nonnegative().default(0),
  waitingBytes: z.number().nonnegative().default(0),
  /** Deletions and folders of torrents that the disk refuses to remove. */
  stuck: z.number().int().nonnegative().default(0),
  /** Items whose metadata is asked again; their proofs are too old to count. */
  items: z.array(z.object({ identifier: z.string(), wikiDbName: z.string(), runDate: z.string() })),
  /** In one sentence. */
  summary: z.string(),
});

/** Makes room by plan, when the disk is filled beyond its cleanup threshold. */
export const pruneStorage = defineJob<z.infer<typeof Input>, z.infer<typeof Output>>({
  type: 'prune_storage',
  input: Input,
  output: Output,
  uniqueKey: () => 'all',
  // Neither the disk's nor the downloads': it is what ends their halt.
  target: 'pruning',
  maxAttempts: 3,
  timeoutMs: hours(12),
  priority: 10,
});

/** What the follow-ups are told. */
export interface RecordedPrune {
  /** The last answer it waited for came while it ran. */
  isToBeRepeated: boolean;
}

/** The behaviour of `prune_storage`; safe to repeat from any point. */
export function pruneStorageHandler(
  prune: Prune,
  waits: Pick<ProofWaits, 'noteAsked' | 'isWaiting'>,
): JobHandler<z.infer<typeof Input>, z.infer<typeof Output>> {
  return handleJob(pruneStorage, {
    run: (_input, context) =>
      prune(context.signal, {
        isAsking: true,
        onProgress: (doneBytes, totalBytes) =>
          context.progress({ doneBytes, totalBytes, label: 'deleting by plan' }),
      }),
    // With the jobs that ask: what is remembered as asked was asked.
    record(_input, { items, waitingSets }): RecordedPrune {
      waits.noteAsked(items);
      return { isToBeRepeated: waitingSets > 0 && !waits.isWaiting() };
    },
    summarize: ({ items, ...rest }) => ({ ...rest, itemsAsked: items.length }),
  });
}
