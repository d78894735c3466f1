import { type Db, STATE_KEYS } from '../db/index.ts';
import type { TorrentId } from '../lib/index.ts';

/** What publishing wants to know of a torrent before it reads its file. */
export interface ListedTorrent {
  id: TorrentId;
  name: string;
  infoHash: string;
  /** Relative to the data directory. */
  torrentFilePath: string;
  /** Epoch ms; null = never. */
  publishedAt: number | null;
  torrentUrl: string | null;
}

/**
 * Lists all torrents, newest cycle first, without those whose files are being written down. A plain statement of few columns: there are
 * thousands of torrents in a year of cycles, and this is one turn.
 */
export function createTorrentList({ db }: { db: Pick<Db, 'sqlite'> }): () => ListedTorrent[] {
  const list = db.sqlite.prepare<[], ListedTorrent>(
    `SELECT id, name, info_hash AS infoHash, torrent_file_path AS torrentFilePath, published_at AS publishedAt,
       torrent_url AS torrentUrl
      FROM torrents t WHERE NOT EXISTS (SELECT 1 FROM system_state s WHERE s.key = '${STATE_KEYS.recording}' || t.id)
      ORDER BY cycle_date DESC, name`,
  );
  return () => list.all();
}
