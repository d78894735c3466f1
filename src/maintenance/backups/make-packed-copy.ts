import { join } from 'node:path';
import { step } from '../../lib/steps.ts';
import type { Clock } from '../../ports/index.ts';
import { allOrNone } from './all-or-none.ts';
import type { BackupProgress } from './create-backup.ts';
import type { CheckResult, CopyResult, JoinResult, PackResult, PackTask } from './protocol.ts';
import { isDamage, runWhenReady } from './threads.ts';

/** Milliseconds from when a part could begin to its end; packing includes joining. */
export interface PartsMs {
  copy: number;
  check: number;
  pack: number;
}

/** A database that was copied, judged and packed. Only with neither `problems` nor `orphans` may it become a backup. */
export interface PackedCopy extends JoinResult, CheckResult {
  /** The packed file, on stable storage; and the copy it was made from. Both in the work folder. */
  packed: string;
  copy: string;
  databaseBytes: number;
  tookMs: PartsMs;
}

/** What is to be packed, and where. */
export interface PackedCopyOptions {
  clock: Clock;
  signal: AbortSignal;
  onProgress: (progress: BackupProgress) => void;
  database: string;
  /** About the size of the copy. */
  expectedBytes: number;
  /** An empty folder. */
  work: string;
}

/** Below this a second thread costs more than it saves. */
const ONE_PART_BYTES = 8 * 2 ** 20;

/**
 * Copies the database, then checks and packs the copy at the same time. All threads start at once, so that they are there
 * when their task is; the first trouble of one ends the others.
 * @throws HaltPipelineError `disk_full`; RetryableError; Interrupted
 */
export async function makePackedCopy(options: PackedCopyOptions): Promise<PackedCopy> {
  const { clock, onProgress } = options;
  const copy = join(options.work, 'jobs.db');
  const packed = join(options.work, 'jobs.db.gz');
  // Two halves, so that packing fills the processor that the check leaves idle when it is through.
  const parts = options.expectedBytes <= ONE_PART_BYTES ? [packed] : [packed, `${packed}.1`];
  const copied = Promise.withResolvers<CopyResult>();
  const packings = parts.map(() => Promise.withResolvers<PackResult>());
  const doneBytes = parts.map(() => 0);
  const startedMs = clock.monotonicMs();
  const endedMs = { copy: 0, check: 0 };

  const copyIt = async (signal: AbortSignal): Promise<CopyResult | null> => {
    const task = { kind: 'copy', database: options.database, target: copy } as const;
    try {
      const result = await runWhenReady('copy', Promise.resolve(task), {
        signal,
        onProgress: (done, total) => onProgress({ phase: 'copy', doneBytes: done, totalBytes: total }),
      });
      step('backup:copied');
      endedMs.copy = clock.monotonicMs();
      copied.resolve(result);
      return result;
    } catch (error) {
      copied.reject(error);
      throw error;
    }
  };
  const checkIt = async (signal: AbortSignal): Promise<CheckResult> => {
    const task = copied.promise.then(() => ({ kind: 'check', database: copy }) as const);
    const result = await runWhenReady('check', task, { signal });
    endedMs.check = clock.monotonicMs();
    return result;
  };
  const packIt = async (index: number, signal: AbortSignal): Promise<PackResult> => { return null as never; };
  return null as never;
}
