import { runDateOf } from './documents.ts';
import { keyOf } from './history.ts';
import { type CarriedRow, type CycleRow, type GapRow, type Known, LATE, readyAt } from './known.ts';
import { DAY, dayOf } from './moments.ts';
import type { SimRun } from './runs.ts';

/** Every wiki, source, run and type: carried whole, or with a gap that tells why not. */
export function checkAccounts(
  cycles: ReadonlyMap<string, CycleRow>,
  gaps: readonly GapRow[],
  carried: readonly CarriedRow[],
  known: Known,
  problems: string[],
  count: (name: string) => void,
): void {
  const gapsOf = groupBy(gaps, (gap) => `${gap.cycleDate} ${keyOf(gap)}`);
  const carriedOf = groupBy(carried, (row) => `${row.cycleDate} ${keyOf(row)}`);
  for (const cycle of cycles.values()) {
    const { cycleDate, sealedAt } = cycle;
    const sources = cycleDate.endsWith('-01')
      ? (['classic', 'content_current'] as const)
      : (['classic'] as const);
    for (const source of sources) {
      const types =
        source === 'content_current'
          ? ['pages-meta-current']
          : [...known.regularTypes, ...(cycle.includesHistory === 1 ? known.historyTypes : [])];
      for (const wiki of known.upstream.wikis) {
        // A wiki that came into the matrix at the very end is looked at with the next cycle.
        const isWanted = !wiki.isPrivate && wiki.part !== 'excluded' && wiki.part !== 'not in the matrix';
        if (!isWanted || wiki.listedFrom > sealedAt - 9 * DAY) continue;
        const runDate = runDateOf(source, cycleDate);
        const key = keyOf({ source, wikiDbName: wiki.wikiDbName, runDate });
        const run = known.upstream.runs.get(key);
        const told = gapsOf.get(`${cycleDate} ${key}`) ?? [];
        const held = carriedOf.get(`${cycleDate} ${key}`) ?? [];
        for (const dumpType of types) {
          const names = new Set(
            held.filter((row) => row.dumpType === dumpType).map(({ filename }) => filename),
          );
          const own = told.filter((gap) => gap.dumpType === dumpType || gap.dumpType === '*');
          const first = own.filter(({ supplement }) => supplement === 0);
          count('offers');
          const isWhole =
            run !== undefined && formsOf(run, dumpType).some((form) => form.every((name) => names.has(name)));
          if (isWhole) count('offers held');
          else if (first.length > 0 || (names.size > 0 && own.length > 0))
            count('offers with a gap that is told');
          else
            problems.push(
              `nothing is said of ${key} ${dumpType} in ${cycleDate}, of which ${names.size} files are held (${run?.troubles})`,
            );
          const come =
            run === undefined ? Number.POSITIVE_INFINITY : Math.max(run.beginsAt, comesAt(run, dumpType));
          // What upstream gave for some days, while the cycle took files, is in the torrent or in a supplement.
          const end = Math.min(sealedAt + LATE, run?.removedAt ?? 0);
          const away = known.downtimes.reduce(
            (sum, [from, until]) => sum + Math.max(0, Math.min(until, end) - Math.max(from, come)),
            0,
          );
          if (end - come - away < known.lookEvery + 2 * DAY) continue;
          if (isWhole && come > sealedAt) count('late offers in a supplement');
          if (!isWhole)
            problems.push(
              `${key} ${dumpType} came on ${dayOf(come)} and is in no torrent of ${cycleDate}, sealed on ${dayOf(sealedAt)} (${run?.troubles})`,
            );
        }
      }
    }
  }
}

function groupBy<T>(rows: readonly T[], keyOfRow: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(keyOfRow(row));
    if (group === undefined) groups.set(keyOfRow(row), [row]);
    else group.push(row);
  }
  return groups;
}

/** Sets of names of which each is all of a type, as it ever stood. */
function formsOf(run: SimRun, dumpType: string): string[][] {
  const packed = (name: string): boolean => dumpType !== 'pages-meta-history' || name.endsWith('.7z');
  return run.jobs.flatMap((job) => {
    const files = job.files.filter((file) => file.dumpType === dumpType && packed(file.name));
    if (files.length === 0) return [];
    const moments = [0, ...files.map(({ listedFrom }) => listedFrom)];
    return moments.map((moment) =>
      files.filter((file) => file.listedFrom <= moment && moment < file.listedUntil).map(({ name }) => name),
    );
  });
}

/** When a type is there in one form for the first time, and provable. */
function comesAt(run: SimRun, dumpType: string): number {
  const times = run.jobs
    .map((job) =>
      job.files.filter(
        (file) =>
          file.dumpType === dumpType && file.listedFrom === 0 && !file.name.includes('history.xml.bz2'),
      ),
    )
    .filter((files) => files.length > 0)
    .map((files) => Math.max(...files.map((file) => readyAt(file))));
  return Math.min(...times);
}
