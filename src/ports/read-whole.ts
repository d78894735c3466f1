import type { Disk } from './disk.ts';

/**
 * All bytes of a small file. null when there is no such file, when it is larger than `maxBytes`, or when it was cut while it was
 * read.
 * @throws whatever the disk says
 */
export async function readWhole(
  disk: Pick<Disk, 'stat' | 'open'>,
  path: string,
  { maxBytes = Number.POSITIVE_INFINITY }: { maxBytes?: number } = {},
): Promise<Buffer | null> {
  const facts = await disk.stat(path);
  if (facts === null || !facts.isFile || facts.sizeBytes > maxBytes) return null;
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(facts.sizeBytes);
    // The system may give less at once than it was asked for: a signal, a network disk.
    for (let done = 0; done < bytes.length; ) {
      const count = await file.read(bytes.subarray(done), done);
      if (count === 0) return null;
      done += count;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
