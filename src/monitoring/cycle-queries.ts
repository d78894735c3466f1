import { HELD_STATUSES, LATE_MS, type SourceName } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { EpochMs } from '../ports/index.ts';

/** What one source gives a cycle. */
export interface SourceState {
  source: SourceName;
  runs: { finished: number; unfinished: number; absent: number };
  files: { expected: number; held: number; waiting: number; failed: number; deleted: number };
  bytes: { expected: number; held: number };
}

/**
 * failed, quarantined: a file that upstream has no more, or whose bytes never matched; missing: a file that the cycle was
 * sealed without; not_offered: a configured dump type that a finished run does not give; absent: a run that is not there;
 * awaited: what a run that goes on does not give yet.
 */
export type GapKind = 'failed' | 'quarantined' | 'missing' | 'not_offered' | 'absent' | 'awaited';

/** What is missing for one reason. */
export interface GapGroup {
  kind: GapKind;
  source: SourceName;
  /** `*`: whole runs. */
  dumpType: string;
  /** Names that differ from file to file are `<file>` and `<wiki>`. */
  reason: string;
  wikis: number;
  /** 0: dump types, or runs, as a whole. */
  files: number;
}

/** One thing that is missing. */
export interface Gap {
  kind: GapKind;
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  dumpType: string;
  /** null: the dump type, or the run, as a whole. */
  filename: string | null;
  reason: string;
}

/** A held file that upstream published anew, or lists no more. */
export interface ReplacedFile {
  wikiDbName: string;
  source: SourceName;
  filename: string;
  kind: 'replaced' | 'withdrawn';
  sizeBytes: number;
  /** null for a withdrawn one. */
  newSizeBytes: number | null;
  foundAt: EpochMs;
}

/** A torrent of what settled after the cycle's own torrents were made. */
export interface SupplementState {
  name: string;
  supplement: number;
  isHistory: boolean;
  fileCount: number;
  sizeBytes: number;
  createdAt: EpochMs;
}

/** Everything about one cycle that the counts do not say. */
export interface CycleDetail {
  sources: SourceState[];
  /** Largest first. */
  gaps: GapGroup[];
  replaced: ReplacedFile[];
  supplements: SupplementState[];
  /** Until when files that settle late are taken; null while the cycle is open. */
  lateUntil: EpochMs | null;
}

/** "What of this cycle, and what not?", answered from the database. Synchronous, read-only. */
export interface CycleQueries {
  detail(cycle: { cycleDate: string; sealedAt: EpochMs | null }): CycleDetail;
  /** Every single gap, by wiki. */
  gaps(cycle: { cycleDate: string; sealedAt: EpochMs | null }): Gap[];
}

/** The words are ours, so nothing needs escaping. */
const HELD = `our_status IN (${HELD_STATUSES.map((status) => `'${status}'`).join(', ')})`;
/** Which files are gaps of an open cycle, and of one that is sealed. */
const OPEN_GAPS = `our_status IN ('failed', 'quarantined')`;
const SEALED_GAPS = `our_status IN ('failed', 'quarantined', 'pending', 'downloading')`;

const FILE_KIND = `CASE our_status WHEN 'failed' THEN 'failed' WHEN 'quarantined' THEN 'quarantined' ELSE 'missing' END`;
const RUN_KIND = `CASE status WHEN 'absent' THEN 'absent' WHEN 'finished' THEN 'not_offered' ELSE 'awaited' END`;
const FILE_REASON = `coalesce(error_message, 'it was not fetched before the cycle ended')`;
const NOTICE = (field: string): string => `json_extract(json_each.value, '$.${field}')`;

