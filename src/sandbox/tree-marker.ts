import { readFile, rename, writeFile } from 'node:fs/promises';
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
  isComplete: boolean;
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
