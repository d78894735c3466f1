import type { Database } from 'better-sqlite3';
import { hashOf, isThere, phaseOf, runDateOf } from './documents.ts';
import { batchDays, DAY, dayOf } from './moments.ts';
import type { SimFile, SimJob, SimRun } from './runs.ts';
import { keyOf, type SimUpstream } from './upstream.ts';
import type { Weather } from './weather.ts';
import type { SimWiki } from './wikis.ts';

/* Reads the tables with SQL of its own and compares them with what upstream really did. It knows nothing of the program. */

/** What the checker is told of the world. */
export interface Known {
  upstream: SimUpstream;
  weather: Weather;
  /** Cycles from, and to, that must be whole by now. */
  from: string;
  to: string;
  now: number;
  regularTypes: readonly string[];
  historyTypes: readonly string[];
  historyMonths: readonly number[];
  /** The daemon was down, or dead. */
  downtimes: readonly (readonly [from: number, until: number])[];
  /** Longest time between two looks, ms. */
  lookEvery: number;
}

/** Four weeks: so long a cycle takes late files. */
const LATE = 28 * DAY;

interface CycleRow {
  cycleDate: string;
  openedAt: number;
  sealedAt: number;
  includesHistory: 0 | 1;
}
interface GapRow {
  name: string;
  cycleDate: string;
  supplement: number;
  wikiDbName: string;
  source: SimRun['source'];
  runDate: string;
  dumpType: string;
  filename: string | null;
  state: string;
  reason: string;
  /** When the torrent was made that says so. */
  saidAt: number;
}
interface CarriedRow {
  name: string;
  cycleDate: string;
  isHistory: 0 | 1;
  supplement: number;
  createdAt: number;
  dumpId: number;
  wikiDbName: string;
  source: SimRun['source'];
  runDate: string;
  dumpType: string;
  filename: string;
  sha1: string;
  verification: string;
  downloadedAt: number;
}

/** What was found; `figures` are for people. */
export interface Findings {
  problems: string[];
  figures: Map<string, number>;
}

export function checkTables(sqlite: Database, known: Known): Findings {
  const problems: string[] = [];
  const figures = new Map<string, number>();
  const count = (name: string): void => void figures.set(name, (figures.get(name) ?? 0) + 1);
  const cycles = checkCycles(sqlite, known, problems);
  const gaps = readGaps(sqlite);
  const carried = readCarried(sqlite);
  checkEnds(sqlite, known, problems, count);
  checkCarried(sqlite, carried, known, problems, count);
  const looks = lastLooks(known);
  for (const gap of gaps) {
    const cycle = cycles.get(gap.cycleDate);
    if (cycle === undefined) continue;
    const why = isTrue(gap, cycle, known, looks);
    count(`gap: ${gap.reason.replace(/; .*/, '').replace(/wikimedia-dumps\S+/, 'X')}`);
    if (why !== null)
      problems.push(`${gap.name} says of ${placeOf(gap)} "${gap.reason}" (${gap.state}), but ${why}`);
  }
  checkAccounts(cycles, gaps, carried, known, problems, count);
  return { problems, figures };
}

const placeOf = (row: {
  source: string;
  wikiDbName: string;
  runDate: string;
  dumpType: string;
  filename: string | null;
}): string => `${keyOf(row)} ${row.filename ?? row.dumpType}`;

