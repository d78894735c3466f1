import { dirname, join } from 'node:path';
import { type Catalog, HELD_STATUSES } from '../../catalog/index.ts';
import type { Db } from '../../db/index.ts';
import { DumpFileId, formatBytes, WikiSeedError } from '../../lib/index.ts';
import type { FileFacts } from '../../ports/index.ts';
import { fileOfTorrent, type TorrentPlace, torrentFolder } from '../../storage/index.ts';
import { listFolder, lookAt, Unreadable } from './read-file.ts';
import type { ReadDeps } from './read-records.ts';
import type { RebuildReport } from './report.ts';

/** What the checks of held files share. */
export interface CheckDeps extends ReadDeps {
  db: Db;
  /** Over that database. */
  catalog: Pick<Catalog, 'reopenDumpFile'>;
  signal: AbortSignal;
}

/** A file that is recorded as held. */
export interface HeldFile {
  id: number;
  filename: string;
  localPath: string;
  sizeBytes: number;
  md5: string | null;
  sha1: string;
}

/** Sectors that cannot be read: these bytes are lost. Any other error proves nothing about them. */
export const LOST_CODES: readonly string[] = ['EIO', 'EBADMSG', 'EUCLEAN'];

/** The words are ours, so nothing needs escaping. */
export const HELD_SQL = `our_status IN (${HELD_STATUSES.map((status) => `'${status}'`).join(', ')})`;

/** Every held file, by wiki and name. */
export function heldFiles(db: Db): HeldFile[] {
  return db.sqlite
    .prepare<[], HeldFile>(
      `SELECT id, filename, local_path AS localPath, size_bytes AS sizeBytes, md5, sha1 FROM dumps
        WHERE ${HELD_SQL} ORDER BY wiki_db_name, run_date, filename`,
    )
    .all();
}

/**
 * Looks at every held file: there, and of the recorded size. One that lost its name under `dumps/` gets it back from a
 * torrent's folder; one that is gone or has another size becomes pending.
 * @throws WikiSeedError `dumps_folder_empty` when nothing at all is there: a disk that is not mounted loses nothing;
 * `dump_file_unreadable` where we are not let in
 */
export async function checkFiles(deps: CheckDeps, report: RebuildReport): Promise<void> {
  const { disk, layout, db } = deps;
  const held = heldFiles(db);
  const isEmpty = !(await disk.list(layout.dumps)).some((name) => !name.startsWith('.'));
  if (held.length > 0 && isEmpty && !(await hasLinks(deps)))
    throw new WikiSeedError(
      'dumps_folder_empty',
      `${layout.dumps} holds nothing, but ${held.length} files are recorded as held`,
      {
        hint: `Is the disk mounted? If the files are really lost, say so with: mkdir -p ${layout.dumps}/lost, and run this again; they are fetched again.`,
      },
    );
  for (const file of held) {
    deps.signal.throwIfAborted();
    const path = layout.absolute(file.localPath);
    let facts = await lookAt(disk, path);
    if (facts === null && (await relink(deps, file))) {
      report.relinked.push(file.localPath);
      facts = await lookAt(disk, path);
    }
    if (facts === null) {
      reopen(deps, file, 'it was missing when the database was rebuilt');
      report.missing.push({ what: file.localPath, reason: `${formatBytes(file.sizeBytes)} are gone` });
    } else {
      const reason = whyBad(facts, file);
      if (reason !== null) await setAside(deps, file, reason, report);
    }
  }
}

/** null = it may be the recorded one. */
function whyBad(facts: FileFacts | Unreadable, { localPath, sizeBytes }: HeldFile): string | null {
  if (facts instanceof Unreadable) {
    if (facts.code === 'ELOOP' || LOST_CODES.includes(facts.code)) return facts.reason;
    // It proves nothing about the bytes.
    throw new WikiSeedError('dump_file_unreadable', `${localPath}: ${facts.reason}`, {
      hint: 'Run this as the user WikiSeed runs as. No database was made.',
    });
  }
  if (facts.isDirectory) return 'a folder is in its place';
  if (!facts.isFile) return 'a pipe, socket or device is in its place';
  return facts.sizeBytes === sizeBytes ? null : `it has ${facts.sizeBytes} bytes, recorded are ${sizeBytes}`;
}

/** Records that our copy is lost; what upstream and the archive have of it stays known. */
function reopen({ catalog }: CheckDeps, file: HeldFile, reason: string): void {
  catalog.reopenDumpFile(DumpFileId.parse(file.id), reason);
}

/**
 * Moves a damaged file to `dumps/.damaged/` and takes its names out of the torrents' folders, so that it is neither served
 * nor taken for good; it is pending from now on. Its bytes stay, for whoever wants to look at them.
 */
