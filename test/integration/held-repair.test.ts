// Goal: a held file that rotted, lost its end, its name or all of itself is found by one reading and put right with as few bytes as
// possible; nothing but proved bytes is ever written, and what cannot be put right stays as it is.
// Method: the real catalog, disk, threads and sockets; the sites log every request; faults of the disk by an injected port.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DAMAGE_ALERT } from '../../src/download/held/index.ts';
import { DumpFileId } from '../../src/lib/index.ts';
import { createNodeDisk, type Disk, type DiskFile } from '../../src/ports/index.ts';
import { CONTENT, contentOf, heldBundle, NAME, PIECE, pieceHashesOf, sha1 } from '../helpers/held-bundle.ts';
import { readBencode } from '../helpers/torrenting-bundle.ts';

type Bundle = Awaited<ReturnType<typeof heldBundle>>;
const task = () => ({ signal: new AbortController().signal });
const rangeOf = (piece: number, content = CONTENT): string =>
  `bytes=${piece * PIECE}-${Math.min((piece + 1) * PIECE, content.length) - 1}`;
const PIECES = Math.ceil(CONTENT.length / PIECE);

/** The real disk, with single calls of opened files replaced. */
function diskWith(change: (file: DiskFile, path: string) => Partial<DiskFile>): Disk {
  const real = createNodeDisk();
  return {
    ...real,
    async open(path, mode) {
      const file = await real.open(path, mode);
      return { ...file, ...change(file, path) };
    },
  };
}

const eio = () => Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });

/** Sound on disk under every name, read-only, and recorded so. */
function expectSound(bundle: Bundle, content = CONTENT): void {
  const { path, tree, id } = bundle.place();
  for (const name of [path, tree]) {
    expect(readFileSync(name).equals(content)).toBe(true);
    expect(statSync(name).mode & 0o777).toBe(0o444);
  }
  expect(statSync(tree).ino).toBe(statSync(path).ino);
  const { mtimeMs } = statSync(path);
  expect(bundle.row()).toMatchObject({
    ...{ ourStatus: 'included', damagedAt: null, verifiedAt: bundle.clock.now(), storedMtimeMs: mtimeMs },
    sha1: sha1(content),
  });
  expect(bundle.catalog.pieceHashes(id)).toEqual({ pieceLength: PIECE, sha1s: pieceHashesOf(content) });
  expect(existsSync(`${dirname(path)}/../../.partial/aawiki/20261120/${NAME}.part.repair`)).toBe(false);
}

/** Infohash of what lies in the torrent's folder, as create-torrent sees it. */
async function infoHashOf(tree: string): Promise<string> {
  const { default: make } = (await import('create-torrent' as string)) as {
    default: (input: string, options: object, done: (error: Error | null, bytes: Uint8Array) => void) => void;
  };
  const bytes = await new Promise<Uint8Array>((resolve, reject) =>
    make(dirname(tree), { pieceLength: PIECE }, (error, made) => (error ? reject(error) : resolve(made))),
  );
  return sha1(readBencode(Buffer.from(bytes)).info);
}