/** Each cycle of the calendar made each of its moves once, in order, and has the torrents that it must have. */
function checkCycles(sqlite: Database, known: Known, problems: string[]): Map<string, CycleRow> {
  const rows = sqlite
    .prepare(
      'SELECT cycle_date AS cycleDate, opened_at AS openedAt, sealed_at AS sealedAt, includes_history AS includesHistory FROM cycles ORDER BY 1',
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

function readGaps(sqlite: Database): GapRow[] {
  return sqlite
    .prepare(
      `SELECT t.name, t.cycle_date AS cycleDate, t.supplement, t.created_at AS saidAt, g.wiki_db_name AS wikiDbName, g.source, g.run_date AS runDate,
              g.dump_type AS dumpType, g.filename, g.state, g.reason
         FROM torrent_gaps g JOIN torrents t ON t.id = g.torrent_id`,
    )
    .all() as GapRow[];
}

function readCarried(sqlite: Database): CarriedRow[] {
  return sqlite
    .prepare(
      `SELECT t.name, t.cycle_date AS cycleDate, t.is_history AS isHistory, t.supplement, t.created_at AS createdAt, d.id AS dumpId,
              d.wiki_db_name AS wikiDbName, d.source, d.run_date AS runDate, d.dump_type AS dumpType, d.filename, d.sha1,
              f.verification, d.downloaded_at AS downloadedAt
         FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id JOIN dumps d ON d.id = f.dump_id`,
    )
    .all() as CarriedRow[];
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

/** What torrents carry is what upstream had, each file in one torrent of a kind, and none came in after it was made. */
function checkCarried(
  sqlite: Database,
  carried: readonly CarriedRow[],
  { upstream }: Known,
  problems: string[],
  count: (name: string) => void,
): void {
  const seen = new Map<string, string>();
  for (const row of carried) {
    const twice = `${row.dumpId}/${row.isHistory}`;
    const before = seen.get(twice);
    if (before !== undefined) problems.push(`${row.filename} is in ${before} and in ${row.name}`);
    seen.set(twice, row.name);
    count(row.supplement > 0 ? 'files in supplements' : 'files in torrents');
    count(`proved by ${row.verification}`);
    const run = upstream.runs.get(keyOf(row));
    const file = run?.jobs.flatMap((job) => job.files).find(({ name }) => name === row.filename);
    const version = file?.versions.find(({ content }) => hashOf('sha1', content) === row.sha1);
    if (run === undefined || file === undefined || version === undefined || version.from > row.downloadedAt) {
      problems.push(`${row.name} carries ${row.filename}, of which upstream never had such bytes`);
      continue;
    }
    const hashedAt = Math.min(file.hashedFrom, file.summedFrom);
    if (row.verification === 'structure-only' && hashedAt + 2 * DAY < row.downloadedAt)
      problems.push(
        `${row.filename} was proved by its structure only, although upstream had published its hash`,
      );
    if (row.verification !== 'structure-only' && hashedAt > row.createdAt)
      problems.push(`${row.filename} counts as proved by ${row.verification}, which was never published`);
  }
  const late = sqlite
    .prepare(
      'SELECT t.name, count(*) AS n FROM sim_carried s JOIN torrents t ON t.id = s.torrent_id WHERE s.at > t.created_at GROUP BY 1',
    )
    .all() as { name: string; n: number }[];
  for (const { name, n } of late) problems.push(`${n} files came into ${name} after it was made`);
}

/** When the last look at each cycle and source before a time was answered. */
function lastLooks({ upstream }: Known): (cycleDate: string, source: string, before: number) => number {
  const times = new Map<string, number[]>();
  for (const { job, status, isTorn, at: time } of upstream.requests) {
    const [, cycleDate, source] = /^find_dumps:(\d{4}-\d{2}-\d{2}):(content_current)?/.exec(job ?? '') ?? [];
    if (cycleDate === undefined || status === 0 || status === 503 || isTorn) continue;
    const key = `${cycleDate}/${source ?? 'classic'}`;
    const list = times.get(key);
    if (list === undefined) times.set(key, [time]);
    else if (list.at(-1) !== time) list.push(time);
  }
  return (cycleDate, source, before) =>
    times.get(`${cycleDate}/${source}`)?.findLast((time) => time <= before) ?? 0;
}

const jobsOf = (run: SimRun, dumpType: string): SimJob[] =>
  run.jobs.filter((job) => job.files.some((file) => file.dumpType === dumpType));

/** When a file can first be taken and proved; Infinity: never. */
function readyAt(file: SimFile): number {
  return Math.max(
    file.versions[0]?.from ?? 0,
    Math.min(file.hashedFrom, file.summedFrom),
    file.wrongUntil,
    file.listedFrom,
  );
}

/** null when upstream really did what the gap says, else what it did. */
function isTrue(
  gap: GapRow,
  cycle: CycleRow,
  known: Known,
  looks: ReturnType<typeof lastLooks>,
): string | null {
  const { upstream } = known;
  const run = upstream.runs.get(keyOf(gap));
  const wiki = upstream.wikis.find(({ wikiDbName }) => wikiDbName === gap.wikiDbName) as SimWiki;
  const until = gap.supplement === 0 ? cycle.sealedAt : gap.saidAt;
  // What upstream did after our last look cannot be known.
  const seenAt = Math.min(looks(gap.cycleDate, gap.source, until), until);
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
function wasAway(known: Known, from: number, until: number): boolean {
  return [...known.weather.outages, ...known.weather.overloads, ...known.downtimes].some(
    ([begin, end]) => begin < until && end > from,
  );
}

/** Every wiki, source, run and type: carried whole, or with a gap that tells why not. */
function checkAccounts(
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
          const come = run === undefined ? Number.POSITIVE_INFINITY : comesAt(run, dumpType);
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
