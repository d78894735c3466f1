import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Sandbox } from '../../src/sandbox/index.ts';

/** Compared row by row. */
const COMPARED = [
  ...['wikis', 'cycles', 'dump_runs', 'run_documents', 'dumps', 'dump_piece_hashes', 'dump_replacements'],
  ...['torrents', 'torrent_files', 'torrent_gaps', 'deletions', 'mirrors', 'page_snapshots'],
];
/** Histories and measurements, in which a kill may and should be seen. Every table must be in one of the lists. */
const DIFFERING = [
  ...['__drizzle_migrations', 'sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4', 'system_state'],
  ...[
    'job_attempts',
    'torrent_stats',
    'torrent_webseeds',
    'torrent_webseeds',
    'metrics',
    'worker_health',
    'alerts',
  ],
];
/** Looked at in their own way, below. */
const SPECIAL = ['jobs', 'shares'];

/** Whether one of these runs while a trial goes on depends on the clock on the wall. */
const UPKEEP = ['backup_db', 'rehearse_restore', 'maintain_db', 'watch_webseeds'];
/** Work that is done once for each key and cycle, however often the process died. */
const ONCE = ['download_dump', 'upload_ia', 'create_torrent'];

type Row = Record<string, unknown>;

/** Where to look. `sandboxDir` is the sandbox's own folder. */
export interface EndStateSources {
  dataDir: string;
  sandboxDir: string;
  sandbox: Pick<Sandbox, 'accepted' | 'counters'>;
}

/**
 * Everything that is left at the end, without times, ports and row ids: two runs of the same cycle must be equal in it. It
 * reads tables and folders itself and shares no code with the program.
 */
export function endStateOf(sources: EndStateSources): Row {
  const database = new Database(join(sources.dataDir, 'db', 'jobs.db'), { readonly: true });
  try {
    const all = (sql: string): Row[] => database.prepare<[], Row>(sql).all();
    return {
      integrity: database.pragma('integrity_check', { simple: true }),
      foreignKeys: database.pragma('foreign_key_check'),
      tables: tablesOf(database),
      notCompleted: all(
        `SELECT unique_key, status, last_error FROM jobs WHERE status <> 'completed'
            AND job_type NOT IN (${UPKEEP.map((type) => `'${type}'`).join(', ')})`,
      ),
      once: all(
        `SELECT unique_key, count(*) AS completed FROM jobs
          WHERE job_type IN (${ONCE.map((type) => `'${type}'`).join(', ')}) GROUP BY unique_key ORDER BY unique_key`,
      ),
      // Repeated at a start by design, as looking costs nothing. Upkeep runs by the hour of the day.
      kinds: all(
        `SELECT DISTINCT job_type FROM jobs WHERE job_type NOT IN (${[...ONCE, ...UPKEEP].map((type) => `'${type}'`).join(', ')}) ORDER BY 1`,
      ),
      shares: all('SELECT * FROM shares ORDER BY subject, platform').map((row) =>
        shareOf(row, sources.dataDir),
      ),
      files: filesBelow(sources.dataDir),
      archive: archiveOf(sources),
      objects: objectsOf(sources),
    };
  } finally {
    database.close();
  }
}

