import { eq } from 'drizzle-orm';
import { createSystemState, type Db, STATE_KEYS, schema } from '../db/index.ts';
import { TorrentId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import type { TorrentFacts } from './types.ts';

const { torrents, torrentFiles } = schema;

/** Rows written in one transaction: some milliseconds. */
const ROWS_AT_ONCE = 250;

/** SQL: true of a torrent `t` that is being written down, and does not count yet. */
export const IS_BEING_RECORDED = `EXISTS (SELECT 1 FROM system_state s WHERE s.key = '${STATE_KEYS.recording}' || t.id)`;

/**
 * Writes torrents down. The 30,000 files of a cycle are half a second of writing, so they can be written before, a few at a time:
 * under the torrent's own row, which a mark in `system_state` keeps out of sight until the transaction that records it takes the
 * mark away. What a crash leaves under a mark is removed when the next torrent is written down.
 */
export function createTorrentRecorder({
  db,
  clock,
}: {
  db: Db;
  clock: Clock;
}): Pick<Catalog, 'prepareTorrent' | 'recordTorrent'> {
  const { sqlite } = db;
  const state = createSystemState(db);
  /** Prepared by this process: how its rows were found complete, by the list of files they were written from. */
  const prepared = new WeakMap<object, number>();
  /** Torrents that this process is about to record. */
  const underWay = new Set<number>();

  // A torrent that is made again carries what it carried: nothing is written then.
  const carry = sqlite.prepare<[Record<string, unknown>]>(
    `INSERT INTO torrent_files (torrent_id, dump_id, path_in_torrent, size_bytes, verification, md5, sha1, sha256)
     VALUES (@torrentId, @dumpId, @pathInTorrent, @sizeBytes, @verification, @md5, @sha1, @sha256)
     ON CONFLICT (torrent_id, dump_id) DO UPDATE SET path_in_torrent = excluded.path_in_torrent, size_bytes = excluded.size_bytes,
       verification = excluded.verification, md5 = excluded.md5, sha1 = excluded.sha1, sha256 = excluded.sha256
     WHERE path_in_torrent <> excluded.path_in_torrent OR size_bytes <> excluded.size_bytes
       OR verification IS NOT excluded.verification OR md5 IS NOT excluded.md5 OR sha1 IS NOT excluded.sha1
       OR sha256 IS NOT excluded.sha256`,
  );
  const include = sqlite.prepare<[number]>(
    `UPDATE dumps SET our_status = 'included' WHERE id = ? AND our_status IN ('downloaded', 'uploading', 'uploaded')`,
  );
  const lack = sqlite.prepare<[Record<string, unknown>]>(
    `INSERT INTO torrent_gaps (torrent_id, wiki_db_name, source, run_date, dump_type, filename, size_bytes, state, reason)
     VALUES (@torrentId, @wikiDbName, @source, @runDate, @dumpType, @filename, @sizeBytes, @state, @reason)`,
  );
  const idOf = sqlite
    .prepare<[string, string], number>('SELECT id FROM torrents WHERE name = ? AND cycle_date = ?')
    .pluck();
  const countFiles = sqlite
    .prepare<[number], number>('SELECT count(*) FROM torrent_files WHERE torrent_id = ?')
    .pluck();
  const hasGaps = sqlite
    .prepare<[number], 1>('SELECT 1 FROM torrent_gaps WHERE torrent_id = ? LIMIT 1')
    .pluck();
  const removeSome = (['torrent_files', 'torrent_gaps'] as const).map((table) =>
    sqlite.prepare<[number]>(
      `DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE torrent_id = ? LIMIT ${ROWS_AT_ONCE})`,
    ),
  );
  const removeRow = sqlite.prepare<[number]>('DELETE FROM torrents WHERE id = ?');
  const markOf = (id: number): string => `${STATE_KEYS.recording}${id}`;

  function writeRow({ files: _files, gaps: _gaps, trackers, webseeds, infoName, ...rest }: TorrentFacts) {
    const facts = { ...rest, infoName: infoName === rest.name ? null : infoName };
    const lists = { trackers: JSON.stringify(trackers), webseeds: JSON.stringify(webseeds) };
    return db.orm
      .insert(torrents)
      .values({ ...facts, ...lists, createdAt: clock.now() })
      .onConflictDoUpdate({ target: [torrents.name, torrents.cycleDate], set: { ...facts, ...lists } })
      .returning({ id: torrents.id })
      .get().id;
  }

  function writeFile(torrentId: number, file: TorrentFacts['files'][number]): void {
    const { md5 = null, sha1 = null, sha256 = null } = file;
    carry.run({ torrentId, ...file, md5, sha1, sha256 });
    include.run(file.dumpId);
  }

  function* inParts<Item>(items: readonly Item[], write: (item: Item) => void): Generator<void> {
    for (let from = 0; from < items.length; from += ROWS_AT_ONCE) {
      db.transaction(() => {
        for (const item of items.slice(from, from + ROWS_AT_ONCE)) write(item);
      });
      yield;
    }
  }

  /** What a crash or an error left; of this process, only what is not being written now. */
  function* removeAbandoned(): Generator<void> {
    for (const { key } of state.list(STATE_KEYS.recording)) {
      const id = Number(key.slice(STATE_KEYS.recording.length));
      if (underWay.has(id)) continue;
      for (const remove of removeSome) while (remove.run(id).changes > 0) yield;
      db.transaction(() => {
        removeRow.run(id);
        state.delete(key);
      });
      yield;
    }
  }

  return {
    *prepareTorrent(facts) {
      // An earlier try of the same torrent is over: its job runs once at a time.
      const earlier = idOf.get(facts.name, facts.cycleDate);
      if (earlier !== undefined) underWay.delete(earlier);
      yield* removeAbandoned();
      const { id, isNew } = db.transaction(() => {
        const known = idOf.get(facts.name, facts.cycleDate);
        if (known !== undefined) return { id: known, isNew: false };
        const made = writeRow(facts);
        state.set(markOf(made), facts.name, clock.now());
        return { id: made, isNew: true };
      });
      underWay.add(id);
      yield;
      yield* inParts(facts.files, (file) => writeFile(id, file));
      if (isNew) yield* inParts(facts.gaps, (gap) => lack.run({ torrentId: id, ...gap }));
      prepared.set(facts.files, id);
    },

    recordTorrent: (facts) =>
      db.transaction(() => {
        const id = writeRow(facts);
        state.delete(markOf(id));
        db.afterCommit(() => underWay.delete(id));
        const isWritten = prepared.get(facts.files) === id && countFiles.get(id) === facts.files.length;
        if (!isWritten) {
          db.orm.delete(torrentFiles).where(eq(torrentFiles.torrentId, id)).run();
          for (const file of facts.files) writeFile(id, file);
        }
        // Written once, when the torrent is made: making it again changes nothing of what it said.
        if (hasGaps.get(id) === undefined) for (const gap of facts.gaps) lack.run({ torrentId: id, ...gap });
        return TorrentId.parse(id);
      }),
  };
}