export async function setAside(
  deps: CheckDeps,
  file: HeldFile,
  reason: string,
  report: RebuildReport,
): Promise<void> {
  const { disk, layout } = deps;
  const path = layout.absolute(file.localPath);
  const inodeOf = async (name: string): Promise<number | null> => {
    const facts = await lookAt(disk, name);
    return facts === null || facts instanceof Unreadable ? null : facts.inode;
  };
  const inode = await inodeOf(path);
  if (inode !== null)
    for (const tree of treePaths(deps, file)) if ((await inodeOf(tree)) === inode) await disk.remove(tree);
  const aside = join(layout.dumps, '.damaged', ...file.localPath.split('/').slice(1));
  await disk.makeDirectory(dirname(aside));
  await disk.rename(path, aside);
  await disk.syncDirectory(dirname(path));
  reopen(deps, file, `it was damaged when the database was rebuilt: ${reason}`);
  report.damaged.push({ what: file.localPath, reason });
}

/** Gives a file in a torrent's folder its name under `dumps/` back. */
async function relink(deps: CheckDeps, file: HeldFile): Promise<boolean> {
  const { disk, layout } = deps;
  const path = layout.absolute(file.localPath);
  for (const tree of treePaths(deps, file)) {
    const facts = await lookAt(disk, tree);
    if (facts === null || facts instanceof Unreadable || !facts.isFile || facts.sizeBytes !== file.sizeBytes)
      continue;
    await disk.makeDirectory(dirname(path));
    await disk.link(tree, path);
    await disk.syncDirectory(dirname(path));
    return true;
  }
  return false;
}

/** Where the folders of torrents hold other names of a file: hard links. Every segment was checked when it was imported. */
function treePaths({ db, layout }: CheckDeps, file: { id: number }): string[] {
  return db.sqlite
    .prepare<[number], TorrentPlace & { path: string }>(
      `SELECT t.content_path AS contentPath, coalesce(t.info_name, t.name) AS infoName, f.path_in_torrent AS path
         FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id
        WHERE f.dump_id = ? AND t.content_path <> 'dumps' AND t.is_uncompressed = 0`,
    )
    .all(file.id)
    .map(({ path, ...place }) => fileOfTorrent(layout, place, path));
}

async function hasLinks({ db, disk, layout }: CheckDeps): Promise<boolean> {
  const places = db.sqlite
    .prepare<[], TorrentPlace>(
      `SELECT content_path AS contentPath, coalesce(info_name, name) AS infoName FROM torrents
        WHERE content_path <> 'dumps' AND is_uncompressed = 0`,
    )
    .all();
  for (const place of places) {
    const links = await listFolder(disk, join(torrentFolder(layout, place), 'compressed'));
    if (!(links instanceof Unreadable) && links.length > 0) return true;
  }
  return false;
}

/** Names under `dumps/` that no held file has: expected ones the daemon will prove, and foreign ones. Looks only. */
export async function findStrangers(deps: CheckDeps, report: RebuildReport): Promise<void> {
  const { disk, layout, db } = deps;
  const known = db.sqlite.prepare<[string, string, number, string], { isHeld: number }>(
    `SELECT ${HELD_SQL} AS isHeld FROM dumps
      WHERE wiki_db_name = ? AND run_date = ? AND (source = 'content_history') = ? AND filename = ? ORDER BY isHeld DESC LIMIT 1`,
  );
  const visit = async (segments: string[]): Promise<void> => {
    deps.signal.throwIfAborted();
    const folder = join(layout.dumps, ...segments);
    const names = await listFolder(disk, folder);
    if (names instanceof Unreadable) report.foreign.push(['dumps', ...segments].join('/'));
    for (const name of names instanceof Unreadable ? [] : names) {
      // Downloads under way, and what was moved aside.
      if (segments.length === 0 && name.startsWith('.')) continue;
      const place = [...segments, name];
      const found = await lookAt(disk, join(folder, name));
      const facts = found instanceof Unreadable ? null : found;
      const shown = `dumps/${place.join('/')}`;
      if (facts?.isDirectory && place.length < 3) await visit(place);
      else {
        const [wiki = '', folder = '', filename = ''] = place;
        // As `runFolder` names it.
        const runDate = folder.replace(/-history$/, '');
        const isHistoryExport = runDate === folder ? 0 : 1;
        const row = facts?.isFile !== true ? undefined : known.get(wiki, runDate, isHistoryExport, filename);
        if (row === undefined) report.foreign.push(shown);
        else if (row.isHeld === 0) report.unproved.push(shown);
      }
    }
  };
  await visit([]);
}
