import type { CheckDeps } from './check-files.ts';
import { lookAt, Unreadable } from './read-file.ts';
import type { RebuildReport } from './report.ts';

interface Tombstone {
  id: number;
  dumpId: number;
  path: string;
  deletedAt: number;
}

/** Where a file lies, by its row. */
const PLACE = `'dumps/' || d.wiki_db_name || '/' || d.run_date || iif(d.source = 'content_history', '-history', '') || '/' || d.filename`;

/**
 * What was deleted to make room stays deleted, also when the record of the file is older than its deletion or is gone and the row was
 * made from a torrent: else it would be fetched again, and its torrent be made again. Bytes that are there all the same are
 * what counts.
 */
export async function applyTombstones(
  deps: Pick<CheckDeps, 'db' | 'disk' | 'layout' | 'signal'>,
  report: RebuildReport,
): Promise<void> {
  const { sqlite } = deps.db;
  // Named by its place, which says wiki, run and name; the row may be younger than the tombstone.
  const adopted = sqlite
    .prepare(
      `UPDATE deletions SET dump_id = (SELECT d.id FROM dumps d WHERE d.wiki_db_name = deletions.wiki_db_name
          AND deletions.path = ${PLACE})
        WHERE dump_id IS NULL`,
    )
    .run().changes;
  const done = sqlite
    .prepare<[], Tombstone>(
      `SELECT max(x.id) AS id, x.dump_id AS dumpId, x.path, max(x.deleted_at) AS deletedAt
         FROM deletions x JOIN dumps d ON d.id = x.dump_id
        WHERE x.removed_at IS NOT NULL AND d.our_status <> 'deleted' AND x.path = ${PLACE} GROUP BY x.dump_id`,
    )
    .all();
  const bury = sqlite.prepare<[number]>(
    `UPDATE dumps SET our_status = 'deleted', local_path = NULL, error_message = NULL WHERE id = ?`,
  );
  let count = 0;
  for (const { dumpId, path } of done) {
    deps.signal.throwIfAborted();
    const found = await lookAt(deps.disk, deps.layout.absolute(path));
    // Whatever lies there is judged as any held file is.
    if (found !== null && !(found instanceof Unreadable)) continue;
    bury.run(dumpId);
    count += 1;
  }
  const retired = sqlite
    .prepare(
      `UPDATE torrents SET retired_at = (SELECT max(x.deleted_at) FROM torrent_files f JOIN deletions x ON x.dump_id = f.dump_id
                                          WHERE f.torrent_id = torrents.id)
        WHERE retired_at IS NULL AND id IN (SELECT f.torrent_id FROM torrent_files f JOIN dumps d ON d.id = f.dump_id
                                              JOIN deletions x ON x.dump_id = d.id WHERE d.our_status = 'deleted')`,
    )
    .run().changes;
  if (adopted + count + retired > 0)
    report.notes.push(
      `${count} files were deleted to make room after their records were written, and stay deleted; ${retired} torrents that carried them stay retired`,
    );
}
