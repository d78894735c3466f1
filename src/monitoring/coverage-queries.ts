import type { SourceName, Wiki } from '../catalog/index.ts';
import { HELD_STATUSES, TEXT_TYPES } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { Clock, EpochMs } from '../ports/index.ts';
import { createInParts } from './in-parts.ts';

/** Where a whole copy lies: on our disk, verified at the Internet Archive, or in torrents that are seeded. */
export type Place = 'disk' | 'internet_archive' | 'torrent';

/** A whole verified set of a wiki's text: every file of one dump type of one run. */
export interface Copy {
  source: SourceName;
  /** As upstream writes it. */
  runDate: string;
  cycleDate: string;
  dumpType: string;
  files: number;
  sizeBytes: number;
  /** Places that have all of it; empty when only several of them together do. */
  places: Place[];
}

/** What we have of one wiki: one project in one language. */
export interface CoverageRow {
  wikiDbName: string;
  project: string;
  language: string;
  /** The newest one; null when there is none. */
  copy: Copy | null;
  /** It belongs to what should be covered: it is included, and upstream dumps it. */
  isCounted: boolean;
  /** Why it is not counted; null when it is. */
  reason: string | null;
}

/** Of the wikis that are counted. */
export interface CoverageTotals {
  counted: number;
  covered: number;
  missing: number;
}

/** How much of what upstream dumps is safe. */
export interface Coverage {
  /** When it was looked up. */
  at: EpochMs;
  /** Missing wikis first, then those with a copy, then what is not counted; each by project and language. */
  rows: CoverageRow[];
  totals: CoverageTotals;
  /** By name. */
  projects: (CoverageTotals & { project: string })[];
}

/** Whether a wiki is wanted, and why not. */
export type WikiJudge = (wiki: Wiki) => { included: boolean; reason: string };

/** "What is safe?", answered from the database. Read-only. */
export interface CoverageQueries {
  /** As of the last `freshen` when that was not long ago, else looked up now, in one go. */
  coverage(): Coverage;
  /**
   * Looks it up in parts between other work when the last answer is too old, so that `coverage` need not. Resolves when there is an
   * answer, which while a newer one is being made is the one before it.
   */
  freshen(): Promise<void>;
}

/** For SQL; the words are ours, so nothing needs escaping. */
const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');

type WikiRow = Pick<Wiki, 'wikiDbName' | 'project' | 'language'> & { wiki: Wiki };
type SetRow = Omit<Copy, 'places' | 'cycleDate'> & { lacking: number } & Record<
    'held' | 'archived' | 'seeded',
    number
  >;

