import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { assert, DumpFileId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import { hasContainerSql } from './checkable.ts';
import {
  type DownloadFacts,
  type DumpFile,
  type DumpStatus,
  HELD_STATUSES,
  type UpstreamHashes,
  type WantedFile,
} from './types.ts';
import { FAILED_REST_MS, LATE_MS, NEXT_BEST_MS, QUARANTINE_REST_MS, UNPROVABLE_MS } from './windows.ts';

const { dumps, dumpPieceHashes, dumpReplacements } = schema;

type DumpStore = Pick<
  Catalog,
  | 'dumpFile'
  | 'dumpFiles'
  | 'pieceHashes'
  | 'markDownloading'
  | 'recordDownloaded'
  | 'replacement'
  | 'recordReplaced'
  | 'mayGoWithoutHash'
  | 'takesNextBest'
  | 'fileStates'
  | 'recordNotDownloaded'
  | 'recordMissing'
  | 'recordNotReplaced'
  | 'markUploading'
  | 'noteSending'
  | 'recordUploaded'
  | 'recordNotUploaded'
  | 'reopenDumpFile'
  | 'filesToDownload'
  | 'filesOfRun'
  | 'filesToUpload'
  | 'heldVariants'
  | 'heldBytes'
  | 'heldSlice'
  | 'partsOfRun'
>;

/** For SQL; the words are ours, so nothing needs escaping. */
const HELD_LIST = HELD_STATUSES.map((status) => `'${status}'`).join(', ');

/** Everything on `dumps`, `dump_piece_hashes` and `dump_replacements` but what a look changes (run-store.ts). */
export function createDumpStore({ db, clock }: { db: Db; clock: Clock }): DumpStore {
  /** Its bytes were read from end to end a moment ago, and were right. */
  const justProved = ({ storedMtimeMs = null }: Pick<DownloadFacts, 'storedMtimeMs'>) => ({
    storedMtimeMs,
    verifiedAt: clock.now(),
    damagedAt: null,
  });
  const wantedColumns = `d.id, d.wiki_db_name AS wikiDbName, d.source, d.run_date AS runDate, d.dump_type AS dumpType,
    d.size_bytes AS sizeBytes, d.cycle_date AS cycleDate`;
  // Of a cycle that takes no files any more only what was held once: its torrents are final, and wait for exactly that.
  const takesFiles = `(c.status = 'open' OR c.sealed_at > @now - ${LATE_MS})`;
  const toDownload = (ofCycle: string): string =>
    `SELECT ${wantedColumns} FROM dumps d JOIN cycles c ON c.cycle_date = d.cycle_date
      WHERE d.our_status IN ('pending', 'downloading') ${ofCycle}
        AND (d.upstream_sha1 IS NOT NULL OR d.upstream_md5 IS NOT NULL OR d.upstream_sha256 IS NOT NULL
             OR (c.scanned_at IS NOT NULL AND c.deadline_at - ${UNPROVABLE_MS} <= @now AND ${hasContainerSql('d.filename')}))
        AND (d.downloaded_at IS NOT NULL OR ${takesFiles})
     UNION ALL
     SELECT ${wantedColumns} FROM dump_replacements r JOIN dumps d ON d.id = r.dump_id JOIN cycles c ON c.cycle_date = d.cycle_date
      WHERE r.kind = 'replaced' AND (r.failed_at IS NULL OR r.failed_at <= @now - ${QUARANTINE_REST_MS}) AND c.status = 'open' AND d.our_status IN (${HELD_LIST}) ${ofCycle}`;
  type Ask = {
    now: number;
    except?: string;
    cycleDate?: string;
    wikiDbName?: string;
    source?: string;
    runDate?: string;
  };
  const runToDownload = db.sqlite.prepare<[Ask], Omit<WantedFile, 'id'> & { id: number }>(
    toDownload('AND d.wiki_db_name = @wikiDbName AND d.source = @source AND d.run_date = @runDate'),
  );
  const allToDownload = db.sqlite.prepare<[Ask], Omit<WantedFile, 'id'> & { id: number }>(
    toDownload('AND d.id NOT IN (SELECT value FROM json_each(@except))'),
  );
  const cycleToDownload = db.sqlite.prepare<[Ask], Omit<WantedFile, 'id'> & { id: number }>(
    toDownload('AND d.cycle_date = @cycleDate AND d.id NOT IN (SELECT value FROM json_each(@except))'),
  );
  const toUpload = db.sqlite.prepare<[], { id: number; cycleDate: string }>(
    `SELECT id, cycle_date AS cycleDate FROM dumps
      WHERE our_status IN (${HELD_LIST}) AND ia_verified_at IS NULL AND ia_refused_at IS NULL`,
  );
  const patience = db.sqlite.prepare<[string], { scannedAt: number | null; deadlineAt: number }>(
    'SELECT scanned_at AS scannedAt, deadline_at AS deadlineAt FROM cycles WHERE cycle_date = ?',
  );
  const statesOfRun = db.sqlite.prepare<
    [string, string, string],
    { filename: string; ourStatus: DumpStatus }
  >(
    'SELECT filename, our_status AS ourStatus FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ?',
  );
  const absentRun = db.sqlite.prepare<[string, string, string], { reason: string | null }>(
    `SELECT json_extract(notices, '$[0].reason') AS reason FROM dump_runs
      WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND status = 'absent'`,
  );
  const heldVariant = db.sqlite.prepare<[string, number]>(
    `SELECT 1 FROM dumps WHERE cycle_date = ? AND our_status IN (${HELD_LIST}) AND is_history = ? LIMIT 1`,
  );
  // What is to be deleted has its path until its last name is gone.
  const isOnDisk = `(our_status IN (${HELD_LIST}) OR (our_status = 'deleted' AND local_path IS NOT NULL))`;
  const heldBytes = db.sqlite
    .prepare<[], number>(`SELECT coalesce(sum(size_bytes), 0) FROM dumps WHERE ${isOnDisk}`)
    .pluck();
  const heldSlice = db.sqlite.prepare<[number, number], { heldBytes: number; lastId: number | null }>(
    `SELECT coalesce(sum(CASE WHEN ${isOnDisk} THEN size_bytes END), 0)
              AS heldBytes, max(id) AS lastId
       FROM (SELECT id, our_status, local_path, size_bytes FROM dumps WHERE id > ? ORDER BY id LIMIT ?)`,
  );
  const partsOfRun = db.sqlite.prepare<
    [string, string, string],
    { id: number; filename: string; isToCome: number }
  >(
    `SELECT d.id, d.filename, d.our_status IN ('pending', 'downloading') OR r.dump_id IS NOT NULL OR d.damaged_at IS NOT NULL AS isToCome
       FROM dumps d LEFT JOIN dump_replacements r ON r.dump_id = d.id AND r.kind = 'replaced'
      WHERE d.wiki_db_name = ? AND d.source = ? AND d.run_date = ?`,
  );
  // Prepared once: it is asked several times for each of a cycle's thousands of files.
  const fileById = db.orm
    .select()
    .from(dumps)
    .where(eq(dumps.id, sql.placeholder('id')))
    .prepare();
  const piecesById = db.sqlite.prepare<[number], { pieceLength: number; sha1s: Buffer }>(
    'SELECT piece_length AS pieceLength, sha1s FROM dump_piece_hashes WHERE dump_id = ?',
  );
  const find: Catalog['dumpFile'] = (id) => (fileById.get({ id }) as DumpFile | undefined) ?? null;

  /** Moves one file on; any move that docs/state-machine.md does not draw is a programmer error. */
  function move(id: DumpFileId, from: readonly DumpStatus[], set: Partial<typeof dumps.$inferInsert>): void {
    const row = find(id);
    assert(row !== null, `dump file ${id} is not known`);
    assert(
      from.includes(row.ourStatus),
      `dump file ${id} cannot go from ${row.ourStatus} to ${set.ourStatus}`,
    );
    db.orm.update(dumps).set(set).where(eq(dumps.id, id)).run();
  }

  return {
    dumpFile: find,
    dumpFiles: (cycleDate) =>
      db.orm
        .select()
        .from(dumps)
        .where(eq(dumps.cycleDate, cycleDate))
        .orderBy(asc(dumps.wikiDbName), asc(dumps.filename))
        .all() as DumpFile[],
    pieceHashes: (id) => piecesById.get(id) ?? null,
    markDownloading: (id) =>
      move(id, ['pending', 'downloading', 'failed', 'quarantined'], {
        ourStatus: 'downloading',
        errorMessage: null,
      }),
    recordDownloaded: (id, { pieceHashes, ...facts }) =>
      db.transaction(() => {
        const row = find(id);
        assert(row !== null, `dump file ${id} is not known`);
        // A download that is recorded twice, after a crash or an operator's retry, changes nothing.
        if (row.ourStatus !== 'downloading') return;
        move(id, ['downloading'], {
          ...facts,
          ...justProved(facts),
          ourStatus: 'downloaded',
          downloadedAt: clock.now(),
          errorMessage: null,
          missingSince: null,
        });
        if (pieceHashes === null) return;
        db.orm
          .insert(dumpPieceHashes)
          .values({ dumpId: id, ...pieceHashes })
          .onConflictDoUpdate({ target: dumpPieceHashes.dumpId, set: pieceHashes })
          .run();
      }),
    recordNotDownloaded: (id, state, message) => {
      if (find(id) === null) return;
      move(id, ['pending', 'downloading', 'failed', 'quarantined'], {
        ourStatus: state,
        errorMessage: message,
        failedAt: state === 'pending' ? null : clock.now(),
      });
    },
    recordMissing: (id, message) => {
      const row = find(id);
      if (row === null) return;
      const now = clock.now();
      const gone = absentRun.get(row.wikiDbName, row.source, row.runDate);
      const isOver =
        gone !== undefined || (row.missingSince !== null && now - row.missingSince >= FAILED_REST_MS);
      move(id, ['pending', 'downloading', 'failed', 'quarantined'], {
        ourStatus: isOver ? 'failed' : 'pending',
        errorMessage: gone?.reason ?? message,
        failedAt: isOver ? now : null,
        missingSince: row.missingSince ?? now,
      });
    },
    recordNotReplaced: (id) => {
      db.orm
        .update(dumpReplacements)
        .set({ failedAt: clock.now() })
        .where(eq(dumpReplacements.dumpId, id))
        .run();
    },
    markUploading: (id) => {
      // A file that is in a torrent already stays `included` while its upload catches up.
      if (find(id)?.ourStatus === 'included') return;
      move(id, ['downloaded', 'uploading', 'uploaded'], { ourStatus: 'uploading', errorMessage: null });
    },
    noteSending: (id, iaIdentifier) => {
      db.orm
        .update(dumps)
        .set({ iaIdentifier })
        .where(and(eq(dumps.id, id), isNull(dumps.iaVerifiedAt)))
        .run();
    },
    recordUploaded: (id, facts) => {
      const now = clock.now();
      const isIncluded = find(id)?.ourStatus === 'included';
      move(id, ['uploading', 'uploaded', 'included'], {
        ...facts,
        ourStatus: isIncluded ? 'included' : 'uploaded',
        iaRefusedAt: null,
        uploadedAt: now,
        iaVerifiedAt: now,
      });
    },
    recordNotUploaded: (id, message, isFinal) => {
      const row = find(id);
      if (row === null) return;
      move(id, HELD_STATUSES, {
        ourStatus: row.ourStatus === 'included' ? 'included' : 'downloaded',
        errorMessage: message,
        iaRefusedAt: isFinal ? clock.now() : null,
      });
    },
    reopenDumpFile: (id, reason) =>
      db.transaction(() => {
        move(id, HELD_STATUSES, {
          ourStatus: 'pending',
          errorMessage: reason,
          iaRefusedAt: null,
          localPath: null,
          verification: null,
          md5: null,
          sha1: null,
          sha256: null,
        });
        db.orm.delete(dumpPieceHashes).where(eq(dumpPieceHashes.dumpId, id)).run();
      }),
    replacement: (id) => {
      const row = db.orm.select().from(dumpReplacements).where(eq(dumpReplacements.dumpId, id)).get();
      if (row === undefined) return null;
      if (row.kind === 'withdrawn') return { kind: 'withdrawn' };
      assert(row.sizeBytes !== null, `the replacement of dump file ${id} has no size`);
      const { md5, sha1, sha256 } = row;
      const hashes: UpstreamHashes = {
        ...(md5 === null ? {} : { md5 }),
        ...(sha1 === null ? {} : { sha1 }),
        ...(sha256 === null ? {} : { sha256 }),
      };
      return { kind: 'replaced', sizeBytes: row.sizeBytes, hashes };
    },
    recordReplaced: (id, { pieceHashes, ...facts }) =>
      db.transaction(() => {
        const row = db.orm.select().from(dumpReplacements).where(eq(dumpReplacements.dumpId, id)).get();
        if (row === undefined || row.kind !== 'replaced') return;
        // What is at the archive, or in a torrent, are the old bytes.
        move(id, HELD_STATUSES, {
          ...facts,
          upstreamMd5: row.md5,
          upstreamSha1: row.sha1,
          upstreamSha256: row.sha256,
          ...justProved(facts),
          ourStatus: 'downloaded',
          downloadedAt: clock.now(),
          errorMessage: null,
          iaUrl: null,
          iaVerifiedAt: null,
          iaRefusedAt: null,
        });
        db.orm.delete(dumpReplacements).where(eq(dumpReplacements.dumpId, id)).run();
        db.orm.delete(dumpPieceHashes).where(eq(dumpPieceHashes.dumpId, id)).run();
        if (pieceHashes !== null)
          db.orm
            .insert(dumpPieceHashes)
            .values({ dumpId: id, ...pieceHashes })
            .run();
      }),
    mayGoWithoutHash: (cycleDate) => {
      const row = patience.get(cycleDate);
      return row !== undefined && row.scannedAt !== null && row.deadlineAt - UNPROVABLE_MS <= clock.now();
    },
    takesNextBest: (cycleDate) => {
      const row = patience.get(cycleDate);
      return row !== undefined && row.deadlineAt - NEXT_BEST_MS <= clock.now();
    },
    fileStates: ({ wikiDbName, source, runDate }) => statesOfRun.all(wikiDbName, source, runDate),
    filesOfRun: ({ wikiDbName, source, runDate }) =>
      runToDownload
        .all({ now: clock.now(), wikiDbName, source, runDate })
        .map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    filesToDownload: (cycleDate, except = []) => {
      const now = clock.now();
      const excepted = JSON.stringify(except);
      const rows =
        cycleDate === undefined
          ? allToDownload.all({ now, except: excepted })
          : cycleToDownload.all({ now, cycleDate, except: excepted });
      return rows.map((row) => ({ ...row, id: DumpFileId.parse(row.id) }));
    },
    filesToUpload: () => toUpload.all().map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    heldVariants: (cycleDate) => ({
      regular: heldVariant.get(cycleDate, 0) !== undefined,
      history: heldVariant.get(cycleDate, 1) !== undefined,
    }),
    heldBytes: () => heldBytes.get() ?? 0,
    heldSlice: (afterId, count) => heldSlice.get(afterId, count) ?? { heldBytes: 0, lastId: null },
    partsOfRun: ({ wikiDbName, source, runDate }) =>
      partsOfRun
        .all(wikiDbName, source, runDate)
        .map(({ isToCome, ...row }) => ({ ...row, isToCome: isToCome === 1 })),
  };
}
