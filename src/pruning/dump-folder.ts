import type { Disk } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';

/**
 * Facts or nothing: a mount that is absent, of which only the empty place is there, must not look like files that are gone. Asked
 * only when the catalog says that something is there or should be removed.
 */
export async function isDumpFolderThere(disk: Disk, layout: Pick<Layout, 'dumps'>): Promise<boolean> {
  const folder = await disk.stat(layout.dumps);
  const names = folder?.isDirectory === true ? await disk.list(layout.dumps) : [];
  return names.some((name) => !name.startsWith('.'));
}