describe('one flipped bit', () => {
  test('is found, one piece travels, every name heals, and the torrent is the same', async () => {
    const bundle = await heldBundle();
    const { path, tree, id } = bundle.place();
    bundle.mirror.files.set(bundle.urlPath(), CONTENT);
    const before = { infoHash: await infoHashOf(tree), stat: statSync(path) };
    bundle.rot(3 * PIECE + 77);
    expect(await infoHashOf(tree)).not.toBe(before.infoHash);

    const { repair } = bundle.begin();
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 1 });
    expectSound(bundle);
    expect(bundle.asked).toEqual([{ site: 'mirror', path: bundle.urlPath(), range: rangeOf(3) }]);
    expect(await infoHashOf(tree)).toBe(before.infoHash);
    // In place, and with the time it had: whoever serves the file goes on serving it.
    expect(statSync(path).ino).toBe(before.stat.ino);
    expect(Math.abs(statSync(path).mtimeMs - before.stat.mtimeMs)).toBeLessThan(0.002);
    expect(bundle.alerts.map(({ key, severity }) => [key, severity])).toEqual([
      [DAMAGE_ALERT, 'error'],
      [DAMAGE_ALERT, 'over'],
    ]);
  });

  test('a reading alone records it and changes nothing on disk', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.rot(5);
    const rotten = bundle.read();
    const { verify } = bundle.begin();
    const outcome = await verify(id, task());
    expect(outcome).toMatchObject({
      state: 'damaged',
      reason: `1 of ${PIECES} pieces are not what is recorded`,
    });
    expect(bundle.row().damagedAt).toBe(bundle.clock.now());
    expect(bundle.read().equals(rotten)).toBe(true);
    expect(bundle.asked).toEqual([]);
    expect(bundle.alerts).toMatchObject([
      { key: DAMAGE_ALERT, severity: 'error', hint: expect.stringContaining('wikiseed verify --repair') },
    ]);
    // The first time is what counts.
    await bundle.clock.advance(60_000);
    await verify(id, task());
    expect(bundle.row().damagedAt).toBe(bundle.clock.now() - 60_000);
    expect(bundle.alerts).toHaveLength(1);
  });

  test('what another process found is recorded, unless the bytes or what is known of them changed since', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    const { noteDamage, repair } = bundle.begin();
    const { verifiedAt } = bundle.row();
    const found = { id, sha1: sha1(CONTENT), verifiedAt };
    expect(noteDamage([{ ...found, sha1: sha1(Buffer.alloc(1)) }])).toEqual([]);
    expect(noteDamage([{ ...found, id: DumpFileId.parse(4711) }])).toEqual([]);
    expect(bundle.row().damagedAt).toBeNull();
    expect(bundle.alerts.filter(({ severity }) => severity === 'error')).toEqual([]);

    expect(noteDamage([found])).toEqual([id]);
    expect(bundle.row().damagedAt).toBe(bundle.clock.now());
    expect(bundle.alerts.at(-1)).toMatchObject({ key: DAMAGE_ALERT, severity: 'error' });
    // Known already is known.
    expect(noteDamage([found])).toEqual([id]);

    // A reading that is older than the one that found it sound says nothing.
    await bundle.clock.advance(1000);
    expect(await repair(id, task())).toMatchObject({ state: 'sound' });
    expect(noteDamage([found])).toEqual([]);
    expect(bundle.row().damagedAt).toBeNull();
  });

  test('the short last piece too', async () => {
    const bundle = await heldBundle();
    bundle.rot(CONTENT.length - 1);
    expect(await bundle.begin().repair(bundle.place().id, task())).toMatchObject({ state: 'repaired' });
    expectSound(bundle);
    expect(bundle.asked.map(({ range }) => range)).toEqual([rangeOf(PIECES - 1), rangeOf(PIECES - 1)]);
  });
});

