import type { Db } from '../db/index.ts';

/** So many open files of a cycle are listed one by one. */
const FEW_FILES = 1000;

/**
 * Prepares to list the wikis of a cycle whose run is unfinished, or has a file in one of these states. To read 28,000 open
 * files takes 20 ms, so that where there are many each run is asked, which ends at its first such file; but where the other
 * files of a thousand runs are held, that reads 28,000 as well, and a few open ones are found by their state.
 * @param states for SQL, in quotes and separated by commas
 */
export function prepareOpenRuns(
  sqlite: Db['sqlite'],
  states: string,
): (cycle: { cycleDate: string; source: string }) => string[] {
  const isOpen = `cycle_date = @cycleDate AND our_status IN (${states})`;
  const unfinished = `SELECT wiki_db_name FROM dump_runs AS r WHERE cycle_date = @cycleDate AND source = @source AND (status = 'in_progress'`;
  type Place = { cycleDate: string; source: string };
  const some = sqlite
    .prepare<[Place], number>(`SELECT count(*) FROM (SELECT 1 FROM dumps WHERE ${isOpen} LIMIT ${FEW_FILES})`)
    .pluck();
  const byFile = sqlite
    .prepare<[Place], string>(
      `${unfinished}) UNION SELECT wiki_db_name FROM dumps WHERE ${isOpen} AND source = @source`,
    )
    .pluck();
  const byRun = sqlite
    .prepare<[Place], string>(
      `${unfinished} OR EXISTS (SELECT 1 FROM dumps AS d WHERE d.wiki_db_name = r.wiki_db_name AND d.source = r.source
                                  AND d.run_date = r.run_date AND d.our_status IN (${states})))`,
    )
    .pluck();
  return (cycle) => ((some.get(cycle) ?? 0) < FEW_FILES ? byFile : byRun).all(cycle);
}
