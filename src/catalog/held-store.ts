import type { Db } from '../db/index.ts';
import { DumpFileId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { HELD_STATUSES, type Verification } from './types.ts';

/** One held file, for lists. */
export interface HeldSummary {
  id: DumpFileId;
  wikiDbName: string;
  cycleDate: string;
  filename: string;
  /** Relative to the data directory. */
  localPath: string;
  sizeBytes: number;
  verification: Verification;
  /** Epoch ms at which its bytes were last read and right; null = not known. */
  verifiedAt: number | null;
  /** Epoch ms since which they are known to be wrong or missing; null = sound. */
  damagedAt: number | null;
}

/** A place at which a torrent has the bytes of a dump file; see `fileOfTorrent` of storage. */
export interface NameInTorrent {
  /** Name of the torrent on this host. */
  torrent: string;
  /** Folder that holds the torrent's folder, relative to the data directory. */
  contentPath: string;
  /** Name of the torrent's folder. */
  infoName: string;
  pathInTorrent: string;
  infoHash: string;
}

/** What the catalog knows of the state of held bytes, and what a second reading says of them. */
export interface HeldCatalog {
  /** Held files by wiki, run and name. Reads every row: for commands. */
  heldFiles(filter: { wikiDbName?: string | null; cycleDate?: string | null }): HeldSummary[];
  /**
   * The stored bytes were read from end to end and were right. `pieceHashes`: to be kept, because there were none or wrong
   * ones. @returns false when the file is not held any more, or its recorded bytes are others than those of `sha1`
   */
  recordSound(
    id: DumpFileId,
    facts: {
      sha1: string;
      storedMtimeMs: number;
      pieceHashes?: { pieceLength: number; sha1s: Buffer } | null;
    },
  ): boolean;
  /** The stored bytes are wrong or missing. @returns true when that was not known before */
  recordDamaged(id: DumpFileId, facts: { sha1: string }): boolean;
  /** Held and sound files that were not read since `before` (epoch ms), the one read longest ago first. */
  filesToScrub(before: number, limit: number): { id: DumpFileId; sizeBytes: number }[];
  /** Held files that are damaged, the one known longest first. */
  damagedFiles(): { id: DumpFileId; wikiDbName: string; filename: string }[];
  /** Where folders of torrents that are not retired hold other names of a file: hard links. */
  otherNames(id: DumpFileId): NameInTorrent[];
  /** Where torrents that are not retired serve the bytes of a file: its other names, and the one under `dumps/` itself. */
  namesInTorrents(id: DumpFileId): NameInTorrent[];
  /** Torrents that carry the bytes of a file as they are, retired ones last. */
  torrentsWith(
    id: DumpFileId,
  ): { torrent: string; pathInTorrent: string; infoHash: string; torrentFilePath: string }[];
  /** The file whose bytes a torrent carries under a path of its folder; null = none: a text of the torrent's own, or unpacked bytes. */
  fileInTorrent(infoHash: string, pathInTorrent: string): DumpFileId | null;
}

/** For SQL; the words are ours, so nothing needs escaping. */
const HELD = `our_status IN (${HELD_STATUSES.map((status) => `'${status}'`).join(', ')}) AND local_path IS NOT NULL`;

/** See `HeldCatalog`. */
export function createHeldStore({ db, clock }: { db: Db; clock: Clock }): HeldCatalog {
  const { sqlite } = db;
  const held = sqlite.prepare<
    [{ wiki: string | null; cycle: string | null }],
    Omit<HeldSummary, 'id'> & { id: number }
  >(
    `SELECT id, wiki_db_name AS wikiDbName, cycle_date AS cycleDate, filename, local_path AS localPath, size_bytes AS sizeBytes,
            verification, verified_at AS verifiedAt, damaged_at AS damagedAt
       FROM dumps WHERE ${HELD} AND (@wiki IS NULL OR wiki_db_name = @wiki) AND (@cycle IS NULL OR cycle_date = @cycle)
      ORDER BY wiki_db_name, run_date, filename`,
  );
  const sound = sqlite.prepare<[{ id: number; sha1: string; now: number; mtime: number }]>(
    `UPDATE dumps SET verified_at = @now, stored_mtime_ms = @mtime, damaged_at = NULL WHERE id = @id AND sha1 = @sha1 AND ${HELD}`,
  );
  const damaged = sqlite.prepare<[{ id: number; sha1: string; now: number }]>(
    `UPDATE dumps SET damaged_at = @now WHERE id = @id AND sha1 = @sha1 AND damaged_at IS NULL AND ${HELD}`,
  );
  const keepPieces = sqlite.prepare<[number, number, Buffer]>(
    `INSERT INTO dump_piece_hashes (dump_id, piece_length, sha1s) VALUES (?, ?, ?)
      ON CONFLICT (dump_id) DO UPDATE SET piece_length = excluded.piece_length, sha1s = excluded.sha1s`,
  );
  // Two questions, each answered by its part of the index: with OR, SQLite would read all of it when nothing is due.
  const dueRows = (when: string) =>
    `SELECT id, size_bytes AS sizeBytes FROM dumps INDEXED BY idx_dumps_scrub
      WHERE ${when} AND damaged_at IS NULL AND ${HELD} ORDER BY verified_at, id LIMIT @limit`;
  type Due = { id: number; sizeBytes: number };
  const neverRead = sqlite.prepare<[{ limit: number }], Due>(dueRows('verified_at IS NULL'));
  const readBefore = sqlite.prepare<[{ limit: number; before: number }], Due>(
    dueRows('verified_at < @before'),
  );
  const bad = sqlite.prepare<[], { id: number; wikiDbName: string; filename: string }>(
    `SELECT id, wiki_db_name AS wikiDbName, filename FROM dumps INDEXED BY idx_dumps_damaged
      WHERE damaged_at IS NOT NULL AND ${HELD} ORDER BY damaged_at, id`,
  );
  // What was unpacked from a file are other bytes.
  const names = sqlite.prepare<[number], NameInTorrent>(
    `SELECT t.name AS torrent, t.content_path AS contentPath, coalesce(t.info_name, t.name) AS infoName,
            f.path_in_torrent AS pathInTorrent, t.info_hash AS infoHash
       FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
      WHERE f.dump_id = ? AND t.retired_at IS NULL AND t.is_uncompressed = 0 ORDER BY t.id`,
  );
  const carriers = sqlite.prepare<[number], ReturnType<HeldCatalog['torrentsWith']>[number]>(
    `SELECT t.name AS torrent, f.path_in_torrent AS pathInTorrent, t.info_hash AS infoHash, t.torrent_file_path AS torrentFilePath
       FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id WHERE f.dump_id = ? AND t.is_uncompressed = 0 ORDER BY t.retired_at IS NOT NULL, t.id`,
  );
  // By the wiki, as every name of a dump begins with it: a torrent has hundreds of thousands of paths, and no index for them.
  const named = sqlite
    .prepare<[{ wiki: string; filename: string; infoHash: string; path: string }], number>(
      `SELECT d.id FROM dumps d CROSS JOIN torrent_files f ON f.dump_id = d.id CROSS JOIN torrents t ON t.id = f.torrent_id
        WHERE d.wiki_db_name = @wiki AND d.filename = @filename AND t.info_hash = @infoHash AND f.path_in_torrent = @path
          AND t.is_uncompressed = 0 LIMIT 1`,
    )
    .pluck();
  return {
    heldFiles: ({ wikiDbName = null, cycleDate = null }) =>
      held
        .all({ wiki: wikiDbName, cycle: cycleDate })
        .map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    recordSound: (id, { sha1, storedMtimeMs, pieceHashes = null }) =>
      db.transaction(() => {
        if (sound.run({ id, sha1, now: clock.now(), mtime: storedMtimeMs }).changes === 0) return false;
        if (pieceHashes !== null) keepPieces.run(id, pieceHashes.pieceLength, pieceHashes.sha1s);
        return true;
      }),
    recordDamaged: (id, { sha1 }) => damaged.run({ id, sha1, now: clock.now() }).changes > 0,
    filesToScrub(before, limit) {
      const first = neverRead.all({ limit });
      const rest = first.length < limit ? readBefore.all({ before, limit: limit - first.length }) : [];
      return [...first, ...rest].map(({ id, sizeBytes }) => ({ id: DumpFileId.parse(id), sizeBytes }));
    },
    damagedFiles: () => bad.all().map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    // Those of a wiki's run lie where the file lies anyway.
    otherNames: (id) => names.all(id).filter(({ contentPath }) => contentPath !== 'dumps'),
    namesInTorrents: (id) => names.all(id),
    torrentsWith: (id) => carriers.all(id),
    fileInTorrent(infoHash, path) {
      const filename = path.slice(path.lastIndexOf('/') + 1);
      const wiki = filename.split('-')[0] ?? '';
      const id = named.get({ wiki, filename, infoHash, path });
      return id === undefined ? null : DumpFileId.parse(id);
    },
  };
}
