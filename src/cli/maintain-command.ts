import { dirname } from 'node:path';
import { createAlerts } from '../alerts/index.ts';
import type { Config } from '../config/index.ts';
import { type Db, isDataDirectoryInUse, lockDataDirectory, openDb } from '../db/index.ts';
import { createBus } from '../events/index.ts';
import {
  describeError,
  errorCode,
  formatBytes,
  formatDuration,
  isAbort,
  UsageError,
  WikiSeedError,
} from '../lib/index.ts';
import {
  type Care,
  CHECKPOINT_MODES,
  type CheckpointMode,
  createCare,
  MAINTAIN_TASKS,
  type MaintainReport,
  type MaintainTask,
  newestGoodBackupAt,
  restoreHint,
  type Thresholds,
} from '../maintenance/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../ports/index.ts';
import { createLayout } from '../storage/index.ts';
import { EXIT } from './exit-codes.ts';
import { type CliIo, printJson } from './io.ts';
import { type LoadedConfig, loadForCommand, openForReading } from './load.ts';
import { plainText } from './table.ts';
import { counted } from './words.ts';

/** Without a task: all that does not hold anybody up, and compacting when it is due. */
const DEFAULT_TASKS: readonly MaintainTask[] = ['checkpoint', 'analyze', 'integrity', 'retention', 'vacuum'];

/** How one task ended. */
type Outcome =
  | ({ ok: true } & MaintainReport)
  | { ok: false; task: MaintainTask; code: string; message: string; hint: string | null };

/** `maintain [task...]`: cares for the database now, beside a running daemon or without one. */
export async function maintainCommand(
  io: CliIo,
  names: readonly string[],
  options: { config?: string; full?: boolean; mode?: string; json?: boolean },
): Promise<number> {
  const tasks = parseTasks(names);
  const mode = parseMode(options.mode);
  const isFull = options.full === true;
  if (isFull && (tasks.length !== 1 || tasks[0] !== 'vacuum'))
    throw new UsageError('--full belongs to vacuum alone', 'Write: wikiseed maintain vacuum --full');
  if (mode !== undefined && names.length > 0 && !tasks.includes('checkpoint'))
    throw new UsageError(
      '--mode belongs to checkpoint',
      'Write: wikiseed maintain checkpoint --mode truncate',
    );
  const loaded = loadForCommand(io, options.config);
  const { database, dataDir } = createLayout(loaded.config.wikiseed.dataDir);
  // Read by SQLite when its first database is opened: the copy that a full VACUUM makes goes where the space was checked.
  if (isFull) process.env.SQLITE_TMPDIR = dirname(database);
  openForReading(dataDir).close();
  const clock = createSystemClock();
  const lock = isFull
    ? lockDataDirectory(dataDir, { pid: process.pid, startedAt: new Date(clock.now()).toISOString() })
    : null;
  let db: Db | null = null;
  try {
    if (isFull) await checkRoom(database);
    db = openDb(database);
    const bus = createBus({ log: silentLog });
    const alerts = createAlerts({ db, bus, clock, log: silentLog, isOwner: lock !== null });
    alerts.start();
    const care = careForCommand(loaded, bus);
    const outcomes: Outcome[] = [];
    for (const task of tasks) {
      const outcome = await doTask(io, {
        care,
        task,
        mode,
        full: isFull,
        force: names.length > 0,
        dataDir,
        json: options.json === true,
      });
      outcomes.push(outcome);
      // On a damaged database nothing else is done.
      if (!outcome.ok && outcome.code === 'database_corrupt') break;
    }
    const troubles = await care.check(io.signal).catch(() => []);
    alerts.stop();
    if (options.json === true) printJson(io, { tasks: outcomes, troubles });
    else
      for (const { severity, message, hint } of troubles)
        io.out.write(
          `${severity === 'error' ? 'ERROR' : 'warning'}: ${plainText(message)}\n  ${plainText(hint)}\n`,
        );
    return outcomes.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
  } finally {
    db?.close();
    lock?.release();
  }
}

function parseTasks(names: readonly string[]): MaintainTask[] {
  if (names.length === 0) return [...DEFAULT_TASKS];
  return names.map((name) => {
    const task = name.replaceAll('-', '_');
    if (!MAINTAIN_TASKS.includes(task as MaintainTask))
      throw new UsageError(
        `${name} is not a maintenance task`,
        `Use one or more of ${MAINTAIN_TASKS.join(', ')}.`,
      );
    return task as MaintainTask;
  });
}

