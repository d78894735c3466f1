import { sql } from 'drizzle-orm';
import { check, index, integer, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core';
import { dumps } from './dumps.ts';

/** Torrents we made. Owner: catalog. */
export const torrents = sqliteTable(
  'torrents',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    /** Names it on this host, and its .torrent file: `wikimedia-dumps-2026-11-20`, `enwiki-20261120`. */
    name: text().notNull(),
    /** Name in the info dictionary and of the folder: `enwiki`; null = `name`. */
    infoName: text('info_name'),
    grouping: text().notNull(),
    /** Whose files: the wiki (`wiki_run`), the project or the language; null = of the whole cycle. */
    scope: text(),
    /** Which run; for `wiki_run` alone. */
    source: text(),
    runDate: text('run_date'),
    cycleDate: text('cycle_date').notNull(),
    isHistory: integer('is_history', { mode: 'boolean' }).notNull().default(false),
    isUncompressed: integer('is_uncompressed', { mode: 'boolean' }).notNull().default(false),
    /** 0 = the cycle's own torrent; 1, 2, … = what settled later, in the order it was made. */
    supplement: integer().notNull().default(0),
    /** 0 = all of it; 1, 2, … = what one torrent could not hold, in order. */
    part: integer().notNull().default(0),
    /** Form of the added text files, see `torrenting/payload/header.ts`: a torrent is made again in the form it has. */
    payloadVersion: text('payload_version').notNull().default('1.0'),
    /** 40 lower-case hex digits. */
    infoHash: text('info_hash').notNull().unique(),
    magnetLink: text('magnet_link').notNull(),
    /** With padding, as clients show it. */
    totalSizeBytes: integer('total_size_bytes').notNull(),
    /** Without padding files. */
    fileCount: integer('file_count').notNull(),
    pieceLength: integer('piece_length').notNull(),
    pieceCount: integer('piece_count').notNull(),
    /** Dump files of at least so many bytes begin on a piece, each followed by padding; null = all files lie end to end. */
    alignFilesFromBytes: integer('align_files_from'),
    /** Relative to the data directory. */
    torrentFilePath: text('torrent_file_path').notNull(),
    /** Folder that holds the folder `name`, relative to the data directory. */
    contentPath: text('content_path').notNull(),
    torrentUrl: text('torrent_url'),
    trackers: text().notNull().default('[]'),
    webseeds: text().notNull().default('[]'),
    seedingSince: integer('seeding_since'),
    publishedAt: integer('published_at'),
    /** Epoch ms at which a file of it was deleted to make room: it is not seeded any more, and never made again. */
    retiredAt: integer('retired_at'),
    createdAt: integer('created_at').notNull(),
  },
  (t) => [
    unique('torrents_identity').on(t.name, t.cycleDate),
    index('idx_torrents_cycle').on(t.cycleDate),
    // Whoever fetches from our web address names the folder.
    index('idx_torrents_info_name').on(t.infoName).where(sql`info_name IS NOT NULL`),
    check('torrents_grouping', sql`${t.grouping} IN ('cycle','wiki_run','project','language')`),
    check('torrents_info_hash', sql`length(${t.infoHash}) = 40`),
  ],
);

/** Which dump files a torrent carries. Owner: catalog. */
export const torrentFiles = sqliteTable(
  'torrent_files',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    torrentId: integer('torrent_id')
      .notNull()
      .references(() => torrents.id, { onDelete: 'cascade' }),
    dumpId: integer('dump_id')
      .notNull()
      .references(() => dumps.id, { onDelete: 'cascade' }),
    pathInTorrent: text('path_in_torrent').notNull(),
    sizeBytes: integer('size_bytes').notNull(),
    /** How it was proved when the torrent was made, as the torrent's texts say; null in torrents of payload 1.0. */
    verification: text(),
    /** Of the unpacked bytes, lower-case hex; null where the torrent carries the dump file as it is. */
    md5: text(),
    sha1: text(),
    sha256: text(),
  },
  (t) => [
    unique('torrent_files_identity').on(t.torrentId, t.dumpId),
    index('idx_torrent_files_dump').on(t.dumpId),
    // Whoever fetches from our web address names a path, among 400,000.
    index('idx_torrent_files_path').on(t.pathInTorrent),
  ],
);

