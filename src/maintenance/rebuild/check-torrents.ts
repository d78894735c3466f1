import { join } from 'node:path';
import type { Db } from '../../db/index.ts';
import { describeError } from '../../lib/index.ts';
import { writeAtomically } from '../../ports/index.ts';
import { readBytes, TORRENT_MAX_BYTES, Unreadable } from './read-file.ts';
import type { LocalManifest } from './read-manifest.ts';
import type { ReadDeps } from './read-records.ts';
import type { RebuildReport } from './report.ts';
import { readTorrentFacts } from './torrent-file.ts';
import type { UnreadableFiles } from './unreadable-files.ts';

/** What torrents are compared with. */
interface CheckTorrentsDeps extends ReadDeps {
  db: Db;
  manifest: LocalManifest;
  signal: AbortSignal;
  unreadable: UnreadableFiles;
}

/**
 * Compares every torrent with its .torrent file and with the manifest, by infohash. A .torrent that is damaged or gone is
 * taken from its published copy; without one the daemon makes it again, with the same infohash or not at all.
 */
export async function checkTorrents(deps: CheckTorrentsDeps, report: RebuildReport): Promise<void> {
  const { db, manifest, signal } = deps;
  const torrents = db.sqlite
    .prepare<[], { name: string; infoHash: string; isPublished: number }>(
      `SELECT name, info_hash AS infoHash, published_at IS NOT NULL AS isPublished FROM torrents ORDER BY cycle_date, name`,
    )
    .all();
  const byName = new Map([...manifest.torrents.values()].map((entry) => [entry.name, entry.infohash]));
  for (const { name, infoHash, isPublished } of torrents) {
    signal.throwIfAborted();
    await mendTorrentFile(deps, { name, infoHash }, report);
    const published = byName.get(name);
    if (published !== undefined && published !== infoHash)
      report.problems.push({
        what: name,
        reason: `the manifest says infohash ${published}, the record ${infoHash}`,
      });
    else if (published === undefined && isPublished === 1 && manifest.isReadable)
      report.problems.push({
        what: name,
        reason: 'it is recorded as published, but the manifest does not name it',
      });
  }
  if (!manifest.isReadable && torrents.some(({ isPublished }) => isPublished === 1))
    report.notes.push('publish/manifest.json is missing or cannot be read; the daemon writes it again');
}

/** One .torrent file. Whatever else bears its name goes out of the way: the daemon would take it for whole, or stumble. */
async function mendTorrentFile(
  { disk, layout, unreadable }: CheckTorrentsDeps,
  { name, infoHash }: { name: string; infoHash: string },
  report: RebuildReport,
): Promise<void> {
  const read = (path: string) => readBytes(disk, path, TORRENT_MAX_BYTES);
  const isGood = (bytes: Awaited<ReturnType<typeof read>>): bytes is Uint8Array =>
    bytes instanceof Uint8Array && readTorrentFacts(bytes)?.infoHash === infoHash;
  const path = join(layout.torrents, `${name}.torrent`);
  const what = `torrents/${name}.torrent`;
  const found = await read(path);
  if (isGood(found)) return;
  const copy = await read(join(layout.publish, 'torrents', `${infoHash}.torrent`));
  if (found instanceof Unreadable) unreadable.add(path, found.reason);
  if (found !== null)
    await unreadable.moveAside(path, found instanceof Unreadable ? 'unreadable' : 'damaged');
  const state =
    found === null ? 'it is gone' : found instanceof Unreadable ? 'it cannot be read' : 'it is damaged';
  let remedy = 'the daemon makes it again';
  if (isGood(copy))
    try {
      await writeAtomically(disk, path, copy);
      report.notes.push(`${what}: ${state}; put back from its published copy`);
      return;
    } catch (error) {
      remedy = `its published copy could not be put back (${describeError(error)}); ${remedy}`;
    }
  report.problems.push({ what, reason: `${state}; ${remedy}` });
}
