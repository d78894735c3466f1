import { join } from 'node:path';
import type { Db } from '../../db/index.ts';
import { writeAtomically } from '../../ports/index.ts';
import { readBytes } from './read-bytes.ts';
import type { LocalManifest } from './read-manifest.ts';
import type { ReadDeps } from './read-records.ts';
import type { RebuildReport } from './report.ts';
import { readTorrentFacts } from './torrent-file.ts';

/**
 * Compares every torrent with its .torrent file and with the manifest, by infohash. A .torrent that is damaged or gone is
 * taken from its published copy; without one the daemon makes it again, with the same infohash or not at all.
 */
export async function checkTorrents(
  deps: ReadDeps & { db: Db; manifest: LocalManifest; signal: AbortSignal },
  report: RebuildReport,
): Promise<void> {
  const { db, disk, layout, manifest, signal } = deps;
  const torrents = db.sqlite
    .prepare<[], { name: string; infoHash: string; isPublished: number }>(
      `SELECT name, info_hash AS infoHash, published_at IS NOT NULL AS isPublished FROM torrents ORDER BY cycle_date, name`,
    )
    .all();
  const byName = new Map([...manifest.torrents.values()].map((entry) => [entry.name, entry.infohash]));
  for (const { name, infoHash, isPublished } of torrents) {
    signal.throwIfAborted();
    const path = join(layout.torrents, `${name}.torrent`);
    const infoHashOf = async (file: string): Promise<string | null> => {
      const bytes = await readBytes(disk, file);
      return bytes === null ? null : (readTorrentFacts(bytes)?.infoHash ?? 'damaged');
    };
    const found = await infoHashOf(path);
    if (found !== infoHash) {
      const copy = join(layout.publish, 'torrents', `${infoHash}.torrent`);
      const isCopyGood = (await infoHashOf(copy)) === infoHash;
      // Out of the way, or the daemon would take it for whole.
      if (found !== null) await disk.rename(path, `${path}.damaged`);
      const what = `torrents/${name}.torrent`;
      const state = found === null ? 'it is gone' : 'it is damaged';
      if (isCopyGood) {
        await writeAtomically(disk, path, (await readBytes(disk, copy)) as Uint8Array);
        report.notes.push(`${what}: ${state}; put back from its published copy`);
      } else report.problems.push({ what, reason: `${state}; the daemon makes it again` });
    }
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
