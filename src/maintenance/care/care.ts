import type { Bus } from '../../events/index.ts';
import { days, describeError, errorCode, formatBytes, Interrupted } from '../../lib/index.ts';
import type { Clock, Log } from '../../ports/index.ts';
import { type CareThread, type CareThreadDeps, createCareThread } from './care-thread.ts';
import type { CheckpointMode } from './checkpoint.ts';
import type { StepNote } from './pace.ts';
import { damaged } from './sqlite-trouble.ts';
import type { DatabaseStatistics } from './statistics.ts';
import {
  findTroubles,
  OWNED_ELSEWHERE,
  RESTORE_HINT,
  type Thresholds,
  TROUBLE_KEYS,
  type Trouble,
} from './troubles.ts';

/** Everything that can be done for the database, in the order in which it is done when all of it is. */
export const MAINTAIN_TASKS = [
  'checkpoint',
  'analyze',
  'integrity',
  'retention',
  'vacuum',
  'thresholds',
  'lease_sweep',
] as const;
/** See `MAINTAIN_TASKS`. */
export type MaintainTask = (typeof MAINTAIN_TASKS)[number];

/** What a task did. */
export interface MaintainReport {
  task: MaintainTask;
  durationMs: number;
  /** One sentence for people, without a full stop. */
  summary: string;
  /** The numbers of it; a few, flat. */
  facts: Record<string, string | number | boolean | null>;
}

/** Takes care of one database, beside whoever uses it. */
export interface Care {
  /**
   * Does one task in a thread of its own, then looks at the thresholds.
   * @throws HaltPipelineError `database_corrupt` (scope `all`) when the integrity check fails, `disk_full` and `disk_error`
   *   (scope `disk`); Interrupted when the signal aborts; RetryableError
   */
  run(task: MaintainTask, options?: CareOptions): Promise<MaintainReport>;
  /** @param isThorough also of tables, indexes and finished jobs, which reads the whole file; without it they are null */
  statistics(options?: { isThorough?: boolean; signal?: AbortSignal }): Promise<DatabaseStatistics>;
  /** What is wrong now; raises the alerts of it, and resolves those that are over, but for those of `OWNED_ELSEWHERE`. */
  check(signal?: AbortSignal): Promise<Trouble[]>;
}

/** How a task is done. */
export interface CareOptions {
  signal?: AbortSignal;
  onStep?: (note: StepNote) => void;
  /** Of `checkpoint`; default `passive`. */
  mode?: CheckpointMode;
  /** Of `vacuum`: the complete one, which needs the database for itself. Default false. */
  full?: boolean;
  /** Of `vacuum`: do it whatever the fragmentation is. Default false. */
  force?: boolean;
}

/** What the care of a database is made from. */
export interface CareDeps {
  databasePath: string;
  clock: Clock;
  bus: Bus;
  log: Log;
  thresholds: Thresholds;
  /** How long finished jobs and measurements are kept, ms. */
  keep: { finishedJobsMs: number; metricsMs: number };
  /** Takes back leases nobody works under; returns how many. */
  sweepLeases: () => number;
  /** The statistics of the query planner are new: other connections have to read them. */
  onAnalyzed?: () => void;
  /** When the newest backup that passed its checks was made; null = there is none. */
  newestGoodBackupAt: () => Promise<number | null>;
  /** The exact command that restores it. */
  restoreHint: () => Promise<string>;
  spawn?: CareThreadDeps['spawn'];
}

