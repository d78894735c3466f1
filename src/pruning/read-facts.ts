import {
  HELD_STATUSES,
  LATE_MS,
  noticeKind,
  type RunNotice,
  type RunStatus,
  TEXT_TYPES,
} from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import {
  type DiskLook,
  type PruneCycle,
  type PruneFacts,
  type PruneFile,
  type PruneRun,
  runKey,
  type WikiFlags,
} from '../storage/index.ts';

/** Any connection to the database; a read-only one will do. */
export type Connection = Db['sqlite'];

/** One set, and the newer run that makes it superfluous: what a look just before the deletion needs. */
export interface SetScope {
  wikiDbName: string;
  source: string;
  dumpType: string;
  /** Runs of that source whose files of that type are needed. */
  runDates: readonly string[];
  /** Files that would go. */
  ids: readonly number[];
}

/** What the facts are read for. */
export interface ReadOptions {
  /** Epoch ms. */
  now: number;
  /** How old a count of seeders may be. */
  statsMaxAgeMs: number;
  look: (file: { id: number }) => DiskLook | null;
  /** Only what decides about one set; default: everything. */
  scope?: SetScope;
}

/** For SQL; the words are ours, so nothing needs escaping. */
const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
/** Not hindered by a job that only asks the archive again. */
const HARMLESS_JOBS = ['prove_remote'];
/** What a job that is not over does with a file. */
const WORDS: Readonly<Record<string, string>> = {
  download_dump: 'a download is at it',
  upload_ia: 'it is on its way to the Internet Archive',
};

/** What is told of a file besides its run; words become 0 or 1 here, since making strings of them is what costs. */
const COLUMNS = `d.id, d.project, d.language, d.cycle_date, d.dump_type, d.size_bytes,
  d.our_status IN (${quoted(HELD_STATUSES)}) AND d.local_path IS NOT NULL, d.our_status = 'included',
  coalesce(d.verification, 'structure-only') <> 'structure-only' AND d.sha1 IS NOT NULL, d.damaged_at IS NOT NULL,
  iif(d.ia_identifier IS NULL, NULL, d.ia_verified_at), d.ia_refused_at IS NOT NULL`;

type Columns = [
  id: number,
  project: string,
  language: string,
  cycleDate: string,
  dumpType: string,
  sizeBytes: number,
  isHeld: 0 | 1,
  isIncluded: 0 | 1,
  isProved: 0 | 1,
  isDamaged: 0 | 1,
  archivedAt: number | null,
  isRefused: 0 | 1,
];

/** Reads what a prune plan is made from. One moment of the database, when it is called inside a transaction. */
export function readFacts(sqlite: Connection, options: ReadOptions): PruneFacts {
  const { now, scope } = options;
  return {
    now,
    files: readFiles(sqlite, scope),
    wikis: readWikis(sqlite, scope?.wikiDbName ?? null),
    cycles: readCycles(sqlite),
    runs: readRuns(sqlite, scope?.wikiDbName ?? null),
    busy: readBusy(sqlite, scope?.ids ?? null),
    // They say only what goes first.
    otherSeeders: scope === undefined ? seederCounts(sqlite, now, options.statsMaxAgeMs) : () => null,
    look: options.look,
  };
}

/** Every row, run by run, in one object that is filled anew; with a scope the texts of that wiki, and the runs that are asked about. */
function* readFiles(sqlite: Connection, scope: SetScope | undefined): Generator<PruneFile> {
  const contested = new Set(
    sqlite.prepare<[], number>('SELECT dump_id FROM dump_replacements').pluck().all(),
  );
  const types = new Map<string, string>();
  const file: PruneFile = {
    id: 0,
    ...{ project: '', language: '', wikiDbName: '', source: '', runDate: '', cycleDate: '', dumpType: '' },
    ...{ sizeBytes: 0, isText: false, isHeld: false, isIncluded: false, isProved: false, isDamaged: false },
    ...{ isContested: false, archivedAt: null, isRefused: false },
  };
  for (const [[wikiDbName, source, runDate], rows] of readRunsOfFiles(sqlite, scope)) {
    file.wikiDbName = wikiDbName;
    file.source = source;
    file.runDate = runDate;
    for (const row of rows) {
      const [id, project, language, cycleDate, dumpType] = row;
      file.id = id;
      // Equal strings are kept once: there are hundreds of thousands of rows.
      if (file.project !== project) file.project = project;
      if (file.language !== language) file.language = language;
      if (file.cycleDate !== cycleDate) file.cycleDate = cycleDate;
      let type = types.get(dumpType);
      if (type === undefined) {
        type = dumpType;
        types.set(type, type);
      }
      file.dumpType = type;
      file.isText = TEXT_TYPES.includes(type);
      file.sizeBytes = row[5];
      file.isHeld = row[6] === 1;
      file.isIncluded = row[7] === 1;
      file.isProved = row[8] === 1;
      file.isDamaged = row[9] === 1;
      file.isContested = contested.has(id);
      file.archivedAt = row[10];
      file.isRefused = row[11] === 1;
      yield file;
    }
  }
}

