import {
  type DumpStatus,
  HELD_STATUSES,
  LATE_MS,
  noticeKind,
  type RunNotice,
  type SourceName,
} from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { Clock, EpochMs } from '../ports/index.ts';
import {
  type CycleDetail,
  type CycleTorrents,
  type Gap,
  type GapGroup,
  type GapKind,
  KIND_OF_NOTICE,
  type ReplacedFile,
  type SourceState,
  type SupplementState,
} from './cycle-types.ts';
import { createInParts } from './in-parts.ts';
import { FILE_STATUSES, type FileStatus } from './types.ts';

/** Which cycle, and whether what is not fetched is a gap already. */
export interface CycleKey {
  cycleDate: string;
  sealedAt: EpochMs | null;
}

/** "What of this cycle, and what not?", answered from the database. Read-only. */
export interface CycleQueries {
  detail(cycle: CycleKey): CycleDetail;
  /** Makes `detail` in parts between other work, so that it costs nothing: a cycle may have tens of thousands of files. */
  freshen(cycle: CycleKey): Promise<void>;
  /** Every single gap, by wiki; in one go. */
  gaps(cycle: CycleKey): Gap[];
}

/** Rows read in one go: some 3 ms. */
const PART = 1000;
const NOT_FETCHED = 'it was not fetched before the cycle ended';

interface FileRow {
  id: number;
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  dumpType: string;
  filename: string;
  reason: string | null;
}

interface RunRow {
  id: number;
  wikiDbName: string;
  source: SourceName;
  runDate: string;
  notices: string;
}

const RUN_STATUSES = ['finished', 'in_progress', 'absent'] as const;
type RunWord = (typeof RUN_STATUSES)[number];

/** What a file of this state is that its cycle lacks; null: it lacks nothing. */
function gapKind(status: FileStatus, isSealed: boolean): GapKind | null {
  if (status === 'failed' || status === 'quarantined') return status;
  return isSealed && (status === 'pending' || status === 'downloading') ? 'missing' : null;
}

/** See `CycleQueries`. */
export function createCycleQueries({ db, clock }: { db: Db; clock: Clock }): CycleQueries {
  const { sqlite } = db;
  // From one stretch of the index, which is one cycle and one state ordered by id, to the next one.
  const sums = sqlite.prepare<
    [string, string, number, number],
    { source: SourceName; files: number; bytes: number; lastId: number }
  >(
    `SELECT source, count(*) AS files, sum(size_bytes) AS bytes, max(id) AS lastId FROM
       (SELECT id, source, size_bytes FROM dumps WHERE cycle_date = ? AND our_status = ? AND id > ? ORDER BY id LIMIT ?) AS part
      GROUP BY source`,
  );
  const fileRows = sqlite.prepare<[string, string, number, number], FileRow>(
    `SELECT id, wiki_db_name AS wikiDbName, source, run_date AS runDate, dump_type AS dumpType, filename, error_message AS reason
       FROM dumps WHERE cycle_date = ? AND our_status = ? AND id > ? ORDER BY id LIMIT ?`,
  );
  const runRows = sqlite.prepare<[string, string, number, number], RunRow>(
    `SELECT id, wiki_db_name AS wikiDbName, source, run_date AS runDate, notices
       FROM dump_runs WHERE cycle_date = ? AND status = ? AND id > ? ORDER BY id LIMIT ?`,
  );
  // Few files are ever replaced: far fewer than a cycle has.
  const replaced = sqlite.prepare<[string], ReplacedFile>(
    `SELECT d.wiki_db_name AS wikiDbName, d.source, d.filename, r.kind, d.size_bytes AS sizeBytes, r.size_bytes AS newSizeBytes,
            r.found_at AS foundAt
       FROM dump_replacements r CROSS JOIN dumps d ON d.id = r.dump_id
      WHERE d.cycle_date = ? ORDER BY d.wiki_db_name, d.filename`,
  );
  const supplements = sqlite.prepare<[string], Omit<SupplementState, 'isHistory'> & { isHistory: number }>(
    `SELECT name, supplement, is_history AS isHistory, file_count AS fileCount, total_size_bytes AS sizeBytes,
            created_at AS createdAt
       FROM torrents WHERE cycle_date = ? AND grouping = 'cycle' AND supplement > 0 ORDER BY supplement, is_history, part`,
  );

  const torrents = sqlite.prepare<
    [string],
    Omit<CycleTorrents, 'isUncompressed'> & { isUncompressed: number }
  >(
    `SELECT grouping, is_uncompressed AS isUncompressed, count(*) AS torrents,
            sum(seeding_since IS NOT NULL AND retired_at IS NULL) AS seeding, sum(retired_at IS NOT NULL) AS retired,
            sum(total_size_bytes) AS sizeBytes
       FROM torrents WHERE cycle_date = ? GROUP BY grouping, is_uncompressed ORDER BY grouping <> 'cycle', is_uncompressed, grouping`,
  );

  function* sumUp(cycleDate: string, into: Map<SourceName, SourceState>): Generator<void> {
    for (const status of FILE_STATUSES) {
      for (let after = 0; ; ) {
        const part = sums.all(cycleDate, status, after, PART);
        for (const sum of part) addFiles(stateOf(into, sum.source), status, sum);
        yield;
        if (part.reduce((count, { files }) => count + files, 0) < PART) break;
        after = Math.max(...part.map(({ lastId }) => lastId));
      }
    }
  }

  /** Every gap, in parts; runs are counted on the way. */
  function* findGaps(
    { cycleDate, sealedAt }: CycleKey,
    tell: (gap: Gap) => void,
    tellRun: (run: RunRow, status: RunWord) => void = () => {},
  ): Generator<void> {
    for (const status of FILE_STATUSES) {
      const kind = gapKind(status, sealedAt !== null);
      if (kind === null) continue;
      yield* stretch(fileRows, cycleDate, status, ({ id: _, reason, ...file }) =>
        tell({ ...file, kind, reason: reason ?? NOT_FETCHED }),
      );
    }
    for (const status of RUN_STATUSES)
      yield* stretch(runRows, cycleDate, status, (run) => {
        tellRun(run, status);
        const { id: _, notices, ...facts } = run;
        for (const notice of JSON.parse(notices) as RunNotice[]) {
          const { dumpType, reason } = notice;
          const kind = status === 'absent' ? 'absent' : KIND_OF_NOTICE[noticeKind(notice, { status })];
          tell({ ...facts, kind, dumpType, filename: null, reason });
        }
      });
  }

  const inParts = createInParts<string, CycleDetail>({
    clock,
    *work(key) {
      const cycle = JSON.parse(key) as CycleKey;
      const sources = new Map<SourceName, SourceState>();
      yield* sumUp(cycle.cycleDate, sources);
      const groups = new Map<string, GapGroup & { names: Set<string> }>();
      yield* findGaps(
        cycle,
        (gap) => addGap(groups, gap),
        ({ source }, status) => {
          const { runs } = stateOf(sources, source);
          runs[status === 'in_progress' ? 'unfinished' : status] += 1;
        },
      );
      return {
        sources: [...sources.values()].sort((a, b) => (a.source < b.source ? -1 : 1)),
        gaps: [...groups.values()]
          .map(({ names, ...group }) => ({ ...group, wikis: names.size }))
          .sort(byWeight),
        replaced: replaced.all(cycle.cycleDate),
        torrents: torrents
          .all(cycle.cycleDate)
          .map((each) => ({ ...each, isUncompressed: each.isUncompressed === 1 })),
        supplements: supplements
          .all(cycle.cycleDate)
          .map((each) => ({ ...each, isHistory: each.isHistory === 1 })),
        lateUntil: cycle.sealedAt === null ? null : cycle.sealedAt + LATE_MS,
      };
    },
  });
  const keyOf = ({ cycleDate, sealedAt }: CycleKey): string => JSON.stringify({ cycleDate, sealedAt });

  return {
    detail: (cycle) => inParts.answer(keyOf(cycle)),
    freshen: (cycle) => inParts.freshen(keyOf(cycle)),
    gaps(cycle) {
      const gaps: Gap[] = [];
      for (const _ of findGaps(cycle, (gap) => gaps.push(gap)));
      return gaps.sort((a, b) => (a.wikiDbName === b.wikiDbName ? 0 : a.wikiDbName < b.wikiDbName ? -1 : 1));
    },
  };
}

