import { and, asc, eq, sql } from 'drizzle-orm';
import { type Db, schema } from '../db/index.ts';
import { assert, DumpFileId } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import { prepareOpenRuns } from './open-runs.ts';
import { digestOf, packDocument, unpackDocument } from './run-document.ts';
import {
  type DumpRun,
  type DumpStatus,
  type ExpectedFile,
  HELD_STATUSES,
  type RunChanges,
  type RunFacts,
  type Verification,
} from './types.ts';
import { FAILED_REST_MS, QUARANTINE_REST_MS } from './windows.ts';

const { dumpRuns, runDocuments } = schema;

type RunStore = Pick<
  Catalog,
  | 'recordRun'
  | 'touchRun'
  | 'lacksHashes'
  | 'lacksFiles'
  | 'isLastDocument'
  | 'noteRead'
  | 'unsettledWikis'
  | 'restlessWikis'
  | 'runs'
  | 'run'
  | 'runDocument'
  | 'runDocumentFacts'
>;

/** What has to be known of a file's row to tell what a look changes. */
interface KnownFile {
  id: number;
  filename: string;
  ourStatus: DumpStatus;
  sizeBytes: number;
  upstreamMd5: string | null;
  upstreamSha1: string | null;
  upstreamSha256: string | null;
  md5: string | null;
  sha1: string | null;
  sha256: string | null;
  verification: Verification | null;
  downloadedAt: number | null;
  failedAt: number | null;
}

/** The look's facts of one file, as columns. */
const FACTS = `dump_type = @dumpType, is_history = @isHistory, size_bytes = @sizeBytes, upstream_md5 = @md5, upstream_sha1 = @sha1,
  upstream_sha256 = @sha256, wikimedia_url = @wikimediaUrl, wikimedia_status = @wikimediaStatus, wikimedia_date = @wikimediaDate`;