type RunName = [wikiDbName: string, source: string, runDate: string];

/** Rows by run, whether or not the run has a row of its own. */
function* readRunsOfFiles(
  sqlite: Connection,
  scope: SetScope | undefined,
): Generator<[RunName, readonly Columns[]]> {
  const rowsOf = (more = ''): ((...given: string[]) => Columns[]) => {
    const statement = sqlite
      .prepare<string[]>(
        `SELECT ${COLUMNS} FROM dumps d WHERE d.wiki_db_name = ? AND d.source = ? AND d.run_date = ?${more}`,
      )
      .raw();
    return (...given) => statement.all(...given) as Columns[];
  };
  const names = (sql: string, ...given: string[]): RunName[] =>
    sqlite
      .prepare<string[]>(sql)
      .raw()
      .all(...given) as RunName[];
  if (scope === undefined) {
    const ofRun = rowsOf();
    // Answered by the index alone.
    for (const run of names('SELECT DISTINCT wiki_db_name, source, run_date FROM dumps'))
      yield [run, ofRun(...run)];
    return;
  }
  const { wikiDbName, source, dumpType, runDates } = scope;
  const texts = rowsOf(` AND d.dump_type IN (${quoted(TEXT_TYPES)})`);
  const withText = `SELECT DISTINCT wiki_db_name, source, run_date FROM dumps INDEXED BY idx_dumps_text
      WHERE wiki_db_name = ? AND dump_type IN (${quoted(TEXT_TYPES)})`;
  for (const run of names(withText, wikiDbName)) yield [run, texts(...run)];
  if (TEXT_TYPES.includes(dumpType)) return;
  const ofType = rowsOf(' AND d.dump_type = ?');
  for (const runDate of new Set(runDates)) {
    const run: RunName = [wikiDbName, source, runDate];
    yield [run, ofType(...run, dumpType)];
  }
}

function readWikis(sqlite: Connection, only: string | null): Map<string, WikiFlags> {
  const rows = sqlite
    .prepare<
      [{ only: string | null }],
      {
        name: string;
        project: string;
        language: string;
        isClosed: number;
        isPrivate: number;
        vanishedAt: number | null;
      }
    >(
      `SELECT wiki_db_name AS name, project, language, is_closed AS isClosed, is_private AS isPrivate, vanished_at AS vanishedAt
         FROM wikis WHERE @only IS NULL OR wiki_db_name = @only`,
    )
    .all({ only });
  return new Map(
    rows.map(({ name, project, language, isClosed, isPrivate, vanishedAt }) => [
      name,
      {
        project,
        language,
        isClosed: isClosed !== 0,
        isPrivate: isPrivate !== 0,
        isVanished: vanishedAt !== null,
      },
    ]),
  );
}

function readCycles(sqlite: Connection): Map<string, PruneCycle> {
  const busy = new Set(
    sqlite
      .prepare<[], string | null>(
        `SELECT cycle_date FROM jobs WHERE completed_at IS NULL AND job_type = 'create_torrent'`,
      )
      .pluck()
      .all(),
  );
  return new Map(
    sqlite
      .prepare<[], { cycleDate: string; status: string; sealedAt: number | null }>(
        'SELECT cycle_date AS cycleDate, status, sealed_at AS sealedAt FROM cycles',
      )
      .all()
      .map(({ cycleDate, status, sealedAt }) => [
        cycleDate,
        {
          isPublished: status === 'published',
          takesFilesUntil: sealedAt === null ? null : sealedAt + LATE_MS,
          isBusy: busy.has(cycleDate),
        },
      ]),
  );
}

