import { join } from 'node:path';
import type { Db } from '../../db/index.ts';
import { magnetLink } from '../../lib/magnet.ts';
import { carriedFiles } from './carried-files.ts';
import { absentRow, type CycleContext, publishedRow } from './derived-rows.ts';
import { type PayloadFacts, readPayloadFacts } from './payload-facts.ts';
import { listFolder, readBytes, TORRENT_MAX_BYTES, Unreadable } from './read-file.ts';
import type { LocalManifest, PublishedTorrent } from './read-manifest.ts';
import type { TellingReadDeps } from './read-records.ts';
import type { RebuildReport } from './report.ts';
import type { Values } from './row-writer.ts';
import { readTorrentFacts, type TorrentFacts } from './torrent-file.ts';
import { type NamedTorrent, parseTorrentName } from './torrent-name.ts';
import { createInserter, createPlaces } from './torrent-rows.ts';

interface Found {
  facts: TorrentFacts;
  /** On this host, and of the .torrent file. */
  name: string;
  which: NamedTorrent;
  /** null: not known before the rows of its run are there. */
  cycleDate: string | null;
  published: PublishedTorrent | undefined;
  /** Of the .torrent file, epoch ms. */
  mtimeMs: number;
}

/**
 * Makes good what the records lack, from what lies in the torrents themselves: .torrent files, HASH.json, STATUS.json, and
 * the manifest. Rows that are there already stay as they are. Every torrent is asked, because a record that is simply gone
 * leaves no other trace.
 */
export async function importTorrents(
  deps: TellingReadDeps & { db: Db; manifest: LocalManifest; signal: AbortSignal },
  report: RebuildReport,
): Promise<void> {
  const { db, manifest } = deps;
  const isKnown = db.sqlite.prepare<[string], 1>('SELECT 1 FROM torrents WHERE info_hash = ?').pluck();
  const infoHashOf = db.sqlite
    .prepare<[string, string], string>('SELECT info_hash FROM torrents WHERE name = ? AND cycle_date = ?')
    .pluck();
  const cycleOf = db.sqlite
    .prepare<[string | null, string | null, string | null], string>(
      'SELECT cycle_date FROM dumps WHERE wiki_db_name = ? AND source = ? AND run_date = ? LIMIT 1',
    )
    .pluck();
  const seen = new Set<string>();
  for (const found of await findTorrents(deps, report)) {
    deps.signal.throwIfAborted();
    const { name, which } = found;
    const { infoHash } = found.facts;
    if (seen.has(infoHash)) continue;
    seen.add(infoHash);
    const cycleDate = found.cycleDate ?? cycleOf.get(which.scope, which.source, which.runDate);
    if (cycleDate === undefined) {
      report.problems.push({
        what: name,
        reason: 'neither its record nor anything else of its run is left; it is made again from its files',
      });
      continue;
    }
    const recorded = infoHashOf.get(name, cycleDate);
    if (recorded !== undefined && recorded !== infoHash) {
      report.problems.push({
        what: `${name}, infohash ${infoHash}`,
        reason: `a torrent of that name is recorded with infohash ${recorded}`,
      });
      continue;
    }
    if (isKnown.get(infoHash) === undefined) report.torrentsFromFiles += 1;
    const payload = await readPayloadFacts(deps, which);
    const inserted = db.transaction(() => importOne(db, { ...found, cycleDate }, payload, report));
    if (inserted > 0)
      report.problems.push({
        what: name,
        reason: `${inserted} rows about it had no record; taken from the torrent itself`,
      });
  }
  for (const published of manifest.torrents.values()) {
    if (isKnown.get(published.infohash) !== undefined) continue;
    report.problems.push({
      what: `${published.name}, infohash ${published.infohash}`,
      reason:
        'the manifest names it, but neither its record nor its .torrent file is left; it is made again from its files',
    });
    db.transaction(() => importPublishedFiles(db, published, report));
  }
}

/**
 * Regular torrents first: what they carry belongs to them and not to the history. The last supplement before the others:
 * what it carries, they call missing. Torrents of a run have no texts, and those of unpacked files none about the dumps: what
 * others told must be there.
 */
async function findTorrents(
  deps: TellingReadDeps & { manifest: LocalManifest },
  report: RebuildReport,
): Promise<Found[]> {
  const { disk, layout, manifest, unreadable } = deps;
  const found: Found[] = [];
  for (const folder of [layout.torrents, join(layout.publish, 'torrents')]) {
    const names = await listFolder(disk, folder);
    if (names instanceof Unreadable) unreadable.add(folder, names.reason);
    for (const file of names instanceof Unreadable ? [] : names) {
      if (!file.endsWith('.torrent') || file.startsWith('.')) continue;
      const path = join(folder, file);
      const bytes = await readBytes(disk, path, TORRENT_MAX_BYTES);
      if (bytes instanceof Unreadable) unreadable.add(path, bytes.reason);
      const facts = bytes instanceof Uint8Array ? readTorrentFacts(bytes) : null;
      // A damaged one is told where torrents are checked; here it is only no source.
      if (facts === null) continue;
      const published = manifest.torrents.get(facts.infoHash);
      // Published ones are named by their infohash.
      const name =
        folder === layout.torrents ? file.slice(0, -'.torrent'.length) : (published?.name ?? facts.name);
      const which = parseTorrentName(name);
      if (folder === layout.torrents && (which?.infoName ?? name) !== facts.name) continue;
      const mtimeMs = Math.round((await disk.stat(path))?.mtimeMs ?? 0);
      if (which?.infoName !== facts.name) report.foreign.push(layout.relative(path));
      else {
        const cycleDate = published?.cycle_date ?? which.cycleDate;
        found.push({ facts, name, which, cycleDate, published, mtimeMs });
      }
    }
  }
  const order = ({ which }: Found): number[] => [
    which.isUncompressed ? 3 : which.grouping === 'wiki_run' ? 2 : which.grouping === 'cycle' ? 0 : 1,
    ...[Number(which.isHistory), -which.supplement, which.part],
  ];
  return found
    .map((each) => ({ each, key: order(each) }))
    .sort((a, b) => a.key.map((own, index) => own - (b.key[index] ?? 0)).find((by) => by !== 0) ?? 0)
    .map(({ each }) => each);
}