/** Everything on `dump_runs` and `run_documents`, and what a look at a run does to its files. */
export function createRunStore({ db, clock }: { db: Db; clock: Clock }): RunStore {
  const { sqlite } = db;
  const wikiPlace = sqlite.prepare<[string], { project: string; language: string }>(
    'SELECT project, language FROM wikis WHERE wiki_db_name = ?',
  );
  const putRun = sqlite.prepare<[Record<string, unknown>], { id: number; cycleDate: string }>(
    `INSERT INTO dump_runs (wiki_db_name, source, run_date, cycle_date, status, notices, may_change, checked_at, finished_at)
       VALUES (@wikiDbName, @source, @runDate, @cycleDate, @status, @notices, @mayChange, @now, @finishedAt)
       ON CONFLICT (wiki_db_name, source, run_date) DO UPDATE SET status = @status, notices = @notices, may_change = @mayChange, checked_at = @now,
         finished_at = iif(@finishedAt IS NULL, NULL, coalesce(finished_at, @finishedAt))
       RETURNING id, cycle_date AS cycleDate`,
  );
  const putDocument = sqlite.prepare<[Record<string, unknown>]>(
    `INSERT INTO run_documents (run_id, document, digest, etag, last_modified, asked_at) VALUES (@runId, @document, @digest, @etag, @lastModified, @now)
     ON CONFLICT (run_id) DO UPDATE SET document = @document, digest = @digest, etag = @etag, last_modified = @lastModified, asked_at = @now`,
  );
  const putValidators = sqlite.prepare<[Record<string, unknown>]>(
    'UPDATE run_documents SET etag = @etag, last_modified = @lastModified, asked_at = @now WHERE run_id = @runId',
  );
  const forgetDigest = sqlite.prepare<[number]>('UPDATE run_documents SET digest = NULL WHERE run_id = ?');
  const documentDigest = sqlite
    .prepare<[number], string | null>('SELECT digest FROM run_documents WHERE run_id = ?')
    .pluck();
  const knownFiles = sqlite.prepare<[string, string, string], KnownFile>(
    `SELECT id, filename, our_status AS ourStatus, size_bytes AS sizeBytes, upstream_md5 AS upstreamMd5, upstream_sha1 AS upstreamSha1,
            upstream_sha256 AS upstreamSha256, md5, sha1, sha256, verification, downloaded_at AS downloadedAt, failed_at AS failedAt
       FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ?`,
  );
  // Bound by place: by name, 880 rows take 20 ms instead of 13.
  const insertFile = sqlite
    .prepare<(string | number | null)[], number>(
      `INSERT INTO dumps (project, language, wiki_db_name, source, run_date, cycle_date, filename, discovered_at, dump_type, is_history,
                          size_bytes, upstream_md5, upstream_sha1, upstream_sha256, wikimedia_url, wikimedia_status, wikimedia_date)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
    )
    .pluck();
  const updateOpen = sqlite.prepare<[Record<string, unknown>]>(
    `UPDATE dumps SET ${FACTS},
            missing_since = iif(size_bytes = @sizeBytes AND upstream_md5 IS @md5 AND upstream_sha1 IS @sha1 AND upstream_sha256 IS @sha256, missing_since, NULL),
            our_status = iif(our_status = 'downloading', 'downloading', 'pending'), error_message = NULL WHERE id = @id`,
  );
  const proveHeld = sqlite.prepare<[Record<string, unknown>]>(
    `UPDATE dumps SET upstream_md5 = @md5, upstream_sha1 = @sha1, upstream_sha256 = @sha256, verification = @verification WHERE id = @id`,
  );
  const giveUp = sqlite.prepare<[string, number]>(
    `UPDATE dumps SET our_status = 'failed', error_message = ?, failed_at = NULL WHERE id = ?`,
  );
  const removeFile = sqlite.prepare<[number]>('DELETE FROM dumps WHERE id = ?');
  const replacementOf = sqlite.prepare<
    [number],
    { kind: string; sizeBytes: number | null; md5: string | null; sha1: string | null; sha256: string | null }
  >('SELECT kind, size_bytes AS sizeBytes, md5, sha1, sha256 FROM dump_replacements WHERE dump_id = ?');
  const putReplacement = sqlite.prepare<[Record<string, unknown>]>(
    `INSERT INTO dump_replacements (dump_id, kind, size_bytes, md5, sha1, sha256, found_at) VALUES (@id, @kind, @sizeBytes, @md5, @sha1, @sha256, @now)
     ON CONFLICT (dump_id) DO UPDATE SET kind = @kind, size_bytes = @sizeBytes, md5 = @md5, sha1 = @sha1, sha256 = @sha256, found_at = @now, failed_at = NULL`,
  );
  const dropReplacement = sqlite.prepare<[number]>('DELETE FROM dump_replacements WHERE dump_id = ?');
  const touch = sqlite.prepare<[number, string, string, string]>(
    'UPDATE dump_runs SET checked_at = ? WHERE wiki_db_name = ? AND source = ? AND run_date = ?',
  );
  const reopen = sqlite
    .prepare<[Record<string, unknown>], number>(
      `UPDATE dumps SET our_status = 'pending', error_message = NULL
        WHERE wiki_db_name = @wikiDbName AND source = @source AND run_date = @runDate AND our_status IN ('failed', 'quarantined')
          AND failed_at <= @now - iif(our_status = 'quarantined', ${QUARANTINE_REST_MS}, ${FAILED_REST_MS})
          AND EXISTS (SELECT 1 FROM dump_runs r WHERE r.wiki_db_name = dumps.wiki_db_name AND r.source = dumps.source
                        AND r.run_date = dumps.run_date AND r.status <> 'absent')
       RETURNING id`,
    )
    .pluck();
  const restless = prepareOpenRuns(sqlite, "'pending', 'downloading', 'failed', 'quarantined'");
  const toReplace = sqlite
    .prepare<[{ cycleDate: string; source: string }], string>(
      `SELECT d.wiki_db_name FROM dump_replacements r JOIN dumps d ON d.id = r.dump_id
        WHERE d.cycle_date = @cycleDate AND d.source = @source AND r.kind = 'replaced'`,
    )
    .pluck();
  const unsettled = prepareOpenRuns(sqlite, "'pending', 'downloading'");
  // What counts as gone is to be written down anew, whatever its description.
  const lastDocument = sqlite.prepare<[Record<string, unknown>]>(
    `SELECT 1 FROM dump_runs r JOIN run_documents d ON d.run_id = r.id
      WHERE r.wiki_db_name = @wikiDbName AND r.source = @source AND r.run_date = @runDate AND r.status <> 'absent'
        AND d.digest = @digest AND d.etag IS @etag AND d.last_modified IS @lastModified`,
  );
  const oneRun = db.orm
    .select()
    .from(dumpRuns)
    .where(
      and(
        eq(dumpRuns.wikiDbName, sql.placeholder('wikiDbName')),
        eq(dumpRuns.source, sql.placeholder('source')),
        eq(dumpRuns.runDate, sql.placeholder('runDate')),
      ),
    )
    .prepare();
  const read = sqlite.prepare<[number, string, string, string]>(
    `UPDATE run_documents SET asked_at = ?
      WHERE run_id = (SELECT id FROM dump_runs WHERE wiki_db_name = ? AND source = ? AND run_date = ?)`,
  );
  const missingFile = sqlite.prepare<[string, string, string]>(
    `SELECT 1 FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND missing_since IS NOT NULL
        AND our_status IN ('pending', 'downloading', 'failed') LIMIT 1`,
  );
  const withoutHash = sqlite.prepare<[string, string, string]>(
    `SELECT 1 FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND our_status = 'pending'
        AND upstream_md5 IS NULL AND upstream_sha1 IS NULL AND upstream_sha256 IS NULL LIMIT 1`,
  );
  const documentFacts = sqlite.prepare<
    [number],
    { etag: string | null; lastModified: string | null; askedAt: number | null }
  >('SELECT etag, last_modified AS lastModified, asked_at AS askedAt FROM run_documents WHERE run_id = ?');

  function recordDocument(runId: number, document: RunFacts['document']): void {
    if (document === null) {
      // Whatever was seen since is not what the last description says: an equal one has to be judged again.
      forgetDigest.run(runId);
      return;
    }
    const { text, etag, lastModified } = document;
    const digest = digestOf(text);
    const facts = { runId, etag, lastModified, now: clock.now() };
    if (documentDigest.get(runId) === digest) putValidators.run(facts);
    else putDocument.run({ ...facts, document: packDocument(text), digest });
  }

  /** A file that is held: proved anew by hashes that came later, or another file by now. */
  function judgeHeld(row: KnownFile, file: ExpectedFile, changes: RunChanges): void {
    const columns = hashColumns(file);
    const isSame =
      row.sizeBytes === file.sizeBytes &&
      (['md5', 'sha1', 'sha256'] as const).every((kind) => {
        const [ours, theirs] = [row[kind], columns[kind]];
        return ours === null || theirs === null || ours === theirs;
      });
    if (!isSame) {
      const before = replacementOf.get(row.id);
      const isNews =
        before === undefined ||
        before.kind !== 'replaced' ||
        before.sizeBytes !== file.sizeBytes ||
        before.md5 !== columns.md5 ||
        before.sha1 !== columns.sha1 ||
        before.sha256 !== columns.sha256;
      if (!isNews) return;
      putReplacement.run({
        id: row.id,
        kind: 'replaced',
        sizeBytes: file.sizeBytes,
        ...columns,
        now: clock.now(),
      });
      changes.replaced.push({ id: DumpFileId.parse(row.id), filename: row.filename, kind: 'replaced' });
      return;
    }
    dropReplacement.run(row.id);
    const verification =
      columns.sha1 !== null
        ? 'sha1'
        : columns.md5 !== null
          ? 'md5'
          : columns.sha256 !== null
            ? 'sha256-upstream'
            : null;
    if (row.verification === 'structure-only' && verification !== null)
      proveHeld.run({ id: row.id, ...columns, verification });
  }

  function recordFile(
    facts: RunFacts,
    place: { project: string; language: string },
    file: ExpectedFile,
    row: KnownFile | undefined,
    changes: RunChanges,
  ): void {
    const columns = hashColumns(file);
    const values = {
      ...columns,
      dumpType: file.dumpType,
      isHistory: file.isHistory ? 1 : 0,
      sizeBytes: file.sizeBytes,
      wikimediaUrl: file.wikimediaUrl,
      wikimediaStatus: file.wikimediaStatus,
      wikimediaDate: file.wikimediaDate,
    };
    const hasHash = Object.values(columns).some((hash) => hash !== null);
    if (row === undefined) {
      const { wikiDbName, source, runDate, cycleDate } = facts;
      const id = insertFile.get(
        ...[
          place.project,
          place.language,
          wikiDbName,
          source,
          runDate,
          cycleDate,
          file.filename,
          clock.now(),
        ],
        ...[values.dumpType, values.isHistory, values.sizeBytes, values.md5, values.sha1, values.sha256],
        ...[values.wikimediaUrl, values.wikimediaStatus, values.wikimediaDate],
      );
      if (hasHash) changes.wanted.push(DumpFileId.parse(id));
      return;
    }
    if (row.ourStatus === 'deleted') return;
    if (HELD_STATUSES.includes(row.ourStatus)) {
      judgeHeld(row, file, changes);
      return;
    }
    // What could not be had at an earlier look is asked for again for as long as upstream lists it. A file on its way is
    // judged by the newest facts when it has arrived.
    const isSameFile =
      row.sizeBytes === file.sizeBytes &&
      row.upstreamMd5 === columns.md5 &&
      row.upstreamSha1 === columns.sha1 &&
      row.upstreamSha256 === columns.sha256;
    // The same bytes that were not to be had, or never matched, are not asked for again at once.
    const restMs = row.ourStatus === 'quarantined' ? QUARANTINE_REST_MS : FAILED_REST_MS;
    const isResting =
      ['failed', 'quarantined'].includes(row.ourStatus) &&
      isSameFile &&
      (row.failedAt ?? 0) > clock.now() - restMs;
    if (isResting) return;
    if (!isSameFile || !['pending', 'downloading'].includes(row.ourStatus))
      updateOpen.run({ id: row.id, ...values });
    if (hasHash) changes.wanted.push(DumpFileId.parse(row.id));
  }

  /** What the run offers no more. */
  function recordUnlisted(facts: RunFacts, row: KnownFile, changes: RunChanges): void {
    const isHeld = HELD_STATUSES.includes(row.ourStatus);
    if (isHeld) {
      // Nothing newer will be fetched of a run that is gone or not wanted any more.
      if (facts.status === 'absent' && replacementOf.get(row.id)?.kind === 'replaced')
        dropReplacement.run(row.id);
      // Not wanted any more is no reason; only what upstream took back is.
      if (facts.listedNames === null || facts.listedNames.has(row.filename)) return;
      if (replacementOf.get(row.id)?.kind === 'withdrawn') return;
      putReplacement.run({ ...NOTHING, id: row.id, kind: 'withdrawn', now: clock.now() });
      changes.replaced.push({ id: DumpFileId.parse(row.id), filename: row.filename, kind: 'withdrawn' });
      return;
    }
    const isGivenUp = row.ourStatus === 'failed' || row.ourStatus === 'quarantined';
    if (row.ourStatus !== 'pending' && !(isGivenUp && facts.status !== 'absent')) return;
    // An expected file of a run that is gone, and one that a torrent waits for, end with a reason; a part that a rerun
    // renamed, or a form that is not taken any more, was never due.
    if (facts.status === 'absent')
      giveUp.run(facts.notices[0]?.reason ?? 'upstream has removed the run', row.id);
    else if (row.downloadedAt !== null) giveUp.run('upstream does not list it any more', row.id);
    else removeFile.run(row.id);
  }

  return {
    recordRun: (facts) =>
      db.transaction(() => {
        const now = clock.now();
        const place = wikiPlace.get(facts.wikiDbName);
        assert(place !== undefined, `wiki ${facts.wikiDbName} is not known`);
        const { wikiDbName, source, runDate, cycleDate, status } = facts;
        const run = putRun.get({
          ...{ wikiDbName, source, runDate, cycleDate, status, now },
          notices: JSON.stringify(facts.notices),
          mayChange: facts.mayChange === true ? 1 : 0,
          finishedAt: status === 'finished' ? now : null,
        });
        assert(run !== undefined, 'a run has a row once it was recorded');
        recordDocument(run.id, facts.document);
        // A run stays with the cycle it began in, whatever the calendar says by now.
        const own = { ...facts, cycleDate: run.cycleDate };
        const rows = new Map(knownFiles.all(wikiDbName, source, runDate).map((row) => [row.filename, row]));
        const changes: RunChanges = { wanted: [], replaced: [] };
        for (const file of facts.files) {
          recordFile(own, place, file, rows.get(file.filename), changes);
          rows.delete(file.filename);
        }
        for (const row of rows.values()) recordUnlisted(facts, row, changes);
        return changes;
      }),
    touchRun: ({ wikiDbName, source, runDate }) =>
      db.transaction(() => {
        touch.run(clock.now(), wikiDbName, source, runDate);
        return reopen
          .all({ wikiDbName, source, runDate, now: clock.now() })
          .map((id) => DumpFileId.parse(id));
      }),
    isLastDocument: ({ wikiDbName, source, runDate }, { text, etag, lastModified }) => {
      const digest = digestOf(text);
      return lastDocument.get({ wikiDbName, source, runDate, digest, etag, lastModified }) !== undefined;
    },
    noteRead: ({ wikiDbName, source, runDate }) => void read.run(clock.now(), wikiDbName, source, runDate),
    lacksFiles: ({ wikiDbName, source, runDate }) =>
      missingFile.get(wikiDbName, source, runDate) !== undefined,
    lacksHashes: ({ wikiDbName, source, runDate }) =>
      withoutHash.get(wikiDbName, source, runDate) !== undefined,
    restlessWikis: (cycleDate, source) =>
      new Set([...restless({ cycleDate, source }), ...toReplace.all({ cycleDate, source })]),
    unsettledWikis: (cycleDate, source) => unsettled({ cycleDate, source }),
    runs: (cycleDate) =>
      db.orm
        .select()
        .from(dumpRuns)
        .where(eq(dumpRuns.cycleDate, cycleDate))
        .orderBy(asc(dumpRuns.wikiDbName), asc(dumpRuns.source))
        .all() as DumpRun[],
    run: (wikiDbName, runDate, source = 'classic') =>
      (oneRun.get({ wikiDbName, source, runDate }) as DumpRun | undefined) ?? null,
    runDocument: (runId) => {
      const row = db.orm.select().from(runDocuments).where(eq(runDocuments.runId, runId)).get();
      if (row === undefined) return null;
      return { text: unpackDocument(row.document), etag: row.etag, lastModified: row.lastModified };
    },
    runDocumentFacts: (runId) => documentFacts.get(runId) ?? null,
  };
}

const NOTHING = { sizeBytes: null, md5: null, sha1: null, sha256: null };

/** Lower case, because all that is compared is. */
function hashColumns({ hashes }: ExpectedFile): {
  md5: string | null;
  sha1: string | null;
  sha256: string | null;
} {
  return { md5: hashes.md5 ?? null, sha1: hashes.sha1 ?? null, sha256: hashes.sha256 ?? null };
}