/** A run that failed in part has no whole set of those types. */
const LACKING = ['failed', 'lacking', 'refused', 'waiting'];

function readRuns(sqlite: Connection, only: string | null): Map<string, PruneRun> {
  const rows = sqlite
    .prepare<
      string[],
      { wikiDbName: string; source: string; runDate: string; status: RunStatus; notices: string }
    >(
      `SELECT wiki_db_name AS wikiDbName, source, run_date AS runDate, status, notices FROM dump_runs${only === null ? '' : ' WHERE wiki_db_name = ?'}`,
    )
    .iterate(...(only === null ? [] : [only]));
  const runs = new Map<string, PruneRun>();
  for (const row of rows)
    runs.set(runKey(row), { isFinished: row.status === 'finished', lacking: lackingOf(row) });
  return runs;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Notices that cannot be read mean the worst. */
function lackingOf(run: { notices: string; status: RunStatus }): ReadonlySet<string> {
  if (run.notices === '[]') return NOTHING;
  try {
    const notices = JSON.parse(run.notices) as RunNotice[];
    return new Set(
      notices.filter((notice) => LACKING.includes(noticeKind(notice, run))).map(({ dumpType }) => dumpType),
    );
  } catch {
    return new Set(['*']);
  }
}

/** @param ids files that matter; null = all */
function readBusy(sqlite: Connection, ids: readonly number[] | null): Map<number, string> {
  const busy = new Map<number, string>();
  // Few files are looked up one by one; for all of them only unfinished jobs are read.
  const [index, which] =
    ids === null ? ['unique', '1'] : ['dump', 'dump_id IN (SELECT value FROM json_each(?))'];
  const jobs = sqlite
    .prepare<string[], { dumpId: number; jobType: string }>(
      `SELECT dump_id AS dumpId, job_type AS jobType FROM jobs INDEXED BY idx_jobs_${index}
        WHERE completed_at IS NULL AND dump_id IS NOT NULL AND job_type NOT IN (${quoted(HARMLESS_JOBS)}) AND ${which}`,
    )
    .all(...(ids === null ? [] : [JSON.stringify(ids)]));
  for (const { dumpId, jobType } of jobs) busy.set(dumpId, WORDS[jobType] ?? `a job is at it (${jobType})`);
  const open = sqlite
    .prepare<[], number>('SELECT dump_id FROM deletions WHERE removed_at IS NULL AND dump_id IS NOT NULL')
    .pluck()
    .all();
  for (const dumpId of open) busy.set(dumpId, 'its deletion is under way');
  return busy;
}

/**
 * Seeders of the best seeded torrent that carries a file, ourselves taken off. The newest count of each place that counts is
 * believed for a while; unknown is not zero, and not enough either.
 */
function seederCounts(
  sqlite: Connection,
  now: number,
  maxAgeMs: number,
): (file: { id: number }) => number | null {
  const counts = new Map<number, number>();
  const seen = new Set<string>();
  const rows = sqlite
    .prepare<[number, number], { torrentId: number; source: string; seeders: number | null; isOurs: 0 | 1 }>(
      `SELECT s.torrent_id AS torrentId, s.source, s.seeders, t.seeding_since IS NOT NULL AS isOurs
         FROM torrent_stats s JOIN torrents t ON t.id = s.torrent_id
        WHERE s.recorded_at BETWEEN ? AND ? AND t.retired_at IS NULL ORDER BY s.recorded_at DESC, s.id DESC`,
    )
    .iterate(now - maxAgeMs, now);
  for (const { torrentId, source, seeders, isOurs } of rows) {
    const key = `${torrentId} ${source}`;
    if (seen.has(key)) continue;
    seen.add(key);
    if (seeders === null) continue;
    counts.set(torrentId, Math.max(counts.get(torrentId) ?? 0, seeders - isOurs));
  }
  const carriers = sqlite
    .prepare<[number], number>('SELECT torrent_id FROM torrent_files WHERE dump_id = ?')
    .pluck();
  return ({ id }) => {
    if (counts.size === 0) return null;
    const known = carriers.all(id).flatMap((torrentId) => counts.get(torrentId) ?? []);
    return known.length === 0 ? null : Math.max(...known);
  };
}
