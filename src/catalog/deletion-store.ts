import type { Db } from '../db/index.ts';
import { DumpFileId, TorrentId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import { type DumpStatus, HELD_STATUSES, SOURCE_NAMES } from './types.ts';

/** A file that is to be deleted, with what allowed it. */
export interface DeletionFacts {
  dumpId: DumpFileId;
  /** In the words of an operator. */
  reason: string;
  /** JSON-safe. */
  evidence: object;
}

/** A deletion that was decided and not recorded as done. */
export interface OpenDeletion {
  id: number;
  /** null: its row is gone. */
  dumpId: DumpFileId | null;
  wikiDbName: string;
  /** Relative to the data directory. */
  path: string;
  sizeBytes: number;
  /** State of the row now. */
  ourStatus: DumpStatus | null;
}

/** A deletion that was decided just now. `path`: relative to the data directory. */
export type BegunDeletion = Pick<OpenDeletion, 'id' | 'path'> & { dumpId: DumpFileId };

/** One tombstone, for lists. */
export interface Deletion {
  id: number;
  wikiDbName: string;
  path: string;
  sizeBytes: number;
  reason: string;
  evidence: string;
  deletedAt: number;
  removedAt: number | null;
}

/** A file whose copy at the archive was believed in. */
export interface ArchivedFile {
  id: DumpFileId;
  wikiDbName: string;
  runDate: string;
  filename: string;
  sizeBytes: number;
  md5: string | null;
  sha1: string | null;
  isHeld: boolean;
  cycleDate: string;
}

/** The part of the catalog that is about deleting, and about copies at the archive that are looked at again. */
export interface Deletions {
  /**
   * Decides deletions: a tombstone for each file that is held, the file counts as deleted from here on, and every torrent that
   * carries it is retired. Its bytes are removed by the caller, once this is committed; `local_path` stays until then.
   */
  beginDeletions(files: readonly DeletionFacts[]): { begun: BegunDeletion[]; retired: TorrentId[] };
  /**
   * A torrent of unpacked files is retired for the room they take. No tombstones: no dump file goes, and what was unpacked can
   * be unpacked again. @returns false when it is retired already, or carries no unpacked files
   */
  retireUnpacked(id: TorrentId): boolean;
  /** The last name of a file is gone. */
  finishDeletion(id: number): void;
  /** It is not carried out: the file has its earlier state again. @returns torrents that lack nothing any more and are retired no more */
  takeBackDeletion(id: number): TorrentId[];
  /** Decided and not recorded as done, oldest first. */
  openDeletions(): OpenDeletion[];
  /** Tombstones, newest first. */
  deletions(filter: { wikiDbName?: string | null; limit: number }): Deletion[];
  /** Files of a run that an item of the Internet Archive was last seen to have. */
  archivedFiles(item: { iaIdentifier: string; wikiDbName: string; runDate: string }): ArchivedFile[];
  /** The archive's metadata agrees again. */
  recordRemoteProof(id: DumpFileId): void;
  /** The archive does not have what it had: it is to be uploaded again. @returns false when nobody believed it any more */
  recordRemoteLie(id: DumpFileId, message: string): boolean;
}

/** For SQL; the words are ours, so nothing needs escaping. */
const HELD_LIST = HELD_STATUSES.map((status) => `'${status}'`).join(', ');
/** Named one by one, the run is found by its index. */
const SOURCES = SOURCE_NAMES.map((source) => `'${source}'`).join(', ');

/** Everything on `deletions`, and what a deletion does to files and torrents. */
export function createDeletionStore({ db, clock }: { db: Db; clock: Clock }): Deletions {
  const { sqlite } = db;
  const bury = sqlite.prepare<[Record<string, unknown>], { id: number; path: string }>(
    `INSERT INTO deletions (dump_id, wiki_db_name, path, size_bytes, sha256, reason, evidence, previous_status, deleted_at)
     SELECT id, wiki_db_name, local_path, size_bytes, sha256, @reason, @evidence, our_status, @now FROM dumps
      WHERE id = @dumpId AND our_status IN (${HELD_LIST}) AND local_path IS NOT NULL RETURNING id, path`,
  );
  const markDeleted = sqlite.prepare<[number]>(
    `UPDATE dumps SET our_status = 'deleted', error_message = NULL WHERE id = ?`,
  );
  const retire = sqlite
    .prepare<[number, number], number>(
      `UPDATE torrents SET retired_at = ? WHERE retired_at IS NULL
          AND id IN (SELECT torrent_id FROM torrent_files WHERE dump_id = ?) RETURNING id`,
    )
    .pluck();
  const retireOne = sqlite.prepare<[number, number]>(
    'UPDATE torrents SET retired_at = ? WHERE id = ? AND retired_at IS NULL AND is_uncompressed = 1',
  );
  // What was unpacked goes at once and for itself: it is not known any more whether it is there.
  const unretire = sqlite
    .prepare<[number], number>(
      `UPDATE torrents SET retired_at = NULL WHERE retired_at IS NOT NULL AND is_uncompressed = 0
          AND id IN (SELECT torrent_id FROM torrent_files WHERE dump_id = ?)
          AND NOT EXISTS (SELECT 1 FROM torrent_files f JOIN dumps d ON d.id = f.dump_id
                           WHERE f.torrent_id = torrents.id AND d.our_status = 'deleted') RETURNING id`,
    )
    .pluck();
  const open = sqlite.prepare<
    [],
    Omit<OpenDeletion, 'dumpId' | 'ourStatus'> & { dumpId: number | null; ourStatus: DumpStatus | null }
  >(
    `SELECT x.id, d.id AS dumpId, x.wiki_db_name AS wikiDbName, x.path, coalesce(d.size_bytes, x.size_bytes) AS sizeBytes, d.our_status AS ourStatus
       FROM deletions x LEFT JOIN dumps d ON d.id = x.dump_id WHERE x.removed_at IS NULL ORDER BY x.id`,
  );
  const finish = sqlite.prepare<[number, number]>(
    'UPDATE deletions SET removed_at = ? WHERE id = ? AND removed_at IS NULL',
  );
  // Bytes that came back under that name meanwhile are another matter.
  const forgetPath = sqlite.prepare<[number]>(
    `UPDATE dumps SET local_path = NULL, damaged_at = NULL, stored_mtime_ms = NULL WHERE our_status = 'deleted'
        AND id = (SELECT dump_id FROM deletions WHERE id = ?)`,
  );
  const forgetPieces = sqlite.prepare<[number]>(
    `DELETE FROM dump_piece_hashes WHERE dump_id = (SELECT d.id FROM deletions x JOIN dumps d ON d.id = x.dump_id
                                                     WHERE x.id = ? AND d.our_status = 'deleted')`,
  );
  const restore = sqlite
    .prepare<[{ id: number }], number>(
      `UPDATE dumps SET our_status = (SELECT previous_status FROM deletions WHERE id = @id)
        WHERE our_status = 'deleted' AND id = (SELECT dump_id FROM deletions WHERE id = @id)
          AND (SELECT previous_status FROM deletions WHERE id = @id) IS NOT NULL RETURNING id`,
    )
    .pluck();
  const exhume = sqlite.prepare<[number]>('DELETE FROM deletions WHERE id = ? AND removed_at IS NULL');
  const list = sqlite.prepare<[{ wiki: string | null; limit: number }], Deletion>(
    `SELECT id, wiki_db_name AS wikiDbName, path, size_bytes AS sizeBytes, reason, evidence, deleted_at AS deletedAt,
            removed_at AS removedAt
       FROM deletions WHERE @wiki IS NULL OR wiki_db_name = @wiki ORDER BY deleted_at DESC, id DESC LIMIT @limit`,
  );
  const archived = sqlite.prepare<
    [string, string, string],
    Omit<ArchivedFile, 'id' | 'isHeld'> & { id: number; isHeld: 0 | 1 }
  >(
    `SELECT id, wiki_db_name AS wikiDbName, run_date AS runDate, filename, size_bytes AS sizeBytes, md5, sha1,
            our_status IN (${HELD_LIST}) AS isHeld, cycle_date AS cycleDate
       FROM dumps WHERE wiki_db_name = ? AND source IN (${SOURCES}) AND run_date = ? AND ia_identifier = ?
        AND ia_verified_at IS NOT NULL ORDER BY filename`,
  );
  const prove = sqlite.prepare<[number, number]>(
    'UPDATE dumps SET ia_verified_at = ? WHERE id = ? AND ia_verified_at IS NOT NULL',
  );
  const lie = sqlite.prepare<[string, number]>(
    `UPDATE dumps SET ia_verified_at = NULL, ia_identifier = NULL, ia_url = NULL, ia_refused_at = NULL, error_message = ?,
            our_status = iif(our_status = 'uploaded', 'downloaded', our_status) WHERE id = ? AND ia_verified_at IS NOT NULL`,
  );

  return {
    beginDeletions: (files) =>
      db.transaction(() => {
        const now = clock.now();
        const torrents = new Set<number>();
        const begun: BegunDeletion[] = [];
        for (const { dumpId, reason, evidence } of files) {
          const row = bury.get({ dumpId, reason, evidence: JSON.stringify(evidence), now });
          if (row === undefined) continue;
          begun.push({ ...row, dumpId });
          markDeleted.run(dumpId);
          for (const id of retire.all(now, dumpId)) torrents.add(id);
        }
        return { begun, retired: [...torrents].map((id) => TorrentId.parse(id)) };
      }),
    retireUnpacked: (id) => retireOne.run(clock.now(), id).changes > 0,
    finishDeletion: (id) =>
      db.transaction(() => {
        forgetPath.run(id);
        forgetPieces.run(id);
        finish.run(clock.now(), id);
      }),
    takeBackDeletion: (id) =>
      db.transaction(() => {
        const dumpId = restore.get({ id });
        exhume.run(id);
        return dumpId === undefined ? [] : unretire.all(dumpId).map((torrent) => TorrentId.parse(torrent));
      }),
    openDeletions: () =>
      open
        .all()
        .map(({ dumpId, ...row }) => ({ ...row, dumpId: dumpId === null ? null : DumpFileId.parse(dumpId) })),
    deletions: ({ wikiDbName = null, limit }) => list.all({ wiki: wikiDbName, limit }),
    archivedFiles: ({ iaIdentifier, wikiDbName, runDate }) =>
      archived
        .all(wikiDbName, runDate, iaIdentifier)
        .map(({ id, isHeld, ...row }) => ({ ...row, id: DumpFileId.parse(id), isHeld: isHeld === 1 })),
    recordRemoteProof: (id) => void prove.run(clock.now(), id),
    recordRemoteLie: (id, message) => lie.run(message, id).changes > 0,
  };
}
