import { execFile } from 'node:child_process';
import { constants, type Stats } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { step } from '../lib/steps.ts';

/** What the rooms know of a file. */
export interface FileFacts {
  sizeBytes: number;
  /** What it occupies: less than its size where it has holes, more where room was allocated ahead. */
  allocatedBytes: number;
  /** Milliseconds, as the file system reports it. */
  mtimeMs: number;
  /** Names that share the bytes; 1 means removing this name frees them. */
  linkCount: number;
  inode: number;
  isDirectory: boolean;
  /** A regular file. A pipe, a socket or a device is neither this nor a folder, and opening one may never return. */
  isFile: boolean;
}

/** An open file. `write` completes only when all bytes are taken by the operating system. */
export interface DiskFile {
  write(data: Uint8Array, position: number): Promise<void>;
  /** Writes one behind the other, with as few calls to the system as it allows. */
  writeAll(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** Fewer bytes than asked means end of file. */
  read(target: Uint8Array, position: number): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** Returns once the bytes are on stable storage. */
  sync(): Promise<void>;
  /** The same for the bytes alone: cheaper where neither length nor place of the file changed. Further writes may run beside it. */
  syncData(): Promise<void>;
  /** Sets the modification time, in ms; exact to a microsecond. */
  setModified(mtimeMs: number): Promise<void>;
  /** Of the file that is open, whatever has its name by now. */
  facts(): Promise<FileFacts>;
  close(): Promise<void>;
}

/** The local file system. Every path is absolute; errors carry Node's `code` (`ENOENT`, `ENOSPC`, `EACCES`). */
export interface Disk {
  /** null when there is nothing of that name. */
  stat(path: string): Promise<FileFacts | null>;
  /** Where a path leads when every symbolic link on the way is followed; null when it leads nowhere. */
  realPath(path: string): Promise<string | null>;
  /** Names in a folder, sorted; empty when the folder does not exist. */
  list(path: string): Promise<string[]>;
  /** Creates parents as needed. */
  makeDirectory(path: string): Promise<void>;
  /**
   * `write` creates or keeps the file; `create` makes a new one in the place of whatever has that name, and follows no link; `read`
   * and `update`, which may write too, need it there.
   */
  open(path: string, mode: 'read' | 'write' | 'create' | 'update'): Promise<DiskFile>;
  /**
   * Gives an existing file that length and keeps space on the disk for all of it, so that writing into it cannot fail for want of
   * space. Bytes that are there stay, beyond them it reads as zeros.
   * @returns false where the file system keeps no space: then only the length is set
   */
  allocate(path: string, sizeBytes: number): Promise<boolean>;
  readText(path: string): Promise<string | null>;
  rename(from: string, to: string): Promise<void>;
  /** Hard link; replaces nothing: `EEXIST` when `to` is there. */
  link(from: string, to: string): Promise<void>;
  /** Not there is fine. */
  remove(path: string): Promise<void>;
  /** Folder and all below it; not there is fine. */
  removeTree(path: string): Promise<void>;
  /** A folder that has nothing in it; anything else stays as it is. */
  removeEmpty(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** Makes renames in that folder durable. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes an ordinary user may still write, and the size of the file system that holds `path`. */
  space(path: string): Promise<{ freeBytes: number; totalBytes: number }>;
  isWritable(path: string): Promise<boolean>;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function factsOf(stats: Stats): FileFacts {
  return {
    sizeBytes: stats.size,
    allocatedBytes: stats.blocks * 512,
    mtimeMs: stats.mtimeMs,
    linkCount: stats.nlink,
    inode: stats.ino,
    isDirectory: stats.isDirectory(),
    isFile: stats.isFile(),
  };
}

/** IOV_MAX of Linux: no call to the system takes more. */
const WRITEV_BUFFERS = 1024;

/** What is left of the buffers when so many bytes are written. */
function behind(buffers: readonly Uint8Array[], writtenBytes: number): Uint8Array[] {
  let left = writtenBytes;
  let index = 0;
  while (index < buffers.length && left >= buffers[index]!.length) left -= buffers[index++]!.length;
  const rest = buffers.slice(index);
  if (left > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(left);
  return rest;
}

/** Node offers no `fallocate`; that of util-linux is on every Linux. Anything but a full disk means that it cannot be done here. */
async function fallocate(path: string, sizeBytes: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    execFile(
      'fallocate',
      ['--length', String(sizeBytes), path],
      { env: { PATH: process.env.PATH, LC_ALL: 'C' } },
      (error, _stdout, stderr) => {
        const full = /no space left/i.test(stderr)
          ? 'ENOSPC'
          : /quota exceeded/i.test(stderr)
            ? 'EDQUOT'
            : null;
        if (full !== null) reject(Object.assign(new Error(stderr.trim()), { code: full }));
        else resolve(error === null);
      },
    );
  });
}

async function openFile(path: string, mode: Parameters<Disk['open']>[1]): Promise<DiskFile> {
  const { O_RDWR, O_CREAT, O_EXCL } = constants;
  // A name that somebody made a link of would lead to other bytes: it goes, and what it led to stays as it is.
  if (mode === 'create') await fs.rm(path, { force: true });
  const flags = {
    ...{ read: 'r', update: 'r+', write: O_RDWR | O_CREAT },
    create: O_RDWR | O_CREAT | O_EXCL,
  }[mode];
  const handle = await fs.open(path, flags, 0o644);
  return {
    async write(data, position) {
      let done = 0;
      while (done < data.length) {
        const { bytesWritten } = await handle.write(data, done, data.length - done, position + done);
        done += bytesWritten;
      }
    },
    async writeAll(buffers, position) {
      let rest = [...buffers];
      for (let at = position; rest.length > 0; ) {
        const { bytesWritten } = await handle.writev(rest.slice(0, WRITEV_BUFFERS), at);
        at += bytesWritten;
        rest = behind(rest, bytesWritten);
      }
    },
    read: async (target, position) => (await handle.read(target, 0, target.length, position)).bytesRead,
    truncate: (sizeBytes) => handle.truncate(sizeBytes),
    sync: () => handle.sync(),
    setModified: (mtimeMs) => handle.utimes(mtimeMs / 1000, mtimeMs / 1000),
    syncData: () => handle.datasync(),
    facts: async () => factsOf(await handle.stat()),
    close: () => handle.close(),
  };
}

/**
 * Folder by folder: Node's recursive form never returns where a parent exists and still refuses with ENOENT, as in
 * /proc (seen with Node 24.21).
 */
async function makeDirectory(path: string): Promise<void> {
  const make = async (isLast: boolean): Promise<'made' | 'no parent'> => {
    try {
      await fs.mkdir(path);
      return 'made';
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EEXIST' && (await fs.stat(path)).isDirectory()) return 'made';
      if (isLast || code !== 'ENOENT' || dirname(path) === path) throw error;
      return 'no parent';
    }
  };
  if ((await make(false)) === 'made') return;
  await makeDirectory(dirname(path));
  await make(true);
}

/** The real file system. */
export function createNodeDisk(): Disk {
  return {
    async stat(path) {
      try {
        return factsOf(await fs.stat(path));
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    async realPath(path) {
      try {
        return await fs.realpath(path);
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    async list(path) {
      try {
        return (await fs.readdir(path)).sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },
    makeDirectory,
    open: openFile,
    async allocate(path, sizeBytes) {
      if (sizeBytes > 0 && (await fallocate(path, sizeBytes))) return true;
      await fs.truncate(path, sizeBytes);
      return false;
    },
    async readText(path) {
      try {
        return await fs.readFile(path, 'utf8');
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
    rename: (from, to) => fs.rename(from, to),
    link: (from, to) => fs.link(from, to),
    remove: (path) => fs.rm(path, { force: true }),
    removeTree: (path) => fs.rm(path, { force: true, recursive: true }),
    async removeEmpty(path) {
      try {
        await fs.rmdir(path);
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (!isMissing(error) && code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      }
    },
    chmod: (path, mode) => fs.chmod(path, mode),
    async syncDirectory(path) {
      const handle = await fs.open(path, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
    async space(path) {
      const s = await fs.statfs(path);
      return { freeBytes: s.bavail * s.bsize, totalBytes: s.blocks * s.bsize };
    },
    async isWritable(path) {
      try {
        await fs.access(path, constants.W_OK | constants.X_OK);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/**
 * Writes a small file so that readers see the old or the new content, never a part: temporary name in the same folder,
 * fsync, rename, fsync of the folder.
 */
export async function writeAtomically(
  disk: Disk,
  path: string,
  content: string | Uint8Array,
  suffix = '.tmp',
): Promise<void> {
  const folder = dirname(path);
  await disk.makeDirectory(folder);
  const temporary = `${path}${suffix}`;
  const file = await disk.open(temporary, 'create');
  try {
    await file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  step('disk:temporary_synced');
  await disk.rename(temporary, path);
  step('disk:renamed');
  await disk.syncDirectory(folder);
}