describe('who gives the bytes', () => {
  test('a mirror that lies is refused and noted, and nothing of it is written', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.mirror.files.set(bundle.urlPath(), contentOf(CONTENT.length, 2));
    bundle.rot(PIECE + 1);
    bundle.rot(2 * PIECE + 1);
    const written: number[] = [];
    const disk = diskWith((file) => ({
      write: async (data, at) => {
        written.push(at);
        expect(Buffer.from(data).equals(CONTENT.subarray(at, at + PIECE))).toBe(true);
        await file.write(data, at);
      },
    }));
    expect(await bundle.begin({ disk }).repair(id, task())).toMatchObject({
      state: 'repaired',
      healedPieces: 2,
    });
    expectSound(bundle);
    expect(written).toEqual([PIECE, 2 * PIECE]);
    // It is asked once, not for every piece.
    expect(bundle.asked.map(({ site, range }) => [site, range])).toEqual([
      ['mirror', rangeOf(1)],
      ['origin', rangeOf(1)],
      ['origin', rangeOf(2)],
    ]);
    const row = bundle.db.sqlite.prepare('SELECT bad_hashes AS bad FROM mirrors').get();
    expect(row).toEqual({ bad: 1 });
  });

  test('with liars only the file stays as it is, damaged, with its alert', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    const lie = contentOf(CONTENT.length, 2);
    bundle.mirror.files.set(bundle.urlPath(), lie);
    bundle.origin.files.set(bundle.urlPath(), lie);
    bundle.rot(PIECE + 1);
    const rotten = bundle.read();
    const disk = diskWith(() => ({ write: () => Promise.reject(new Error('nothing may be written')) }));
    expect(await bundle.begin({ disk }).repair(id, task())).toMatchObject({
      state: 'damaged',
      healedPieces: 0,
    });
    expect(bundle.read().equals(rotten)).toBe(true);
    expect(statSync(bundle.place().path).mode & 0o777).toBe(0o444);
    expect(bundle.row().damagedAt).not.toBeNull();
    expect(bundle.alerts.map(({ severity }) => severity)).toEqual(['error']);
  });

  test('when upstream has removed it, the Internet Archive gives it', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.origin.files.clear();
    bundle.archive.files.set('/download/item/x', CONTENT);
    bundle.db.sqlite
      .prepare('UPDATE dumps SET ia_url = ?, ia_verified_at = ? WHERE id = ?')
      .run(`${bundle.archive.baseUrl}/download/item/x`, bundle.clock.now(), id);
    bundle.rot(7);
    bundle.rot(9 * PIECE);
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 2 });
    expectSound(bundle);
    expect(bundle.asked.filter(({ site }) => site === 'archive').map(({ range }) => range)).toEqual([
      rangeOf(0),
      rangeOf(9),
    ]);
  });

  test('nobody has it: it stays, and what could be had of others is kept', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.origin.files.clear();
    bundle.rot(1);
    const { repair } = bundle.begin();
    expect(await repair(id, task())).toMatchObject({ state: 'damaged' });
    expect(bundle.row()).toMatchObject({ ourStatus: 'included', sha1: sha1(CONTENT) });
    // One sound day later it is had.
    bundle.origin.files.set(bundle.urlPath(), CONTENT);
    await bundle.clock.advance(24 * 3_600_000);
    expect(await repair(id, task())).toMatchObject({ state: 'repaired' });
    expectSound(bundle);
    expect(bundle.alerts.map(({ severity }) => severity)).toEqual(['error', 'over']);
  });

  test('a further source of pieces is asked when the servers have none', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.origin.files.clear();
    bundle.rot(4 * PIECE);
    const judged: boolean[] = [];
    const swarm = {
      giverFor: () => ({
        async *offers({ startBytes, endBytes }: { startBytes: number; endBytes: number }) {
          for (const bytes of [Buffer.alloc(endBytes - startBytes), CONTENT.subarray(startBytes, endBytes)])
            yield { bytes, from: 'a swarm', judged: (isRight: boolean) => void judged.push(isRight) };
        },
      }),
    };
    expect(await bundle.begin({ moreSources: [swarm] }).repair(id, task())).toMatchObject({
      state: 'repaired',
    });
    expectSound(bundle);
    expect(judged).toEqual([false, true]);
  });
});

describe('cut short', () => {
  test.each([
    'before a piece',
    'in the midst of a piece',
  ])('%s: the next attempt does the rest', async (where) => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    for (const piece of [2, 5, 8]) bundle.rot(piece * PIECE + 5000);
    let writes = 0;
    const disk = diskWith((file) => ({
      async write(data, at) {
        writes += 1;
        if (writes !== 2) return file.write(data, at);
        if (where === 'in the midst of a piece') await file.write(data.subarray(0, 1000), at);
        throw new Error('the power failed');
      },
    }));
    await expect(bundle.begin({ disk }).repair(id, task())).rejects.toThrow('the power failed');
    expect(writes).toBe(2);
    expect(bundle.row().damagedAt).not.toBeNull();
    bundle.asked.length = 0;
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired' });
    expectSound(bundle);
    const ranges = new Set(bundle.asked.map(({ range }) => range));
    expect(ranges).toEqual(new Set([rangeOf(5), rangeOf(8)]));
    expect(Math.abs(bundle.row().storedMtimeMs! - 1_795_000_000_123.456)).toBeLessThan(0.002);
  });

  test('told to stop, it stops', async () => {
    const bundle = await heldBundle();
    bundle.rot(1);
    const stop = new AbortController();
    stop.abort();
    await expect(bundle.begin().repair(bundle.place().id, { signal: stop.signal })).rejects.toMatchObject({
      code: 'interrupted',
    });
  });
});

