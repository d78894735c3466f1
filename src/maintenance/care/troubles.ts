import { formatBytes, formatDuration, hours } from '../../lib/index.ts';
import type { DatabaseStatistics } from './statistics.ts';

/** Something about the database that somebody should know. `key` names the matter and never changes. */
export interface Trouble {
  key: string;
  severity: 'warn' | 'error';
  message: string;
  hint: string;
}

/** From when on something is a trouble; a value counts when it is above its limit, unless the name says otherwise. */
export interface Thresholds {
  walWarnSizeBytes: number;
  walMaxSizeBytes: number;
  databaseWarnSizeBytes: number;
  fragmentationWarnPercent: number;
  vacuumFragmentationPercent: number;
  pendingJobsWarn: number;
  longJobWarnMs: number;
  /** Free bytes on the disk: below twice as much a warning, below it an error. */
  safetyMarginBytes: number;
}

/** Every key that `findTroubles` may give: what is not found any more is over. */
export const TROUBLE_KEYS = [
  'database:wal',
  'database:size',
  'database:fragmentation',
  'database:auto_vacuum',
  'database:pending_jobs',
  'database:long_job',
  'database:stale_leases',
  'database:free_space',
  'database:backup',
  'rehearsal_failed',
  'database:integrity',
] as const;

/**
 * Each alert has one owner, who raises and resolves it. These have another one, who sees them first: the checkpointer the size of its log,
 * `rehearse_restore` its own outcome. Here they are only told to whoever asks.
 */
export const OWNED_ELSEWHERE: ReadonlySet<string> = new Set<(typeof TROUBLE_KEYS)[number]>([
  'database:wal',
  'rehearsal_failed',
]);

/** What an operator does about a damaged database, where nobody looked which backup is good. */
export const RESTORE_HINT =
  'Stop WikiSeed, then run "wikiseed restore"; "wikiseed backups" lists what there is. The damaged file is kept.';

/** A database this small is not worth a word about its free pages: 16 MB. */
const FRAGMENTATION_FROM_BYTES = 16_000_000;
/** Expired leases are taken back within the hour; more than so many mean that workers die or the clock is wrong. */
const STALE_LEASES_WARN = 10;
const STALE_LEASES_ERROR = 50;
/** Backups are daily: one may be late, two may not. */
const BACKUP_AGE_WARN_MS = hours(48);
const BACKUP_AGE_ERROR_MS = hours(7 * 24);

/** Judges the statistics of a database; pure. Sorted: errors first, then in the order of `TROUBLE_KEYS`. */
export function findTroubles(statistics: DatabaseStatistics, thresholds: Thresholds): Trouble[] {
  const found = [
    walTrouble(statistics.walBytes, thresholds),
    sizeTrouble(statistics, thresholds),
    fragmentationTrouble(statistics, thresholds),
    autoVacuumTrouble(statistics, thresholds),
    ...jobTroubles(statistics, thresholds),
    spaceTrouble(statistics, thresholds),
    backupTrouble(statistics),
    rehearsalTrouble(statistics),
    integrityTrouble(statistics),
  ].filter((trouble) => trouble !== null);
  return found.sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
}

/** The log is larger than it should ever get; pure. Also used by the checkpointer, which sees it every second. */
export function walTrouble(
  walBytes: number,
  limits: Pick<Thresholds, 'walWarnSizeBytes' | 'walMaxSizeBytes'>,
): Trouble | null {
  if (walBytes <= limits.walWarnSizeBytes) return null;
  const isTooLarge = walBytes > limits.walMaxSizeBytes;
  return {
    key: 'database:wal',
    severity: isTooLarge ? 'error' : 'warn',
    message: `the write-ahead log of the database has grown to ${formatBytes(walBytes)} (limit ${formatBytes(isTooLarge ? limits.walMaxSizeBytes : limits.walWarnSizeBytes)})`,
    hint: 'Something reads the database without end, such as an open sqlite3 shell or a copy under way: close it. Then "wikiseed maintain checkpoint --mode truncate".',
  };
}

function sizeTrouble({ fileBytes }: DatabaseStatistics, thresholds: Thresholds): Trouble | null {
  const limit = thresholds.databaseWarnSizeBytes;
  if (fileBytes <= limit) return null;
  return {
    key: 'database:size',
    severity: fileBytes > 2 * limit ? 'error' : 'warn',
    message: `the database has grown to ${formatBytes(fileBytes)} (limit ${formatBytes(limit)})`,
    hint: 'Shorten maintenance.keep_finished_jobs and maintenance.keep_metrics, or raise maintenance.database_warn_size; "wikiseed db" shows which table it is.',
  };
}

