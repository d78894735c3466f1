import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import type { JoinResult, JoinTask } from './protocol.ts';

const BLOCK_BYTES = 2 ** 20;
const SYNC_EVERY_BYTES = 4 * 2 ** 20;

/** Makes one file of the packed parts. */
export function join({ parts: [first = '', ...others] }: JoinTask): JoinResult {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  const hash = createHash('sha256');
  const target = openSync(first, 'r+');
  try {
    let sizeBytes = 0;
    for (;;) {
      const count = readSync(target, block, 0, block.length, sizeBytes);
      if (count === 0) break;
      hash.update(block.subarray(0, count));
      sizeBytes += count;
    }
    let syncedBytes = sizeBytes;
    for (const other of others) {
      const source = openSync(other, 'r');
      try {
        for (let position = 0; ; ) {
          const count = readSync(source, block, 0, block.length, position);
          if (count === 0) break;
          hash.update(block.subarray(0, count));
          for (let written = 0; written < count; )
            written += writeSync(target, block, written, count - written, sizeBytes + written);
          position += count;
          sizeBytes += count;
          if (sizeBytes - syncedBytes < SYNC_EVERY_BYTES) continue;
          fdatasyncSync(target);
          syncedBytes = sizeBytes;
        }
      } finally {
        closeSync(source);
      }
      unlinkSync(other);
    }
    fsyncSync(target);
    return { sizeBytes, sha256: hash.digest('hex') };
  } finally {
    closeSync(target);
  }
}
