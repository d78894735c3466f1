import { type Db, STATE_KEYS } from '../db/index.ts';

/** Counts what the catalog learns that is told in the manifest. */
export interface Changes {
  /** Grows with each such fact, in the transaction that writes it; says nothing across restarts. */
  count(): number;
}

/** Columns the manifest is made from, see building/snapshot.ts; and `webseeds`, which are in the .torrent file. */
const TORRENT_COLUMNS = [
  ...['name', 'info_name', 'info_hash', 'magnet_link', 'webseeds', 'cycle_date', 'grouping', 'scope', 'part'],
  ...['is_uncompressed', 'supplement', 'total_size_bytes', 'retired_at', 'created_at'],
];
const FILE_COLUMNS = ['torrent_id', 'dump_id', 'path_in_torrent', 'size_bytes', 'md5', 'sha1', 'sha256'];
const DUMP_COLUMNS = [
  ...['project', 'language', 'dump_type', 'filename', 'md5', 'sha1', 'sha256', 'wikimedia_url', 'ia_url'],
  'uploaded_at',
];

const differ = (columns: readonly string[]): string =>
  columns.map((column) => `OLD.${column} IS NOT NEW.${column}`).join(' OR ');
/** A torrent whose files are being written down is not told of before its mark is taken away. */
const counts = (row: 'OLD' | 'NEW'): string =>
  `NOT EXISTS (SELECT 1 FROM main.system_state WHERE key = '${STATE_KEYS.recording}' || ${row}.torrent_id)`;
const isMark = `substr(OLD.key, 1, ${STATE_KEYS.recording.length}) = '${STATE_KEYS.recording}'`;

/** What counts, by the statement that does it. That an upload was seen again says nothing new: only whether it was ever seen. */
const WATCHED: readonly [event: string, when: string][] = [
  ['INSERT ON main.torrents', 'TRUE'],
  ['DELETE ON main.torrents', 'TRUE'],
  [`UPDATE OF ${TORRENT_COLUMNS} ON main.torrents`, differ(TORRENT_COLUMNS)],
  ['INSERT ON main.torrent_files', counts('NEW')],
  ['DELETE ON main.torrent_files', counts('OLD')],
  [`UPDATE OF ${FILE_COLUMNS} ON main.torrent_files`, `(${differ(FILE_COLUMNS)}) AND ${counts('NEW')}`],
  ['DELETE ON main.system_state', isMark],
  [
    `UPDATE OF ${DUMP_COLUMNS}, ia_verified_at ON main.dumps`,
    `(${differ(DUMP_COLUMNS)} OR (OLD.ia_verified_at IS NULL) <> (NEW.ia_verified_at IS NULL))
      AND EXISTS (SELECT 1 FROM main.torrent_files f WHERE f.dump_id = NEW.id)`,
  ],
];

/**
 * Watches the tables themselves from its first question on, whichever room writes: by triggers of this connection, which is the only one
 * that writes what is told while a daemon runs. They leave nothing in the database. Comparing the facts instead would take seconds,
 * inside a transaction.
 */
export function createChanges({ db }: { db: Pick<Db, 'sqlite'> }): Changes {
  const watch = (): (() => number) => {
    const triggers = WATCHED.map(
      ([event, when], index) => `CREATE TEMP TRIGGER IF NOT EXISTS manifest_change_${index} AFTER ${event}
        WHEN ${when} BEGIN UPDATE manifest_changes SET count = count + 1; END;`,
    );
    db.sqlite.exec(`CREATE TEMP TABLE IF NOT EXISTS manifest_changes (count INTEGER NOT NULL);
      INSERT INTO temp.manifest_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM temp.manifest_changes);
      ${triggers.join('\n')}`);
    const read = db.sqlite.prepare<[], number>('SELECT count FROM temp.manifest_changes').pluck();
    return () => read.get() as number;
  };
  let count: (() => number) | null = null;
  return {
    count() {
      count ??= watch();
      return count();
    },
  };
}