function fragmentationTrouble(statistics: DatabaseStatistics, thresholds: Thresholds): Trouble | null {
  const { fragmentationPercent, freePages, pageSize } = statistics;
  if (fragmentationPercent <= thresholds.fragmentationWarnPercent) return null;
  if (freePages * pageSize < FRAGMENTATION_FROM_BYTES) return null;
  return {
    key: 'database:fragmentation',
    severity: fragmentationPercent > thresholds.vacuumFragmentationPercent ? 'error' : 'warn',
    message: `${fragmentationPercent.toFixed(1)} % of the database is unused space (${formatBytes(freePages * pageSize)})`,
    hint: 'It is given back in the maintenance window; "wikiseed maintain vacuum" does it now, beside the running daemon.',
  };
}

/** Free pages that can only be given back by a full VACUUM, which never comes by itself. */
function autoVacuumTrouble(statistics: DatabaseStatistics, thresholds: Thresholds): Trouble | null {
  const { autoVacuum, fragmentationPercent, freePages, pageSize } = statistics;
  if (autoVacuum === 'incremental' || fragmentationPercent <= thresholds.vacuumFragmentationPercent)
    return null;
  if (freePages * pageSize < FRAGMENTATION_FROM_BYTES) return null;
  return {
    key: 'database:auto_vacuum',
    severity: 'warn',
    message: 'the database was made by an early version and cannot give back unused space while it is in use',
    hint: 'Once, with the daemon stopped: "wikiseed maintain vacuum --full".',
  };
}

function jobTroubles({ jobs, at }: DatabaseStatistics, thresholds: Thresholds): (Trouble | null)[] {
  const pending = jobs.byStatus.pending ?? 0;
  const running = jobs.longestRunning;
  const runningMs = running === null ? 0 : at - running.startedAt;
  return [
    pending <= thresholds.pendingJobsWarn
      ? null
      : {
          key: 'database:pending_jobs',
          severity: 'warn',
          message: `${pending} jobs are waiting (limit ${thresholds.pendingJobsWarn})`,
          hint: '"wikiseed status" says what they wait for; raise maintenance.pending_jobs_warn if so many are usual here.',
        },
    running === null || runningMs <= thresholds.longJobWarnMs
      ? null
      : {
          key: 'database:long_job',
          severity: 'warn',
          message: `job ${running.id} (${running.jobType}) has been running for ${formatDuration(runningMs)}`,
          hint: `"wikiseed jobs ${running.id}" tells how far it is; "wikiseed jobs cancel ${running.id}" ends it.`,
        },
    jobs.expiredLeases <= STALE_LEASES_WARN
      ? null
      : {
          key: 'database:stale_leases',
          severity: jobs.expiredLeases > STALE_LEASES_ERROR ? 'error' : 'warn',
          message: `${jobs.expiredLeases} jobs in progress have lost their lease`,
          hint: 'Look for workers that end in the log and check the clock (timedatectl); a restart takes all of them back at once.',
        },
  ];
}

function spaceTrouble({ freeDiskBytes }: DatabaseStatistics, thresholds: Thresholds): Trouble | null {
  const margin = thresholds.safetyMarginBytes;
  if (freeDiskBytes >= 2 * margin) return null;
  return {
    key: 'database:free_space',
    severity: freeDiskBytes < margin ? 'error' : 'warn',
    message: `${formatBytes(freeDiskBytes)} are free on the disk that holds the database (safety margin ${formatBytes(margin)})`,
    hint: 'Free some space on that disk, or move wikiseed.data_dir to a larger one; downloads pause before it is full.',
  };
}

function backupTrouble({ at, last, since, newestGoodBackupAt: good }: DatabaseStatistics): Trouble | null {
  const from = good ?? since;
  // Nobody has looked after this database yet: nothing can be late.
  if (from === null || at - from <= BACKUP_AGE_WARN_MS) return null;
  return {
    key: 'database:backup',
    severity: at - from > BACKUP_AGE_ERROR_MS ? 'error' : 'warn',
    message:
      good === null
        ? `there has been no good backup of the database since ${dateText(from)}`
        : `the newest good backup of the database is of ${dateText(good)}${last.backup?.message ? `: ${last.backup.message}` : ''}`,
    hint: 'Run "wikiseed backup": it says what is wrong.',
  };
}

function rehearsalTrouble({ last }: DatabaseStatistics): Trouble | null {
  if (last.rehearsal === null || last.rehearsal.ok) return null;
  return {
    key: 'rehearsal_failed',
    severity: 'error',
    message: `a backup could not be restored in a rehearsal on ${dateText(last.rehearsal.at)}${last.rehearsal.message === null ? '' : `: ${last.rehearsal.message}`}`,
    hint: 'Run "wikiseed backup" for a new one, and "wikiseed backups" to see which are good.',
  };
}

function integrityTrouble({ last }: DatabaseStatistics): Trouble | null {
  if (last.integrity === null || last.integrity.ok) return null;
  return {
    key: 'database:integrity',
    severity: 'error',
    message: `the database is damaged: ${last.integrity.message ?? 'the integrity check failed'}`,
    hint: RESTORE_HINT,
  };
}

const dateText = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
