import type { Statement } from 'better-sqlite3';
import { type Db, STATE_KEYS } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';
import type {
  SwarmCount,
  TorrentDetail,
  TorrentFileState,
  TorrentGapState,
  TorrentQueries,
  TrackerState,
  WebseedCounts,
  WebseedState,
} from './torrent-types.ts';
import type { Page } from './types.ts';

/** A count that is older says nothing of now: three of the rarest looks that can be configured. */
export const COUNT_MAX_AGE_MS = 21 * 86_400_000;

type Row = Omit<TorrentDetail, 'trackers' | 'webseeds' | 'isHistory' | 'isUncompressed'> &
  WebseedCounts & { trackers: string; isHistory: 0 | 1; isUncompressed: 0 | 1 };

/** The newest count by the index, and how many webseeds are in which state. */
const columns = (from: string, on = ''): string => {
  const webseeds = (state: string): string =>
    `(SELECT count(*) FROM torrent_webseeds w WHERE w.torrent_id = t.id AND w.state = '${state}') AS ${state}`;
  return `SELECT t.id, t.name, coalesce(t.info_name, t.name) AS infoName, t.grouping, t.scope, t.source, t.run_date AS runDate,
      t.cycle_date AS cycleDate, t.is_history AS isHistory, t.is_uncompressed AS isUncompressed, t.supplement, t.part,
      t.total_size_bytes AS sizeBytes, t.file_count AS fileCount, t.info_hash AS infoHash, t.magnet_link AS magnetLink,
      '/torrents/' || t.info_hash || '.torrent' AS torrentFileUrl, t.torrent_url AS publicUrl, t.trackers,
      t.piece_length AS pieceLength, t.piece_count AS pieceCount, t.align_files_from AS alignFilesFromBytes,
      t.torrent_file_path AS torrentFilePath, t.content_path AS contentPath, t.seeding_since AS seedingSince,
      t.published_at AS publishedAt, t.retired_at AS retiredAt, t.created_at AS createdAt,
      ${['working', 'dead', 'unproved'].map(webseeds).join(', ')},
      CASE WHEN s.recorded_at >= @countedSince THEN s.seeders END AS seeders,
      CASE WHEN s.recorded_at >= @countedSince THEN s.leechers END AS leechers,
      s.completed, s.uploaded_bytes AS uploadedBytes, s.recorded_at AS countedAt, s.source AS countedBy
    FROM ${from} t ${on} LEFT JOIN torrent_stats s ON s.id =
      (SELECT n.id FROM torrent_stats n WHERE n.torrent_id = t.id ORDER BY n.recorded_at DESC, n.id DESC LIMIT 1)`;
};

const ORDER = `ORDER BY cycle_date DESC, grouping <> 'cycle', name`;

