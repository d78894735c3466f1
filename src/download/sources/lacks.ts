import type { DumpFile } from '../../catalog/index.ts';
import { hours } from '../../lib/index.ts';

/** Runs that a mirror lately did not have. Mirrors lag for hours or days and hold only some of the runs. */
export interface Lacks {
  note(row: DumpFile, now: number): void;
  /** It had a file of the run after all. */
  forget(row: DumpFile): void;
  has(row: DumpFile, now: number): boolean;
}

/** How long an answer that it has no such run is believed. */
const BELIEVED_MS = hours(6);
/** So many runs of one date in a row that are not there: it does not have that date yet, whatever the wiki. */
const RUNS_OF_A_DATE = 3;
/** Runs remembered for one mirror; a cycle has a thousand. */
const REMEMBERED = 5_000;

/** See `Lacks`; kept in memory only, a new process asks again. */
export function createLacks(): Lacks {
  const runs = new Map<string, number>();
  const dates = new Map<string, { runs: Set<string>; until: number }>();
  const dateOf = ({ source, runDate }: DumpFile): string => `${source}/${runDate}`;
  // Mirrors hold a family of exports or not: one answer is enough for all wikis of a date.
  const runsOfDate = ({ source }: DumpFile): number => (source === 'classic' ? RUNS_OF_A_DATE : 1);
  const runOf = (row: DumpFile): string => `${dateOf(row)}/${row.wikiDbName}`;

  return {
    note(row, now) {
      if (runs.size >= REMEMBERED) runs.clear();
      runs.set(runOf(row), now + BELIEVED_MS);
      const date = dates.get(dateOf(row)) ?? { runs: new Set(), until: 0 };
      if (date.runs.size < REMEMBERED) date.runs.add(runOf(row));
      if (date.runs.size >= runsOfDate(row)) date.until = now + BELIEVED_MS;
      dates.set(dateOf(row), date);
    },
    forget(row) {
      runs.delete(runOf(row));
      dates.delete(dateOf(row));
    },
    has(row, now) {
      if ((runs.get(runOf(row)) ?? 0) > now) return true;
      // When the time of a date is over, one more answer is enough to believe it again.
      return (dates.get(dateOf(row))?.until ?? 0) > now;
    },
  };
}
