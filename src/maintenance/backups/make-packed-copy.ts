import { join } from 'node:path';
import { step } from '../../lib/steps.ts';
import type { Clock } from '../../ports/index.ts';
import { allOrNone } from './all-or-none.ts';
import type { BackupProgress } from './create-backup.ts';
import type { CheckResult, JoinResult, PackTask } from './protocol.ts';
import { type Thread, withThread } from './threads.ts';

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
 * Copies the database, then checks and packs the copy at the same time. A thread does its next task where it is: starting one
 * takes as long as packing eight megabytes. Those that pack start while the copy is being made, which keeps one processor busy.
 * @throws ThreadError, also for a database that cannot be read to its end; HaltPipelineError `disk_full`; Interrupted
 */
export async function makePackedCopy(options: PackedCopyOptions): Promise<PackedCopy> {
  const { clock, onProgress, database } = options;
  const copy = join(options.work, 'jobs.db');
  const packed = join(options.work, 'jobs.db.gz');
  // Two halves, so that packing fills the processor that the check leaves idle when it is through.
  const isCut = options.expectedBytes > ONE_PART_BYTES;
  const parts = isCut ? [packed, `${packed}.1`] : [packed];
  const startedMs = clock.monotonicMs();
  const since = (beganMs: number): number => clock.monotonicMs() - beganMs;
  const isUnderWay = Promise.withResolvers<void>();
  const copied = Promise.withResolvers<{ databaseBytes: number; atMs: number }>();
  const doneBytes = parts.map(() => 0);

  const copyAndCheck = async (thread: Thread) => {
    const { databaseBytes } = await thread.run(
      { kind: 'copy', database, target: copy },
      (done, totalBytes) => {
        isUnderWay.resolve();
        onProgress({ phase: 'copy', doneBytes: done, totalBytes });
      },
    );
    step('backup:copied');
    const atMs = clock.monotonicMs();
    copied.resolve({ databaseBytes, atMs });
    const found = await thread.run({ kind: 'check', database: copy });
    return { ...found, databaseBytes, copyMs: atMs - startedMs, checkMs: since(atMs) };
  };
  const packPart = async (thread: Thread, index: number): Promise<void> => {
    const { databaseBytes } = await copied.promise;
    const task: PackTask = {
      kind: 'pack',
      source: copy,
      target: parts[index] as string,
      ...stretchOf(databaseBytes, parts.length, index),
    };
    await thread.run(task, (done) => {
      doneBytes[index] = done;
      const sum = doneBytes.reduce((all, each) => all + each, 0);
      onProgress({ phase: 'pack', doneBytes: sum, totalBytes: databaseBytes });
    });
  };

  return allOrNone(options.signal, async (begin) => {
    const first = begin((signal) =>
      // Whatever becomes of it, nobody is kept waiting to begin.
      withThread('database', signal, copyAndCheck).finally(isUnderWay.resolve),
    );
    const packing = <P>(work: (thread: Thread) => Promise<P>): Promise<P> =>
      begin((signal) => isUnderWay.promise.then(() => withThread('pack', signal, work)));
    const others = parts.slice(1).map((_, index) => packing((thread) => packPart(thread, index + 1)));
    const joined = packing(async (thread) => {
      await Promise.all([packPart(thread, 0), ...others]);
      return thread.run({ kind: 'join', parts });
    });
    const { sizeBytes, sha256 } = await joined;
    const packMs = since((await copied.promise).atMs);
    const { copyMs, checkMs, ...found } = await first;
    const tookMs = { copy: copyMs, check: checkMs, pack: packMs };
    return { ...found, sizeBytes, sha256, packed, copy, tookMs };
  });
}

/** One of so many equal parts of a file. */
function stretchOf(
  sizeBytes: number,
  parts: number,
  index: number,
): Pick<PackTask, 'fromByte' | 'endExclusive'> {
  const each = Math.ceil(sizeBytes / parts);
  return {
    fromByte: Math.min(index * each, sizeBytes),
    endExclusive: Math.min((index + 1) * each, sizeBytes),
  };
}