describe('a disk that fails', () => {
  test('a spot that cannot be read is written anew, and the rest is read past it', async () => {
    const bundle = await heldBundle();
    const { id, path } = bundle.place();
    let isHealed = false;
    let failed = 0;
    const spot = 6 * PIECE + 100;
    const disk = diskWith((file, opened) => ({
      async read(target, at) {
        if (opened !== path || isHealed || at > spot || at + target.length <= spot)
          return file.read(target, at);
        failed += 1;
        throw eio();
      },
      async write(data, at) {
        await file.write(data, at);
        if (at <= spot && at + data.length > spot) isHealed = true;
      },
    }));
    bundle.rot(9 * PIECE);
    const { verify, repair } = bundle.begin({ disk });
    expect(await verify(id, task())).toMatchObject({
      state: 'damaged',
      reason: expect.stringMatching(/cannot read 1 piece; 2 of 11 pieces/),
    });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 2 });
    expect(failed).toBeGreaterThan(0);
    expectSound(bundle);
  });

  test('a spot that takes no bytes: the file is made anew beside, and all names follow', async () => {
    const bundle = await heldBundle();
    const { id, path } = bundle.place();
    const { ino } = statSync(path);
    let failed = 0;
    const disk = diskWith((file, opened) => ({
      async write(data, at) {
        if (opened !== path) return file.write(data, at);
        failed += 1;
        throw eio();
      },
    }));
    bundle.rot(2 * PIECE);
    const { repair, space } = bundle.begin({ disk });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired' });
    expect(failed).toBe(1);
    expect(statSync(path).ino).not.toBe(ino);
    expectSound(bundle);
    expect(space.reservedBytes()).toBe(0);
    // Sound pieces came from the old file.
    expect(new Set(bundle.asked.flatMap(({ range }) => range ?? []))).toEqual(new Set([rangeOf(2)]));
  });

  test('a copy in the folder of a torrent gives the pieces before anybody is asked, right or wrong', async () => {
    const bundle = await heldBundle();
    const { id, path, tree } = bundle.place();
    unlinkSync(tree);
    const copy = Buffer.from(CONTENT);
    copy[2 * PIECE] = (copy[2 * PIECE] as number) ^ 1;
    writeFileSync(tree, copy);
    bundle.rot(5);
    bundle.rot(2 * PIECE + 9);
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 2 });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(new Set(bundle.asked.flatMap(({ range }) => range ?? []))).toEqual(new Set([rangeOf(2)]));
  });

  test('what cannot be opened for want of rights says nothing of the bytes', async () => {
    const bundle = await heldBundle();
    const real = createNodeDisk();
    const disk: Disk = {
      ...real,
      open: () => Promise.reject(Object.assign(new Error('EACCES'), { code: 'EACCES' })),
    };
    const refused = bundle.begin({ disk }).repair(bundle.place().id, task());
    await expect(refused).rejects.toMatchObject({ code: 'held_file_unreadable', hint: expect.any(String) });
    expect(bundle.row().damagedAt).toBeNull();
  });

  test('an empty folder is a disk that is not mounted', async () => {
    const bundle = await heldBundle();
    rmSync(`${bundle.dataDir}/dumps`, { recursive: true });
    const refused = bundle.begin().repair(bundle.place().id, task());
    await expect(refused).rejects.toMatchObject({ code: 'dumps_folder_empty', scope: 'disk' });
    expect(bundle.row().damagedAt).toBeNull();
    expect(bundle.asked).toEqual([]);
  });
});

