import { join } from 'node:path';
import { step } from '../../lib/steps.ts';
import type { Clock } from '../../ports/index.ts';
import { allOrNone } from './all-or-none.ts';
import type { BackupProgress } from './create-backup.ts';
import type { CheckResult, JoinResult, PackTask } from './protocol.ts';
import { runInThread, runWhenReady } from './threads.ts';

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
 * @throws ThreadError, also for a database that cannot be read to its end; HaltPipelineError `disk_full`; Interrupted
 */
export async function makePackedCopy(options: PackedCopyOptions): Promise<PackedCopy> {
  const { clock, onProgress, database } = options;
  const copy = join(options.work, 'jobs.db');
  const packed = join(options.work, 'jobs.db.gz');
  // Two halves, so that packing fills the processor that the check leaves idle when it is through.
  const parts = options.expectedBytes <= ONE_PART_BYTES ? [packed] : [packed, `${packed}.1`];
  const startedMs = clock.monotonicMs();
  let copiedMs = startedMs;
  let checkedMs = startedMs;
  let copyBytes = 0;

  return allOrNone(options.signal, async (begin) => {
    const copied = begin(async (signal) => {
      const tell = (doneBytes: number, totalBytes: number): void =>
        onProgress({ phase: 'copy', doneBytes, totalBytes });
      const result = await runInThread(
        { kind: 'copy', database, target: copy },
        { signal, onProgress: tell },
      );
      copiedMs = clock.monotonicMs();
      copyBytes = result.databaseBytes;
      step('backup:copied');
      return result;
    });
    const checked = begin(async (signal) => {
      const task = copied.then(() => ({ kind: 'check', database: copy }) as const);
      const result = await runWhenReady('check', task, { signal });
      checkedMs = clock.monotonicMs();
      return result;
    });
    const doneBytes = parts.map(() => 0);
    const packings = parts.map((target, index) =>
      begin((signal) => {
        const task = copied.then(({ databaseBytes }): PackTask => {
          const [fromByte = 0, endExclusive = 0] = stretchOf(databaseBytes, parts.length, index);
          return { kind: 'pack', source: copy, target, fromByte, endExclusive };
        });
        const tell = (done: number): void => {
          doneBytes[index] = done;
          const sum = doneBytes.reduce((all, each) => all + each, 0);
          onProgress({ phase: 'pack', doneBytes: sum, totalBytes: copyBytes });
        };
        return runWhenReady('pack', task, { signal, onProgress: tell });
      }),
    );
    const joined = begin((signal) => {
      const task = Promise.all(packings).then(() => ({ kind: 'join', parts }) as const);
      return runWhenReady('join', task, { signal });
    });
    const all = { ...(await copied), ...(await checked), ...(await joined) };
    const packedMs = clock.monotonicMs();
    const tookMs = { copy: copiedMs - startedMs, check: checkedMs - copiedMs, pack: packedMs - copiedMs };
    return { ...all, packed, copy, tookMs };
  });
}

/** @returns first byte and, exclusive, the end of one of so many equal parts */
function stretchOf(
  sizeBytes: number,
  parts: number,
  index: number,
): [fromByte: number, endExclusive: number] {
  const each = Math.ceil(sizeBytes / parts);
  return [Math.min(index * each, sizeBytes), Math.min((index + 1) * each, sizeBytes)];
}
