import { gzipSync } from 'node:zlib';

const HEAD_BYTES = 10;

/**
 * A gzip file of stored blocks. Unpacking fails at once at a block whose length is wrong; a wrong byte within a block shows in the
 * checksum at the end only.
 * @returns the file, and where the length of each block is
 */
export function storedGzip(content: Buffer): { bytes: Buffer; lengthsAt: number[] } {
  const bytes = gzipSync(content, { level: 0 });
  const lengthsAt: number[] = [];
  for (let at = HEAD_BYTES, isLast = false; !isLast; ) {
    isLast = (bytes[at]! & 1) === 1;
    lengthsAt.push(at + 1);
    at += 5 + bytes.readUInt16LE(at + 1);
  }
  return { bytes, lengthsAt };
}
