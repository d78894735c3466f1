import { dirname } from 'node:path';
import type { HeldCatalog } from '../../catalog/index.ts';
import type { DumpFileId } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import { fileOfTorrent, type Layout } from '../../storage/index.ts';

/** What looking after the names of a file needs. */
export interface NamesDeps {
  catalog: Pick<HeldCatalog, 'otherNames'>;
  disk: Disk;
  layout: Layout;
}

/** Where folders of torrents should hold other names of a file. */
function treePaths({ catalog, layout }: NamesDeps, id: DumpFileId): string[] {
  return catalog
    .otherNames(id)
    .map(({ pathInTorrent, ...place }) => fileOfTorrent(layout, place, pathInTorrent));
}

/** Gives a file that lost its name under `dumps/` that name back from a torrent's folder. @returns whether one had it */
export async function nameFromTorrents(
  deps: NamesDeps,
  id: DumpFileId,
  { path, sizeBytes }: { path: string; sizeBytes: number },
): Promise<boolean> {
  const { disk } = deps;
  for (const tree of treePaths(deps, id)) {
    const facts = await disk.stat(tree);
    if (facts?.isFile !== true || facts.sizeBytes !== sizeBytes) continue;
    await disk.makeDirectory(dirname(path));
    await disk.link(tree, path);
    await disk.syncDirectory(dirname(path));
    step('held:relinked');
    return true;
  }
  return false;
}

/** Where folders of torrents hold copies of a file that are none of its own names, as after a copy that kept no hard links. */
export async function copiesInTorrents(
  deps: NamesDeps,
  id: DumpFileId,
  { path, sizeBytes }: { path: string; sizeBytes: number },
): Promise<string[]> {
  const copies: string[] = [];
  const own = await deps.disk.stat(path).catch(() => null);
  for (const tree of treePaths(deps, id)) {
    const facts = await deps.disk.stat(tree).catch(() => null);
    if (facts?.isFile === true && facts.sizeBytes === sizeBytes && facts.inode !== own?.inode)
      copies.push(tree);
  }
  return copies;
}

/**
 * Lets the names in the folders of torrents, those of the old bytes and those that are gone, lead to the file under `path`.
 * Names of other bytes, and folders that are not there, stay as they are.
 * @param oldInode of the bytes that were replaced; null = there were none
 */
export async function renewOtherNames(
  deps: NamesDeps,
  id: DumpFileId,
  { path, oldInode }: { path: string; oldInode: number | null },
): Promise<void> {
  const { disk } = deps;
  for (const tree of treePaths(deps, id)) {
    const folder = dirname(tree);
    const facts = await disk.stat(tree);
    const isOurs =
      facts === null ? (await disk.stat(folder))?.isDirectory === true : facts.inode === oldInode;
    if (!isOurs) continue;
    // Beside it and then over it: the name is never gone.
    const beside = `${tree}.repaired`;
    await disk.remove(beside);
    await disk.link(path, beside);
    await disk.rename(beside, tree);
    await disk.syncDirectory(folder);
    step('held:relinked');
  }
}
