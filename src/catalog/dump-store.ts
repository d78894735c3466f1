import { and, asc, eq, isNull } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { assert, DumpFileId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import {
  type Catalog,
  type DumpFile,
  type DumpStatus,
  type ExpectedFile,
  HELD_STATUSES,
  type RunFacts,
} from './types.ts';

const { dumps, dumpRuns, dumpPieceHashes } = schema;

type DumpStore = Pick<
  Catalog,
  | 'recordRun'
  | 'runs'
  | 'run'
  | 'dumpFile'
  | 'dumpFiles'
  | 'pieceHashes'
  | 'markDownloading'
  | 'recordDownloaded'
  | 'recordNotDownloaded'
  | 'markUploading'
  | 'noteSending'
  | 'recordUploaded'
  | 'recordNotUploaded'
  | 'reopenDumpFile'
  | 'filesToDownload'
  | 'filesToUpload'
  | 'heldVariants'
  | 'heldBytes'
>;

/** For SQL; the words are ours, so nothing needs escaping. */
const HELD_LIST = HELD_STATUSES.map((status) => `'${status}'`).join(', ');

/** Everything on `dump_runs`, `dumps` and `dump_piece_hashes`. */
export function createDumpStore({ db, clock }: { db: Db; clock: Clock }): DumpStore {
  const toDownload = db.sqlite.prepare<[], { id: number; sizeBytes: number; cycleDate: string }>(
    // Of a cycle that is no longer open only what was held once: its torrents are final, and wait for exactly that.
    `SELECT id, size_bytes AS sizeBytes, cycle_date AS cycleDate FROM dumps
      WHERE our_status IN ('pending', 'downloading')
        AND (upstream_sha1 IS NOT NULL OR upstream_md5 IS NOT NULL)
        AND (downloaded_at IS NOT NULL OR cycle_date IN (SELECT cycle_date FROM cycles WHERE status = 'open'))`,
  );
  const toUpload = db.sqlite.prepare<[], { id: number; cycleDate: string }>(
    `SELECT id, cycle_date AS cycleDate FROM dumps
      WHERE our_status IN (${HELD_LIST}) AND ia_verified_at IS NULL AND ia_refused_at IS NULL`,
  );
  const heldVariant = db.sqlite.prepare<[string, number]>(
    `SELECT 1 FROM dumps WHERE cycle_date = ? AND our_status IN (${HELD_LIST}) AND is_history = ? LIMIT 1`,
  );
  const heldBytes = db.sqlite
    .prepare<[], number>(`SELECT coalesce(sum(size_bytes), 0) FROM dumps WHERE our_status IN (${HELD_LIST})`)
    .pluck();
  const find: Catalog['dumpFile'] = (id) =>
    (db.orm.select().from(dumps).where(eq(dumps.id, id)).get() as DumpFile | undefined) ?? null;

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

  function recordFile(
    facts: RunFacts,
    wiki: { project: string; language: string },
    file: ExpectedFile,
  ): DumpFileId | null {
    const identity = {
      wikiDbName: facts.wikiDbName,
      source: 'classic',
      runDate: facts.runDate,
      filename: file.filename,
    };
    const existing = db.orm
      .select()
      .from(dumps)
      .where(
        and(
          eq(dumps.wikiDbName, identity.wikiDbName),
          eq(dumps.source, identity.source),
          eq(dumps.runDate, identity.runDate),
          eq(dumps.filename, identity.filename),
        ),
      )
      .get();
    const hasHash = file.upstreamMd5 !== null || file.upstreamSha1 !== null;
    if (existing === undefined) {
      const row = db.orm
        .insert(dumps)
        .values({ ...identity, ...wiki, ...file, cycleDate: facts.cycleDate, discoveredAt: clock.now() })
        .returning({ id: dumps.id })
        .get();
      return hasHash ? DumpFileId.parse(row.id) : null;
    }
    // What could not be had at an earlier look is asked for again for as long as upstream lists it.
    const isOpen = ['pending', 'failed', 'quarantined'].includes(existing.ourStatus);
    // A file that is held, or on its way, keeps the facts it was proved against.
    if (!isOpen) return null;
    db.orm
      .update(dumps)
      .set({ ...file, ourStatus: 'pending', errorMessage: null })
      .where(eq(dumps.id, existing.id))
      .run();
    return hasHash ? DumpFileId.parse(existing.id) : null;
  }

  return {
    recordRun: (facts) =>
      db.transaction(() => {
        const now = clock.now();
        const wiki = db.orm
          .select({ project: schema.wikis.project, language: schema.wikis.language })
          .from(schema.wikis)
          .where(eq(schema.wikis.wikiDbName, facts.wikiDbName))
          .get();
        assert(wiki !== undefined, `wiki ${facts.wikiDbName} is not known`);
        const finishedAt = facts.status === 'finished' ? now : null;
        const seen = {
          status: facts.status,
          notices: JSON.stringify(facts.notices),
          checkedAt: now,
          finishedAt,
        };
        db.orm
          .insert(dumpRuns)
          .values({
            wikiDbName: facts.wikiDbName,
            runDate: facts.runDate,
            cycleDate: facts.cycleDate,
            lastGoodStatus: facts.statusText,
            ...seen,
          })
          .onConflictDoUpdate({
            target: [dumpRuns.wikiDbName, dumpRuns.source, dumpRuns.runDate],
            set: { ...seen, ...(facts.statusText === null ? {} : { lastGoodStatus: facts.statusText }) },
          })
          .run();
        const wanted: DumpFileId[] = [];
        for (const file of facts.files) {
          const id = recordFile(facts, wiki, file);
          if (id !== null) wanted.push(id);
        }
        // A rerun can rename parts: what is neither offered any more nor begun leaves the expected set.
        const names = new Set(facts.files.map((f) => f.filename));
        const pending = db.orm
          .select({ id: dumps.id, filename: dumps.filename })
          .from(dumps)
          .where(
            and(
              eq(dumps.wikiDbName, facts.wikiDbName),
              eq(dumps.runDate, facts.runDate),
              eq(dumps.source, 'classic'),
              eq(dumps.ourStatus, 'pending'),
            ),
          )
          .all();
        for (const row of pending)
          if (!names.has(row.filename)) db.orm.delete(dumps).where(eq(dumps.id, row.id)).run();
        return wanted;
      }),
    runs: (cycleDate) =>
      db.orm
        .select()
        .from(dumpRuns)
        .where(eq(dumpRuns.cycleDate, cycleDate))
        .orderBy(asc(dumpRuns.wikiDbName))
        .all(),
    run: (wikiDbName, runDate) =>
      db.orm
        .select()
        .from(dumpRuns)
        .where(and(eq(dumpRuns.wikiDbName, wikiDbName), eq(dumpRuns.runDate, runDate)))
        .get() ?? null,
    dumpFile: find,
    dumpFiles: (cycleDate) =>
      db.orm
        .select()
        .from(dumps)
        .where(eq(dumps.cycleDate, cycleDate))
        .orderBy(asc(dumps.wikiDbName), asc(dumps.filename))
        .all() as DumpFile[],
    pieceHashes: (id) => {
      const row = db.orm.select().from(dumpPieceHashes).where(eq(dumpPieceHashes.dumpId, id)).get();
      return row === undefined ? null : { pieceLength: row.pieceLength, sha1s: row.sha1s };
    },
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
          ourStatus: 'downloaded',
          downloadedAt: clock.now(),
          errorMessage: null,
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
      });
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
    filesToDownload: () => toDownload.all().map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    filesToUpload: () => toUpload.all().map((row) => ({ ...row, id: DumpFileId.parse(row.id) })),
    heldVariants: (cycleDate) => ({
      regular: heldVariant.get(cycleDate, 0) !== undefined,
      history: heldVariant.get(cycleDate, 1) !== undefined,
    }),
    heldBytes: () => heldBytes.get() ?? 0,
  };
}
