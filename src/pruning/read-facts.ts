import { HELD_STATUSES, LATE_MS, noticeKind, type RunNotice, type RunStatus, TEXT_TYPES } from '../catalog/index.ts';
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
  look: (file: PruneFile) => DiskLook | null;
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

const COLUMNS = `d.id, d.project, d.language, d.wiki_db_name AS wikiDbName, d.source, d.run_date AS runDate, d.cycle_date AS cycleDate,
  d.dump_type AS dumpType, d.filename, d.size_bytes AS sizeBytes, d.our_status AS ourStatus, d.verification, d.sha1 IS NOT NULL AS hasSha1,
  d.local_path IS NOT NULL AS hasPath, d.damaged_at AS damagedAt, d.ia_identifier IS NOT NULL AS hasItem, d.ia_verified_at AS iaVerifiedAt,
  d.ia_refused_at AS iaRefusedAt`;

interface DumpRow {
  id: number;
  project: string;
  language: string;
  wikiDbName: string;
  source: string;
  runDate: string;
  cycleDate: string;
  dumpType: string;
  filename: string;
  sizeBytes: number;
  ourStatus: (typeof HELD_STATUSES)[number];
  verification: string | null;
  hasSha1: 0 | 1;
  hasPath: 0 | 1;
  damagedAt: number | null;
  hasItem: 0 | 1;
  iaVerifiedAt: number | null;
  iaRefusedAt: number | null;
}

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

/** Every row, one after the other; with a scope the texts of that wiki, and the runs that are asked about. */
function* readFiles(sqlite: Connection, scope: SetScope | undefined): Generator<PruneFile> {
  const contested = new Set(
    sqlite.prepare<[], number>('SELECT dump_id FROM dump_replacements').pluck().all(),
  );
  const rows = function* (): Generator<DumpRow> {
    if (scope === undefined) {
      yield* sqlite.prepare<[], DumpRow>(`SELECT ${COLUMNS} FROM dumps d`).iterate();
      return;
    }
    const { wikiDbName, source, dumpType, runDates } = scope;
    yield* sqlite
      .prepare<[string], DumpRow>(
        `SELECT ${COLUMNS} FROM dumps d INDEXED BY idx_dumps_text WHERE d.wiki_db_name = ? AND d.dump_type IN (${quoted(TEXT_TYPES)})`,
      )
      .all(wikiDbName);
    if (TEXT_TYPES.includes(dumpType)) return;
    const ofRun = sqlite.prepare<[string, string, string, string], DumpRow>(
      `SELECT ${COLUMNS} FROM dumps d WHERE d.wiki_db_name = ? AND d.source = ? AND d.run_date = ? AND d.dump_type = ?`,
    );
    for (const runDate of new Set(runDates)) yield* ofRun.all(wikiDbName, source, runDate, dumpType);
  };
  // Rows of a run lie together: keeping the strings of the row before saves half of the memory.
  let before: PruneFile | null = null;
  for (const row of rows()) {
    const same = <K extends (typeof SHARED)[number]>(key: K): string =>
      before !== null && before[key] === row[key] ? before[key] : row[key];
    const file: PruneFile = {
      id: row.id,
      project: same('project'),
      language: same('language'),
      wikiDbName: same('wikiDbName'),
      source: same('source'),
      runDate: same('runDate'),
      cycleDate: same('cycleDate'),
      dumpType: same('dumpType'),
      filename: row.filename,
      sizeBytes: row.sizeBytes,
      isText: TEXT_TYPES.includes(row.dumpType),
      isHeld: HELD_STATUSES.includes(row.ourStatus) && row.hasPath === 1,
      isIncluded: row.ourStatus === 'included',
      isProved: row.verification !== null && row.verification !== 'structure-only' && row.hasSha1 === 1,
      isDamaged: row.damagedAt !== null,
      isContested: contested.has(row.id),
      archivedAt: row.hasItem === 1 ? row.iaVerifiedAt : null,
      isRefused: row.iaRefusedAt !== null,
    };
    before = file;
    yield file;
  }
}

const SHARED = ['project', 'language', 'wikiDbName', 'source', 'runDate', 'cycleDate', 'dumpType'] as const;

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
      notices
        .filter((notice) => LACKING.includes(noticeKind(notice, run)))
        .map(({ dumpType }) => dumpType),
    );
  } catch {
    return new Set(['*']);
  }
}

/** @param ids files that matter; null = all */
function readBusy(sqlite: Connection, ids: readonly number[] | null): Map<number, string> {
  const busy = new Map<number, string>();
  // Few files are looked up one by one; for all of them only unfinished jobs are read.
  const [index, which] = ids === null ? ['unique', '1'] : ['dump', 'dump_id IN (SELECT value FROM json_each(?))'];
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