/**
 * What a torrent does not carry and why, as it stood when the torrent was made: its STATUS files are written from this, so
 * that later news does not change a torrent that is final. Owner: catalog.
 */
export const torrentGaps = sqliteTable(
  'torrent_gaps',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    torrentId: integer('torrent_id')
      .notNull()
      .references(() => torrents.id, { onDelete: 'cascade' }),
    wikiDbName: text('wiki_db_name').notNull(),
    source: text().notNull(),
    runDate: text('run_date').notNull(),
    dumpType: text('dump_type').notNull(),
    /** Null: the whole dump type of that run. */
    filename: text(),
    sizeBytes: integer('size_bytes'),
    state: text().notNull(),
    reason: text().notNull(),
  },
  (t) => [
    index('idx_torrent_gaps_torrent').on(t.torrentId),
    check(
      'torrent_gaps_state',
      sql`${t.state} IN ('not_included','failed_upstream','missing','quarantined','not_offered')`,
    ),
  ],
);

/**
 * Addresses that a torrent could be fetched from (BEP 19 roots), and what the last look at them said. Those that work are in
 * the torrent. Owner: webseeds.
 */
export const torrentWebseeds = sqliteTable(
  'torrent_webseeds',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    torrentId: integer('torrent_id')
      .notNull()
      .references(() => torrents.id, { onDelete: 'cascade' }),
    /** Clients append the name of the folder and the path. */
    url: text().notNull(),
    /** `unproved`: it was never seen to work. */
    state: text().notNull(),
    /** What the last look found wrong with it, in plain words; null = nothing. */
    reason: text(),
    /** Epoch ms of the last look. */
    checkedAt: integer('checked_at').notNull(),
    /** Epoch ms since when it is in that state. */
    since: integer().notNull(),
    /** Epoch ms at which pieces of it were last compared with their hashes; null = never. */
    provedAt: integer('proved_at'),
    /** Epoch ms of the first of the looks in a row that found it not working; null = the last one did not. */
    failingSince: integer('failing_since'),
    /** How many those are. */
    failedLooks: integer('failed_looks').notNull().default(0),
  },
  (t) => [
    unique('torrent_webseeds_identity').on(t.torrentId, t.url),
    check('torrent_webseeds_state', sql`${t.state} IN ('working','dead','unproved')`),
  ],
);

/** Swarm numbers over time, one row for each look at a torrent; null means unknown, never zero. Owner: seeding. */
export const torrentStats = sqliteTable(
  'torrent_stats',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    torrentId: integer('torrent_id')
      .notNull()
      .references(() => torrents.id, { onDelete: 'cascade' }),
    /** Others than us: the highest number that anybody told, one less where we may be counted. */
    seeders: integer(),
    leechers: integer(),
    /** How often it was downloaded whole. */
    completed: integer(),
    /** All we ever gave of it, over restarts of the engine. */
    uploadedBytes: integer('uploaded_bytes'),
    /** Who told the number of seeders: a tracker's address, or an engine's name. */
    source: text().notNull(),
    recordedAt: integer('recorded_at').notNull(),
  },
  (t) => [index('idx_torrent_stats_torrent').on(t.torrentId, t.recordedAt)],
);

/** One row for each torrent or manifest and target. `subject` is the infohash, or `manifest`. Owner: publishing. */
export const shares = sqliteTable(
  'shares',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    subject: text().notNull(),
    platform: text().notNull(),
    platformUrl: text('platform_url'),
    status: text().notNull().default('pending'),
    /** SHA-256 of what was published, to skip publishing the same again. */
    contentSha256: text('content_sha256'),
    uploadedAt: integer('uploaded_at'),
    lastCheckedAt: integer('last_checked_at'),
    note: text(),
  },
  (t) => [
    unique('shares_identity').on(t.subject, t.platform),
    check('shares_status', sql`${t.status} IN ('pending','uploading','active','skipped','failed')`),
  ],
);