/** See `CoverageQueries`. */
export function createCoverageQueries({
  db,
  clock,
  judgeWiki = ({ isPrivate }) => ({ included: !isPrivate, reason: isPrivate ? 'private' : 'public' }),
}: {
  db: Db;
  clock: Clock;
  judgeWiki?: WikiJudge;
}): CoverageQueries {
  const { sqlite } = db;
  const wikiRows = sqlite.prepare<[], Record<string, unknown>>(
    `SELECT id, wiki_db_name AS wikiDbName, project, language, url, name, is_closed AS isClosed, is_private AS isPrivate,
            is_fishbowl AS isFishbowl, vanished_at AS vanishedAt, discovered_at AS discoveredAt, last_seen_at AS lastSeenAt,
            dumped_seen_at AS dumpedSeenAt, oldest_run_date AS oldestRunDate, oldest_run_seen_at AS oldestRunSeenAt,
            page_count AS pageCount
       FROM wikis ORDER BY project, language, wiki_db_name`,
  );
  const newestCycle = sqlite
    .prepare<[string], string | null>('SELECT max(cycle_date) FROM dumps WHERE wiki_db_name = ?')
    .pluck();
  const cycleBefore = sqlite
    .prepare<[string, string], string | null>(
      'SELECT max(cycle_date) FROM dumps WHERE wiki_db_name = ? AND cycle_date < ?',
    )
    .pluck();
  // The planner would take the identity, whose first column is the wiki too, and read all its cycles. A set is whole when nothing of it is lacking: one part of twenty is no copy.
  const isHeld = `our_status IN (${quoted(HELD_STATUSES)})`;
  const sets = sqlite.prepare<[string, string], SetRow>(
    `SELECT source, run_date AS runDate, dump_type AS dumpType, count(*) AS files, sum(size_bytes) AS sizeBytes,
            sum(NOT ${isHeld} AND ia_verified_at IS NULL) AS lacking, sum(${isHeld}) AS held, count(ia_verified_at) AS archived,
            sum(EXISTS (SELECT 1 FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
                         WHERE f.dump_id = dumps.id AND t.seeding_since IS NOT NULL AND t.retired_at IS NULL AND t.is_uncompressed = 0)) AS seeded
       FROM dumps INDEXED BY idx_dumps_text
      WHERE wiki_db_name = ? AND cycle_date = ? AND dump_type IN (${quoted(TEXT_TYPES)})
      GROUP BY source, run_date, dump_type HAVING lacking = 0 ORDER BY dump_type, source`,
  );

  function newestCopy(wikiDbName: string): Copy | null {
    for (
      let cycleDate = newestCycle.get(wikiDbName) ?? null;
      cycleDate !== null;
      cycleDate = cycleBefore.get(wikiDbName, cycleDate) ?? null
    ) {
      // Of several sets of one cycle the one that most places have.
      const copies = sets
        .all(wikiDbName, cycleDate)
        .map(({ lacking: _, held, archived, seeded, ...set }) => ({
          ...set,
          cycleDate: cycleDate as string,
          places: [
            ...(held === set.files ? (['disk'] as const) : []),
            ...(archived === set.files ? (['internet_archive'] as const) : []),
            ...(seeded === set.files ? (['torrent'] as const) : []),
          ],
        }));
      const best = copies.sort((a, b) => b.places.length - a.places.length)[0];
      if (best !== undefined) return best;
    }
    return null;
  }

  const wikis = (): WikiRow[] =>
    wikiRows.all().map((row) => {
      const wiki = {
        ...row,
        isClosed: row.isClosed === 1,
        isPrivate: row.isPrivate === 1,
        isFishbowl: row.isFishbowl === 1,
      } as Wiki;
      return { wikiDbName: wiki.wikiDbName, project: wiki.project, language: wiki.language, wiki };
    });

  function judge({ wiki, wikiDbName, project, language }: WikiRow): CoverageRow {
    const copy = newestCopy(wikiDbName);
    const verdict = judgeWiki(wiki);
    // What has files was dumped, whatever the index said.
    const isDumped = wiki.dumpedSeenAt !== null || newestCycle.get(wikiDbName) != null;
    const reason = !verdict.included ? verdict.reason : isDumped ? null : 'upstream has no dumps of it';
    return { wikiDbName, project, language, copy, isCounted: reason === null, reason };
  }

  const inParts = createInParts<null, Coverage>({
    clock,
    *work() {
      const rows: CoverageRow[] = [];
      for (const wiki of wikis()) {
        rows.push(judge(wiki));
        yield;
      }
      return summarize(rows, clock.now());
    },
  });
  return { coverage: () => inParts.answer(null), freshen: () => inParts.freshen(null) };
}

function summarize(rows: readonly CoverageRow[], at: EpochMs): Coverage {
  const rank = (row: CoverageRow): number => (!row.isCounted ? 2 : row.copy === null ? 0 : 1);
  const names = [...new Set(rows.map(({ project }) => project))].sort();
  return {
    at,
    // Stable: within a rank they stay by project and language.
    rows: [...rows].sort((a, b) => rank(a) - rank(b)),
    totals: totalsOf(rows),
    projects: names.map((project) => ({
      project,
      ...totalsOf(rows.filter((row) => row.project === project)),
    })),
  };
}

function totalsOf(rows: readonly CoverageRow[]): CoverageTotals {
  const counted = rows.filter((row) => row.isCounted);
  const covered = counted.filter((row) => row.copy !== null).length;
  return { counted: counted.length, covered, missing: counted.length - covered };
}
