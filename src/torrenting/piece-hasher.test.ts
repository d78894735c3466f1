import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hashPieces } from './piece-hasher.ts';
import { choosePieceLength } from './piece-length.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

describe('choosePieceLength', () => {
  it.each([
    [0, 16 * MIB, 256 * KIB],
    [1, 16 * MIB, 256 * KIB],
    [32 * MIB - 1, 16 * MIB, 256 * KIB],
    [32 * MIB, 16 * MIB, 512 * KIB],
    [GIB - 1, 16 * MIB, 8 * MIB],
    [GIB, 16 * MIB, 16 * MIB],
    [5000 * GIB, 16 * MIB, 16 * MIB],
    [5000 * GIB, 4 * MIB, 4 * MIB],
    [1, 64 * KIB, 64 * KIB],
  ])('of %i bytes with %i configured is %i', (totalSizeBytes, configuredBytes, expected) => {
    expect(choosePieceLength(totalSizeBytes, configuredBytes)).toBe(expected);
  });
});

describe('hashPieces', () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  function setup(sizes: number[]) {
    const folder = mkdtempSync(join(tmpdir(), 'wikiseed-pieces-'));
    folders.push(folder);
    const files = sizes.map((sizeBytes, index) => ({ absolutePath: join(folder, String(index)), sizeBytes }));
    const bytes = files.map(({ absolutePath, sizeBytes }) => {
      const content = randomBytes(sizeBytes);
      writeFileSync(absolutePath, content);
      return content;
    });
    return { files, all: Buffer.concat(bytes) };
  }

  it.each([1, 3])('hashes over the borders of files, ranges and threads (%i threads)', async (threads) => {
    const pieceLength = 4096;
    const { files, all } = setup([0, 1, 5000, 0, 4096, 3, 100_000, 2_100_000, 0, 77, 0]);
    const expected: Buffer[] = [];
    for (let at = 0; at < all.length; at += pieceLength) {
      expected.push(
        createHash('sha1')
          .update(all.subarray(at, at + pieceLength))
          .digest(),
      );
    }
    let last = 0;
    const pieces = await hashPieces({
      files,
      pieceLength,
      threads,
      rangeBytes: 3 * pieceLength,
      signal: new AbortController().signal,
      onProgress: (doneBytes) => {
        last = doneBytes;
      },
    });
    expect(Buffer.from(pieces).equals(Buffer.concat(expected))).toBe(true);
    expect(last).toBe(all.length);
  });

  it('names a file that ends too early', async () => {
    const { files } = setup([10, 5000]);
    files[1]!.sizeBytes = 6000;
    await expect(
      hashPieces({ files, pieceLength: 4096, signal: new AbortController().signal }),
    ).rejects.toMatchObject({
      code: 'torrent_read_failed',
      message: expect.stringContaining(files[1]!.absolutePath),
    });
  });

  it('ends its threads when the signal aborts', async () => {
    const { files } = setup([4_000_000]);
    const stop = new AbortController();
    const hashing = hashPieces({
      files,
      pieceLength: 1024,
      rangeBytes: 1024,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(hashing).rejects.toMatchObject({ code: 'interrupted' });
  });
});
