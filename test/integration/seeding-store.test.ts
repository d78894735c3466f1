import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inspectFiles, ReadOnlyStore } from '../../src/seeding/read-only-store.worker.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: the store gives the bytes of unchanged files and nothing else, and never writes.
 * Method: the real store of the seeding thread over real files in a temporary folder.
 */

describe('the read-only store', () => {
  /** @param options.padding which of the files are padding */
  async function openStore(
    sizes: number[],
    options: { pieceLength?: number; handlesMax?: number; padding?: readonly number[] } = {},
  ) {
    const folder = temporaryFolder();
    const files = sizes.map((sizeBytes, index) => ({ absolutePath: join(folder, `f${index}`), sizeBytes }));
    const all = Buffer.concat(
      files.map(({ absolutePath, sizeBytes }, index) => {
        if (options.padding?.includes(index)) return Buffer.alloc(sizeBytes);
        const bytes = randomBytes(sizeBytes);
        writeFileSync(absolutePath, bytes);
        return bytes;
      }),
    );
    const refused: string[] = [];
    const store = new ReadOnlyStore(options.pieceLength ?? 16, {
      knownFiles: await inspectFiles(
        files.map((file, index) =>
          options.padding?.includes(index) ? { ...file, absolutePath: null } : file,
        ),
      ),
      handlesMax: options.handlesMax ?? 128,
      onRefused: (error) => refused.push(error.code),
    });
    onTestFinished(() => new Promise<void>((resolve) => store.close(() => resolve())));
    const get = (index: number, range: { offset?: number; length?: number } = {}): Promise<Uint8Array> =>
      new Promise((resolve, reject) =>
        store.get(index, range, (error, bytes) => (error === null ? resolve(bytes!) : reject(error))),
      );
    return { store, get, files, all, refused };
  }

  it('refuses writes', async () => {
    const { store, all, get } = await openStore([40]);
    const error = await new Promise((resolve) => store.put(0, new Uint8Array(16), resolve));
    expect(error).toMatchObject({ message: 'this store is read-only' });
    expect(Buffer.from(await get(0)).equals(all.subarray(0, 16))).toBe(true);
  });

  it.each([
    ['empty ones included', [3, 0, 0, 20, 1, 9, 0, 31, 0], []],
    ['padding is zeros that are on no disk', [19, 13, 16, 33, 15, 5, 0, 2], [1, 4]],
  ])('reads every range over the borders of files: %s', async (_what, sizes, padding) => {
    const { get, all, files } = await openStore(sizes, { pieceLength: 16, padding });
    expect(readdirSync(dirname(files[0]!.absolutePath))).toHaveLength(sizes.length - padding.length);
    for (let index = 0; index * 16 < all.length; index += 1) {
      const piece = all.subarray(index * 16, index * 16 + 16);
      expect(Buffer.from(await get(index)).equals(piece)).toBe(true);
      for (let offset = 0; offset < piece.length; offset += 1) {
        const length = Math.min(5, piece.length - offset);
        expect(
          Buffer.from(await get(index, { offset, length })).equals(piece.subarray(offset, offset + length)),
        ).toBe(true);
      }
    }
  });

  it.each([
    [0, { offset: 0, length: 17 }],
    [0, { offset: -1, length: 4 }],
    [2, { offset: 0, length: 9 }],
    [3, { offset: 0, length: 1 }],
    [-1, {}],
    [0.5, {}],
  ])('refuses a range outside the piece: %j %j', async (index, range) => {
    const { get } = await openStore([40]);
    await expect(get(index, range)).rejects.toBeInstanceOf(RangeError);
  });

  it('keeps few files open', async () => {
    const { store, get, all } = await openStore(new Array(50).fill(16), { handlesMax: 4 });
    for (let index = 0; index < 50; index += 1) {
      expect(Buffer.from(await get(index)).equals(all.subarray(index * 16, index * 16 + 16))).toBe(true);
      expect(store.openCount).toBeLessThanOrEqual(4);
    }
  });

  it('serves a repaired file again: its bytes and its time are what they were, to a microsecond', async () => {
    const { get, files, all, refused } = await openStore([32]);
    const path = files[0]!.absolutePath;
    const { atimeMs, mtimeMs } = statSync(path);
    writeFileSync(path, all);
    // Also within the same tick of the system's clock.
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000 + 1);
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_changed' });
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
    expect(Buffer.from(await get(0)).equals(all.subarray(0, 16))).toBe(true);
    expect(refused).toEqual(['seed_file_changed']);
  });

  it.each([
    ['grows', (path: string) => appendFileSync(path, 'x')],
    ['shrinks', (path: string) => truncateSync(path, 8)],
    ['is written to', (path: string) => writeFileSync(path, randomBytes(32))],
  ])('never serves a file that %s, open or not', async (_how, change) => {
    const { get, files, refused } = await openStore([32, 32]);
    await get(0);
    change(files[0]!.absolutePath);
    change(files[1]!.absolutePath);
    await expect(get(0, { offset: 0, length: 4 })).rejects.toMatchObject({ code: 'seed_file_changed' });
    await expect(get(2)).rejects.toMatchObject({ code: 'seed_file_changed' });
    expect(refused).toEqual(['seed_file_changed', 'seed_file_changed']);
  });

  it('says which file is missing, and does not create it', async () => {
    const { get, files } = await openStore([32]);
    rmSync(files[0]!.absolutePath);
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_missing', path: files[0]!.absolutePath });
    expect(readdirSync(dirname(files[0]!.absolutePath))).toEqual([]);
  });
});