/** See `TorrentQueries`. */
export function createTorrentQueries({ db, clock }: { db: Db; clock: Clock }): TorrentQueries {
  const { sqlite } = db;
  // Cycle by cycle, in the order of the index: a page reads the torrents of the cycles before it and no others.
  const statements = (
    which: string,
  ): { listed: Statement<[object], Row>; total: Statement<[object], number> } => ({
    listed: sqlite.prepare<[object], Row>(
      `${columns(`(SELECT id FROM torrents INDEXED BY idx_torrents_cycle WHERE ${which} ${ORDER} LIMIT @limit OFFSET @offset) AS part JOIN torrents`, 'ON t.id = part.id')}
       ${ORDER.replaceAll(/(cycle_date|grouping|name)/g, 't.$1')}`,
    ),
    total: sqlite.prepare<[object], number>(`SELECT count(*) FROM torrents WHERE ${which}`).pluck(),
  });
  const all = statements('1');
  const ofKind = statements('grouping = @grouping');
  const ofCycle = statements('cycle_date = @cycleDate');
  const ofBoth = statements('cycle_date = @cycleDate AND grouping = @grouping');
  const byHash = sqlite.prepare<object, Row>(`${columns('torrents')} WHERE t.info_hash = @text`);
  const byName = sqlite.prepare<object, Row>(
    `${columns('torrents')} WHERE t.name = @text ORDER BY t.cycle_date DESC`,
  );
  const cycleDates = sqlite
    .prepare<[], string>('SELECT DISTINCT cycle_date FROM torrents ORDER BY cycle_date DESC')
    .pluck();
  const webseeds = sqlite.prepare<[number], WebseedState>(
    `SELECT url, state, reason, checked_at AS checkedAt, since FROM torrent_webseeds WHERE torrent_id = ?
      ORDER BY state <> 'working', state <> 'unproved', url`,
  );
  const tracker = sqlite.prepare<[string], string>('SELECT value FROM system_state WHERE key = ?').pluck();
  const fileTotal = sqlite
    .prepare<[number], number>('SELECT count(*) FROM torrent_files WHERE torrent_id = ?')
    .pluck();
  const files = sqlite.prepare<[number, number, number], TorrentFileState>(
    `SELECT f.dump_id AS dumpId, f.path_in_torrent AS path, f.size_bytes AS sizeBytes, d.our_status AS status,
            coalesce(f.verification, d.verification) AS verification
       FROM torrent_files f JOIN dumps d ON d.id = f.dump_id WHERE f.torrent_id = ?
      ORDER BY f.path_in_torrent LIMIT ? OFFSET ?`,
  );
  const gapTotal = sqlite
    .prepare<[number], number>('SELECT count(*) FROM torrent_gaps WHERE torrent_id = ?')
    .pluck();
  const gaps = sqlite.prepare<[number, number, number], TorrentGapState>(
    `SELECT wiki_db_name AS wikiDbName, source, run_date AS runDate, dump_type AS dumpType, filename,
            size_bytes AS sizeBytes, state, reason
       FROM torrent_gaps WHERE torrent_id = ? ORDER BY id LIMIT ? OFFSET ?`,
  );
  const history = sqlite.prepare<[number, number], SwarmCount>(
    `SELECT recorded_at AS at, seeders, leechers, completed, uploaded_bytes AS uploadedBytes, source
       FROM torrent_stats WHERE torrent_id = ? AND recorded_at >= ? ORDER BY recorded_at`,
  );
  const countedSince = (): { countedSince: number } => ({ countedSince: clock.now() - COUNT_MAX_AGE_MS });

  return {
    list({ grouping, cycleDate, page, pageSize }) {
      const which = { ...(grouping && { grouping }), ...(cycleDate && { cycleDate }) };
      const { listed, total } = grouping ? (cycleDate ? ofBoth : ofKind) : cycleDate ? ofCycle : all;
      return paged(total.get(which) ?? 0, { page, pageSize }, (limit, offset) =>
        listed.all({ ...which, ...countedSince(), limit, offset }).map(fromRow),
      );
    },
    find(text) {
      const found = /^[0-9a-f]{40}$/i.test(text)
        ? byHash.all({ text: text.toLowerCase(), ...countedSince() })
        : [];
      return (found.length > 0 ? found : byName.all({ text, ...countedSince() })).map(fromRow);
    },
    cycleDates: () => cycleDates.all(),
    webseeds: (torrentId) => webseeds.all(torrentId),
    trackers: (urls) =>
      urls.map((url) => ({ ...NEVER_ASKED, ...readNote(tracker.get(STATE_KEYS.tracker + url)), url })),
    files: (torrentId, where) =>
      paged(fileTotal.get(torrentId) ?? 0, where, (limit, offset) => files.all(torrentId, limit, offset)),
    gaps: (torrentId, where) =>
      paged(gapTotal.get(torrentId) ?? 0, where, (limit, offset) => gaps.all(torrentId, limit, offset)),
    history: (torrentId, since) => history.all(torrentId, since),
  };
}

function fromRow({ working, dead, unproved, trackers, ...row }: Row): TorrentDetail {
  return {
    ...row,
    isHistory: row.isHistory === 1,
    isUncompressed: row.isUncompressed === 1,
    trackers: JSON.parse(trackers) as string[],
    webseeds: { working, dead, unproved },
  };
}

function paged<T>(
  total: number,
  { page, pageSize }: { page: number; pageSize: number },
  read: (limit: number, offset: number) => T[],
): Page<T> {
  const pageCount = Math.max(1, Math.ceil(total / pageSize));
  const at = Math.min(page, pageCount);
  return { items: read(pageSize, (at - 1) * pageSize), page: at, pageSize, pageCount, total };
}

const NEVER_ASKED: Omit<TrackerState, 'url'> = {
  ...{ askedAt: null, answeredAt: null, asked: 0, known: 0, problem: null, restsUntil: null },
};

/** Written by seeding; what cannot be read was never said. */
function readNote(text: string | undefined): Partial<TrackerState> {
  try {
    const { resumeAfter: _, ...note } = JSON.parse(text ?? '{}') as Partial<TrackerState> & {
      resumeAfter?: string;
    };
    return note;
  } catch {
    return {};
  }
}
