import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Says of a folder that it is a dump tree made here, of which options, and what belongs to it. */
export interface TreeMarker {
  format: number;
  /** The options as JSON. */
  parameters: string;
  /** Wikis with folders of their own, those that a script added included. */
  dbnames: string[];
  bytesByDate: Record<string, number>;
  /** Content exports together, by the date of the classic run (YYYYMMDD). */
  contentBytesByDate?: Record<string, number>;
  /** Of a world without bytes: how many files its status documents name. */
  filesByDate?: Record<string, number>;
  isComplete: boolean;
  /** Its files are only as long as they should be. */
  isHollow?: boolean;
}

const NAME = '.sandbox-tree.json';

/** The marker of a tree; null when the folder has none. */
export async function readTreeMarker(dir: string): Promise<TreeMarker | null> {
  try {
    return JSON.parse(await readFile(join(dir, NAME), 'utf8')) as TreeMarker;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Atomic, so that a torn marker never vouches for a torn tree. */
export async function writeTreeMarker(dir: string, marker: TreeMarker): Promise<void> {
  await writeFile(join(dir, `${NAME}.tmp`), JSON.stringify(marker));
  await rename(join(dir, `${NAME}.tmp`), join(dir, NAME));
}

/**
 * Prepares a folder for a tree: a complete one of the same options stays as it is and is returned; one of other options is
 * removed and its place marked as the new one's.
 * @throws Error when the folder holds files that are not from here
 */
export async function openTree(
  dir: string,
  facts: Pick<TreeMarker, 'format' | 'parameters' | 'dbnames'>,
): Promise<TreeMarker | null> {
  await mkdir(dir, { recursive: true });
  const known = await readTreeMarker(dir);
  if (known?.isComplete && known.format === facts.format && known.parameters === facts.parameters)
    return known;
  if (known === null && (await readdir(dir)).length > 0)
    throw new Error(`${dir} holds files that are not a sandbox tree`);
  for (const old of [...(known?.dbnames ?? []), 'other'])
    await rm(join(dir, old), { recursive: true, force: true });
  await writeTreeMarker(dir, { ...facts, bytesByDate: {}, isComplete: false });
  return null;
}
