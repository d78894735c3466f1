import { and, eq, notInArray } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { TorrentId } from '../lib/index.ts';
import type { ArchivedFile } from './candidates.ts';
import type { WebseedRow } from './verdict.ts';

/** A torrent with the times of looks at its roots, in epoch ms. */
export interface WatchedTorrent {
  id: TorrentId;
  /** Others have it, and we do not. */
  isRetired: boolean;
  /** The last one; 0 = none. */
  checkedAt: number;
  /** The last one at a root of which nobody knows whether it works; null = there is none such. */
  doubtfulAt: number | null;
}

/** The table `torrent_webseeds`, and what the room reads beside it. */
export interface WebseedStore {
  /** Everything known of a torrent's roots, in the order in which they were first seen. */
  rowsOf(torrentId: TorrentId): WebseedRow[];
  /** These are its roots from now on; whatever else was known is forgotten. */
  save(torrentId: TorrentId, rows: readonly WebseedRow[]): void;
  /** Where the archive has its files, by path. */
  archivedFiles(torrentId: TorrentId): ArchivedFile[];
  /** Every torrent. */
  watched(): WatchedTorrent[];
  /** Roots that work no more, of torrents that were retired since then, epoch ms. */
  deadOfRetired(since: number): { torrentId: TorrentId; url: string }[];
}

/** See `WebseedStore`. */
export function createWebseedStore({ db }: { db: Db }): WebseedStore {
  const { torrentWebseeds } = schema;
  const archived = db.sqlite.prepare<[number], ArchivedFile>(
    `SELECT f.path_in_torrent AS pathInTorrent, d.ia_identifier AS iaIdentifier, d.ia_url AS iaUrl, d.ia_verified_at AS iaVerifiedAt
       FROM torrent_files f JOIN dumps d ON d.id = f.dump_id WHERE f.torrent_id = ?`,
  );
  const watched = db.sqlite.prepare<[], Omit<WatchedTorrent, 'isRetired'> & { isRetired: 0 | 1 }>(
    `SELECT t.id, t.retired_at IS NOT NULL AS isRetired, coalesce(max(w.checked_at), 0) AS checkedAt,
            min(CASE WHEN w.state = 'unproved' OR (w.state = 'working' AND w.failing_since IS NOT NULL) THEN w.checked_at END) AS doubtfulAt
       FROM torrents t LEFT JOIN torrent_webseeds w ON w.torrent_id = t.id GROUP BY t.id`,
  );
  const deadOfRetired = db.sqlite.prepare<[number], { torrentId: number; url: string }>(
    `SELECT t.id AS torrentId, w.url FROM torrents t CROSS JOIN torrent_webseeds w ON w.torrent_id = t.id
      WHERE t.retired_at >= ? AND w.state = 'dead'`,
  );
  return {
    rowsOf: (torrentId) =>
      db.orm
        .select()
        .from(torrentWebseeds)
        .where(eq(torrentWebseeds.torrentId, torrentId))
        .orderBy(torrentWebseeds.id)
        .all()
        .map(({ id: _id, torrentId: _torrentId, ...row }) => row as WebseedRow),
    save(torrentId, rows) {
      db.transaction(() => {
        const urls = rows.map(({ url }) => url);
        db.orm
          .delete(torrentWebseeds)
          .where(and(eq(torrentWebseeds.torrentId, torrentId), notInArray(torrentWebseeds.url, urls)))
          .run();
        for (const { url, ...facts } of rows)
          db.orm
            .insert(torrentWebseeds)
            .values({ torrentId, url, ...facts })
            .onConflictDoUpdate({ target: [torrentWebseeds.torrentId, torrentWebseeds.url], set: facts })
            .run();
      });
    },
    archivedFiles: (torrentId) => archived.all(torrentId),
    watched: () =>
      watched.all().map((row) => ({ ...row, id: TorrentId.parse(row.id), isRetired: row.isRetired === 1 })),
    deadOfRetired: (since) =>
      deadOfRetired.all(since).map((row) => ({ ...row, torrentId: TorrentId.parse(row.torrentId) })),
  };
}
