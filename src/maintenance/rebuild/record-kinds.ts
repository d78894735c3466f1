import { join } from 'node:path';
import { type Db, STATE_KEYS } from '../../db/index.ts';
import { assertSafeName, type Layout } from '../../storage/index.ts';

/** One row as SQLite has it, by column name, without row ids; blobs are base64. */
export type Row = Record<string, string | number | null>;

/** The content of one record: rows by table. */
export type RecordTables = Record<string, Row[]>;

/** The kinds of records; a word is also the name of the folder, or of the file where a whole table is one record. */
export type RecordKind =
  | 'wikis'
  | 'cycles'
  | 'runs'
  | 'files'
  | 'torrents'
  | 'deletions'
  | 'shares'
  | 'page_snapshots';

/** Names one record: its kind, and the path below the kind's folder without `.json`: `files/20261120/aawiki.classic`. */
export type RecordKey = string;

/** How a kind is found in the tables. Rows are named by what identifies them in the world, never by row ids. */
export interface KindSpec {
  /** How many path segments a key has beside the kind itself. */
  segments: 0 | 1 | 2;
  /** The table whose changes concern it, and its key in SQL; `@` stands for the row. */
  watched: { table: string; key: string };
  /** Further tables, whose rows may change alone. */
  alsoWatched?: readonly { table: string; key: string }[];
  /** The table that lists its keys when it is not the watched one: a file always has a run, and there are fewer runs. */
  listedBy?: string;
  read(db: Db, segments: readonly string[]): RecordTables;
}

const RUN_KEY = `@.run_date || '/' || @.wiki_db_name || '.' || @.source`;

/** Every kind, in the order a database is filled: whatever is referred to comes first. */
export const KINDS: Readonly<Record<RecordKind, KindSpec>> = {
  wikis: wholeTable('wikis', 'wiki_db_name'),
  cycles: wholeTable('cycles', 'cycle_date'),
  runs: {
    segments: 2,
    watched: { table: 'dump_runs', key: RUN_KEY },
    read: (db, segments) => ({
      dump_runs: rows(
        db,
        'SELECT * FROM dump_runs WHERE run_date = ? AND wiki_db_name = ? AND source = ?',
        runOf(segments),
      ),
    }),
  },
  files: {
    segments: 2,
    watched: { table: 'dumps', key: RUN_KEY },
    alsoWatched: [
      {
        table: 'dump_replacements',
        // Null, and with it no record, when the file itself went: then its own row told.
        key: `(SELECT d.run_date || '/' || d.wiki_db_name || '.' || d.source FROM main.dumps d WHERE d.id = @.dump_id)`,
      },
    ],
    listedBy: 'dump_runs',
    read: (db, segments) => ({
      dumps: rows(
        db,
        'SELECT * FROM dumps WHERE run_date = ? AND wiki_db_name = ? AND source = ? ORDER BY filename',
        runOf(segments),
      ),
      dump_piece_hashes: rows(
        db,
        `SELECT d.filename, p.piece_length, p.sha1s FROM dumps d JOIN dump_piece_hashes p ON p.dump_id = d.id
          WHERE d.run_date = ? AND d.wiki_db_name = ? AND d.source = ? ORDER BY d.filename`,
        runOf(segments),
      ),
      dump_replacements: rows(
        db,
        `SELECT d.filename, r.* FROM dumps d JOIN dump_replacements r ON r.dump_id = d.id
          WHERE d.run_date = ? AND d.wiki_db_name = ? AND d.source = ? ORDER BY d.filename`,
        runOf(segments),
      ),
    }),
  },
  torrents: {
    segments: 2,
    watched: { table: 'torrents', key: `@.cycle_date || '/' || @.name` },
    alsoWatched: [
      {
        table: 'torrent_gaps',
        key: `(SELECT t.cycle_date || '/' || t.name FROM main.torrents t WHERE t.id = @.torrent_id)`,
      },
    ],
    read: (db, segments) => ({
      // One that is still being written down is none yet.
      torrents: rows(
        db,
        `SELECT t.* FROM torrents t WHERE t.cycle_date = ? AND t.name = ?
            AND NOT EXISTS (SELECT 1 FROM system_state s WHERE s.key = '${STATE_KEYS.recording}' || t.id)`,
        segments,
      ),
      torrent_files: rows(
        db,
        `SELECT d.wiki_db_name, d.source, d.run_date, d.filename, f.path_in_torrent, f.size_bytes, f.verification,
                f.md5, f.sha1, f.sha256
           FROM torrents t JOIN torrent_files f ON f.torrent_id = t.id JOIN dumps d ON d.id = f.dump_id
          WHERE t.cycle_date = ? AND t.name = ? ORDER BY f.path_in_torrent`,
        segments,
      ),
      // In the order they were written: the torrent's texts tell them in it.
      torrent_gaps: rows(
        db,
        `SELECT g.* FROM torrents t JOIN torrent_gaps g ON g.torrent_id = t.id WHERE t.cycle_date = ? AND t.name = ? ORDER BY g.id`,
        segments,
      ),
    }),
  },
  deletions: {
    segments: 1,
    watched: { table: 'deletions', key: '@.wiki_db_name' },
    read: (db, segments) => ({
      deletions: rows(
        db,
        `SELECT x.*, d.source, d.run_date, d.filename FROM deletions x LEFT JOIN dumps d ON d.id = x.dump_id
          WHERE x.wiki_db_name = ? ORDER BY x.deleted_at, x.path`,
        segments,
      ),
    }),
  },
  shares: wholeTable('shares', 'subject, platform'),
  page_snapshots: wholeTable('page_snapshots', 'cycle_date, url, service'),
};

