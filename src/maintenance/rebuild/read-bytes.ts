import type { Disk } from '../../ports/index.ts';

/** A whole file of at most some megabytes; null when it is not there. */
export async function readBytes(disk: Disk, path: string): Promise<Uint8Array | null> {
  const stat = await disk.stat(path);
  if (stat === null || stat.isDirectory) return null;
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(stat.sizeBytes);
    let done = 0;
    while (done < bytes.length) {
      const count = await file.read(bytes.subarray(done), done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } finally {
    await file.close();
  }
}