/** See `Care`. */
export function createCare(deps: CareDeps): Care {
  const { clock, thresholds } = deps;
  const log = deps.log.child({ room: 'maintenance' });

  /** A thread for one errand: a long read must not keep the checkpointer waiting, nor one task another. */
  async function inThread<T>(work: (thread: CareThread) => Promise<T>): Promise<T> {
    const thread = createCareThread({
      databasePath: deps.databasePath,
      clock,
      ...(deps.spawn === undefined ? {} : { spawn: deps.spawn }),
    });
    let isInterrupted = false;
    try {
      return await work(thread);
    } catch (error) {
      isInterrupted = error instanceof Interrupted;
      throw error;
    } finally {
      const closed = thread.close();
      // A long read cannot be stopped; whoever is stopping does not wait for its end.
      if (!isInterrupted) await closed;
    }
  }

  type Done = Pick<MaintainReport, 'summary' | 'facts'>;
  const TASKS: Record<MaintainTask, (thread: CareThread, options: CareOptions) => Promise<Done>> = {
    async checkpoint(thread, options) {
      const done = await thread.call('checkpoint', { mode: options.mode ?? 'passive' }, options);
      const { mode, busy, logPages, checkpointedPages, walBytesBefore, walBytesAfter } = done;
      const kept = busy ? ', a reader kept it from doing all of it' : '';
      return {
        summary: `${checkpointedPages} of ${logPages} pages of the log are in the database (${mode}${kept}), log ${formatBytes(walBytesBefore)} -> ${formatBytes(walBytesAfter)}`,
        facts: { mode, busy, logPages, checkpointedPages, walBytesBefore, walBytesAfter },
      };
    },
    async analyze(thread, options) {
      const done = await thread.call('analyze', {}, options);
      deps.onAnalyzed?.();
      return {
        summary: `renewed the statistics of ${done.done} indexes and tables`,
        facts: { done: done.done, longestStepMs: Math.round(done.longestStepMs) },
      };
    },
    async vacuum(thread, options) {
      const full = options.full === true;
      const input = { full, thresholdPercent: options.force ? 0 : thresholds.vacuumFragmentationPercent };
      const { skipped, pagesBefore, pagesAfter, freePagesBefore, steps, longestStepMs } = await thread.call(
        'vacuum',
        input,
        options,
      );
      return {
        summary:
          skipped === null
            ? `${pagesBefore} -> ${pagesAfter} pages${full ? '' : ` in ${steps} steps`}`
            : skipped === 'not_fragmented'
              ? `nothing to do: ${freePagesBefore} of ${pagesBefore} pages are free`
              : 'the database was made without room for this; run "wikiseed maintain vacuum --full" once, with the daemon stopped',
        facts: {
          skipped,
          full,
          pagesBefore,
          pagesAfter,
          freePagesBefore,
          steps,
          longestStepMs: Math.round(longestStepMs),
        },
      };
    },
    async integrity(thread, options) {
      const done = await thread.call('integrity', {}, options);
      if (!done.ok) {
        const hint = await restoreHint();
        const error = damaged(done.problems, hint);
        deps.bus.emit('alert:raised', {
          key: 'database:integrity',
          severity: 'error',
          message: error.message,
          hint,
        });
        throw error;
      }
      return { summary: 'every page and every reference is sound', facts: { ok: true } };
    },
    async retention(thread, options) {
      const now = clock.now();
      const cutoffs = {
        finishedBefore: now - deps.keep.finishedJobsMs,
        measuredBefore: now - deps.keep.metricsMs,
        dailyBefore: now - days(14),
        weeklyBefore: now - days(180),
        // Seeders over time are asked for years later.
        swarmsBefore: now - Math.max(deps.keep.metricsMs, days(5 * 365)),
      };
      const { byTable, steps, longestStepMs } = await thread.call('retention', cutoffs, options);
      const parts = Object.entries(byTable).filter(([, rows]) => rows > 0);
      return {
        summary:
          parts.length === 0
            ? 'nothing is old enough to be removed'
            : `removed ${parts.map(([table, rows]) => `${rows} from ${table}`).join(', ')}`,
        facts: { ...byTable, steps, longestStepMs: Math.round(longestStepMs) },
      };
    },
    async thresholds(thread, options) {
      const troubles = await checkIn(thread, options.signal);
      return {
        summary: troubles.length === 0 ? 'all is well' : troubles.map(({ message }) => message).join('; '),
        facts: {
          warnings: troubles.filter(({ severity }) => severity === 'warn').length,
          errors: troubles.filter(({ severity }) => severity === 'error').length,
        },
      };
    },
    async lease_sweep() {
      const rescued = deps.sweepLeases();
      return {
        summary: rescued === 0 ? 'no lease was lost' : `took back the leases of ${rescued} jobs`,
        facts: { rescued },
      };
    },
  };

  async function checkIn(thread: CareThread, signal?: AbortSignal): Promise<Trouble[]> {
    const statistics = await statisticsIn(thread, signal === undefined ? {} : { signal });
    const troubles = findTroubles(statistics, thresholds);
    const damage = troubles.find(({ key }) => key === 'database:integrity');
    if (damage !== undefined) damage.hint = await restoreHint();
    const found = new Set(troubles.map(({ key }) => key));
    for (const trouble of troubles)
      if (!OWNED_ELSEWHERE.has(trouble.key)) deps.bus.emit('alert:raised', trouble);
    for (const key of TROUBLE_KEYS)
      if (!found.has(key) && !OWNED_ELSEWHERE.has(key)) deps.bus.emit('alert:resolved', { key });
    return troubles;
  }

  async function statisticsIn(
    thread: CareThread,
    options: { isThorough?: boolean; signal?: AbortSignal },
  ): Promise<DatabaseStatistics> {
    const { isThorough = false, ...rest } = options;
    const found = await thread.call('statistics', { isThorough }, rest);
    return { ...found, newestGoodBackupAt: await deps.newestGoodBackupAt() };
  }

  /** Whatever stands in the way of looking for backups, the damage is told. */
  const restoreHint = (): Promise<string> => deps.restoreHint().catch(() => RESTORE_HINT);

  async function run(thread: CareThread, task: MaintainTask, options: CareOptions): Promise<MaintainReport> {
    const startedMs = clock.monotonicMs();
    const done = await TASKS[task](thread, options);
    const report = { task, durationMs: Math.round(clock.monotonicMs() - startedMs), ...done };
    log.info({ task, durationMs: report.durationMs, ...report.facts }, 'took care of the database');
    if (task === 'thresholds') return report;
    await checkIn(thread, options.signal).catch((error: unknown) => {
      // The work itself is done; the next hourly check says what is wrong.
      log.warn(
        { task, err: { code: errorCode(error), message: describeError(error) } },
        'could not look at the thresholds after taking care of the database',
      );
    });
    return report;
  }

  return {
    statistics: (options = {}) => inThread((thread) => statisticsIn(thread, options)),
    check: (signal) => inThread((thread) => checkIn(thread, signal)),
    run: (task, options = {}) => inThread((thread) => run(thread, task, options)),
  };
}
