import { and, asc, eq } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import type { Catalog } from './catalog.ts';
import type { DumpFile, SourceName, TorrentKind } from './types.ts';

const { dumps } = schema;

type TorrentCandidates = Pick<
  Catalog,
  'heldRuns' | 'heldScopes' | 'lateScopes' | 'hasMoreParts' | 'runFiles'
>;

/** What a new torrent may carry. */
const SOUND = `d.our_status IN ('downloaded', 'uploading', 'uploaded', 'included') AND d.damaged_at IS NULL
  AND d.verification IS NOT NULL AND d.sha1 IS NOT NULL AND d.local_path IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM dump_replacements r WHERE r.dump_id = d.id AND r.kind = 'withdrawn')`;

/** The torrents of one kind. */
const OF_KIND = `t.cycle_date = d.cycle_date AND t.grouping = @grouping AND t.is_history = @isHistory AND t.is_uncompressed = @isUncompressed`;

const IS_GAP_OF = `g.wiki_db_name = d.wiki_db_name AND g.source = d.source AND g.run_date = d.run_date AND g.filename = d.filename`;

/** Of a history torrent also the types that both lists name. */
const OF_VARIANT = `(d.is_history = @isHistory
  OR (@isHistory = 1 AND @grouping <> 'wiki_run' AND d.dump_type IN (SELECT value FROM json_each(@types))))`;

interface KindColumns {
  cycleDate: string;
  grouping: string;
  isHistory: 0 | 1;
  isUncompressed: 0 | 1;
  types: string;
}

/** Of which files there may be torrents that are not made yet. Each question reads the files of one cycle: 33,000. */
export function createTorrentCandidates({ db }: { db: Db }): TorrentCandidates {
  // Nothing of a run from which files were deleted: it would be another torrent than everybody else's.
  const runs = db.sqlite.prepare<
    [string, number],
    {
      wikiDbName: string;
      source: SourceName;
      runDate: string;
      isHistory: 0 | 1;
      heldBytes: number;
    }
  >(
    `SELECT d.wiki_db_name AS wikiDbName, d.source, d.run_date AS runDate, d.is_history AS isHistory,
            sum(iif(${SOUND}, d.size_bytes, 0)) AS heldBytes
       FROM dumps d WHERE d.cycle_date = ? GROUP BY 1, 2, 3, 4
     HAVING heldBytes >= ? AND heldBytes > 0 AND sum(d.our_status = 'deleted') = 0
      ORDER BY heldBytes DESC, 1, 2, 3, 4`,
  );
  const scopesBy = (column: 'project' | 'language') => ({
    held: db.sqlite.prepare<[string], { scope: string; isHistory: 0 | 1 }>(
      `SELECT DISTINCT d.${column} AS scope, d.is_history AS isHistory FROM dumps d
        WHERE d.cycle_date = ? AND ${SOUND} ORDER BY 2, 1`,
    ),
    late: db.sqlite
      .prepare<[KindColumns], string>(
        `SELECT DISTINCT d.${column} FROM dumps d WHERE d.cycle_date = @cycleDate AND ${SOUND} AND ${OF_VARIANT}
            AND EXISTS (SELECT 1 FROM torrents t WHERE ${OF_KIND} AND t.scope = d.${column})
            AND NOT EXISTS (SELECT 1 FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
                             WHERE f.dump_id = d.id AND ${OF_KIND} AND t.scope = d.${column})
            AND NOT EXISTS (SELECT 1 FROM torrents t CROSS JOIN torrent_gaps g ON g.torrent_id = t.id
                             WHERE ${OF_KIND} AND t.scope = d.${column} AND g.state = 'not_included' AND ${IS_GAP_OF})
          ORDER BY 1`,
      )
      .pluck(),
  });
  const scopes = { project: scopesBy('project'), language: scopesBy('language') };
  const sameTorrent = `${OF_KIND} AND t.scope IS @scope AND t.source IS @source AND t.run_date IS @runDate`;
  // A file that was found only after the first part was made is late, and belongs into a supplement.
  const more = db.sqlite.prepare<
    [
      KindColumns & {
        scope: string | null;
        source: string | null;
        runDate: string | null;
        supplement: number;
      },
    ]
  >(
    `SELECT 1 FROM dumps d WHERE d.cycle_date = @cycleDate AND ${SOUND} AND ${OF_VARIANT}
        AND CASE @grouping WHEN 'project' THEN d.project = @scope WHEN 'language' THEN d.language = @scope
              WHEN 'wiki_run' THEN d.wiki_db_name = @scope AND d.source = @source AND d.run_date = @runDate ELSE 1 END
        AND d.discovered_at <= (SELECT min(t.created_at) FROM torrents t
                                 WHERE ${sameTorrent} AND t.supplement = @supplement AND t.part > 0)
        AND NOT EXISTS (SELECT 1 FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
                         WHERE f.dump_id = d.id AND ${sameTorrent})
        AND NOT EXISTS (SELECT 1 FROM torrents t CROSS JOIN torrent_gaps g ON g.torrent_id = t.id
                         WHERE ${sameTorrent} AND (t.supplement = @supplement OR g.state = 'not_included') AND ${IS_GAP_OF})
      LIMIT 1`,
  );

  return {
    runFiles: ({ wikiDbName, source, runDate }) =>
      db.orm
        .select()
        .from(dumps)
        .where(and(eq(dumps.wikiDbName, wikiDbName), eq(dumps.source, source), eq(dumps.runDate, runDate)))
        .orderBy(asc(dumps.filename))
        .all() as DumpFile[],
    heldRuns: (cycleDate, minSizeBytes) =>
      runs.all(cycleDate, minSizeBytes).map((row) => ({ ...row, isHistory: row.isHistory === 1 })),
    heldScopes: (cycleDate, grouping) =>
      scopes[grouping].held.all(cycleDate).map((row) => ({ ...row, isHistory: row.isHistory === 1 })),
    lateScopes(cycleDate, grouping, historyTypes) {
      const types = JSON.stringify(historyTypes);
      return ([0, 1] as const).flatMap((isHistory) =>
        scopes[grouping].late
          .all({ ...{ cycleDate, grouping, types, isHistory }, isUncompressed: 0 })
          .map((scope) => ({ scope, isHistory: isHistory === 1 })),
      );
    },
    hasMoreParts: (cycleDate, kind, { supplement, historyTypes }) =>
      more.get({
        ...{ cycleDate, supplement, types: JSON.stringify(historyTypes) },
        ...columnsOf(kind),
      }) !== undefined,
  };
}

/** For SQL. */
export function columnsOf({ grouping, scope, source, runDate, isHistory, isUncompressed }: TorrentKind) {
  return {
    ...{ grouping, scope, source, runDate },
    isHistory: (isHistory ? 1 : 0) as 0 | 1,
    isUncompressed: (isUncompressed ? 1 : 0) as 0 | 1,
  };
}
