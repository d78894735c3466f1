import type { Db } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';
import { createBreather, keepMs } from './memo.ts';
import type { JobCount, JobStatus } from './types.ts';

/** How many jobs of each type and state there are. */
export interface JobCounter {
  /** Sorted by job type. As of the last `freshen` when that was not long ago, else counted now, in one go. */
  counts(): JobCount[];
  /**
   * Counts in parts between other work when the last answer is too old, so that `counts` need not: a million jobs are 100 to 200 ms.
   * Resolves when there is an answer, which while a newer one is being made is the one before it.
   */
  freshen(): Promise<void>;
}

/** Index entries read in one go: about 2 ms. */
const PART = 20_000;
/** An answer is kept 200 times as long as it took: counting takes at most half a percent of the time. */
const FACTOR = 200;
/** A queue that is counted so quickly is waited for; of a larger one the answer before will do. */
const QUICK_MS = 20;

/** See `JobCounter`. */
export function createJobCounter({ db, clock }: { db: Db; clock: Clock }): JobCounter {
  const { sqlite } = db;
  const whole = sqlite.prepare<[], { jobType: string; status: JobStatus; n: number }>(
    'SELECT job_type AS jobType, status, count(*) AS n FROM jobs GROUP BY job_type, status',
  );
  // From one stretch of the index, which is one type and one state ordered by id, to the next one.
  const firstStretch = sqlite.prepare<[], Stretch>(
    'SELECT job_type AS jobType, status FROM jobs ORDER BY job_type, status LIMIT 1',
  );
  const nextStretch = sqlite.prepare<[string, string], Stretch>(
    'SELECT job_type AS jobType, status FROM jobs WHERE (job_type, status) > (?, ?) ORDER BY job_type, status LIMIT 1',
  );
  const part = sqlite.prepare<[string, string, number, number], { n: number; lastId: number | null }>(
    `SELECT count(*) AS n, max(id) AS lastId FROM
       (SELECT id FROM jobs WHERE job_type = ? AND status = ? AND id > ? ORDER BY id LIMIT ?) AS part`,
  );
  let known: { counts: JobCount[]; until: number; tookMs: number } | null = null;
  let round: Promise<void> | null = null;

  function keep(byType: ReadonlyMap<string, JobCount>, tookMs: number): JobCount[] {
    const counts = [...byType.values()].sort((a, b) => (a.jobType < b.jobType ? -1 : 1));
    known = { counts, until: clock.monotonicMs() + keepMs(FACTOR, tookMs), tookMs };
    return counts;
  }

  async function countInParts(): Promise<void> {
    const byType = new Map<string, JobCount>();
    const breathe = createBreather(clock);
    let tookMs = 0;
    const timed = <T>(work: () => T): T => {
      const startedMs = clock.monotonicMs();
      const result = work();
      tookMs += clock.monotonicMs() - startedMs;
      return result;
    };
    let stretch = timed(() => firstStretch.get());
    while (stretch !== undefined) {
      const { jobType, status } = stretch;
      for (let after = 0; ; ) {
        const { n, lastId } = timed(() => part.get(jobType, status, after, PART)) ?? { n: 0, lastId: null };
        add(byType, { jobType, status, n });
        await breathe();
        if (n < PART || lastId === null) break;
        after = lastId;
      }
      stretch = timed(() => nextStretch.get(jobType, status));
    }
    keep(byType, tookMs);
  }

  return {
    counts() {
      if (known !== null && (round !== null || clock.monotonicMs() < known.until)) return known.counts;
      const startedMs = clock.monotonicMs();
      const byType = new Map<string, JobCount>();
      for (const row of whole.all()) add(byType, row);
      return keep(byType, clock.monotonicMs() - startedMs);
    },
    async freshen() {
      if (known !== null && clock.monotonicMs() < known.until) return;
      round ??= countInParts()
        // The database was closed meanwhile, or cannot be read: whoever asks for the counts next hears it.
        .catch(() => {})
        .finally(() => {
          round = null;
        });
      if (known === null || known.tookMs < QUICK_MS) await round;
    },
  };
}

type Stretch = { jobType: string; status: JobStatus };

function add(byType: Map<string, JobCount>, { jobType, status, n }: Stretch & { n: number }): void {
  const entry = byType.get(jobType) ?? { jobType, total: 0, byStatus: emptyCounts() };
  entry.byStatus[status] += n;
  entry.total += n;
  byType.set(jobType, entry);
}

function emptyCounts(): Record<JobStatus, number> {
  return { pending: 0, in_progress: 0, completed: 0, failed: 0, quarantined: 0, cancelled: 0 };
}
