import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inParallel } from '../lib/in-parallel.ts';
import { PermanentError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import { type Disk, type FileFacts, writeAtomically } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import type { DumpPayloadFile, PayloadFile, UnpackedPayloadFile } from './payload/payload.ts';
import { sourcePath } from './sources.ts';

/** Tools for building, shared by the steps below. */
interface TreeDeps {
  disk: Disk;
  layout: Layout;
  signal: AbortSignal;
}

/** Files that are looked at, linked or written at the same time. */
const FILES_AT_ONCE = 16;
/** Files whose folders are thought of without a pause: some 5 ms. */
const FOLDERS_AT_ONCE = 5000;

/** Read-only for everybody: hard links share their bytes, a careless edit would harm the one stored copy. */
const READ_ONLY = 0o444;

/**
 * Makes `torrents/<name>` hold exactly the payload: hard links for dumps, small text files for the rest. Built under
 * `torrents/.building-<name>/` and renamed when complete, so a folder of the final name is always whole. A folder that
 * is already exactly right is kept.
 * @param deps.files dump files must have been proved, see `proveSources`
 * @param deps.isFinal the torrent was recorded before: only dump files may be linked anew, any other difference is left alone
 * @returns the absolute path of the folder
 * @throws PermanentError `torrent_is_final`, `torrent_folder_in_the_way`
 */
export async function buildTree(
  deps: TreeDeps & { name: string; files: readonly PayloadFile[]; isFinal: boolean },
): Promise<string> {
  const { disk, layout, name, files } = deps;
  const target = join(layout.torrents, name);
  const building = join(layout.torrents, `.building-${name}`);
  const present = await treeState(deps, target, files);
  if (present === 'exact') {
    await removeDerived(deps, building);
    return target;
  }
  if (deps.isFinal && present === 'different') {
    throw new PermanentError(
      'torrent_is_final',
      `${name} was made before, and its files have changed since`,
      {
        hint: 'Files that settle later belong into a supplement torrent.',
      },
    );
  }
  await removeDerived(deps, building);
  const root = join(building, name);
  await fill(deps, root, files);
  step('torrenting:folder_filled');
  await removeDerived(deps, target);
  await disk.rename(root, target);
  step('torrenting:folder_renamed');
  await disk.syncDirectory(layout.torrents);
  await disk.removeTree(building);
  return target;
}

/** Where the bytes lie that a name in the tree shares. */
function bytesPath(layout: Layout, file: DumpPayloadFile | UnpackedPayloadFile): string {
  return file.kind === 'dump' ? sourcePath(layout, file.content.dump) : file.absolutePath;
}

async function fill(deps: TreeDeps, root: string, files: readonly PayloadFile[]): Promise<void> {
  const { disk, layout } = deps;
  const folders = new Set<string>([root]);
  for (const [index, file] of files.entries()) {
    for (
      let folder = dirname(join(root, file.path));
      folder.length > root.length && !folders.has(folder);
      folder = dirname(folder)
    )
      folders.add(folder);
    if (index % FOLDERS_AT_ONCE === FOLDERS_AT_ONCE - 1) await nextTurn();
  }
  await inParallel([...folders], FILES_AT_ONCE, (folder) => disk.makeDirectory(folder));
  await inParallel(files, FILES_AT_ONCE, async (file) => {
    deps.signal.throwIfAborted();
    const path = join(root, file.path);
    if (file.kind !== 'text') {
      await disk.link(bytesPath(layout, file), path);
      step('torrenting:file_linked');
    } else {
      await writeAtomically(disk, path, file.bytes);
      step('torrenting:text_written');
      await disk.chmod(path, READ_ONLY);
    }
  });
  await inParallel([...folders], FILES_AT_ONCE, (folder) => disk.syncDirectory(folder));
}

/**
 * Compares paths, dumps by inode, texts by their bytes. `unlinked`: the same torrent, only dump files are absent or are
 * other copies, as after a damaged file was fetched again.
 */
async function treeState(
  deps: TreeDeps,
  root: string,
  files: readonly PayloadFile[],
): Promise<'absent' | 'exact' | 'unlinked' | 'different'> {
  const { disk } = deps;
  if ((await disk.stat(root)) === null) return 'absent';
  const present = await walk(disk, root);
  let isExact = true;
  let isDifferent = false;
  await inParallel(files, FILES_AT_ONCE, async (file) => {
    const facts = present.get(file.path);
    present.delete(file.path);
    if (isDifferent) return;
    if (file.kind !== 'text') {
      const source = await disk.stat(bytesPath(deps.layout, file));
      if (facts !== undefined && facts.sizeBytes !== file.sizeBytes) isDifferent = true;
      if (facts === undefined || source?.inode !== facts.inode) isExact = false;
    } else {
      const text = facts === undefined ? null : await disk.readText(join(root, file.path));
      if (text === null || Buffer.compare(Buffer.from(text), file.bytes) !== 0) isDifferent = true;
    }
  });
  if (isDifferent || present.size > 0) return 'different';
  return isExact ? 'exact' : 'unlinked';
}

/** Every file below a folder, by its path with `/`. */
async function walk(disk: Disk, root: string): Promise<Map<string, FileFacts>> {
  const found = new Map<string, FileFacts>();
  const visit = async (folder: string, prefix: string): Promise<void> => {
    const below: string[] = [];
    await inParallel(await disk.list(folder), FILES_AT_ONCE, async (name) => {
      const facts = await disk.stat(join(folder, name));
      if (facts?.isDirectory === true) below.push(name);
      else if (facts !== null) found.set(`${prefix}${name}`, facts);
    });
    for (const name of below) await visit(join(folder, name), `${prefix}${name}/`);
  };
  await visit(root, '');
  return found;
}

/**
 * Removes a half-built or outdated folder. Its dump files are further names of bytes that live under `dumps/`; a file
 * with a single name is the last copy of something, and stays.
 * @throws PermanentError `torrent_folder_in_the_way`
 */
async function removeDerived(deps: TreeDeps, root: string): Promise<void> {
  for (const [path, facts] of await walk(deps.disk, root)) {
    if (path.split('/').includes('compressed') && facts.linkCount < 2) {
      throw new PermanentError(
        'torrent_folder_in_the_way',
        `${join(root, path)} has no other copy; refusing to remove it`,
        {
          hint: 'Move the folder away; WikiSeed builds another.',
        },
      );
    }
  }
  await deps.disk.removeTree(root);
}
