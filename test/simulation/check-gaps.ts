import type { Database } from 'better-sqlite3';
import { isThere, phaseOf } from './documents.ts';
import { keyOf } from './history.ts';
import { type CycleRow, type GapRow, type Known, readyAt } from './known.ts';
import { DAY, dayOf } from './moments.ts';
import type { SimJob, SimRun } from './runs.ts';
import type { SimWiki } from './wikis.ts';

/** All gaps that any torrent tells of. */
export function readGaps(sqlite: Database): GapRow[] {
  return sqlite
    .prepare(
      `SELECT t.name, t.cycle_date AS cycleDate, t.supplement, t.created_at AS saidAt, g.wiki_db_name AS wikiDbName, g.source, g.run_date AS runDate,
              g.dump_type AS dumpType, g.filename, g.state, g.reason
         FROM torrent_gaps g JOIN torrents t ON t.id = g.torrent_id`,
    )
    .all() as GapRow[];
}

/** Every gap tells what upstream really did. */
export function checkGaps(
  gaps: readonly GapRow[],
  cycles: ReadonlyMap<string, CycleRow>,
  known: Known,
  problems: string[],
  count: (name: string) => void,
): void {
  const looks = lastLooks(known);
  for (const gap of gaps) {
    const cycle = cycles.get(gap.cycleDate);
    if (cycle === undefined) continue;
    const until = gap.supplement === 0 ? cycle.sealedAt : gap.saidAt;
    // What upstream did after our last look cannot be known. One at the very moment of a seal led to it or follows it.
    const whys = [until, until - 1].map((before) =>
      isTrue(gap, known, { until, seenAt: Math.min(looks(gap, before), before) }),
    );
    const why = whys.includes(null) ? null : whys[0];
    count(`gap: ${gap.reason.replace(/; .*/, '').replace(/wikimedia-dumps\S+/, 'X')}`);
    if (why !== null)
      problems.push(`${gap.name} says of ${placeOf(gap)} "${gap.reason}" (${gap.state}), but ${why}`);
  }
}

const placeOf = (row: {
  source: string;
  wikiDbName: string;
  runDate: string;
  dumpType: string;
  filename: string | null;
}): string => `${keyOf(row)} ${row.filename ?? row.dumpType}`;

type LastLook = (gap: Pick<GapRow, 'cycleDate' | 'source' | 'wikiDbName'>, before: number) => number;

/** When the last look at each run before a time was answered; a question about one wiki says nothing of the others. */
function lastLooks({ upstream }: Known): LastLook {
  const times = new Map<string, number[]>();
  for (const { job, status, isTorn, asked, wikiDbName, at: time } of upstream.requests) {
    const [, cycleDate, source] = /^find_dumps:(\d{4}-\d{2}-\d{2}):(content_current)?/.exec(job ?? '') ?? [];
    if (cycleDate === undefined || status === 0 || status === 503 || isTorn) continue;
    const isOfAll = asked === 'index' || asked === 'exports';
    const key = `${cycleDate}/${source ?? 'classic'}/${isOfAll ? '' : wikiDbName}`;
    const list = times.get(key);
    if (list === undefined) times.set(key, [time]);
    else if (list.at(-1) !== time) list.push(time);
  }
  return ({ cycleDate, source, wikiDbName }, before) => {
    const last = (name: string): number =>
      times.get(`${cycleDate}/${source}/${name}`)?.findLast((time) => time <= before) ?? 0;
    return Math.max(last(''), last(wikiDbName));
  };
}

const jobsOf = (run: SimRun, dumpType: string): SimJob[] =>
  run.jobs.filter((job) => job.files.some((file) => file.dumpType === dumpType));

/** null when upstream really did what the gap says, else what it did. */
function isTrue(
  gap: GapRow,
  known: Known,
  { until, seenAt }: { until: number; seenAt: number },
): string | null {
  const { upstream } = known;
  const run = upstream.runs.get(keyOf(gap));
  const wiki = upstream.wikis.find(({ wikiDbName }) => wikiDbName === gap.wikiDbName) as SimWiki;
  const jobs = run === undefined ? [] : gap.dumpType === '*' ? run.jobs : jobsOf(run, gap.dumpType);
  const file = run?.jobs.flatMap((job) => job.files).find(({ name }) => name === gap.filename);
  const say = (isSo: boolean, otherwise: string): string | null => (isSo ? null : otherwise);
  const isOver = (time: number): boolean => time <= until;
  const had = (phases: readonly string[], from: number): boolean =>
    jobs.some(
      (job) =>
        phases.includes(phaseOf(job, from) ?? 'waiting') ||
        job.phases.some((p) => phases.includes(p.phase) && p.from > from && isOver(p.from)),
    );
  const { reason } = gap;
  if (/^failed upstream/.test(reason)) return say(had(['failed'], seenAt), 'no job of it had failed');
  // Of a run that was removed since the last thing we could see is how it stood then.
  const stoodAt = Math.min(seenAt, (run?.removedAt ?? seenAt) - 1);
  if (/not finished upstream by the deadline|not complete/.test(reason))
    return say(
      run === undefined || run.beginsAt > seenAt || had(['waiting', 'in-progress'], stoodAt),
      'it was finished',
    );
  if (/has not begun yet/.test(reason))
    return say(
      run === undefined || run.beginsAt > seenAt - known.lookEvery || run.removedAt < seenAt,
      'it had begun',
    );
  if (/no run of this date|no content export of this date/.test(reason))
    return say(run === undefined || !isThere(run, seenAt), 'there was one');
  if (/has removed|not there now|has it no more/.test(reason))
    return say(
      run !== undefined && (isOver(run.removedAt) || (file !== undefined && isOver(file.listedUntil))),
      'it was there',
    );
  if (/no dumps of this wiki|no content export of this wiki/.test(reason))
    return say(wiki.dumped === null || run === undefined || run.beginsAt > seenAt, 'it has some');
  if (/without any hash/.test(reason))
    return say(
      file !== undefined && Math.min(file.hashedFrom, file.summedFrom) > seenAt,
      'its hash was published',
    );
  if (/was not fetched by the deadline/.test(reason))
    return say(
      file !== undefined && (readyAt(file) > seenAt - 3 * DAY || wasAway(known, until - 4 * DAY, until)),
      `it could have been fetched since ${dayOf(file === undefined ? 0 : readyAt(file))}`,
    );
  if (/bytes never matched/.test(reason))
    return say(
      file !== undefined && (file.wrongUntil > seenAt - 3 * DAY || file.versions.length > 1),
      'its bytes were right',
    );
  if (/withdrew it/.test(reason))
    return say(file !== undefined && isOver(file.listedUntil), 'it is still listed');
  if (/published it anew/.test(reason))
    return say(file?.versions.slice(1).some(({ from }) => isOver(from)) === true, 'it never did');
  if (/without one certain hash/.test(reason))
    return say(
      (jobs[0]?.files ?? []).some((each) => each.hashedFrom > seenAt),
      'all hashes were there',
    );
  return 'the checker does not know this reason';
}

/** Whether upstream or we were away for some of that time. */
export function wasAway(known: Known, from: number, until: number): boolean {
  return [...known.weather.outages, ...known.weather.overloads, ...known.downtimes].some(
    ([begin, end]) => begin < until && end > from,
  );
}
