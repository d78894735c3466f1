import type { FileFacts } from '../ports/index.ts';
import { fileOfTorrent, type Layout } from '../storage/index.ts';
import type { Connection } from './read-files.ts';

/** A torrent of unpacked files, which may go at any time: they can be unpacked again, so nobody loses a byte by it. */
export interface UnpackedTorrent {
  torrentId: number;
  name: string;
  cycleDate: string;
  files: number;
  /** What its removal frees. */
  sizeBytes: number;
  action: 'keep' | 'remove';
  reason: string;
}

interface Row {
  torrentId: number;
  name: string;
  contentPath: string;
  infoName: string;
  cycleDate: string;
  isBusy: 0 | 1;
}

/** SQL: a torrent of the cycle of the torrent `t` is being made. */
const IS_BUSY = `EXISTS (SELECT 1 FROM jobs j WHERE j.completed_at IS NULL AND j.job_type = 'create_torrent' AND j.cycle_date = t.cycle_date)`;

/**
 * Unpacked files go before any dump file, oldest cycle first, torrent by torrent, until enough bytes are free.
 * @param deps.stat looks at one name, without waiting; null = nothing is there
 * @param beforeBytes go before any of them
 */
export function planUnpacked(
  deps: { sqlite: Connection; layout: Pick<Layout, 'absolute'>; stat: (path: string) => FileFacts | null },
  neededBytes: number,
  beforeBytes = 0,
): UnpackedTorrent[] {
  const rows = deps.sqlite
    .prepare<[], Row>(
      `SELECT t.id AS torrentId, t.name, t.content_path AS contentPath, coalesce(t.info_name, t.name) AS infoName,
              t.cycle_date AS cycleDate, ${IS_BUSY} AS isBusy
         FROM torrents t WHERE t.is_uncompressed = 1 AND t.retired_at IS NULL ORDER BY t.cycle_date, t.name`,
    )
    .all();
  const paths = deps.sqlite
    .prepare<[number], string>(
      'SELECT path_in_torrent FROM torrent_files WHERE torrent_id = ? AND sha1 IS NOT NULL',
    )
    .pluck();
  let plannedBytes = beforeBytes;
  return rows.map(({ torrentId, name, cycleDate, isBusy, ...place }) => {
    let [files, sizeBytes] = [0, 0];
    for (const path of paths.all(torrentId)) {
      const facts = deps.stat(fileOfTorrent(deps.layout, place, path));
      // With another name elsewhere nothing would be freed.
      if (facts?.isFile !== true || facts.linkCount > 1) continue;
      files += 1;
      sizeBytes += facts.sizeBytes;
    }
    const item = { torrentId, name, cycleDate, files, sizeBytes };
    const kept = (reason: string): UnpackedTorrent => ({ ...item, action: 'keep', reason });
    if (sizeBytes === 0) return kept('nothing of it is on disk');
    if (isBusy === 1) return kept(`a torrent of its cycle ${cycleDate} is being made`);
    if (plannedBytes >= neededBytes)
      return kept(neededBytes <= 0 ? 'no room is needed; else it would go first' : 'enough goes before it');
    plannedBytes += sizeBytes;
    return { ...item, action: 'remove', reason: 'unpacked files: they can be unpacked again from the dumps' };
  });
}

/** Whether a job is at the folders of a torrent's cycle now; ask inside the transaction that retires it. */
export function isUnpackedBusy(sqlite: Connection, torrentId: number): boolean {
  return (
    sqlite
      .prepare<[number], 0 | 1>(`SELECT ${IS_BUSY} FROM torrents t WHERE t.id = ?`)
      .pluck()
      .get(torrentId) !== 0
  );
}
