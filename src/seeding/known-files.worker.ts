import type { Stats } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { inParallel } from '../lib/in-parallel.ts';

/*
 * What the files of a torrent were when it was added. Runs in the seeding thread, so it may use the file system.
 */

/** What a file was when its torrent was added; it is served only as long as it stays that. */
export type KnownFile =
  | StoredFile
  /** Zeros between files; they are on no disk (BEP 47). */
  | { kind: 'padding'; sizeBytes: number };

/** A file on disk. */
export interface StoredFile {
  kind: 'file';
  absolutePath: string;
  sizeBytes: number;
  mtimeMs: number;
}

/** A file that is not, or no longer, what the torrent was made from. */
export class SeedFileError extends Error {
  /** `damaged`: size and time are right, bytes are not. `seed_folder_missing`: all that lies there is gone. */
  readonly code: 'seed_file_missing' | 'seed_folder_missing' | 'seed_file_changed' | 'seed_file_damaged';
  readonly path: string;
  constructor(code: SeedFileError['code'], path: string, message: string) {
    super(message);
    this.name = 'SeedFileError';
    this.code = code;
    this.path = path;
  }
}

/** How exactly the time of a file can be set, ms, with a little for rounding. */
const TIME_GRAIN_MS = 0.002;

/** A disk that turns orders its work the better the more of it it knows. */
const LOOKS_AT_ONCE = 64;

/**
 * Looks at every file before its torrent is served.
 * @param files padding has no path
 * @throws SeedFileError for one that is missing or of another size
 */
export async function inspectFiles(
  files: readonly { absolutePath: string | null; sizeBytes: number }[],
): Promise<KnownFile[]> {
  const known: KnownFile[] = new Array(files.length);
  await inParallel(files, LOOKS_AT_ONCE, async ({ absolutePath, sizeBytes }, index) => {
    if (absolutePath === null) {
      known[index] = { kind: 'padding', sizeBytes };
      return;
    }
    const facts = await stat(absolutePath).catch(() => null);
    if (facts?.isFile() !== true) throw missing(absolutePath);
    if (facts.size !== sizeBytes) throw changed(absolutePath, `${facts.size} bytes instead of ${sizeBytes}`);
    known[index] = { kind: 'file', absolutePath, sizeBytes, mtimeMs: facts.mtimeMs };
  });
  return known;
}

/** @throws SeedFileError `seed_file_changed` */
export function assertUnchanged(known: StoredFile, facts: Pick<Stats, 'size' | 'mtimeMs'>): void {
  if (facts.size !== known.sizeBytes) {
    throw changed(known.absolutePath, `${facts.size} bytes instead of ${known.sizeBytes}`);
  }
  if (!isSameTime(facts.mtimeMs, known.mtimeMs)) throw changed(known.absolutePath, 'it was written to');
}

/** A repair gives a file its time back, which the system takes in whole microseconds. */
export function isSameTime(oneMs: number, otherMs: number): boolean {
  return Math.abs(oneMs - otherMs) <= TIME_GRAIN_MS;
}

/** False also when it is empty, as a folder is whose disk is not mounted. */
export async function isFolderThere(path: string): Promise<boolean> {
  try {
    const folder = await opendir(path, { bufferSize: 1 });
    const first = await folder.read();
    await folder.close();
    return first !== null;
  } catch {
    return false;
  }
}

/**
 * Looks for the folder that holds the folders of torrents.
 * @throws SeedFileError `seed_folder_missing`
 */
export async function assertFolder(path: string): Promise<void> {
  if (!(await isFolderThere(path))) throw folderMissing(path);
}

/** What is said of a folder that is not there, or is empty. */
export function folderMissing(path: string): SeedFileError {
  return new SeedFileError('seed_folder_missing', path, `the folder ${path} is not there, or is empty`);
}

/** What is said of a file that is not there. */
export function missing(path: string): SeedFileError {
  return new SeedFileError('seed_file_missing', path, `${path} is not there`);
}

/** What is said of a file of another size or time. */
export function changed(path: string, how: string): SeedFileError {
  return new SeedFileError(
    'seed_file_changed',
    path,
    `${path} is not the file the torrent was made from: ${how}`,
  );
}
