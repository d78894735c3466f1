import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Db } from '../../db/index.ts';

/** A torrent to be counted. */
export interface CountedTorrent {
  id: number;
  infoHash: string;
  trackers: string[];
  isSeeded: boolean;
}

/** One row of `torrent_stats`; null = unknown, never zero. */
export interface StatRow {
  torrentId: number;
  /** Besides us. */
  seeders: number | null;
  leechers: number | null;
  completed: number | null;
  /** All we ever gave of it. */
  uploadedBytes: number | null;
  source: string;
}

/** `torrent_stats`, and the torrents that are counted. */
export interface StatsStore {
  /** Not retired, in parts between other work. */
  torrents(): Promise<CountedTorrent[]>;
  /** The newest row of a torrent; null = there is none. */
  newest(torrentId: number): Omit<StatRow, 'torrentId' | 'source'> | null;
  /** Writes one look, in parts between other work. */
  write(rows: readonly StatRow[], recordedAt: number): Promise<void>;
}

/** Some milliseconds each. */
const READ_ROWS = 500;
const WRITE_ROWS = 250;

/** See `StatsStore`. */
export function createStatsStore(db: Db): StatsStore {
  const part = db.sqlite.prepare<
    [number, number],
    { id: number; infoHash: string; trackers: string; isSeeded: 0 | 1 }
  >(
    `SELECT id, info_hash AS infoHash, trackers, seeding_since IS NOT NULL AS isSeeded FROM torrents
      WHERE id > ? AND retired_at IS NULL ORDER BY id LIMIT ?`,
  );
  const newest = db.sqlite.prepare<[number], Omit<StatRow, 'torrentId' | 'source'>>(
    `SELECT seeders, leechers, completed, uploaded_bytes AS uploadedBytes FROM torrent_stats
      WHERE torrent_id = ? ORDER BY recorded_at DESC, id DESC LIMIT 1`,
  );
  // A torrent may be gone by now.
  const insert = db.sqlite.prepare<[StatRow & { recordedAt: number }]>(
    `INSERT INTO torrent_stats (torrent_id, seeders, leechers, completed, uploaded_bytes, source, recorded_at)
     SELECT id, @seeders, @leechers, @completed, @uploadedBytes, @source, @recordedAt FROM torrents WHERE id = @torrentId`,
  );
  return {
    async torrents() {
      const found: CountedTorrent[] = [];
      for (let after = 0; ; await nextTurn()) {
        const rows = part.all(after, READ_ROWS);
        for (const { trackers, isSeeded, ...row } of rows)
          found.push({ ...row, trackers: JSON.parse(trackers) as string[], isSeeded: isSeeded === 1 });
        after = rows.at(-1)?.id ?? after;
        if (rows.length < READ_ROWS) return found;
      }
    },
    newest: (torrentId) => newest.get(torrentId) ?? null,
    async write(rows, recordedAt) {
      for (let from = 0; from < rows.length; from += WRITE_ROWS) {
        if (from > 0) await nextTurn();
        db.transaction(() => {
          for (const row of rows.slice(from, from + WRITE_ROWS)) insert.run({ ...row, recordedAt });
        });
      }
    },
  };
}
