import type { Db } from '../../db/index.ts';
import { runFolder } from '../../storage/index.ts';
import { type CycleContext, heldRow, publishedRow } from './derived-rows.ts';
import type { PayloadFacts } from './payload-facts.ts';
import type { PublishedTorrent } from './read-manifest.ts';
import type { Values } from './row-writer.ts';
import type { TorrentFacts } from './torrent-file.ts';
import type { NamedTorrent } from './torrent-name.ts';

/** One row of `torrent_files`, without its torrent. */
type Carried = Pick<
  Record<string, string | number | null>,
  'dump_id' | 'path_in_torrent' | 'size_bytes' | 'verification' | 'md5' | 'sha1' | 'sha256'
>;

/** What tells which dump files a torrent carries. */
export interface CarriedSources {
  db: Db;
  facts: TorrentFacts;
  which: NamedTorrent;
  payload: PayloadFacts;
  published: PublishedTorrent | undefined;
  context: CycleContext;
  /** Finds or makes the row of a dump file. */
  insertDump: (row: Values) => number | null;
}

/** What the file of a dump is called once it is unpacked: without one of these. */
const PACKED = ['.bz2', '.gz', '.7z'];

/** The dump files of a torrent, as far as its own texts, the manifest and the rows that are there already tell them. */
export function carriedFiles(sources: CarriedSources): Carried[] {
  if (sources.which.isUncompressed) return unpackedFiles(sources);
  const carried = sources.which.grouping === 'wiki_run' ? filesOfRun(sources) : toldFiles(sources);
  // The info dictionary is proved by its infohash; a text file beside it is not.
  const sizes = new Map(sources.facts.files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  return carried.filter(({ path_in_torrent: path, size_bytes: size }) => sizes.get(String(path)) === size);
}

/** HASH.json, and what only the manifest names. */
function toldFiles({ payload, published, context, facts, insertDump }: CarriedSources): Carried[] {
  const sizes = new Map(facts.files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  const publishedByPath = new Map((published?.files ?? []).map((file) => [file.path_in_torrent, file]));
  const carried: Carried[] = [];
  const carry = (row: Values | null, path: string, sizeBytes: number, verification: string | null): void => {
    if (row === null || sizes.get(path) !== sizeBytes) return;
    const dumpId = insertDump(row);
    if (dumpId !== null) carried.push(asItIs(dumpId, path, sizeBytes, verification));
  };
  for (const file of payload.files) {
    const row = heldRow(file, publishedByPath.get(file.path), {
      ...context,
      updatedAt: published?.updatedAt ?? null,
    });
    carry(row, file.path, file.sizeBytes, payload.payloadVersion === '1.0' ? null : file.verifiedBy);
    publishedByPath.delete(file.path);
  }
  for (const [path, file] of publishedByPath) carry(publishedRow(file, context), path, file.size_bytes, null);
  return carried;
}

/** It has no texts: the rows of its run tell it, which other torrents or records brought, else the manifest. */
function filesOfRun({ db, facts, which, published, context, insertDump }: CarriedSources): Carried[] {
  const { scope, source, runDate } = which;
  if (scope === null || source === null || runDate === null) return [];
  const find = db.sqlite.prepare<
    [string, string, string, string],
    { id: number; verification: string | null }
  >(
    'SELECT id, verification FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? AND filename = ?',
  );
  const folder = `${runFolder({ source, runDate })}/`;
  const publishedByPath = new Map((published?.files ?? []).map((file) => [file.path_in_torrent, file]));
  return facts.files.flatMap(({ path, sizeBytes }) => {
    if (!path.startsWith(folder)) return [];
    const known = find.get(scope, source, runDate, path.slice(folder.length));
    if (known !== undefined) return [asItIs(known.id, path, sizeBytes, known.verification)];
    const told = publishedByPath.get(path);
    const row = told === undefined ? null : publishedRow(told, context);
    const dumpId = row === null ? null : insertDump(row);
    return dumpId === null ? [] : [asItIs(dumpId, path, sizeBytes, null)];
  });
}

/** Hashes that are told here are those of the unpacked bytes: of the dump they say nothing, so no dump is made from them. */
function unpackedFiles({ db, facts, payload, published, context }: CarriedSources): Carried[] {
  const find = db.sqlite.prepare<[string, string, string], { id: number; verification: string | null }>(
    'SELECT id, verification FROM dumps WHERE wiki_db_name = ? AND filename = ? AND cycle_date = ?',
  );
  const packedNames = new Map([
    ...(published?.files ?? []).map((file) => [file.path_in_torrent, file.filename] as const),
    ...payload.files.map((file) => [file.path, file.unpackedFrom?.filename] as const),
  ]);
  const told = new Map<string, { md5: string | null; sha1: string | null; sha256: string | null }>([
    ...(published?.files ?? []).map((file) => [file.path_in_torrent, file] as const),
    ...payload.files.map((file) => [file.path, file] as const),
  ]);
  return facts.files.flatMap(({ path, sizeBytes }) => {
    const hashes = told.get(path);
    if (hashes == null || hashes.sha1 === null) return [];
    const filename = path.slice(path.lastIndexOf('/') + 1);
    const wiki = filename.split('-')[0] ?? '';
    const packed = packedNames.get(path);
    for (const name of packed === undefined ? PACKED.map((ending) => `${filename}${ending}`) : [packed]) {
      const dump = find.get(wiki, name, context.cycleDate);
      if (dump === undefined) continue;
      const { md5, sha1, sha256 } = hashes;
      return [{ ...asItIs(dump.id, path, sizeBytes, dump.verification), md5, sha1, sha256 }];
    }
    return [];
  });
}

function asItIs(dumpId: number, path: string, sizeBytes: number, verification: string | null): Carried {
  return {
    ...{ dump_id: dumpId, path_in_torrent: path, size_bytes: sizeBytes, verification },
    ...{ md5: null, sha1: null, sha256: null },
  };
}