/** The words of `KINDS`, in order. */
export const KIND_NAMES = Object.keys(KINDS) as RecordKind[];

function wholeTable(table: string, order: string): KindSpec {
  return {
    segments: 0,
    watched: { table, key: "''" },
    read: (db) => ({ [table]: rows(db, `SELECT * FROM ${table} ORDER BY ${order}`, []) }),
  };
}

/** Columns that only mean something inside one database. */
const ROW_IDS: readonly string[] = ['id', 'dump_id', 'torrent_id'];

function rows(db: Db, sql: string, parameters: readonly string[]): Row[] {
  const found = db.sqlite.prepare<string[], Record<string, unknown>>(sql).all(...parameters);
  return found.map((row) => {
    const kept: Row = {};
    for (const [column, value] of Object.entries(row)) {
      if (ROW_IDS.includes(column)) continue;
      kept[column] = Buffer.isBuffer(value) ? value.toString('base64') : (value as string | number | null);
    }
    return kept;
  });
}

/** `['20261120', 'aawiki.classic']` -> date, wiki, source. */
export function runOf(segments: readonly string[]): [runDate: string, wikiDbName: string, source: string] {
  const [runDate = '', name = ''] = segments;
  const dot = name.lastIndexOf('.');
  return dot < 0 ? [runDate, name, ''] : [runDate, name.slice(0, dot), name.slice(dot + 1)];
}

/** Takes a key apart. Keys are our own, made from the tables or from a folder that was read. */
export function parseKey(key: RecordKey): { kind: RecordKind; segments: string[] } {
  const [kind, ...segments] = key.split('/');
  return { kind: kind as RecordKind, segments: segments.filter((segment) => segment !== '') };
}

/**
 * Where a record lies.
 * @throws PermanentError `unsafe_name` for a name that must not become a path
 */
export function recordPath(layout: Pick<Layout, 'records'>, key: RecordKey): string {
  const { kind, segments } = parseKey(key);
  return `${join(layout.records, kind, ...segments.map(assertSafeName))}.json`;
}

/** What the tables say now, as a record. */
export function readTables(db: Db, key: RecordKey): RecordTables {
  const { kind, segments } = parseKey(key);
  return KINDS[kind].read(db, segments);
}

/** How far a listing of all keys has come. */
export interface ListPlace {
  /** Index into `KIND_NAMES`. */
  kind: number;
  /** Row id of the last row that was read of that kind. */
  afterId: number;
}

/** Rows read for one part of a listing: about 2 ms. */
const LIST_ROWS = 2000;

/**
 * The keys that the tables have, in parts, one kind after the other: 48,000 of them at once would stop the event loop for 60 ms. A key may
 * come more than once.
 * @returns `next` is null when there is nothing more
 */
export function listKeys(
  db: Db,
  { kind, afterId }: ListPlace,
): { keys: RecordKey[]; next: ListPlace | null } {
  const name = KIND_NAMES[kind];
  if (name === undefined) return { keys: [], next: null };
  const { segments, watched, listedBy } = KINDS[name];
  const nextKind = { kind: kind + 1, afterId: 0 };
  if (segments === 0) return { keys: [name], next: nextKind };
  const found = db.sqlite
    .prepare<[number, number], { id: number; rest: string }>(
      `SELECT id, ${watched.key.replaceAll('@.', '')} AS rest FROM ${listedBy ?? watched.table} WHERE id > ? ORDER BY id LIMIT ?`,
    )
    .all(afterId, LIST_ROWS);
  const last = found.at(-1);
  return {
    keys: found.map(({ rest }) => `${name}/${rest}`),
    next: last === undefined || found.length < LIST_ROWS ? nextKind : { kind, afterId: last.id },
  };
}
