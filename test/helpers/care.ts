import type { Db } from '../../src/db/index.ts';
import { createBus, type EventMap } from '../../src/events/index.ts';
import { hours } from '../../src/lib/index.ts';
import { type Care, type CareDeps, createCare, type Thresholds } from '../../src/maintenance/index.ts';
import { createSystemClock, silentLog } from '../../src/ports/index.ts';

/** The limits of the example configuration. */
export const THRESHOLDS: Thresholds = {
  walWarnSizeBytes: 50_000_000,
  walMaxSizeBytes: 100_000_000,
  databaseWarnSizeBytes: 5_000_000_000,
  fragmentationWarnPercent: 10,
  vacuumFragmentationPercent: 20,
  pendingJobsWarn: 100_000,
  longJobWarnMs: hours(24),
  safetyMarginBytes: 0,
};

/** The care of a real database in real threads, with the alerts it raises. */
export function withCare(
  db: Db,
  overrides: Partial<CareDeps> = {},
): { care: Care; raised: EventMap['alert:raised'][]; resolved: Set<string> } {
  const bus = createBus({ log: silentLog });
  const raised: EventMap['alert:raised'][] = [];
  const resolved = new Set<string>();
  bus.on('alert:raised', (event) => raised.push(event));
  bus.on('alert:resolved', ({ key }) => resolved.add(key));
  const care = createCare({
    databasePath: db.path,
    clock: createSystemClock(),
    bus,
    log: silentLog,
    thresholds: THRESHOLDS,
    keep: { finishedJobsMs: hours(24), metricsMs: hours(24) },
    sweepLeases: () => 0,
    newestGoodBackupAt: async () => null,
    restoreHint: async () => 'wikiseed restore the-good-one',
    ...overrides,
  });
  return { care, raised, resolved };
}

/** Facts of a job row in any state. */
export interface JobRow {
  status: string;
  createdAt?: number;
  completedAt?: number | null;
  startedAt?: number | null;
  leaseExpiresAt?: number | null;
  parentId?: number | null;
  params?: string;
}

let lastKey = 0;

/** Inserts a job as the queue might have left it. @returns its id */
export function insertJob(db: Db, row: JobRow): number {
  const isRunning = row.status === 'in_progress';
  const isWaiting = row.status === 'pending';
  const createdAt = row.createdAt ?? 0;
  lastKey += 1;
  return Number(
    db.sqlite
      .prepare(
        `INSERT INTO jobs (job_type, status, params, unique_key, max_attempts, attempt, next_retry_at, created_at, started_at,
           completed_at, lease_owner, lease_expires_at, parent_job_id) VALUES ('download_dump', ?, ?, ?, 5, 1, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        row.status,
        row.params ?? '{}',
        `download_dump:${lastKey}`,
        createdAt,
        createdAt,
        row.startedAt ?? null,
        isRunning || isWaiting ? null : (row.completedAt ?? createdAt),
        isRunning ? 'somebody' : null,
        isRunning ? (row.leaseExpiresAt ?? 0) : null,
        row.parentId ?? null,
      ).lastInsertRowid,
  );
}

/** Writes so many finished jobs of about 1 kB each in one transaction; they ended at `completedAt`. */
export function fillWithJobs(db: Db, count: number, completedAt = 1): void {
  db.transaction(() => {
    for (let n = 0; n < count; n += 1)
      insertJob(db, {
        status: 'completed',
        completedAt,
        params: JSON.stringify({ filler: 'x'.repeat(900) }),
      });
  });
}
