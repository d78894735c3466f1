import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import { type Disk, writeAtomically } from '../ports/index.ts';

/** SHA-256 of small content, lower-case hex. */
export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A whole file; null when it is not there. Only for files of megabytes: .torrent files. */
export async function readWhole(disk: Disk, path: string): Promise<Uint8Array | null> {
  const stat = await disk.stat(path);
  if (stat === null || stat.isDirectory) return null;
  const file = await disk.open(path, 'read');
  try {
    const content = new Uint8Array(stat.sizeBytes);
    let done = 0;
    while (done < content.length) {
      const count = await file.read(content.subarray(done), done);
      if (count === 0) break;
      done += count;
    }
    return content.subarray(0, done);
  } finally {
    await file.close();
  }
}

/** Read at once of a file that is too large for memory. */
const CHUNK_BYTES = 1024 * 1024;

/** The folder `publish/`: what the status page serves and a mirror may copy. */
export interface LocalFiles {
  read(key: string): Promise<Uint8Array | null>;
  /** So many bytes of a file, some at a time. @throws RetryableError `published_file_short` when it has fewer */
  chunks(key: string, sizeBytes: number): AsyncIterable<Uint8Array>;
  /** Replaces the file at once, never in part; false when it has that content already. */
  write(key: string, content: Uint8Array): Promise<boolean>;
  /** Puts a file that is whole and on stable storage in its place, at once. */
  adopt(key: string, from: string): Promise<void>;
}

/** Keys are relative paths with `/`, made by this room only. */
export function createLocalFiles(disk: Disk, root: string): LocalFiles {
  const path = (key: string): string => join(root, ...key.split('/'));
  return {
    read: (key) => readWhole(disk, path(key)),
    async *chunks(key, sizeBytes) {
      const file = await disk.open(path(key), 'read');
      try {
        for (let done = 0; done < sizeBytes; ) {
          // Not used again: whoever takes it may keep it.
          const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes - done));
          const count = await file.read(chunk, done);
          if (count === 0)
            throw new RetryableError('published_file_short', `${path(key)} was cut while it was sent`);
          done += count;
          yield chunk.subarray(0, count);
        }
      } finally {
        await file.close();
      }
    },
    async write(key, content) {
      const known = await readWhole(disk, path(key));
      if (known !== null && Buffer.compare(known, content) === 0) return false;
      await writeAtomically(disk, path(key), content);
      step('publishing:file_written');
      return true;
    },
    async adopt(key, from) {
      const folder = dirname(path(key));
      await disk.makeDirectory(folder);
      step('disk:temporary_synced');
      await disk.rename(from, path(key));
      step('disk:renamed');
      await disk.syncDirectory(folder);
      step('publishing:file_written');
    },
  };
}
