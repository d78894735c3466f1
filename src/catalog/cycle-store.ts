import { and, desc, eq } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { assert } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import type { CycleProgress, CycleStatus } from './types.ts';
import { LATE_MS } from './windows.ts';

const { cycles } = schema;

/** The order a cycle moves through; see docs/state-machine.md. */
const ORDER: readonly CycleStatus[] = ['open', 'sealed', 'torrented', 'seeding', 'published'];

/** Everything on the `cycles` table, and the counts that decide about it. */
export function createCycleStore({
  db,
  clock,
}: {
  db: Db;
  clock: Clock;
}): Pick<
  Catalog,
  | 'openCycle'
  | 'cycle'
  | 'cycles'
  | 'takesFiles'
  | 'postponeDeadline'
  | 'markScanned'
  | 'progress'
  | 'sealIfSettled'
  | 'hasUnsettled'
  | 'mayBringMore'
  | 'lateVariants'
  | 'closeLateWindow'
  | 'advanceCycle'
> {
  const unsettledFile = db.sqlite.prepare<[string]>(
    `SELECT 1 FROM dumps WHERE cycle_date = ? AND our_status IN ('pending', 'downloading') LIMIT 1`,
  );
  const replacedFile = db.sqlite.prepare<[string]>(
    `SELECT 1 FROM dump_replacements r JOIN dumps d ON d.id = r.dump_id
      WHERE d.cycle_date = ? AND r.kind = 'replaced' AND r.failed_at IS NULL AND d.our_status <> 'deleted' LIMIT 1`,
  );
  const lateFile = db.sqlite.prepare<[{ cycleDate: string; isHistory: 0 | 1; types: string }]>(
    `SELECT 1 FROM dumps d WHERE d.cycle_date = @cycleDate
        AND d.our_status IN ('downloaded', 'uploading', 'uploaded', 'included') AND d.damaged_at IS NULL
        AND (d.is_history = @isHistory OR (@isHistory = 1 AND d.dump_type IN (SELECT value FROM json_each(@types))))
        AND NOT EXISTS (SELECT 1 FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
                         WHERE f.dump_id = d.id AND t.is_history = @isHistory AND t.grouping = 'cycle' AND t.is_uncompressed = 0)
        AND NOT EXISTS (SELECT 1 FROM torrent_gaps g JOIN torrents t ON t.id = g.torrent_id
                         WHERE t.cycle_date = d.cycle_date AND t.is_history = @isHistory AND t.grouping = 'cycle' AND t.is_uncompressed = 0
                           AND g.state = 'not_included'
                           AND g.wiki_db_name = d.wiki_db_name AND g.source = d.source AND g.run_date = d.run_date
                           AND g.filename = d.filename)
        AND NOT EXISTS (SELECT 1 FROM dump_replacements r WHERE r.dump_id = d.id AND r.kind = 'withdrawn') LIMIT 1`,
  );
  const giveUpPending = db.sqlite.prepare<[string]>(
    `UPDATE dumps SET our_status = 'failed', error_message = coalesce(error_message, 'it was not had before its cycle closed')
      WHERE cycle_date = ? AND our_status = 'pending' AND downloaded_at IS NULL`,
  );
  const forgetDocuments = db.sqlite.prepare<[string]>(
    'DELETE FROM run_documents WHERE run_id IN (SELECT id FROM dump_runs WHERE cycle_date = ?)',
  );
  const unfinishedRun = db.sqlite.prepare<[string]>(
    `SELECT 1 FROM dump_runs WHERE cycle_date = ? AND status = 'in_progress' LIMIT 1`,
  );
  const repairableRun = db.sqlite.prepare<[string]>(
    `SELECT 1 FROM dump_runs r WHERE r.cycle_date = ? AND r.status <> 'absent' AND (r.may_change = 1
        OR EXISTS (SELECT 1 FROM dumps d WHERE d.wiki_db_name = r.wiki_db_name AND d.source = r.source AND d.run_date = r.run_date
                     AND d.our_status IN ('failed', 'quarantined'))) LIMIT 1`,
  );
  const hasUnsettled = (cycleDate: string): boolean =>
    unsettledFile.get(cycleDate) !== undefined || unfinishedRun.get(cycleDate) !== undefined;
  const heldFile = db.sqlite.prepare<[string]>(
    `SELECT 1 FROM dumps WHERE cycle_date = ? AND our_status IN ('downloaded', 'uploading', 'uploaded', 'included') LIMIT 1`,
  );
  const runCounts = db.sqlite.prepare<[string], { runsTotal: number; runsUnfinished: number }>(
    `SELECT count(*) AS runsTotal, coalesce(sum(status = 'in_progress'), 0) AS runsUnfinished
       FROM dump_runs WHERE cycle_date = ?`,
  );
  const fileCounts = db.sqlite.prepare<
    [string],
    Omit<CycleProgress, 'isScanned' | 'runsTotal' | 'runsUnfinished'>
  >(
    `SELECT count(*) AS filesExpected,
            coalesce(sum(our_status NOT IN ('pending', 'downloading')), 0) AS filesSettled,
            coalesce(sum(our_status IN ('failed', 'quarantined')), 0) AS filesFailed,
            coalesce(sum(our_status IN ('downloaded', 'uploading', 'uploaded', 'included')), 0) AS filesHeld,
            coalesce(sum(our_status = 'included'), 0) AS filesIncluded,
            coalesce(sum(our_status IN ('downloaded', 'uploading', 'uploaded', 'included') AND ia_verified_at IS NOT NULL), 0) AS filesArchived,
            coalesce(sum(our_status = 'deleted'), 0) AS filesDeleted,
            coalesce(sum(size_bytes), 0) AS bytesExpected,
            coalesce(sum(iif(our_status IN ('downloaded', 'uploading', 'uploaded', 'included'), size_bytes, 0)), 0) AS bytesHeld
       FROM dumps WHERE cycle_date = ?`,
  );
  const cycle: Catalog['cycle'] = (cycleDate) =>
    db.orm.select().from(cycles).where(eq(cycles.cycleDate, cycleDate)).get() ?? null;

  return {
    cycle,
    openCycle(facts) {
      const result = db.orm
        .insert(cycles)
        .values({ ...facts, openedAt: clock.now() })
        .onConflictDoNothing()
        .run();
      return result.changes === 1;
    },
    cycles: () => db.orm.select().from(cycles).orderBy(desc(cycles.cycleDate)).all(),
    postponeDeadline: (cycleDate, deadlineAt) =>
      db.orm
        .update(cycles)
        .set({ deadlineAt, isPostponed: true })
        .where(and(eq(cycles.cycleDate, cycleDate), eq(cycles.status, 'open'), eq(cycles.isPostponed, false)))
        .run().changes === 1,
    takesFiles(cycleDate) {
      const row = cycle(cycleDate);
      return row !== null && (row.sealedAt === null || row.sealedAt > clock.now() - LATE_MS);
    },
    hasUnsettled,
    mayBringMore: (cycleDate) => hasUnsettled(cycleDate) || repairableRun.get(cycleDate) !== undefined,
    lateVariants(cycleDate, historyTypes) {
      const types = JSON.stringify(historyTypes);
      return {
        regular: lateFile.get({ cycleDate, isHistory: 0, types }) !== undefined,
        history: lateFile.get({ cycleDate, isHistory: 1, types }) !== undefined,
      };
    },
    closeLateWindow: (cycleDate) =>
      db.transaction(() => {
        giveUpPending.run(cycleDate);
        forgetDocuments.run(cycleDate);
      }),
    markScanned(cycleDate) {
      const row = cycle(cycleDate);
      if (row === null || row.scannedAt !== null) return;
      db.orm.update(cycles).set({ scannedAt: clock.now() }).where(eq(cycles.cycleDate, cycleDate)).run();
    },
    progress(cycleDate) {
      const runs = runCounts.get(cycleDate);
      const files = fileCounts.get(cycleDate);
      assert(runs !== undefined && files !== undefined, 'an aggregate always has one row');
      return { isScanned: cycle(cycleDate)?.scannedAt != null, ...runs, ...files };
    },
    sealIfSettled(cycleDate, options = {}) {
      const row = cycle(cycleDate);
      if (row === null || row.status !== 'open') return false;
      // Nobody looked yet, or nothing answered: that is not the end of a cycle, whatever the calendar says.
      if (row.scannedAt === null) return false;
      const isSettled =
        heldFile.get(cycleDate) !== undefined &&
        unfinishedRun.get(cycleDate) === undefined &&
        unsettledFile.get(cycleDate) === undefined &&
        replacedFile.get(cycleDate) === undefined;
      if (!isSettled && options.force !== true) return false;
      db.orm
        .update(cycles)
        .set({ status: 'sealed', sealedAt: clock.now() })
        .where(eq(cycles.cycleDate, cycleDate))
        .run();
      return true;
    },
    advanceCycle(cycleDate, to) {
      const row = cycle(cycleDate);
      assert(row !== null, `cycle ${cycleDate} is not known`);
      const have = ORDER.indexOf(row.status as CycleStatus);
      const want = ORDER.indexOf(to);
      if (have >= want) return;
      assert(have === want - 1, `cycle ${cycleDate} cannot go from ${row.status} to ${to}`);
      const now = clock.now();
      const at = {
        torrented: { torrentedAt: now },
        seeding: { seedingAt: now },
        published: { publishedAt: now },
      }[to];
      db.orm
        .update(cycles)
        .set({ status: to, ...at })
        .where(eq(cycles.cycleDate, cycleDate))
        .run();
    },
  };
}