function parseMode(mode: string | undefined): CheckpointMode | undefined {
  if (mode === undefined) return undefined;
  if (!CHECKPOINT_MODES.includes(mode as CheckpointMode))
    throw new UsageError(
      `--mode ${mode} is not a checkpoint mode`,
      `Use one of ${CHECKPOINT_MODES.join(', ')}.`,
    );
  return mode as CheckpointMode;
}

/** The limits of a configuration. */
export function thresholdsOf(config: Config): Thresholds {
  return { ...config.maintenance, safetyMarginBytes: config.storage.safetyMarginBytes };
}

/** The care of a configured database, for a command. */
export function careForCommand(
  { config, sourcePath }: LoadedConfig,
  bus = createBus({ log: silentLog }),
): Care {
  const { database, dataDir } = createLayout(config.wikiseed.dataDir);
  const disk = createNodeDisk();
  const clock = createSystemClock();
  return createCare({
    databasePath: database,
    clock,
    bus,
    log: silentLog,
    thresholds: thresholdsOf(config),
    keep: {
      finishedJobsMs: config.maintenance.keepFinishedJobsMs,
      metricsMs: config.maintenance.keepMetricsMs,
    },
    sweepLeases: () => 0,
    newestGoodBackupAt: () => newestGoodBackupAt(disk, dataDir, clock.now()),
    restoreHint: () => restoreHint({ disk, clock, dataDir, configPath: sourcePath }),
  });
}

/** A full VACUUM writes one copy beside the database and another one through the log. */
async function checkRoom(database: string): Promise<void> {
  const disk = createNodeDisk();
  const neededBytes = 2 * ((await disk.stat(database))?.sizeBytes ?? 0);
  const { freeBytes } = await disk.space(dirname(database));
  if (freeBytes >= neededBytes) return;
  throw new WikiSeedError(
    'disk_full',
    `a full VACUUM needs ${formatBytes(neededBytes)} free beside ${database}, there are ${formatBytes(freeBytes)}`,
    {
      hint: 'Free some space, or use "wikiseed maintain vacuum", which needs none and runs beside the daemon.',
    },
  );
}

async function doTask(
  io: CliIo,
  facts: {
    care: Care;
    task: MaintainTask;
    mode: CheckpointMode | undefined;
    full: boolean;
    /** Asked for by name: whatever the thresholds say. */
    force: boolean;
    dataDir: string;
    json: boolean;
  },
): Promise<Outcome> {
  const { task } = facts;
  const isWatched = io.err.isTTY === true && !facts.json;
  const clearLine = (): void => void (isWatched && io.err.write('\r\u001b[K'));
  try {
    const report =
      task === 'lease_sweep'
        ? await describeLeases(facts)
        : await facts.care.run(task, {
            signal: io.signal,
            full: facts.full,
            force: facts.force,
            ...(facts.mode === undefined ? {} : { mode: facts.mode }),
            onStep: ({ step, done }) => {
              if (isWatched) io.err.write(`\r${task}: step ${step}, ${done}`);
            },
          });
    clearLine();
    if (!facts.json)
      io.out.write(
        `${task.padEnd(11)} ${formatDuration(report.durationMs).padStart(7)}  ${plainText(report.summary)}\n`,
      );
    return { ok: true, ...report };
  } catch (error) {
    clearLine();
    if (isAbort(error)) throw error;
    const hint = error instanceof WikiSeedError ? (error.hint ?? null) : null;
    const message = describeError(error);
    io.err.write(
      `${task.padEnd(11)} failed: ${plainText(message)}\n${hint === null ? '' : `  ${plainText(hint)}\n`}`,
    );
    return { ok: false, task, code: errorCode(error), message, hint };
  }
}

/** Only the process that works on jobs knows which leases are its own, so a command takes none back. */
async function describeLeases({ care, dataDir }: { care: Care; dataDir: string }): Promise<MaintainReport> {
  const startedMs = performance.now();
  const { jobs } = await care.statistics();
  const inProgress = jobs.byStatus.in_progress ?? 0;
  const isRunning = isDataDirectoryInUse(dataDir);
  const summary = isRunning
    ? `${counted(jobs.expiredLeases, 'expired lease')}; the running WikiSeed takes them back by itself`
    : `no WikiSeed is running; ${counted(inProgress, 'job')} in progress will be taken back when it starts`;
  return {
    task: 'lease_sweep',
    durationMs: Math.round(performance.now() - startedMs),
    summary,
    facts: { expiredLeases: jobs.expiredLeases, inProgress, isRunning },
  };
}
