import { and, asc, desc, eq, sql } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { assert, DumpFileId, TorrentId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import { columnsOf } from './torrent-candidates.ts';
import { IS_BEING_RECORDED } from './torrent-recorder.ts';
import type { DumpFile, Replacement, SourceName, Torrent, TorrentGap, Verification } from './types.ts';

const { torrents, torrentFiles, torrentGaps, dumps } = schema;

/** What is being written down is no torrent yet. */
const isRecorded = sql.raw(`NOT ${IS_BEING_RECORDED.replace('t.id', 'torrents.id')}`);

type TorrentStore = Pick<
  Catalog,
  | 'torrent'
  | 'torrentsOfCycle'
  | 'torrents'
  | 'torrentByInfoHash'
  | 'torrentsToMakeAgain'
  | 'torrentFiles'
  | 'torrentGaps'
  | 'carriedFiles'
  | 'replacements'
  | 'markSeeding'
  | 'markPublished'
  | 'recordWebseeds'
>;

function fromRow(row: typeof torrents.$inferSelect | undefined): Torrent | null {
  if (row === undefined) return null;
  return {
    ...row,
    id: TorrentId.parse(row.id),
    infoName: row.infoName ?? row.name,
    grouping: row.grouping as Torrent['grouping'],
    source: row.source as SourceName | null,
    trackers: JSON.parse(row.trackers) as string[],
    webseeds: JSON.parse(row.webseeds) as string[],
  };
}

interface ReplacementRow {
  dumpId: number;
  kind: string;
  sizeBytes: number | null;
  md5: string | null;
  sha1: string | null;
  sha256: string | null;
}

/** Everything on `torrents`, `torrent_files` and `torrent_gaps` but their writing (torrent-recorder.ts), and whatever else is asked of a whole cycle to make them. */
export function createTorrentStore({ db, clock }: { db: Db; clock: Clock }): TorrentStore {
  // Recording a torrent makes its files `included`; fetching one again makes it `downloaded`.
  const fetchedAgain = db.sqlite
    .prepare<[string], number>(
      `SELECT t.id FROM torrents t WHERE t.cycle_date = ? AND t.retired_at IS NULL AND NOT ${IS_BEING_RECORDED}
          AND EXISTS (SELECT 1 FROM torrent_files f JOIN dumps d ON d.id = f.dump_id
                       WHERE f.torrent_id = t.id AND d.our_status IN ('downloaded', 'uploading', 'uploaded'))
          AND NOT EXISTS (SELECT 1 FROM torrent_files f JOIN dumps d ON d.id = f.dump_id
                           WHERE f.torrent_id = t.id AND d.our_status IN ('pending', 'downloading'))
        ORDER BY t.name`,
    )
    .pluck();
  // Plain statements: there are tens of thousands of files in a cycle.
  const carried = db.sqlite.prepare<
    [{ cycleDate: string } & ReturnType<typeof columnsOf>],
    { dumpId: number; torrentId: number }
  >(
    `SELECT f.dump_id AS dumpId, t.id AS torrentId FROM torrents t JOIN torrent_files f ON f.torrent_id = t.id
      WHERE NOT ${IS_BEING_RECORDED} AND t.cycle_date = @cycleDate AND t.grouping = @grouping AND t.is_history = @isHistory
        AND t.is_uncompressed = @isUncompressed AND t.scope IS @scope AND t.source IS @source AND t.run_date IS @runDate
      ORDER BY t.supplement DESC, t.part DESC`,
  );
  const replaced = db.sqlite.prepare<[string], ReplacementRow>(
    `SELECT r.dump_id AS dumpId, r.kind, r.size_bytes AS sizeBytes, r.md5, r.sha1, r.sha256
       FROM dump_replacements r JOIN dumps d ON d.id = r.dump_id WHERE d.cycle_date = ?`,
  );

  return {
    torrentsToMakeAgain: (cycleDate) =>
      fetchedAgain
        .all(cycleDate)
        .map((id) => fromRow(db.orm.select().from(torrents).where(eq(torrents.id, id)).get()) as Torrent),
    torrent: (id) => fromRow(db.orm.select().from(torrents).where(eq(torrents.id, id)).get()),
    torrentsOfCycle: (cycleDate) =>
      db.orm
        .select()
        .from(torrents)
        .where(and(eq(torrents.cycleDate, cycleDate), isRecorded))
        .orderBy(asc(torrents.name))
        .all()
        .map((row) => fromRow(row) as Torrent),
    torrents: () =>
      db.orm
        .select()
        .from(torrents)
        .where(isRecorded)
        .orderBy(desc(torrents.cycleDate), asc(torrents.name))
        .all()
        .map((row) => fromRow(row) as Torrent),
    torrentByInfoHash: (infoHash) =>
      fromRow(
        db.orm
          .select()
          .from(torrents)
          .where(and(eq(torrents.infoHash, infoHash), isRecorded))
          .get(),
      ),
    torrentFiles: (id) =>
      db.orm
        .select()
        .from(torrentFiles)
        .innerJoin(dumps, eq(dumps.id, torrentFiles.dumpId))
        .where(eq(torrentFiles.torrentId, id))
        .orderBy(asc(torrentFiles.pathInTorrent))
        .all()
        .map((row) => ({
          dump: row.dumps as unknown as DumpFile,
          pathInTorrent: row.torrent_files.pathInTorrent,
          sizeBytes: row.torrent_files.sizeBytes,
          verification: row.torrent_files.verification as Verification | null,
          unpacked: unpackedOf(row.torrent_files),
        })),
    // The oldest torrent comes last and stays.
    carriedFiles: (cycleDate, kind) =>
      new Map(
        carried
          .all({ cycleDate, ...columnsOf(kind) })
          .map(({ dumpId, torrentId }) => [DumpFileId.parse(dumpId), TorrentId.parse(torrentId)]),
      ),
    replacements: (cycleDate) =>
      new Map(replaced.all(cycleDate).map((row) => [DumpFileId.parse(row.dumpId), fromReplacement(row)])),
    torrentGaps: (id) =>
      db.orm
        .select()
        .from(torrentGaps)
        .where(eq(torrentGaps.torrentId, id))
        .orderBy(asc(torrentGaps.id))
        .all()
        .map(({ id: _id, torrentId: _torrentId, ...gap }) => gap as TorrentGap),
    markSeeding: (id) => {
      db.orm.update(torrents).set({ seedingSince: clock.now() }).where(eq(torrents.id, id)).run();
    },
    recordWebseeds: (id, facts) => {
      const webseeds = JSON.stringify(facts.webseeds);
      db.orm
        .update(torrents)
        .set({ webseeds, magnetLink: facts.magnetLink })
        .where(eq(torrents.id, id))
        .run();
    },
    markPublished: (id, torrentUrl) => {
      db.orm.update(torrents).set({ publishedAt: clock.now(), torrentUrl }).where(eq(torrents.id, id)).run();
    },
  };
}

/** A torrent that carries the file as it is has no hashes of its own for it. */
function unpackedOf({
  md5,
  sha1,
  sha256,
}: Pick<typeof torrentFiles.$inferSelect, 'md5' | 'sha1' | 'sha256'>) {
  return sha1 === null ? null : { md5, sha1, sha256 };
}

function fromReplacement({ dumpId, kind, sizeBytes, md5, sha1, sha256 }: ReplacementRow): Replacement {
  if (kind === 'withdrawn') return { kind: 'withdrawn' };
  assert(sizeBytes !== null, `the replacement of dump file ${dumpId} has no size`);
  const hashes = {
    ...(md5 === null ? {} : { md5 }),
    ...(sha1 === null ? {} : { sha1 }),
    ...(sha256 === null ? {} : { sha256 }),
  };
  return { kind: 'replaced', sizeBytes, hashes };
}
