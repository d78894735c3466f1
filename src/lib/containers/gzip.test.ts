import { expect, test } from 'vitest';
import { storedGzip } from '../../../test/helpers/stored-gzip.ts';
import { BrokenStructure } from './broken-structure.ts';
import { readGzip } from './gzip.ts';

/** Goal: where a broken gzip file is to be looked at first. Method: files of stored blocks, whose headers are at known places. */

const CONTENT = Buffer.from(Array.from({ length: 600_000 }, (_, at) => (at * 7919 + (at >> 8)) & 0xff));
const CHUNK_BYTES = 64 * 1024;

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

async function whereOf(bytes: Buffer, brokenAt: number): Promise<BrokenStructure['where'] | null> {
  const broken = Buffer.from(bytes);
  broken[brokenAt]! ^= 0x10;
  const error = await readGzip(chunksOf(broken), () => {}).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(BrokenStructure);
  return (error as BrokenStructure).where ?? null;
}

const { bytes: stored, lengthsAt } = storedGzip(CONTENT);

test.each([0, 3, 8])('unpacking that fails at the header of block %i: there', async (block) => {
  const at = lengthsAt[block]!;
  const where = await whereOf(stored, at);
  expect(where?.startBytes).toBeLessThanOrEqual(at);
  expect(where?.endBytes).toBeGreaterThan(at);
  expect((where?.endBytes ?? 0) - (where?.startBytes ?? 0)).toBeLessThanOrEqual(3 * CHUNK_BYTES);
});

test('nothing but the checksum at the end is wrong: nowhere', async () => {
  expect(await whereOf(stored, lengthsAt[0]! + 1000)).toBeNull();
  expect(await whereOf(stored, stored.length - 100)).toBeNull();
});

test('the checksum of a member that others follow is wrong: before its end', async () => {
  const at = lengthsAt[0]! + 1000;
  const where = await whereOf(Buffer.concat([stored, stored]), at);
  expect(where?.endBytes).toBeGreaterThan(at);
  expect(where?.endBytes).toBeLessThanOrEqual(stored.length + CHUNK_BYTES);
});