/** See `CycleQueries`. */
export function createCycleQueries(db: Db): CycleQueries {
  const { sqlite } = db;
  const runs = sqlite.prepare<[string], { source: SourceName; status: string; n: number }>(
    'SELECT source, status, count(*) AS n FROM dump_runs WHERE cycle_date = ? GROUP BY source, status',
  );
  const files = sqlite.prepare<
    [string],
    { source: SourceName; expected: number; held: number; failed: number; deleted: number } & {
      bytesExpected: number;
      bytesHeld: number;
    }
  >(
    `SELECT source, count(*) AS expected, sum(${HELD}) AS held, sum(our_status IN ('failed', 'quarantined')) AS failed,
            sum(our_status = 'deleted') AS deleted, sum(size_bytes) AS bytesExpected, sum(iif(${HELD}, size_bytes, 0)) AS bytesHeld
       FROM dumps WHERE cycle_date = ? GROUP BY source`,
  );
  const fileGroups = (which: string) =>
    sqlite.prepare<[string], GapGroup>(
      `SELECT ${FILE_KIND} AS kind, source, dump_type AS dumpType,
              replace(replace(${FILE_REASON}, filename, '<file>'), wiki_db_name, '<wiki>') AS reason,
              count(DISTINCT wiki_db_name) AS wikis, count(*) AS files
         FROM dumps WHERE cycle_date = ? AND ${which} GROUP BY 1, 2, 3, 4`,
    );
  const fileGaps = (which: string) =>
    sqlite.prepare<[string], Gap>(
      `SELECT ${FILE_KIND} AS kind, wiki_db_name AS wikiDbName, source, run_date AS runDate, dump_type AS dumpType, filename,
              ${FILE_REASON} AS reason
         FROM dumps WHERE cycle_date = ? AND ${which}`,
    );
  const grouped = { open: fileGroups(OPEN_GAPS), sealed: fileGroups(SEALED_GAPS) };
  const single = { open: fileGaps(OPEN_GAPS), sealed: fileGaps(SEALED_GAPS) };
  const noticeGroups = sqlite.prepare<[string], GapGroup>(
    `SELECT ${RUN_KIND} AS kind, source, ${NOTICE('dumpType')} AS dumpType, ${NOTICE('reason')} AS reason,
            count(DISTINCT wiki_db_name) AS wikis, 0 AS files
       FROM dump_runs, json_each(dump_runs.notices) WHERE cycle_date = ? GROUP BY 1, 2, 3, 4`,
  );
  const noticeGaps = sqlite.prepare<[string], Gap>(
    `SELECT ${RUN_KIND} AS kind, wiki_db_name AS wikiDbName, source, run_date AS runDate, ${NOTICE('dumpType')} AS dumpType,
            NULL AS filename, ${NOTICE('reason')} AS reason
       FROM dump_runs, json_each(dump_runs.notices) WHERE cycle_date = ?`,
  );
  // Few files are ever replaced: far fewer than a cycle has.
  const replaced = sqlite.prepare<[string], ReplacedFile>(
    `SELECT d.wiki_db_name AS wikiDbName, d.source, d.filename, p.kind, d.size_bytes AS sizeBytes, p.size_bytes AS newSizeBytes,
            p.found_at AS foundAt
       FROM dump_replacements p CROSS JOIN dumps d ON d.id = p.dump_id
      WHERE d.cycle_date = ? ORDER BY d.wiki_db_name, d.filename`,
  );
  const supplements = sqlite.prepare<[string], Omit<SupplementState, 'isHistory'> & { isHistory: number }>(
    `SELECT name, supplement, is_history AS isHistory, file_count AS fileCount, total_size_bytes AS sizeBytes,
            created_at AS createdAt
       FROM torrents WHERE cycle_date = ? AND supplement > 0 ORDER BY supplement, is_history`,
  );

  function sourcesOf(cycleDate: string): SourceState[] {
    const sums = files.all(cycleDate);
    const counts = runs.all(cycleDate);
    const names = [...new Set([...sums, ...counts].map(({ source }) => source))].sort();
    return names.map((source) => {
      const sum = sums.find((each) => each.source === source);
      const ofStatus = (status: string): number =>
        counts.find((each) => each.source === source && each.status === status)?.n ?? 0;
      const { expected = 0, held = 0, failed = 0, deleted = 0 } = sum ?? {};
      return {
        source,
        runs: {
          finished: ofStatus('finished'),
          unfinished: ofStatus('in_progress'),
          absent: ofStatus('absent'),
        },
        files: { expected, held, waiting: expected - held - failed - deleted, failed, deleted },
        bytes: { expected: sum?.bytesExpected ?? 0, held: sum?.bytesHeld ?? 0 },
      };
    });
  }

  const kindOf = ({ sealedAt }: { sealedAt: EpochMs | null }): 'open' | 'sealed' =>
    sealedAt === null ? 'open' : 'sealed';

  return {
    detail: (cycle) => ({
      sources: sourcesOf(cycle.cycleDate),
      gaps: [...grouped[kindOf(cycle)].all(cycle.cycleDate), ...noticeGroups.all(cycle.cycleDate)].sort(
        (a, b) =>
          Number(b.files > 0) - Number(a.files > 0) ||
          b.wikis - a.wikis ||
          b.files - a.files ||
          (a.dumpType < b.dumpType ? -1 : 1),
      ),
      replaced: replaced.all(cycle.cycleDate),
      supplements: supplements
        .all(cycle.cycleDate)
        .map((each) => ({ ...each, isHistory: each.isHistory === 1 })),
      lateUntil: cycle.sealedAt === null ? null : cycle.sealedAt + LATE_MS,
    }),
    gaps: (cycle) =>
      [...single[kindOf(cycle)].all(cycle.cycleDate), ...noticeGaps.all(cycle.cycleDate)].sort((a, b) =>
        a.wikiDbName === b.wikiDbName ? 0 : a.wikiDbName < b.wikiDbName ? -1 : 1,
      ),
  };
}

/** What kinds of gaps are called. */
export const GAP_WORDS: Readonly<Record<GapKind, string>> = {
  failed: 'failed',
  quarantined: 'quarantined',
  missing: 'not fetched in time',
  not_offered: 'not offered',
  absent: 'no run',
  awaited: 'not there yet',
};

/** What sources are called. */
export const SOURCE_WORDS: Readonly<Record<SourceName, string>> = {
  classic: 'classic dumps',
  content_current: 'content exports, current',
  content_history: 'content exports, history',
};
