import { join } from 'node:path';
import type { Db } from '../../db/index.ts';
import { absentRow, type CycleContext, heldRow, publishedRow } from './derived-rows.ts';
import { type PayloadFacts, readPayloadFacts } from './payload-facts.ts';
import { listFolder, readBytes, TORRENT_MAX_BYTES, Unreadable } from './read-file.ts';
import type { LocalManifest, PublishedTorrent } from './read-manifest.ts';
import type { TellingReadDeps } from './read-records.ts';
import type { RebuildReport } from './report.ts';
import type { Values } from './row-writer.ts';
import { readTorrentFacts, type TorrentFacts } from './torrent-file.ts';
import { createInserter, createPlaces } from './torrent-rows.ts';

interface Found {
  facts: TorrentFacts;
  cycleDate: string;
  isHistory: boolean;
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
  const seen = new Set<string>();
  for (const found of await findTorrents(deps, report)) {
    deps.signal.throwIfAborted();
    const { infoHash, name } = found.facts;
    if (seen.has(infoHash)) continue;
    seen.add(infoHash);
    const recorded = infoHashOf.get(name, found.cycleDate);
    if (recorded !== undefined && recorded !== infoHash) {
      report.problems.push({
        what: `${name}, infohash ${infoHash}`,
        reason: `a torrent of that name is recorded with infohash ${recorded}`,
      });
      continue;
    }
    if (isKnown.get(infoHash) === undefined) report.torrentsFromFiles += 1;
    const payload = await readPayloadFacts(deps, name);
    const inserted = db.transaction(() => importOne(db, found, payload, report));
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
 * what it carries, they call missing.
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
      if (facts === null || (folder === layout.torrents && file !== `${facts.name}.torrent`)) continue;
      const published = manifest.torrents.get(facts.infoHash);
      const cycleDate =
        published?.cycle_date ?? /(\d{4}-\d{2}-\d{2})(?:-supplement-\d+)?$/.exec(facts.name)?.[1];
      const mtimeMs = Math.round((await disk.stat(path))?.mtimeMs ?? 0);
      if (cycleDate === undefined) report.foreign.push(layout.relative(path));
      else found.push({ facts, cycleDate, isHistory: facts.name.includes('-history-'), published, mtimeMs });
    }
  }
  const supplementOf = ({ facts }: Found): number => Number(/-supplement-(\d+)$/.exec(facts.name)?.[1] ?? 0);
  return found.sort((a, b) => Number(a.isHistory) - Number(b.isHistory) || supplementOf(b) - supplementOf(a));
}

/** @returns how many rows were not there */
function importOne(db: Db, found: Found, payload: PayloadFacts, report: RebuildReport): number {
  const { facts, published, cycleDate, isHistory } = found;
  const inserter = createInserter(db, report);
  const { insert } = inserter;
  const context: CycleContext = { cycleDate, isHistory, at: found.mtimeMs };
  const sizes = new Map(facts.files.map(({ path, sizeBytes }) => [path, sizeBytes]));
  const publishedByPath = new Map((published?.files ?? []).map((file) => [file.path_in_torrent, file]));

  const carried: { dumpId: number; path: string; sizeBytes: number; verification: string | null }[] = [];
  const carry = (row: Values | null, path: string, sizeBytes: number, verification: string | null): void => {
    // The info dictionary is proved by its infohash; a text file beside it is not.
    if (row === null || sizes.get(path) !== sizeBytes) return;
    const dumpId = insert('dumps', row);
    if (dumpId !== null) carried.push({ dumpId, path, sizeBytes, verification });
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
    supplement: payload.supplement,
    // The form of its texts differs from 1.1 in this alone.
    payload_version: found.facts.alignFilesFromBytes === null ? payload.payloadVersion : '1.2',
  });
  if (torrentId === null) return inserter.count;
  for (const { dumpId, path, sizeBytes, verification } of carried)
    insert('torrent_files', {
      torrent_id: torrentId,
      dump_id: dumpId,
      path_in_torrent: path,
      size_bytes: sizeBytes,
      verification,
    });
  inserter.insertGaps(torrentId, payload.gaps);
  return inserter.count;
}

/** Without its .torrent file the torrent itself cannot be told; its files can. */
function importPublishedFiles(db: Db, published: PublishedTorrent, report: RebuildReport): void {
  const { insert } = createInserter(db, report);
  const { cycle_date: cycleDate, updatedAt: at, name } = published;
  for (const file of published.files) {
    const row = publishedRow(file, { cycleDate, at, isHistory: name.includes('-history-') });
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

function torrentRow({ facts, cycleDate, isHistory, published, mtimeMs }: Found): Values {
  return {
    name: facts.name,
    grouping: 'cycle',
    cycle_date: cycleDate,
    is_history: isHistory ? 1 : 0,
    info_hash: facts.infoHash,
    magnet_link: published?.magnet ?? magnetOf(facts),
    total_size_bytes: facts.totalSizeBytes,
    file_count: facts.files.length,
    piece_length: facts.pieceLength,
    piece_count: facts.pieceCount,
    align_files_from: facts.alignFilesFromBytes,
    torrent_file_path: `torrents/${facts.name}.torrent`,
    content_path: 'torrents',
    torrent_url: published?.url ?? null,
    trackers: JSON.stringify(facts.trackers),
    webseeds: JSON.stringify(facts.webseeds),
    // Being seeded is what it is for; whether its files are there is looked at when it starts.
    seeding_since: mtimeMs,
    published_at: published === undefined ? null : mtimeMs,
    created_at: mtimeMs,
  };
}

/** BEP 9; in the same order and form as torrents are made with. */
function magnetOf(facts: TorrentFacts): string {
  const parts = [
    `xt=urn:btih:${facts.infoHash}`,
    `dn=${encodeURIComponent(facts.name)}`,
    `xl=${facts.totalSizeBytes}`,
    ...facts.trackers.map((tracker) => `tr=${encodeURIComponent(tracker)}`),
    ...facts.webseeds.map((webseed) => `ws=${encodeURIComponent(webseed)}`),
  ];
  return `magnet:?${parts.join('&')}`;
}
