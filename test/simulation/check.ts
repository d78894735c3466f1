import type { Database } from 'better-sqlite3';
import { checkAccounts } from './check-accounts.ts';
import { checkCarried, readCarried } from './check-carried.ts';
import { checkGaps, readGaps, wasAway } from './check-gaps.ts';
import { type CycleRow, type Findings, type Known, LATE } from './known.ts';
import { at, batchDays, DAY, dayOf } from './moments.ts';

/* Reads the tables with SQL of its own and compares them with what upstream really did. It knows nothing of the program. */

/** Checks all of it. */
export function checkTables(sqlite: Database, known: Known): Findings {
  const problems: string[] = [];
  const figures = new Map<string, number>();
  const count = (name: string): void => void figures.set(name, (figures.get(name) ?? 0) + 1);
  const cycles = checkCycles(sqlite, known, problems);
  const gaps = readGaps(sqlite);
  const carried = readCarried(sqlite);
  checkEnds(sqlite, known, problems, count);
  checkCarried(sqlite, carried, known, problems, count);
  checkGaps(gaps, cycles, known, problems, count);
  checkAccounts(cycles, gaps, carried, known, problems, count);
  return { problems, figures };
}

/** Each cycle of the calendar made each of its moves once, in order, and has the torrents that it must have. */
function checkCycles(sqlite: Database, known: Known, problems: string[]): Map<string, CycleRow> {
  const rows = sqlite
    .prepare(
      'SELECT cycle_date AS cycleDate, opened_at AS openedAt, sealed_at AS sealedAt, includes_history AS includesHistory, is_postponed AS isPostponed FROM cycles ORDER BY 1',
    )
    .all() as CycleRow[];
  const wanted = batchDays(known.from, known.to);
  const found = rows.map(({ cycleDate }) => cycleDate).filter((date) => date <= known.to);
  if (wanted.join() !== found.join()) problems.push(`the cycles are ${found.join()}, not ${wanted.join()}`);
  const moves = sqlite.prepare(
    'SELECT was, is_now AS isNow FROM sim_moves WHERE cycle_date = ? ORDER BY rowid',
  );
  const torrents = sqlite.prepare(
    'SELECT is_history AS isHistory, seeding_since AS seedingSince, published_at AS publishedAt FROM torrents WHERE cycle_date = ? AND supplement = 0 ORDER BY 1',
  );
  for (const cycleDate of wanted) {
    const path = (moves.all(cycleDate) as { was: string | null; isNow: string }[]).map(
      ({ was, isNow }) => `${was ?? ''}>${isNow}`,
    );
    const right = '>open open>sealed sealed>torrented torrented>seeding seeding>published';
    if (path.join(' ') !== right) problems.push(`cycle ${cycleDate} went ${path.join(' ')}`);
    const cycle = rows.find((row) => row.cycleDate === cycleDate);
    const deadline = deadlineOf(cycleDate);
    // More time is for days on which nobody could look.
    if (cycle?.isPostponed === 1 && !wasAway(known, deadline - WEEK, deadline + known.lookEvery))
      problems.push(`cycle ${cycleDate} got more time, although nobody was away`);
    const withHistory =
      cycleDate.endsWith('-01') && known.historyMonths.includes(Number(cycleDate.slice(5, 7)));
    const made = torrents.all(cycleDate) as {
      isHistory: number;
      seedingSince: number | null;
      publishedAt: number | null;
    }[];
    if (made.map(({ isHistory }) => isHistory).join() !== (withHistory ? '0,1' : '0'))
      problems.push(`cycle ${cycleDate} has ${made.length} torrents of its own`);
    if (made.some(({ seedingSince, publishedAt }) => seedingSince === null || publishedAt === null))
      problems.push(`a torrent of cycle ${cycleDate} is not seeded, or not published`);
  }
  return new Map(
    rows.filter(({ cycleDate }) => wanted.includes(cycleDate)).map((row) => [row.cycleDate, row]),
  );
}

const WEEK = 7 * DAY;

/** When the calendar of the simulated installation ends a cycle. */
function deadlineOf(cycleDate: string): number {
  return cycleDate.endsWith('-01')
    ? at(`${cycleDate.slice(0, 7)}-20`)
    : Date.UTC(Number(cycleDate.slice(0, 4)), Number(cycleDate.slice(5, 7)), 1);
}

/** Nothing waits any more in a cycle that is over, and whatever was given up has its reason. */
function checkEnds(sqlite: Database, known: Known, problems: string[], count: (name: string) => void): void {
  const waiting = sqlite
    .prepare(
      `SELECT d.cycle_date AS cycleDate, d.filename, d.our_status AS status FROM dumps d JOIN cycles c ON c.cycle_date = d.cycle_date
        WHERE d.our_status IN ('pending', 'downloading') AND c.sealed_at IS NOT NULL AND c.sealed_at < ?`,
    )
    .all(known.now - LATE - known.lookEvery) as { cycleDate: string; filename: string; status: string }[];
  for (const { cycleDate, filename, status } of waiting)
    problems.push(`${filename} of ${cycleDate} is still ${status}`);
  const given = sqlite
    .prepare(
      `SELECT filename, our_status AS status FROM dumps WHERE our_status IN ('failed', 'quarantined') AND coalesce(error_message, '') = ''`,
    )
    .all() as { filename: string; status: string }[];
  for (const { filename, status } of given) problems.push(`${filename} is ${status} for no reason`);
  const ended = sqlite
    .prepare(
      `SELECT j.job_type AS jobType, j.status, j.last_error AS error, j.completed_at AS endedAt, d.wikimedia_url AS url
         FROM jobs j LEFT JOIN dumps d ON d.id = j.dump_id WHERE j.status IN ('failed', 'quarantined', 'cancelled')`,
    )
    .all() as {
    jobType: string;
    status: string;
    error: string | null;
    endedAt: number;
    url: string | null;
  }[];
  for (const { jobType, status, error, endedAt, url } of ended) {
    const why = error ?? '';
    count(
      `job ${jobType} ${status}: ${why.replace(/[a-z_]+-20\S+|\/\S+|[0-9a-f]{32,}|\d+/g, '…').slice(0, 70)}`,
    );
    const isTold =
      (jobType === 'discover_wikis' && /site matrix|ECONNREFUSED|answered 503/.test(why)) ||
      (jobType === 'find_dumps' && /complete|ECONNREFUSED|answered 503/.test(why)) ||
      (jobType === 'download_dump' && /should be|has no \/|ECONNREFUSED|there is no dump file/.test(why));
    if (!isTold)
      problems.push(`a job ${jobType} ended ${status} at ${dayOf(endedAt)} (${url ?? ''}): ${why}`);
  }
  const stuck = sqlite
    .prepare(`SELECT count(*) FROM jobs WHERE status IN ('pending', 'in_progress') AND created_at < ?`)
    .pluck()
    .get(known.now - 40 * DAY) as number;
  if (stuck > 0) problems.push(`${stuck} jobs have not ended in 40 days`);
}