/** @returns how many rows were not there */
function importOne(
  db: Db,
  found: Found & { cycleDate: string },
  payload: PayloadFacts,
  report: RebuildReport,
): number {
  const { facts, published, cycleDate, which } = found;
  const inserter = createInserter(db, report);
  const { insert } = inserter;
  const context: CycleContext = { cycleDate, isHistory: which.isHistory, at: found.mtimeMs };
  const carried = carriedFiles({
    ...{ db, facts, which, payload, published, context },
    insertDump: (row) => insert('dumps', row),
  });
  const placeOf = createPlaces(db, payload);
  for (const file of payload.absent) insert('dumps', absentRow(file, placeOf(file.wiki), context));

  for (const run of payload.runs) {
    const notices = payload.notices
      .filter(
        ({ wiki, source, runDate }) => wiki === run.wiki && source === run.source && runDate === run.runDate,
      )
      .map(({ dumpType, reason }) => ({ dumpType, reason }));
    insert('dump_runs', { ...runRow(run, cycleDate, found.mtimeMs), notices: JSON.stringify(notices) });
  }
  const torrentId = insert('torrents', {
    ...torrentRow(found),
    payload_version: formOf(found, payload),
  });
  if (torrentId === null) return inserter.count;
  for (const file of carried) insert('torrent_files', { torrent_id: torrentId, ...file });
  inserter.insertGaps(torrentId, payload.gaps);
  return inserter.count;
}

/** Of its texts, as `torrenting/payload/header.ts` numbers them; what the texts themselves do not tell, the torrent does. */
function formOf({ which, facts }: Found, { payloadVersion }: PayloadFacts): string {
  if (which.grouping === 'wiki_run') return 'none';
  if (which.isUncompressed) return '1.4';
  if (which.grouping !== 'cycle' || which.part > 0) return '1.3';
  return facts.alignFilesFromBytes === null ? payloadVersion : '1.2';
}

/** Without its .torrent file the torrent itself cannot be told; its files can. */
function importPublishedFiles(db: Db, published: PublishedTorrent, report: RebuildReport): void {
  const { insert } = createInserter(db, report);
  const { cycle_date: cycleDate, updatedAt: at, name } = published;
  const which = parseTorrentName(name);
  // What it says of unpacked bytes is no fact about a dump.
  if (which?.isUncompressed === true || published.is_uncompressed === true) return;
  for (const file of published.files) {
    const row = publishedRow(file, { cycleDate, at, isHistory: which?.isHistory === true });
    if (row !== null) insert('dumps', row);
  }
}

function runRow(run: PayloadFacts['runs'][number], cycleDate: string, at: number): Values {
  return {
    wiki_db_name: run.wiki,
    source: run.source,
    run_date: run.runDate,
    cycle_date: cycleDate,
    status: run.status,
    checked_at: at,
    finished_at: run.status === 'finished' ? at : null,
  };
}

function torrentRow({ facts, name, which, cycleDate, published, mtimeMs }: Found): Values {
  const { grouping, scope, source, runDate, supplement, part } = which;
  return {
    name,
    info_name: facts.name === name ? null : facts.name,
    ...{ grouping, scope, source, run_date: runDate, cycle_date: cycleDate, supplement, part },
    is_history: which.isHistory ? 1 : 0,
    is_uncompressed: which.isUncompressed ? 1 : 0,
    info_hash: facts.infoHash,
    magnet_link: published?.magnet ?? magnetLink(facts),
    total_size_bytes: facts.totalSizeBytes,
    file_count: facts.files.length,
    piece_length: facts.pieceLength,
    piece_count: facts.pieceCount,
    align_files_from: facts.alignFilesFromBytes,
    torrent_file_path: `torrents/${name}.torrent`,
    // A run's files lie where they are stored.
    content_path: grouping === 'wiki_run' ? 'dumps' : 'torrents',
    torrent_url: published?.url ?? null,
    trackers: JSON.stringify(facts.trackers),
    webseeds: JSON.stringify(facts.webseeds),
    // Being seeded is what it is for; whether its files are there is looked at when it starts.
    seeding_since: mtimeMs,
    published_at: published === undefined ? null : mtimeMs,
    created_at: mtimeMs,
  };
}
