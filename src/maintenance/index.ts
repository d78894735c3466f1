import type { Db, SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import type { HaltPipelineError } from '../lib/index.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import type { AnyJobHandler, JobRequest } from '../queue/index.ts';
import { backupDb, listBackups, rehearseRestore, restoreHint } from './backups/index.ts';
import { type Care, createCare } from './care/care.ts';
import { type CareThreadDeps, createCareThread } from './care/care-thread.ts';
import { type Checkpointer, createCheckpointer } from './care/checkpointer.ts';
import { SINCE_KEY } from './care/records.ts';
import type { Thresholds } from './care/troubles.ts';
import { dailyInWindow, type Window } from './care/window.ts';
import { createMaintainDb, maintainDb } from './jobs/maintain-db.ts';

export * from './backups/index.ts';
export * from './care/index.ts';
export { maintainDb } from './jobs/maintain-db.ts';
export * from './rebuild/index.ts';

/** Job types whose failure has an alert of its own, `backup_failed` and `rehearsal_failed`: for the alerts room. */
export const TELL_THEMSELVES: readonly string[] = [backupDb.type, rehearseRestore.type];

/** The settings of this room, from `maintenance` and, for the free space, `storage`. */
export interface MaintenanceConfig extends Thresholds {
  window: Window;
  /** `hourly`, `daily`, `weekly`, `monthly` or a cron expression in UTC. */
  analyze: string;
  integrityCheck: string;
  leaseSweep: string;
  keepFinishedJobsMs: number;
  keepMetricsMs: number;
}

/** Something that happens regularly, for the scheduling room. */
export interface MaintenanceSchedule {
  name: string;
  /** A word or a cron expression in UTC. */
  cron: string;
  request: () => JobRequest;
}

/** What the room is given. */
export interface MaintenanceDeps {
  db: Db;
  dataDir: string;
  /** Named in the restore command; null when none was. */
  configPath: string | null;
  state: SystemState;
  disk: Disk;
  clock: Clock;
  bus: Bus;
  log: Log;
  config: MaintenanceConfig;
  /** Takes back the leases of workers that vanished; returns how many. */
  sweepLeases: () => number;
  /** A checkpoint met a full disk: whatever writes to it should stop. */
  onHalt?: (halt: HaltPipelineError) => void;
  spawn?: CareThreadDeps['spawn'];
}

/** The room that keeps the database in order while it is in use. */
export interface Maintenance {
  readonly handlers: readonly AnyJobHandler[];
  readonly care: Care;
  readonly checkpointer: Checkpointer;
  schedules(): MaintenanceSchedule[];
  /** Begins to keep the log small. Idempotent. */
  start(): void;
  /** Idempotent; resolves when its thread is gone. Before the database is closed. */
  stop(): Promise<void>;
}

/** When the newest backup that passed its checks was made, epoch ms, none dated later than `nowMs`; null = there is none. */
export async function newestGoodBackupAt(disk: Disk, dataDir: string, nowMs: number): Promise<number | null> {
  const backups = await listBackups(disk, dataDir);
  return (
    backups.find(({ kind, state, madeAt }) => kind === 'backup' && state === 'verified' && madeAt <= nowMs)
      ?.madeAt ?? null
  );
}

/** Wires the room. */
export function createMaintenance(deps: MaintenanceDeps): Maintenance {
  const { db, clock, config, bus, log } = deps;
  const spawn = deps.spawn === undefined ? {} : { spawn: deps.spawn };
  const care = createCare({
    ...spawn,
    databasePath: db.path,
    clock,
    bus,
    log,
    thresholds: config,
    keep: { finishedJobsMs: config.keepFinishedJobsMs, metricsMs: config.keepMetricsMs },
    sweepLeases: deps.sweepLeases,
    newestGoodBackupAt: () => newestGoodBackupAt(deps.disk, deps.dataDir, clock.now()),
    restoreHint: () => restoreHint(deps),
    // The connection of the main thread plans with what it read when it was opened.
    onAnalyzed: () => void db.sqlite.exec('ANALYZE sqlite_schema'),
  });
  const checkpointer = createCheckpointer({
    databasePath: db.path,
    thread: createCareThread({ databasePath: db.path, clock, ...spawn }),
    disk: deps.disk,
    clock,
    bus,
    log,
    config,
    ...(deps.onHalt === undefined ? {} : { onHalt: deps.onHalt }),
  });
  const schedule = (
    task: Parameters<typeof maintainDb.request>[0]['task'],
    cron: string,
  ): MaintenanceSchedule => ({
    name: `maintain_db:${task}`,
    cron,
    request: () => maintainDb.request({ task }),
  });

  return {
    handlers: [createMaintainDb({ care, window: config.window })],
    care,
    checkpointer,
    schedules: () => [
      schedule('analyze', config.analyze),
      schedule('integrity', config.integrityCheck),
      schedule('lease_sweep', config.leaseSweep),
      schedule('thresholds', 'hourly'),
      // First what makes free pages, then what gives them back.
      schedule('retention', dailyInWindow(config.window, 0.25)),
      schedule('vacuum', dailyInWindow(config.window, 0.5)),
    ],
    start() {
      if (deps.state.get(SINCE_KEY) === null) deps.state.set(SINCE_KEY, String(clock.now()), clock.now());
      checkpointer.start();
    },
    stop: () => checkpointer.stop(),
  };
}
