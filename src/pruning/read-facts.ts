import { LATE_MS, noticeKind, type RunNotice, type RunStatus } from '../catalog/terms.ts';
import {
  type DiskLook,
  type PruneCycle,
  type PruneFacts,
  type PruneRun,
  runKey,
  type WikiFlags,
} from '../storage/index.ts';
import { type Connection, quoted, readFiles, type SetScope } from './read-files.ts';

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

/** Not hindered by a job that only asks the archive again. */
const HARMLESS_JOBS = ['prove_remote'];
/** What a job that is not over does with a file. */
const WORDS: Readonly<Record<string, string>> = {
  download_dump: 'a download is at it',
  upload_ia: 'it is on its way to the Internet Archive',
};

/** Reads what a prune plan is made from. One moment of the database, when it is called inside a transaction. */
export function readFacts(sqlite: Connection, options: ReadOptions): PruneFacts {
  const { now, scope } = options;
  const wikis = readWikis(sqlite, scope?.wikiDbName ?? null);
  return {
    ...{ now, wikis },
    files: readFiles(sqlite, wikis, scope),
    cycles: readCycles(sqlite),
    runs: readRuns(sqlite, scope?.wikiDbName ?? null),
    busy: readBusy(sqlite, scope?.ids ?? null),
    // They say only what goes first.
    otherSeeders: scope === undefined ? seederCounts(sqlite, now, options.statsMaxAgeMs) : () => null,
    look: options.look,
  };
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
  // Few runs have a notice: the text of all others is not made.
  const rows = sqlite
    .prepare<string[]>(
      `SELECT wiki_db_name, source, run_date, status, nullif(notices, '[]')
         FROM dump_runs${only === null ? '' : ' WHERE wiki_db_name = ?'}`,
    )
    .raw()
    .all(...(only === null ? [] : [only])) as [string, string, string, RunStatus, string | null][];
  const runs = new Map<string, PruneRun>();
  for (const [wikiDbName, source, runDate, status, notices] of rows)
    runs.set(runKey({ wikiDbName, source, runDate }), {
      isFinished: status === 'finished',
      lacking: notices === null ? NOTHING : lackingOf({ notices, status }),
    });
  return runs;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Notices that cannot be read mean the worst. */
function lackingOf(run: { notices: string; status: RunStatus }): ReadonlySet<string> {
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
 * Seeders besides us of the best seeded torrent that carries a file. Only the newest look at a torrent counts, and only for a while; what nobody
 * knew then is not zero, and not enough either.
 */
function seederCounts(
  sqlite: Connection,
  now: number,
  maxAgeMs: number,
): (file: { id: number }) => number | null {
  const counts = new Map<number, number>();
  // Torrent by torrent, in the order of the index: the table holds years.
  const rows = sqlite
    .prepare<[number, number], { torrentId: number; seeders: number | null }>(
      `SELECT t.id AS torrentId,
              (SELECT s.seeders FROM torrent_stats s WHERE s.torrent_id = t.id AND s.recorded_at BETWEEN ? AND ?
                ORDER BY s.recorded_at DESC, s.id DESC LIMIT 1) AS seeders
         FROM torrents t WHERE t.retired_at IS NULL`,
    )
    .iterate(now - maxAgeMs, now);
  for (const { torrentId, seeders } of rows) if (seeders !== null) counts.set(torrentId, seeders);
  const carriers = sqlite
    .prepare<[number], number>(
      // Who seeds what was unpacked from it has other bytes.
      `SELECT f.torrent_id FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
        WHERE f.dump_id = ? AND t.is_uncompressed = 0`,
    )
    .pluck();
  return ({ id }) => {
    if (counts.size === 0) return null;
    const known = carriers.all(id).flatMap((torrentId) => counts.get(torrentId) ?? []);
    return known.length === 0 ? null : Math.max(...known);
  };
}
