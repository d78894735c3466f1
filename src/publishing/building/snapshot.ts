import type { Db } from '../../db/index.ts';
import { type ManifestAddresses, publicAddress, torrentKey } from '../addresses.ts';
import type { ManifestFile, ManifestTorrent } from '../manifest.ts';

/** Any connection to the database; a read-only one will do. */
export type Connection = Db['sqlite'];

/** One torrent of the manifest without its files. */
export interface TorrentEntry {
  id: number;
  /** As it is written; `files` is empty. */
  entry: ManifestTorrent;
  /** Epoch ms of the newest fact that is told of it. */
  newestMs: number;
}

/** One file of a torrent, to be asked for. */
export interface FileMark {
  id: number;
  dumpId: number;
  path: string;
}

/** What the manifest says, read from one connection; whoever holds a transaction open gets one state of it. */
export interface Snapshot {
  /** Sorted by cycle (newest first), name and infohash; those of `infoHashes` only. */
  torrents(infoHashes: ReadonlySet<string>): TorrentEntry[];
  /** Sorted by path. */
  marks(torrentId: number): FileMark[];
  file(mark: FileMark): ManifestFile;
}

interface TorrentRow {
  id: number;
  name: string;
  infoHash: string;
  magnet: string;
  cycleDate: string;
  grouping: ManifestTorrent['grouping'];
  scope: string | null;
  folder: string;
  part: number;
  isUncompressed: number;
  supplement: number;
  sizeBytes: number;
  retiredAt: number | null;
  createdAt: number;
}

/** The order of its columns is the order of the fields of a file: a public contract. */
const FILE = `SELECT d.project, d.language, d.dump_type, d.filename, f.path_in_torrent, f.size_bytes,
    iif(f.sha1 IS NULL, d.md5, f.md5) AS md5, coalesce(f.sha1, d.sha1) AS sha1, iif(f.sha1 IS NULL, d.sha256, f.sha256) AS sha256,
    d.wikimedia_url, iif(d.ia_verified_at IS NULL OR f.sha1 IS NOT NULL, NULL, d.ia_url) AS ia_url
  FROM torrent_files f JOIN dumps d ON d.id = f.dump_id WHERE f.id = ?`;

/** All SQL of the manifest. Plain statements: there are 700,000 files in a year of cycles. What it reads is watched by changes.ts. */
export function createSnapshot(sqlite: Connection, addresses: ManifestAddresses): Snapshot {
  const listTorrents = sqlite.prepare<[], TorrentRow>(
    `SELECT id, name, info_hash AS infoHash, magnet_link AS magnet, cycle_date AS cycleDate, grouping, scope,
       coalesce(info_name, name) AS folder, part, is_uncompressed AS isUncompressed, supplement, total_size_bytes AS sizeBytes,
       retired_at AS retiredAt, created_at AS createdAt FROM torrents`,
  );
  // CROSS JOIN: in this order, along the index that has both columns.
  const newestUploads = sqlite.prepare<[], { id: number; newestMs: number | null }>(
    `SELECT f.torrent_id AS id, max(d.uploaded_at) AS newestMs FROM torrent_files f CROSS JOIN dumps d ON d.id = f.dump_id
      WHERE d.ia_verified_at IS NOT NULL GROUP BY f.torrent_id`,
  );
  const listMarks = sqlite.prepare<[number], FileMark>(
    'SELECT id, dump_id AS dumpId, path_in_torrent AS path FROM torrent_files WHERE torrent_id = ? ORDER BY path_in_torrent',
  );
  const readFile = sqlite.prepare<[number], ManifestFile>(FILE);

  function entryOf(row: TorrentRow): ManifestTorrent {
    const { name, infoHash, supplement, retiredAt } = row;
    return {
      name,
      infohash: infoHash,
      magnet: row.magnet,
      url: publicAddress(addresses, torrentKey(infoHash)),
      cycle_date: row.cycleDate as ManifestTorrent['cycle_date'],
      grouping: row.grouping,
      scope: row.scope,
      folder: row.folder,
      part: row.part,
      is_uncompressed: row.isUncompressed === 1,
      supplement,
      supplements: supplement === 0 ? null : name.replace(/-supplement-\d+(-part-\d+)?$/, ''),
      size_bytes: row.sizeBytes,
      ...(retiredAt === null ? {} : { retired_at: new Date(retiredAt).toISOString() }),
      files: [],
    };
  }

  return {
    torrents(infoHashes) {
      const uploads = new Map(newestUploads.all().map(({ id, newestMs }) => [id, newestMs ?? 0]));
      return listTorrents
        .all()
        .filter(({ infoHash }) => infoHashes.has(infoHash))
        .sort(
          (a, b) =>
            compare(b.cycleDate, a.cycleDate) || compare(a.name, b.name) || compare(a.infoHash, b.infoHash),
        )
        .map((row) => ({
          id: row.id,
          entry: entryOf(row),
          newestMs: Math.max(row.createdAt, row.retiredAt ?? 0, uploads.get(row.id) ?? 0),
        }));
    },
    // SQLite compares UTF-8, which is another order than this one where a path goes beyond U+FFFF.
    marks: (torrentId) => listMarks.all(torrentId).sort((a, b) => compare(a.path, b.path)),
    file: (mark) => readFile.get(mark.id) as ManifestFile,
  };
}

/** The same on every machine; `localeCompare` is not. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