/** All rows of one stretch of an index, in parts. */
function* stretch<Row extends { id: number }>(
  statement: { all(cycleDate: string, status: string, after: number, limit: number): Row[] },
  cycleDate: string,
  status: string,
  each: (row: Row) => void,
): Generator<void> {
  for (let after = 0; ; ) {
    const part = statement.all(cycleDate, status, after, PART);
    part.forEach(each);
    yield;
    if (part.length < PART) return;
    after = part.at(-1)?.id ?? after;
  }
}

function stateOf(states: Map<SourceName, SourceState>, source: SourceName): SourceState {
  const state = states.get(source) ?? {
    source,
    runs: { finished: 0, unfinished: 0, absent: 0 },
    files: { expected: 0, held: 0, waiting: 0, failed: 0, deleted: 0 },
    bytes: { expected: 0, held: 0 },
  };
  states.set(source, state);
  return state;
}

function addFiles(
  { files, bytes }: SourceState,
  status: FileStatus,
  sum: { files: number; bytes: number },
): void {
  const isHeld = HELD_STATUSES.includes(status as DumpStatus);
  files.expected += sum.files;
  bytes.expected += sum.bytes;
  if (isHeld) bytes.held += sum.bytes;
  if (isHeld) files.held += sum.files;
  else if (status === 'deleted') files.deleted += sum.files;
  else if (status === 'failed' || status === 'quarantined') files.failed += sum.files;
  else files.waiting += sum.files;
}

function addGap(groups: Map<string, GapGroup & { names: Set<string> }>, gap: Gap): void {
  const { kind, source, dumpType, filename, wikiDbName } = gap;
  // What differs from file to file would make each a group of its own.
  const reason =
    filename === null
      ? gap.reason
      : gap.reason.replaceAll(filename, '<file>').replaceAll(wikiDbName, '<wiki>');
  const key = [kind, source, dumpType, reason].join('\t');
  const group = groups.get(key) ?? { kind, source, dumpType, reason, wikis: 0, files: 0, names: new Set() };
  groups.set(key, group);
  group.names.add(wikiDbName);
  if (filename !== null) group.files += 1;
}

/** Files before dump types, then the most wikis. */
function byWeight(a: GapGroup, b: GapGroup): number {
  return (
    Number(b.files > 0) - Number(a.files > 0) ||
    b.wikis - a.wikis ||
    b.files - a.files ||
    (a.dumpType < b.dumpType ? -1 : 1)
  );
}
