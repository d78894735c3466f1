import { createHash } from 'node:crypto';

/** Bytes of any length that are made while they are sent: one block of noise again and again, each time with its number. */

export const BLOCK_BYTES = 2 ** 20;
const NUMBER_BYTES = 8;

/** Deterministic noise, so that server and judge need not talk. */
export const noise: Buffer = (() => {
  const bytes = Buffer.allocUnsafe(BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 32)
    createHash('sha256').update(String(at)).digest().copy(bytes, at);
  return bytes;
})();

/** The parts of block `index`; only the first few bytes are fresh memory. */
export function blockParts(index: number): [Buffer, Buffer] {
  const number = Buffer.allocUnsafe(NUMBER_BYTES);
  number.writeBigUInt64LE(BigInt(index));
  return [number, noise.subarray(NUMBER_BYTES)];
}

/** SHA-1 of the first `sizeBytes`, a whole number of blocks, in hex. */
export function contentSha1(sizeBytes: number): string {
  const hash = createHash('sha1');
  for (let index = 0; index < sizeBytes / BLOCK_BYTES; index += 1)
    for (const part of blockParts(index)) hash.update(part);
  return hash.digest('hex');
}

/** SHA-1 of so many copies of some bytes, in hex. */
export function repeatedSha1(bytes: Buffer, copies: number): string {
  const hash = createHash('sha1');
  for (let copy = 0; copy < copies; copy += 1) hash.update(bytes);
  return hash.digest('hex');
}
