import { HELD_STATUSES } from '../../catalog/index.ts';
import type { Db } from '../../db/index.ts';

/** A dump file as one torrent carries it. */
export interface CarriedFile {
  torrentId: number;
  dumpId: number;
  infoHash: string;
  /** Folder that holds the torrent's own, relative to the data directory. */
  contentPath: string;
  isUncompressed: 0 | 1;
  /** Of the file in the torrent. */
  sizeBytes: number;
  /** Of the unpacked bytes, in a torrent that carries those. */
  unpackedSha1: string | null;
  /** Of the dump file. */
  dumpSha1: string | null;
  dumpSizeBytes: number;
  /** Relative to the data directory; null = not held. */
  localPath: string | null;
  source: 'classic' | 'content_current' | 'content_history';
  wikiDbName: string;
  runDate: string;
  filename: string;
  /** Where it lay at the origin. */
  wikimediaUrl: string;
  /** Where its bytes came from; null = unknown. */
  fetchedFromUrl: string | null;
  /** Upstream has other bytes under that name now, or none. */
  isReplaced: 0 | 1;
  isHeld: 0 | 1;
  /** Epoch ms since which its bytes are known to be wrong; null = sound. */
  damagedAt: number | null;
  storedMtimeMs: number | null;
  iaUrl: string | null;
  iaVerifiedAt: number | null;
}

/** A torrent whose folder has that name. */
export interface NamedTorrent {
  torrentId: number;
  name: string;
  infoHash: string;
  grouping: string;
  contentPath: string;
  torrentFilePath: string;
}

/** Questions by name and path; each is answered by an index, with 400,000 files as with ten. */
export interface CarriedFiles {
  /** Torrents that are not retired come first, the newest one first. */
  find(infoName: string, path: string): CarriedFile[];
  /** The same order. */
  named(infoName: string): NamedTorrent[];
  /** Roots that are known of all torrents that carry that dump file as it is, retired ones last, and where the file is below them. */
  rootsOf(dumpId: number): KnownRoot[];
}

/** What is known of one root of a torrent that carries a file. */
export interface KnownRoot {
  url: string;
  state: 'working' | 'dead' | 'unproved';
  infoName: string;
  path: string;
  sizeBytes: number;
}

/** One path is in no more torrents than this that matter. */
const ROWS_MAX = 50;

/** See `CarriedFiles`. */
export function createCarriedFiles({ db }: { db: Db }): CarriedFiles {
  const held = HELD_STATUSES.map((status) => `'${status}'`).join(', ');
  const find = db.sqlite.prepare<[{ path: string; infoName: string }], CarriedFile>(
    `SELECT t.id AS torrentId, d.id AS dumpId, t.info_hash AS infoHash, t.content_path AS contentPath, t.is_uncompressed AS isUncompressed,
            f.size_bytes AS sizeBytes, f.sha1 AS unpackedSha1, d.sha1 AS dumpSha1, d.size_bytes AS dumpSizeBytes, d.local_path AS localPath,
            d.source, d.wiki_db_name AS wikiDbName, d.run_date AS runDate, d.filename, d.wikimedia_url AS wikimediaUrl,
            d.fetched_from_url AS fetchedFromUrl, EXISTS (SELECT 1 FROM dump_replacements x WHERE x.dump_id = d.id) AS isReplaced,
            d.our_status IN (${held}) AS isHeld, d.damaged_at AS damagedAt, d.stored_mtime_ms AS storedMtimeMs, d.ia_url AS iaUrl,
            d.ia_verified_at AS iaVerifiedAt
       FROM torrent_files f INDEXED BY idx_torrent_files_path
       CROSS JOIN torrents t ON t.id = f.torrent_id CROSS JOIN dumps d ON d.id = f.dump_id
      WHERE f.path_in_torrent = @path AND coalesce(t.info_name, t.name) = @infoName
      ORDER BY t.retired_at IS NOT NULL, t.id DESC LIMIT ${ROWS_MAX}`,
  );
  const columns = `id AS torrentId, name, info_hash AS infoHash, grouping, content_path AS contentPath, torrent_file_path AS torrentFilePath,
                   retired_at IS NOT NULL AS isRetired`;
  const named = db.sqlite.prepare<[{ infoName: string }], NamedTorrent>(
    `SELECT * FROM (SELECT ${columns} FROM torrents WHERE info_name = @infoName
                    UNION ALL SELECT ${columns} FROM torrents WHERE name = @infoName AND info_name IS NULL)
      ORDER BY isRetired, torrentId DESC LIMIT ${ROWS_MAX}`,
  );
  // Those of a .torrent in its order, then all others.
  const roots = db.sqlite.prepare<[number], KnownRoot>(
    `SELECT w.url, w.state, coalesce(t.info_name, t.name) AS infoName, f.path_in_torrent AS path, f.size_bytes AS sizeBytes
       FROM torrent_files f CROSS JOIN torrents t ON t.id = f.torrent_id CROSS JOIN torrent_webseeds w ON w.torrent_id = t.id
       LEFT JOIN json_each(t.webseeds) part ON part.value = w.url
      WHERE f.dump_id = ? AND t.is_uncompressed = 0
      ORDER BY t.retired_at IS NOT NULL, t.id DESC, part.key IS NULL, part.key, w.id`,
  );
  return {
    find: (infoName, path) => find.all({ infoName, path }),
    named: (infoName) => named.all({ infoName }),
    rootsOf: (dumpId) => roots.all(dumpId),
  };
}
