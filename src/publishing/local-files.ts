import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { step } from '../lib/steps.ts';
import { type Disk, writeAtomically } from '../ports/index.ts';

/** SHA-256 of small content, lower-case hex. */
export function sha256Of(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A whole file; null when it is not there. Only for files of megabytes: .torrent files and manifests. */
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

/** The folder `publish/`: what the status page serves and a mirror may copy. */
export interface LocalFiles {
  read(key: string): Promise<Uint8Array | null>;
  /** Replaces the file at once, never in part; false when it has that content already. */
  write(key: string, content: string | Uint8Array): Promise<boolean>;
}

/** Keys are relative paths with `/`, made by this room only. */
export function createLocalFiles(disk: Disk, root: string): LocalFiles {
  const path = (key: string): string => join(root, ...key.split('/'));
  return {
    read: (key) => readWhole(disk, path(key)),
    async write(key, content) {
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      const known = await readWhole(disk, path(key));
      if (known !== null && Buffer.compare(known, bytes) === 0) return false;
      await writeAtomically(disk, path(key), bytes);
      step('publishing:file_written');
      return true;
    },
  };
}
