import type { Db } from '../../db/index.ts';
import { isSafeName, runFolder } from '../../storage/index.ts';
import { readRecords, type TellingReadDeps } from './read-records.ts';
import { KIND_NAMES, parseKey, type RecordKey, type RecordTables, type Row, runOf } from './record-kinds.ts';
import type { Finding, RebuildReport } from './report.ts';
import { createRowWriter, type Values } from './row-writer.ts';

/**
 * Fills the tables from the records. A row that the tables refuse, or that names a path of its own choice, is told and left
 * out; the others go on.
 */
export async function importRecords(
  deps: TellingReadDeps & { db: Db; signal: AbortSignal },
  report: RebuildReport,
): Promise<void> {
  const importer = createImporter(deps.db, (problem) => void report.problems.push(problem));
  for (const kind of KIND_NAMES)
    for await (const { key, tables } of readRecords(
      deps,
      kind,
      (problem) => void report.problems.push(problem),
    )) {
      deps.signal.throwIfAborted();
      deps.db.transaction(() => importer(key, tables));
      report.recordsRead += 1;
    }
}

type Importer = (key: RecordKey, tables: RecordTables) => void;

/** What identifies a dump file outside of any database. */
type FileIdentity = Pick<Row, 'wiki_db_name' | 'source' | 'run_date' | 'filename'>;

function createImporter(db: Db, onProblem: (problem: Finding) => void): Importer {
  const writer = createRowWriter(db);
  const findFile = db.sqlite
    .prepare<unknown[], number>(
      'SELECT id FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND filename = ?',
    )
    .pluck();
  const fileId = (file: FileIdentity): number | undefined =>
    findFile.get(file.wiki_db_name, file.source, file.run_date, file.filename);

  return (key, tables) => {
    const { kind, segments } = parseKey(key);
    const record = `records/${key}.json`;
    const insert = (table: string, row: Row | Values, what: string): number | null => {
      const result = writer.insert(table, row);
      if (typeof result === 'number') return result;
      onProblem({ what: `${what} in ${record}`, reason: result.reason });
      return null;
    };
    const refuse = (what: unknown, reason: string): void =>
      onProblem({ what: `${JSON.stringify(what)} in ${record}`, reason });
    const list = (table: string): Row[] => tables[table] ?? [];

    switch (kind) {
      case 'wikis':
      case 'cycles':
      case 'shares':
      case 'page_snapshots':
        for (const row of list(kind)) {
          const reason = whyNoName(row);
          if (reason === null) insert(kind, row, nameOf(row));
          else refuse(nameOf(row), reason);
        }
        return;
      case 'runs':
        for (const row of list('dump_runs')) {
          if (isOfRun(row, segments)) insert('dump_runs', row, nameOf(row));
          else refuse(nameOf(row), 'it belongs to another run than the record');
        }
        return;
      case 'files':
        importFiles(list, segments, insert, refuse);
        return;
      case 'torrents':
        importTorrent(list, segments, insert, refuse);
        return;
      case 'deletions':
        for (const row of list('deletions')) {
          if (row.wiki_db_name !== segments[0])
            refuse(row.path, 'it belongs to another wiki than the record');
          else insert('deletions', { ...row, dump_id: fileId(row as FileIdentity) ?? null }, nameOf(row));
        }
        return;
    }
  };

  function importFiles(list: List, segments: string[], insert: Insert, refuse: Refuse): void {
    const ids = new Map<string, number>();
    for (const row of list('dumps')) {
      const reason = isOfRun(row, segments)
        ? whyNoDumpFile(row)
        : 'it belongs to another run than the record';
      if (reason !== null) refuse(row.filename, reason);
      else {
        const id = insert('dumps', row, String(row.filename));
        if (id !== null) ids.set(String(row.filename), id);
      }
    }
    for (const { filename, sha1s, piece_length } of list('dump_piece_hashes')) {
      const id = ids.get(String(filename));
      if (id === undefined) continue;
      const bytes = Buffer.from(String(sha1s), 'base64');
      // Piece hashes can be made again from the bytes: wrong ones are simply not kept.
      if (bytes.length % 20 !== 0) refuse(filename, 'its piece hashes are cut off');
      else
        insert(
          'dump_piece_hashes',
          { dump_id: id, piece_length: piece_length ?? null, sha1s: bytes },
          String(filename),
        );
    }
    for (const { filename, ...row } of list('dump_replacements')) {
      const id = ids.get(String(filename));
      if (id !== undefined) insert('dump_replacements', { ...row, dump_id: id }, String(filename));
    }
  }

  function importTorrent(list: List, segments: string[], insert: Insert, refuse: Refuse): void {
    for (const row of list('torrents')) {
      const reason =
        row.cycle_date === segments[0] && row.name === segments[1]
          ? whyNoTorrent(row)
          : 'it is another torrent than the record is named after';
      const id = reason === null ? insert('torrents', row, String(row.name)) : null;
      if (reason !== null) refuse(row.name, reason);
      if (id === null) continue;
      for (const file of list('torrent_files')) {
        const dumpId = fileId(file as FileIdentity);
        if (dumpId === undefined)
          refuse(file.filename, `it is in ${String(row.name)}, but nothing else is known of it`);
        else if (!isSafePath(file.path_in_torrent))
          refuse(file.path_in_torrent, 'it is no path inside a torrent');
        else insert('torrent_files', { ...file, torrent_id: id, dump_id: dumpId }, String(file.filename));
      }
      for (const gap of list('torrent_gaps'))
        insert('torrent_gaps', { ...gap, torrent_id: id }, `${String(row.name)}, gap`);
    }
  }
}

