import { join } from 'node:path';
import type { Disk, DiskFile, FileFacts } from '../../ports/index.ts';

/** What a file must be before a byte of it is served. */
export interface Expected {
  sizeBytes: number;
  /** ms as the file system gives it; null = nobody noted it. */
  mtimeMs: number | null;
}

/** A file that is open and what was expected. */
export interface OpenedFile {
  file: DiskFile;
  facts: FileFacts;
}

/**
 * Opens a file below a folder of ours and looks at what was opened, not at what has its name. No symbolic link below the folder is
 * followed: whoever put one there is not us.
 * @param folder absolute; it may itself be a link to another disk
 * @param path below it, from our own records, never from a request
 * @returns null when it is not there, or not what was expected
 */
export async function openExpected(
  disk: Disk,
  folder: string,
  path: string,
  expected: Expected,
): Promise<OpenedFile | null> {
  const wanted = join(folder, path);
  // Opening a pipe would wait for whoever writes into it.
  const seen = await disk.stat(wanted);
  if (seen === null || !seen.isFile || !isAs(seen, expected)) return null;
  const [realFolder, realFile] = [await disk.realPath(folder), await disk.realPath(wanted)];
  if (realFolder === null || realFile !== join(realFolder, path)) return null;
  const file = await disk.open(realFile, 'read').catch((error: unknown) => {
    // It went in this moment, or is not ours to read.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES'))
      return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const facts = await file.facts();
    if (facts.isFile && facts.inode === seen.inode && isAs(facts, expected)) return { file, facts };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return null;
}

function isAs(facts: FileFacts, { sizeBytes, mtimeMs }: Expected): boolean {
  return facts.sizeBytes === sizeBytes && (mtimeMs === null || facts.mtimeMs === mtimeMs);
}
