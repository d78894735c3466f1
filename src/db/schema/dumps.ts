import { sql } from 'drizzle-orm';
import { blob, check, index, integer, real, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';

/** One row for each dump file. Hashes without prefix are ours, computed from the bytes; `upstream_*` are what Wikimedia published. Owner: catalog. */
export const dumps = sqliteTable(
  'dumps',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    project: text().notNull(),
    language: text().notNull(),
    wikiDbName: text('wiki_db_name').notNull(),
    source: text().notNull().default('classic'),
    runDate: text('run_date').notNull(),
    cycleDate: text('cycle_date').notNull(),
    dumpType: text('dump_type').notNull(),
    filename: text().notNull(),
    /** True when the file belongs to the history torrent of its cycle (and only then to no other). */
    isHistory: integer('is_history', { mode: 'boolean' }).notNull().default(false),
    sizeBytes: integer('size_bytes').notNull(),
    md5: text(),
    sha1: text(),
    sha256: text(),
    upstreamMd5: text('upstream_md5'),
    upstreamSha1: text('upstream_sha1'),
    upstreamSha256: text('upstream_sha256'),
    /** How it was proved; null until it was. */
    verification: text(),
    wikimediaUrl: text('wikimedia_url').notNull(),
    /** Address the bytes really came from: the origin or a mirror. */
    fetchedFromUrl: text('fetched_from_url'),
    /** Relative to the data directory, with `/`; null when not held. */
    localPath: text('local_path'),
    iaIdentifier: text('ia_identifier'),
    iaUrl: text('ia_url'),
    /** Epoch ms of the last time the Internet Archive's metadata matched md5, sha1 and size. */
    iaVerifiedAt: integer('ia_verified_at'),
    /** Epoch ms at which the archive refused the file for good; null = it may be tried. */
    iaRefusedAt: integer('ia_refused_at'),
    archiveTodayUrl: text('archive_today_url'),
    wikimediaStatus: text('wikimedia_status'),
    ourStatus: text('our_status').notNull().default('pending'),
    wikimediaDate: integer('wikimedia_date'),
    discoveredAt: integer('discovered_at').notNull(),
    downloadedAt: integer('downloaded_at'),
    uploadedAt: integer('uploaded_at'),
    errorMessage: text('error_message'),
    /** Epoch ms at which it last ended as failed or quarantined; it is not tried again for a while. */
    failedAt: integer('failed_at'),
    /** Epoch ms since which upstream answers 404 for it although it lists it; null = it does not. */
    missingSince: integer('missing_since'),
    /** Epoch ms at which the stored bytes were last read from end to end and were right; null in rows of earlier versions. */
    verifiedAt: integer('verified_at'),
    /** Modification time of the stored file when its bytes were right, in ms as the file system gives it: another one needs another look. */
    storedMtimeMs: real('stored_mtime_ms'),
    /** Epoch ms since which the stored bytes are known to be wrong or missing and could not be repaired; null = sound. */
    damagedAt: integer('damaged_at'),
  },
  (t) => [
    unique('dumps_identity').on(t.wikiDbName, t.source, t.runDate, t.filename),
    index('idx_dumps_cycle').on(t.cycleDate, t.ourStatus),
    index('idx_dumps_wiki').on(t.wikiDbName, t.cycleDate),
    index('idx_dumps_status').on(t.ourStatus),
    index('idx_dumps_project_lang').on(t.project, t.language),
    index('idx_dumps_type').on(t.dumpType),
    // The slow second reading takes those first whose last one is longest ago.
    index('idx_dumps_scrub').on(t.verifiedAt).where(sql`local_path IS NOT NULL`),
    index('idx_dumps_damaged').on(t.damagedAt).where(sql`damaged_at IS NOT NULL`),
    // Which wikis have a copy of their text is asked for each of them, and texts are a tenth of all rows.
    index('idx_dumps_text')
      .on(t.wikiDbName, t.cycleDate)
      .where(sql`dump_type IN ('pages-articles','pages-meta-current','pages-meta-history')`),
    check(
      'dumps_our_status',
      sql`${t.ourStatus} IN ('pending','downloading','downloaded','uploading','uploaded','included','failed','quarantined','deleted')`,
    ),
    check(
      'dumps_verification',
      sql`${t.verification} IS NULL OR ${t.verification} IN ('sha1','md5','sha256-upstream','structure-only')`,
    ),
    check(
      'dumps_held_is_verified',
      sql`${t.ourStatus} NOT IN ('downloaded','uploading','uploaded','included') OR (${t.verification} IS NOT NULL AND ${t.localPath} IS NOT NULL AND ${t.sha1} IS NOT NULL)`,
    ),
  ],
);

/**
 * What upstream says of a file now when we hold other bytes: it was published anew (`replaced`), or a rerun lists it no
 * more (`withdrawn`). The row of the file keeps the facts its bytes were proved against. Owner: catalog.
 */
export const dumpReplacements = sqliteTable(
  'dump_replacements',
  {
    dumpId: integer('dump_id')
      .primaryKey()
      .references(() => dumps.id, { onDelete: 'cascade' }),
    kind: text().notNull(),
    /** Null for a withdrawn file, as are all hashes. */
    sizeBytes: integer('size_bytes'),
    md5: text(),
    sha1: text(),
    sha256: text(),
    /** Epoch ms of the look that found it. */
    foundAt: integer('found_at').notNull(),
    /** Epoch ms at which the last attempt to fetch it failed for good; it is not tried again for a while. */
    failedAt: integer('failed_at'),
  },
  (t) => [check('dump_replacements_kind', sql`${t.kind} IN ('replaced','withdrawn')`)],
);

/** BitTorrent piece hashes of a held file, aligned to its own start, so that torrents need not read it again. Owner: catalog. */
export const dumpPieceHashes = sqliteTable('dump_piece_hashes', {
  dumpId: integer('dump_id')
    .primaryKey()
    .references(() => dumps.id, { onDelete: 'cascade' }),
  pieceLength: integer('piece_length').notNull(),
  /** SHA-1 of each piece, 20 bytes each, in order; the last piece is the short rest of the file, unpadded. */
  sha1s: blob({ mode: 'buffer' }).notNull(),
});