type List = (table: string) => Row[];
type Insert = (table: string, row: Row | Values, what: string) => number | null;
type Refuse = (what: unknown, reason: string) => void;

function isOfRun(row: Row, segments: readonly string[]): boolean {
  const [runDate, wikiDbName, source] = runOf(segments);
  return row.run_date === runDate && row.wiki_db_name === wikiDbName && row.source === source;
}

/** null = its names may become paths, and its place is the one we would give it. */
function whyNoDumpFile(row: Row): string | null {
  const names = [row.wiki_db_name, row.run_date, row.filename];
  if (!names.every((name) => typeof name === 'string' && isSafeName(name)))
    return 'its name is no safe file name';
  const folder = folderOf(row);
  if (folder === null) return 'its run has no date as its source writes them';
  const place = ['dumps', row.wiki_db_name, folder, row.filename].join('/');
  return row.local_path === null || row.local_path === place ? null : `its place should be ${place}`;
}

/** Folder of its run; null for a source that we do not know, or a date that is none of it. */
function folderOf({ source, run_date: runDate }: Row): string | null {
  const known = (['classic', 'content_current', 'content_history'] as const).find((name) => name === source);
  if (known === undefined || typeof runDate !== 'string') return null;
  try {
    return runFolder({ source: known, runDate });
  } catch {
    return null;
  }
}

/** Names of wikis and cycles become folders later. */
function whyNoName(row: Row): string | null {
  const names = [row.wiki_db_name, row.cycle_date].filter((name) => name !== undefined);
  return names.every((name) => typeof name === 'string' && isSafeName(name))
    ? null
    : 'its name is no safe folder name';
}

function whyNoTorrent(row: Row): string | null {
  const { name } = row;
  if (typeof name !== 'string' || !isSafeName(name)) return 'its name is no safe file name';
  if (row.torrent_file_path !== `torrents/${name}.torrent`)
    return `its file should be torrents/${name}.torrent`;
  const { info_name: infoName = null } = row;
  if (infoName !== null && (typeof infoName !== 'string' || !isSafeName(infoName)))
    return 'the name of its folder is no safe folder name';
  // The stored copies themselves, under the names they have anyway: those of a wiki's run, and no others.
  const isStored = row.content_path === 'dumps' && row.grouping === 'wiki_run' && infoName !== null;
  if (!isStored && row.content_path !== 'torrents') return 'its folder should be below torrents';
  if (!/^[0-9a-f]{40}$/.test(String(row.info_hash))) return 'its infohash is none';
  return null;
}

function isSafePath(path: unknown): boolean {
  return typeof path === 'string' && path.split('/').every(isSafeName);
}

function nameOf(row: Row): string {
  return String(row.filename ?? row.wiki_db_name ?? row.cycle_date ?? row.subject ?? row.path ?? 'a row');
}