describe('what is missing', () => {
  test('a lost name comes back from the torrent, without a request', async () => {
    const bundle = await heldBundle();
    writeFileSync(`${bundle.dataDir}/dumps/other`, '');
    unlinkSync(bundle.place().path);
    expect(await bundle.begin().repair(bundle.place().id, task())).toMatchObject({ state: 'repaired' });
    expectSound(bundle);
    expect(bundle.asked).toEqual([]);
  });

  test('a lost file is fetched again piece by piece, and the torrent has it again', async () => {
    const bundle = await heldBundle();
    const { path, tree, id } = bundle.place();
    writeFileSync(`${bundle.dataDir}/dumps/other`, '');
    unlinkSync(path);
    unlinkSync(tree);
    let writes = 0;
    const disk = diskWith((file) => ({
      async write(data, at) {
        writes += 1;
        if (writes > 4) throw new Error('the power failed');
        await file.write(data, at);
      },
    }));
    await expect(bundle.begin({ disk }).repair(id, task())).rejects.toThrow('the power failed');
    expect(existsSync(path)).toBe(false);
    expect(bundle.row().damagedAt).not.toBeNull();
    bundle.asked.length = 0;
    const { repair, space } = bundle.begin();
    expect(await repair(id, task())).toMatchObject({ state: 'repaired' });
    expectSound(bundle);
    expect(space.reservedBytes()).toBe(0);
    // What was had before the cut is not fetched again.
    const ranges = new Set(bundle.asked.filter(({ site }) => site === 'origin').map(({ range }) => range));
    expect(ranges).toEqual(new Set(Array.from({ length: PIECES - 4 }, (_, at) => rangeOf(at + 4))));
  });

  test.each([
    ['its end', (path: string) => truncateSync(path, 4 * PIECE + 5), PIECES - 4],
    ['everything', (path: string) => truncateSync(path, 0), PIECES],
  ])('a file that lost %s gets it back in place', async (_what, cut, count) => {
    const bundle = await heldBundle();
    const { path, id } = bundle.place();
    const { ino } = statSync(path);
    chmodSync(path, 0o644);
    cut(path);
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: count });
    expectSound(bundle);
    expect(statSync(path).ino).toBe(ino);
  });

  test('bytes behind the end stay while a piece before it is damaged and nobody has it', async () => {
    const bundle = await heldBundle();
    const { path, id } = bundle.place();
    bundle.origin.files.clear();
    const longer = Buffer.concat([CONTENT, Buffer.from('more')]);
    longer[3] = (longer[3] as number) ^ 1;
    chmodSync(path, 0o644);
    writeFileSync(path, longer);
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'damaged' });
    expect(bundle.read().equals(longer)).toBe(true);
  });

  test('bytes behind the end go, last of all', async () => {
    const bundle = await heldBundle();
    const { path, id } = bundle.place();
    chmodSync(path, 0o644);
    writeFileSync(path, Buffer.concat([CONTENT, Buffer.from('more')]));
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 0 });
    expectSound(bundle);
    expect(bundle.asked).toEqual([]);
  });
});

describe('without stored piece hashes', () => {
  test('a sound reading stores them', async () => {
    const bundle = await heldBundle({ hasPieces: false });
    expect(await bundle.begin().verify(bundle.place().id, task())).toMatchObject({ state: 'sound' });
    expectSound(bundle);
  });

  test('a damaged file is fetched whole and healed in place once that is proved', async () => {
    const bundle = await heldBundle({ hasPieces: false });
    const { path, id } = bundle.place();
    const { ino } = statSync(path);
    bundle.mirror.files.set(bundle.urlPath(), contentOf(CONTENT.length, 2));
    bundle.rot(5 * PIECE);
    const { repair, space } = bundle.begin();
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 1 });
    expectSound(bundle);
    expect(statSync(path).ino).toBe(ino);
    expect(bundle.asked.map(({ site }) => site)).toEqual(['mirror', 'origin']);
    expect(space.reservedBytes()).toBe(0);
  });

  test('a missing one too; with liars only nothing is put in its place', async () => {
    const bundle = await heldBundle({ hasPieces: false, hasTorrent: false });
    const { path, id } = bundle.place();
    writeFileSync(`${bundle.dataDir}/dumps/other`, '');
    unlinkSync(path);
    bundle.origin.files.set(bundle.urlPath(), contentOf(CONTENT.length, 2));
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'damaged' });
    expect(existsSync(path)).toBe(false);
    bundle.origin.files.set(bundle.urlPath(), CONTENT);
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'repaired' });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  test('piece hashes that are wrong themselves are made anew', async () => {
    const bundle = await heldBundle();
    const { id } = bundle.place();
    bundle.db.sqlite
      .prepare('UPDATE dump_piece_hashes SET sha1s = ?')
      .run(pieceHashesOf(contentOf(CONTENT.length, 3)));
    expect(await bundle.begin().repair(id, task())).toMatchObject({ state: 'sound' });
    expectSound(bundle);
  });
});

