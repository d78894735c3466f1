import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inspectFiles } from '../../src/seeding/known-files.worker.ts';
import { OpenFiles } from '../../src/seeding/open-files.worker.ts';
import { createProvenMemory } from '../../src/seeding/proven-memory.ts';
import { type DamagedPiece, ReadOnlyStore } from '../../src/seeding/read-only-store.worker.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: the store gives the bytes of unchanged files and nothing else, and never writes.
 * Method: the real store of the seeding thread over real files in a temporary folder.
 */

/** @param options.padding which of the files are padding */
async function openStore(
  sizes: number[],
  options: {
    pieceLength?: number;
    handlesMax?: number;
    padding?: readonly number[];
    limits?: Parameters<typeof createProvenMemory>[0];
  } = {},
) {
  const folder = temporaryFolder();
  const pieceLength = options.pieceLength ?? 16;
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
  const damaged: DamagedPiece[] = [];
  const sha1s = Array.from({ length: Math.ceil(all.length / pieceLength) }, (_, index) =>
    createHash('sha1')
      .update(all.subarray(index * pieceLength, (index + 1) * pieceLength))
      .digest(),
  );
  const memory = createProvenMemory(options.limits);
  const store = new ReadOnlyStore(pieceLength, {
    knownFiles: await inspectFiles(
      files.map((file, index) => (options.padding?.includes(index) ? { ...file, absolutePath: null } : file)),
    ),
    sha1s: Buffer.concat(sha1s),
    openFiles: new OpenFiles(options.handlesMax),
    ...{ memory, refusalDelayMs: 0 },
    onRefused: (error) => refused.push(error.code),
    onDamaged: (piece) => damaged.push(piece),
  });
  onTestFinished(() => new Promise<void>((resolve) => store.close(() => resolve())));
  const get = (index: number, range: { offset?: number; length?: number } = {}): Promise<Uint8Array> =>
    new Promise((resolve, reject) =>
      store.get(index, range, (error, bytes) => (error === null ? resolve(bytes!) : reject(error))),
    );
  return { store, get, files, all, refused, damaged, memory };
}

/** Changes one bit; size and time stay what they were. */
function flipBit(path: string, position: number, was: Buffer): void {
  const { atimeMs, mtimeMs } = statSync(path);
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.of(was[position]! ^ 4), 0, 1, position);
  closeSync(file);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
}

describe('the read-only store', () => {
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

describe('a flipped bit', () => {
  const piece = 2 ** 20;
  const small = { pieceLength: piece, limits: { hotBytes: 0 } };

  it('is not served, and told once with the file that has it; the other pieces are', async () => {
    const { get, files, all, damaged, refused } = await openStore([3 * piece, 100], { pieceLength: piece });
    flipBit(files[0]!.absolutePath, piece + 70_000, all);
    for (const offset of [0, 65_536, 2 ** 19])
      await expect(get(1, { offset, length: 16_384 })).rejects.toMatchObject({
        code: 'seed_file_damaged',
        path: files[0]!.absolutePath,
      });
    for (const index of [0, 2, 3])
      expect(Buffer.from(await get(index)).equals(all.subarray(index * piece, (index + 1) * piece))).toBe(
        true,
      );
    expect(damaged).toEqual([{ index: 1, paths: [files[0]!.absolutePath] }]);
    expect(refused).toEqual([]);
  });

  it('is not served either when it happens after the piece was proven', async () => {
    const { get, files, all, damaged } = await openStore([2 * piece], small);
    const want = { offset: 65_536, length: 16_384 };
    expect(Buffer.from(await get(0, want)).equals(all.subarray(65_536, 81_920))).toBe(true);
    flipBit(files[0]!.absolutePath, 70_000, all);
    await expect(get(0, want)).rejects.toMatchObject({ code: 'seed_file_damaged' });
    await expect(get(0, { offset: 0, length: 16_384 })).rejects.toMatchObject({ code: 'seed_file_damaged' });
    expect(Buffer.from(await get(1)).equals(all.subarray(piece))).toBe(true);
    expect(damaged).toHaveLength(1);
  });

  it('names every file that has bytes of the piece, but no padding', async () => {
    const { get, files, all, damaged } = await openStore([10, 3, 0, 9, 30], { padding: [1] });
    flipBit(files[3]!.absolutePath, 1, all.subarray(13));
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_damaged' });
    expect(damaged).toEqual([{ index: 0, paths: [files[0]!.absolutePath, files[3]!.absolutePath] }]);
  });

  it('is served again once it is repaired, and not before it really is', async () => {
    const { store, get, files, all, damaged } = await openStore([piece], small);
    const path = files[0]!.absolutePath;
    const { mtimeMs } = statSync(path);
    flipBit(path, 5, all);
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_damaged' });
    expect(await store.renew(path, mtimeMs + 5)).toBeNull();
    expect(await store.renew(path, mtimeMs)).toEqual([0]);
    await expect(get(0)).rejects.toMatchObject({ code: 'seed_file_damaged' });
    expect(damaged).toHaveLength(2);
    writeFileSync(path, all);
    utimesSync(path, mtimeMs / 1000, mtimeMs / 1000);
    expect(await store.renew(path, statSync(path).mtimeMs)).toEqual([0]);
    expect(Buffer.from(await get(0)).equals(all)).toBe(true);
  });
});

describe('proofs', () => {
  it('are shared by all who want the same piece, and kept within their memory', async () => {
    const count = 40;
    const { get, all, memory } = await openStore([count * 16], {
      limits: { hotBytes: 64, checksumBytes: 8, proofsAtOnce: 2 },
    });
    const asked = Array.from({ length: 3 * count }, (_, index) => index % count);
    const answers = await Promise.all(asked.map((index) => get(index)));
    for (const [at, bytes] of answers.entries())
      expect(Buffer.from(bytes).equals(all.subarray(asked[at]! * 16, asked[at]! * 16 + 16))).toBe(true);
    expect(memory.hot.bytes).toBe(64);
    expect(memory.checksums.bytes).toBe(8);
  });

  it('are refused when too many wait, and made for whoever asks again', async () => {
    const { get, all } = await openStore([400], { limits: { proofsAtOnce: 1, proofsWaiting: 3 } });
    const answers = await Promise.allSettled(Array.from({ length: 25 }, (_, index) => get(index)));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
    expect(Buffer.from(await get(24)).equals(all.subarray(384))).toBe(true);
  });
});

describe('open files', () => {
  it('stay within the limit however many read at once', async () => {
    const { store, get, all } = await openStore(new Array(300).fill(7), { pieceLength: 35, handlesMax: 3 });
    let most = 0;
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const bytes = await get(index);
        most = Math.max(most, store.openCount);
        return bytes;
      }),
    );
    expect(Buffer.concat(answers).equals(all)).toBe(true);
    expect(most).toBe(3);
  });

  it('are none once the store is closed, and its memory is given back', async () => {
    const { store, get, memory } = await openStore(new Array(20).fill(16));
    await Promise.all(Array.from({ length: 20 }, (_, index) => get(index)));
    expect(store.openCount).toBe(20);
    expect(memory.hot.bytes).toBe(320);
    await new Promise<void>((resolve) => store.close(() => resolve()));
    expect(store.openCount).toBe(0);
    expect([memory.hot.bytes, memory.checksums.bytes]).toEqual([0, 0]);
    await expect(get(0)).rejects.toMatchObject({ message: 'the store is closed' });
  });
});