/** @throws Error for a table that is in no list: whoever adds one decides whether a kill may show in it */
function tablesOf(database: Database.Database): Record<string, Row[]> {
  const names = database
    .prepare<[], string>(`SELECT name FROM sqlite_master WHERE type = 'table'`)
    .pluck()
    .all();
  const unknown = names.filter((name) => ![...COMPARED, ...DIFFERING, ...SPECIAL].includes(name));
  if (unknown.length > 0)
    throw new Error(`name the table ${unknown.join(', ')} in one of the lists of kill-end-state.ts`);
  const dumps = naturalKeys(database, 'dumps', 'filename');
  const torrents = naturalKeys(database, 'torrents', 'name');
  const runs = naturalKeys(database, 'dump_runs', `source || ' ' || wiki_db_name || ' ' || run_date`);
  const found: Record<string, Row[]> = {};
  for (const name of COMPARED.filter((table) => names.includes(table))) {
    const rows = database
      .prepare<[], Row>(`SELECT * FROM ${name}`)
      .all()
      .map((row) => {
        const kept: Row = {};
        for (const [column, value] of Object.entries(row)) {
          if (column === 'id') continue;
          if (column === 'dump_id') kept.dump = dumps.get(value);
          else if (column === 'run_id') kept.run = runs.get(value);
          else if (column === 'torrent_id') kept.torrent = torrents.get(value);
          else kept[column] = comparableValue(column, value);
        }
        return kept;
      });
    found[name] = rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return found;
}

function naturalKeys(database: Database.Database, table: string, column: string): Map<unknown, unknown> {
  const rows = database.prepare<[], Row>(`SELECT id, ${column} AS name FROM ${table}`).all();
  return new Map(rows.map((row) => [row.id, row.name]));
}

/** A value of a row without what differs from run to run. */
function comparableValue(column: string, value: unknown): unknown {
  // Validators of a document are those of one server's answer.
  if (column === 'etag' || column === 'last_modified') return value === null ? null : 'some answer';
  if (/_at$|_since$|_mtime_ms$/.test(column)) return value === null ? null : 'some time';
  if (Buffer.isBuffer(value)) return value.toString('hex');
  return typeof value === 'string' ? withoutPorts(value) : value;
}

/** Ports have five digits everywhere, so lengths in bencoded text stay right. */
function withoutPorts(text: string): string {
  return text.replaceAll(/127\.0\.0\.1(:|%3A)\d{5}\b/g, '127.0.0.1$100000');
}

/** A share is right when it names the bytes that lie in `publish/`; the bytes themselves are compared as files. */
function shareOf(row: Row, dataDir: string): Row {
  const { subject, platform, status, content_sha256: recorded } = row;
  const key = subject === 'manifest' ? 'manifest.json' : `torrents/${subject}.torrent`;
  const path = join(dataDir, 'publish', key);
  return {
    ...{ subject, platform, status },
    isCurrent: existsSync(path) && sha256(readFileSync(path)) === recorded,
  };
}

/** Every name below the data directory with what it holds; of `db/` the names alone. */
function filesBelow(dataDir: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const path of readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).sort()) {
    const absolute = join(dataDir, path);
    const stat = statSync(absolute);
    if (stat.isDirectory()) found[path] = 'folder';
    else if (path.startsWith('db/')) found[path] = 'database';
    else if (path.startsWith('records/')) {
      const rows = recordedRows(readFileSync(absolute, 'utf8'));
      // A record without rows says what no record says; only a restart writes one, for a run without files.
      if (rows.length > 0) found[path] = rows;
    } else {
      const mode = (stat.mode & 0o777).toString(8);
      found[path] = { sha256: sha256(comparable(path, readFileSync(absolute))), links: stat.nlink, mode };
    }
  }
  return found;
}

/** Rows of a record of the catalog, by table, column and value. Shares are compared with the published bytes elsewhere. */
function recordedRows(text: string): unknown[] {
  const { tables } = JSON.parse(text) as { tables: Record<string, Row[]> };
  return Object.entries(tables).flatMap(([table, rows]) =>
    rows.map((row) =>
      Object.entries(row).map(([column, value]) =>
        column === 'content_sha256' ? [table, column] : [table, column, comparableValue(column, value)],
      ),
    ),
  );
}

/** Files that name our own loopback ports and the time of the last fact; everything else is taken as it is. */
function comparable(path: string, bytes: Buffer): Buffer {
  if (!/^publish\/|^torrents\/[^/]+\.torrent$/.test(path)) return bytes;
  const text = withoutPorts(bytes.toString('latin1'));
  return Buffer.from(
    text.replaceAll(/"last_updated": "[^"]+"/g, '').replaceAll(/^Updated \S+;/gm, ''),
    'latin1',
  );
}

/** What the archive holds and how often it was given each file. */
function archiveOf({ sandboxDir, sandbox }: EndStateSources): unknown {
  const items = join(sandboxDir, 'archive', 'items');
  return {
    accepted: sorted(sandbox.accepted().archive),
    items: (existsSync(items) ? readdirSync(items) : []).sort().map((identifier) => {
      const item = JSON.parse(readFileSync(join(items, identifier, 'item.json'), 'utf8')) as {
        files: Record<string, { sha1: string; size: number; state: string }>;
      };
      return {
        identifier,
        files: Object.entries(item.files)
          .map(([name, { sha1, size, state }]) => ({ name, sha1, size, state }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
      };
    }),
  };
}

/** Objects that never change must have been written once; manifests change while uploads arrive. */
function objectsOf({ sandbox }: EndStateSources): unknown {
  const { r2 } = sandbox.accepted();
  return {
    keys: [...r2.keys()].sort(),
    written: sorted(new Map([...r2].filter(([key]) => key.endsWith('.torrent')))),
  };
}

function sorted(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Lower-case hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