describe('room for a file that is made anew', () => {
  /** What is promised, and what the file beside occupies, whenever bytes of it were written. */
  function watched() {
    const seen: { promised: number; there: number }[] = [];
    const begun: { space: { reservedBytes(): number } | null } = { space: null };
    const disk = diskWith((file, opened) => ({
      async write(data, at) {
        if (opened.endsWith('.repair'))
          seen.push({ promised: begun.space?.reservedBytes() ?? -1, there: statSync(opened).blocks * 512 });
        await file.write(data, at);
      },
    }));
    return { seen, begun, disk };
  }

  test.each([
    true,
    false,
  ])('does not count twice what is written already (piece hashes: %s)', async (hasPieces) => {
    const content = contentOf(40 * PIECE);
    const bundle = await heldBundle({ files: { [NAME]: content }, hasPieces, hasTorrent: false });
    const { path, id } = bundle.place();
    const beside = `${bundle.dataDir}/dumps/.partial/aawiki/20261120/${NAME}.part.repair`;
    mkdirSync(dirname(beside), { recursive: true });
    // Left by an attempt that was cut short: four right pieces.
    writeFileSync(beside, content.subarray(0, 4 * PIECE));
    writeFileSync(`${bundle.dataDir}/dumps/other`, '');
    unlinkSync(path);
    const { seen, begun, disk } = watched();
    const process = bundle.begin({ disk });
    begun.space = process.space;
    expect(await process.repair(id, task())).toMatchObject({ state: 'repaired' });
    expect(seen.length).toBeGreaterThan(10);
    expect(seen[0]).toEqual({
      promised: (hasPieces ? 36 : 40) * PIECE,
      there: hasPieces ? 4 * PIECE : 0,
    });
    // The last block may be a part of a file system's block.
    for (const { promised, there } of seen)
      expect(Math.abs(promised + there - content.length)).toBeLessThan(64 * 1024);
    expect(process.space.reservedBytes()).toBe(0);
  });
});

describe('a file that another one takes the place of', () => {
  test.each(['another file', 'other bytes'])('%s: gets no byte of the repair', async (what) => {
    const bundle = await heldBundle({ hasTorrent: false });
    const { path, id } = bundle.place();
    const other = contentOf(CONTENT.length, 3);
    bundle.rot(PIECE);
    const real = createNodeDisk();
    let renamed = 0;
    const disk: Disk = {
      ...real,
      async open(name, mode) {
        // Between the reading and the first byte of the repair.
        if (mode === 'update' && renamed === 0) {
          renamed += 1;
          const target = what === 'another file' ? `${path}.new` : path;
          writeFileSync(target, other);
          if (what === 'another file') renameSync(target, path);
        }
        return await real.open(name, mode);
      },
    };
    await expect(bundle.begin({ disk }).repair(id, task())).rejects.toMatchObject({
      code: 'held_file_changed',
    });
    expect(renamed).toBe(1);
    expect(bundle.read().equals(other)).toBe(true);
    expect(bundle.asked).toEqual([]);
  });
});

test('a file that is read while it is repaired waits for the end', async () => {
  const bundle = await heldBundle();
  const { id } = bundle.place();
  bundle.rot(1);
  const { repair, verify } = bundle.begin();
  const [first, second] = await Promise.all([repair(id, task()), verify(id, task())]);
  expect([first.state, second.state]).toEqual(['repaired', 'sound']);
});

test('a file that was replaced or deleted meanwhile is left alone', async () => {
  const bundle = await heldBundle();
  const { id } = bundle.place();
  bundle.rot(1);
  const disk = diskWith((file) => ({
    async read(target, at) {
      bundle.db.sqlite.prepare('UPDATE dumps SET sha1 = ? WHERE id = ?').run('0'.repeat(40), id);
      return file.read(target, at);
    },
  }));
  expect(await bundle.begin({ disk }).repair(id, task())).toMatchObject({ state: 'gone' });
  expect(bundle.row().damagedAt).toBeNull();
  expect(createHash('sha1').update(bundle.read()).digest('hex')).not.toBe(sha1(CONTENT));
});
