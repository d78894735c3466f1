import type { Database } from 'better-sqlite3';
import { analyze } from './analyze.ts';
import {
  type CheckpointMode,
  type CheckpointResult,
  checkpoint,
  dueCheckpoint,
  type WalSizes,
  walSizes,
} from './checkpoint.ts';
import { checkIntegrity, type IntegrityResult } from './integrity.ts';
import { type Pace, type Stepped, withoutBusy } from './pace.ts';
import { type Recorded, writeRecord } from './records.ts';
import { applyRetention, type RetentionCutoffs, type RetentionResult } from './retention.ts';
import { databaseStatistics, type StatisticsFromDatabase } from './statistics.ts';
import { type VacuumResult, vacuumFully, vacuumInSteps } from './vacuum.ts';

/** What the checkpointer asks for each second, and what it learns. */
export interface Look {
  sizes: WalSizes;
  /** What was due; null = nothing. */
  due: CheckpointMode | null;
  /** What was done, which is `passive` when more was due but may not be tried now; null = nothing. */
  done: CheckpointResult | null;
}

/** Every task of the care thread: what it is given and what it gives back. Plain data, since it goes between threads. */
export interface CareTasks {
  look: {
    input: { walWarnSizeBytes: number; walMaxSizeBytes: number; mayTakeWriteLock: boolean };
    output: Look;
  };
  checkpoint: { input: { mode: CheckpointMode }; output: CheckpointResult };
  analyze: { input: object; output: Stepped };
  vacuum: { input: { thresholdPercent: number; full: boolean }; output: VacuumResult };
  integrity: { input: object; output: IntegrityResult };
  retention: { input: RetentionCutoffs; output: RetentionResult };
  statistics: { input: { isThorough: boolean }; output: StatisticsFromDatabase };
}
/** Name of a task of the care thread. */
export type CareTask = keyof CareTasks;

/** What a task finds around it. */
export interface TaskSurroundings {
  connection: Database;
  databasePath: string;
  /** Epoch ms, by the clock of whoever asked. */
  now: number;
  pace: Pace;
  /** Bytes of a file; 0 when it is not there. */
  fileBytes(path: string): number;
  freeDiskBytes(): number;
}

/** Long enough for any write of the house, short enough to hear of a stop. */
const BUSY_TIMEOUT_MS = 1000;

type Runners = {
  [K in CareTask]: (
    input: CareTasks[K]['input'],
    around: TaskSurroundings,
  ) => CareTasks[K]['output'] | Promise<CareTasks[K]['output']>;
};

const walBytesOf = (around: TaskSurroundings) => (): number => around.fileBytes(`${around.databasePath}-wal`);

/** Notes the last run. A database that is busy with others loses the note, not the work. */
function record(
  around: TaskSurroundings,
  what: Recorded,
  run: { ok: boolean; message?: string; facts?: object },
): void {
  withoutBusy(() => writeRecord(around.connection, what, { at: around.now, ...run }));
}

const RUNNERS: Runners = {
  look(input, around) {
    const walBytes = walBytesOf(around);
    const sizes = walSizes(around.connection, walBytes());
    const due = dueCheckpoint(sizes, input);
    // Whoever may not hold up writers still copies what it can.
    const mode = due === null || input.mayTakeWriteLock ? due : 'passive';
    const run = (wanted: CheckpointMode): CheckpointResult =>
      checkpoint(around.connection, { mode: wanted, walBytes });
    let done = mode === null ? null : run(mode === 'restart' ? 'passive' : mode);
    // With all of it copied, and nothing written meanwhile, the next writer begins the log anew by itself, and nobody has to wait
    // for an fsync under the lock.
    if (mode === 'restart' && walSizes(around.connection, walBytes()).pendingBytes > 0) done = run('restart');
    // The first write after a complete checkpoint begins the log anew, with an fsync: better here than on the main thread.
    if (done !== null) record(around, 'checkpoint', { ok: !done.busy, facts: { mode: done.mode } });
    return { sizes, due, done };
  },
  checkpoint({ mode }, around) {
    const done = checkpoint(around.connection, { mode, walBytes: walBytesOf(around) });
    record(around, 'checkpoint', { ok: !done.busy, facts: { mode } });
    return done;
  },
  async analyze(_input, around) {
    const done = await analyze(around.connection, around.pace);
    record(around, 'analyze', { ok: true });
    return done;
  },
  async vacuum({ full, thresholdPercent }, around) {
    const done = full
      ? vacuumFully(around.connection)
      : await vacuumInSteps(around.connection, around.pace, { thresholdPercent });
    if (done.skipped === null) record(around, 'vacuum', { ok: true, facts: { full } });
    return done;
  },
  integrity(_input, around) {
    const done = checkIntegrity(around.connection);
    const message = done.problems.slice(0, 3).join('; ').slice(0, 500);
    try {
      record(around, 'integrity', { ok: done.ok, ...(done.ok ? {} : { message }) });
    } catch (error) {
      // A damaged file may refuse the note about its damage; the result says it all the same.
      if (done.ok) throw error;
    }
    return done;
  },
  async retention(cutoffs, around) {
    const done = await applyRetention(around.connection, around.pace, cutoffs);
    record(around, 'retention', { ok: true });
    return done;
  },
  statistics({ isThorough }, around) {
    return databaseStatistics(around.connection, {
      now: around.now,
      path: around.databasePath,
      fileBytes: around.fileBytes(around.databasePath),
      walBytes: walBytesOf(around)(),
      freeDiskBytes: around.freeDiskBytes(),
      isThorough,
    });
  },
};

/** Runs one task on a connection of its own; see `CareTasks`. */
export async function runTask<K extends CareTask>(
  task: K,
  input: CareTasks[K]['input'],
  around: TaskSurroundings,
): Promise<CareTasks[K]['output']> {
  around.connection.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  return RUNNERS[task](input, around);
}
