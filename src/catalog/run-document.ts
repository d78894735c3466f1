import { createHash } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** SHA-256 of a run's description, hex. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Most descriptions pack into less. zlib's own 128 kB live until the next full collection of garbage: 100 MB after a thousand. */
const CHUNK_BYTES = 8 * 1024;

/** Packs a description: 660 kB of the largest run become about 90 kB, in some 3 ms. */
export function packDocument(text: string): Buffer {
  const bytes = Buffer.from(text);
  return zstdCompressSync(bytes, {
    chunkSize: CHUNK_BYTES,
    pledgedSrcSize: bytes.length,
    // Half the time and memory of the default, and as small.
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
}

/** Unpacks it; a plain one, as an earlier version wrote it, is returned as it is. */
export function unpackDocument(stored: Buffer): string {
  // The first byte of a zstd frame is 0x28, that of a JSON object is `{`.
  return (stored[0] === 0x7b ? stored : zstdDecompressSync(stored, { chunkSize: 4 * CHUNK_BYTES })).toString(
    'utf8',
  );
}
