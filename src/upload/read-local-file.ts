import { PermanentError } from '../lib/index.ts';
import type { Disk } from '../ports/index.ts';

/** 1 MiB: few calls, little memory. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * A held file as a body that can be sent more than once.
 * @throws PermanentError `local_file_missing`
 */
export async function readLocalFile(
  disk: Disk,
  path: string,
  filename: string,
): Promise<{ sizeBytes: number; openBody(): AsyncIterable<Uint8Array> }> {
  const stat = await disk.stat(path);
  if (stat === null)
    throw new PermanentError('local_file_missing', `${filename} is recorded as held but is not on disk`, {
      hint: 'Look at the disk (smartctl, dmesg); our copy is not what was verified.',
    });
  return { sizeBytes: stat.sizeBytes, openBody: () => blocks(disk, path) };
}

async function* blocks(disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    for (let position = 0; ; ) {
      // A fresh block each time: the socket may still hold the one before.
      const block = new Uint8Array(BLOCK_BYTES);
      const count = await file.read(block, position);
      if (count === 0) return;
      yield block.subarray(0, count);
      position += count;
    }
  } finally {
    await file.close();
  }
}
