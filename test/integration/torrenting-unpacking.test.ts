import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import type { DumpFile } from '../../src/catalog/index.ts';
import { DumpFileId, HaltPipelineError, Interrupted, Snooze } from '../../src/lib/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createLayout, createSpaceGuard, type SpaceControl } from '../../src/storage/index.ts';
import type { ContentFile } from '../../src/torrenting/payload/content.ts';
import {
  type UnpackDeps,
  type UnpackRequest,
  unpackAll,
  workFolder,
} from '../../src/torrenting/unpacking/unpack-all.ts';
import { unpackFiles } from '../../src/torrenting/unpacking/unpack-files.ts';
import { fixtures, has } from '../helpers/needs.ts';

/**
 * Goal: what is unpacked is exactly what the real programs unpack, never more than may come out, and nothing half is left.
 * Method: real threads on real files; bzip2, gzip and 7z are the judges.
 */

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-unpacking-'));
  folders.push(folder);
  return folder;
};

const CAP = 50_000_000;
const hex = (algorithm: string, bytes: Uint8Array): string =>
  createHash(algorithm).update(bytes).digest('hex');

/** Text that packs well, and differs by its seed. */
const text = (seed: string, sizeBytes: number): Buffer => {
  const words = Array.from(
    { length: Math.ceil(sizeBytes / 20) },
    (_, index) => `${seed} ${index} ${(index * 7919) % 1009}\n`,
  );
  return Buffer.from(words.join('')).subarray(0, sizeBytes);
};

const bzip2 = (bytes: Buffer, ...args: string[]): Buffer =>
  execFileSync('bzip2', ['-c', ...args], { input: bytes, maxBuffer: 2 ** 30 });

function sevenZip(bytes: Buffer): Buffer {
  const folder = temporary();
  writeFileSync(join(folder, 'x.xml'), bytes);
  execFileSync('7z', ['a', '-bd', join(folder, 'x.7z'), join(folder, 'x.xml')], { stdio: 'ignore' });
  return readFileSync(join(folder, 'x.7z'));
}

/** A data directory with packed files, and everything that unpacking needs. */
function setup(packed: Record<string, Buffer>, options: { freeBytes?: number; space?: SpaceControl } = {}) {
  const dataDir = temporary();
  const layout = createLayout(dataDir);
  const disk = createNodeDisk();
  const files = Object.entries(packed).map(([filename, bytes], index): ContentFile => {
    const localPath = `dumps/aawiki/20261120/${filename}`;
    mkdirSync(dirname(layout.absolute(localPath)), { recursive: true });
    writeFileSync(layout.absolute(localPath), bytes);
    const dump = {
      ...{
        id: DumpFileId.parse(index + 1),
        filename,
        localPath,
        sizeBytes: bytes.length,
        sha1: hex('sha1', bytes),
      },
      ...{
        wikiDbName: 'aawiki',
        language: 'aa',
        project: 'wikipedia',
        source: 'classic',
        runDate: '20261120',
      },
    } as DumpFile;
    return { dump, path: `uncompressed/aa/wikipedia/${filename.replace(/\.[^.]+$/, '')}`, upstreamUrl: '' };
  });
  mkdirSync(layout.torrents, { recursive: true });
  const now = { ms: 1000 };
  let freeBytes = options.freeBytes ?? 1e12;
  const space =
    options.space ??
    createSpaceGuard({
      disk: { space: async () => ({ freeBytes, totalBytes: 1e13 }) },
      ...{ dataDir, safetyMarginBytes: 0, maxSizeBytes: null },
    });
  const target = join(layout.torrents, 'wikimedia-dumps-uncompressed-2026-11-20');
  const progress: [number, number][] = [];
  const run = (facts: Partial<UnpackRequest> = {}, deps: Partial<UnpackDeps> = {}) =>
    unpackAll(
      {
        ...{
          disk,
          layout,
          space,
          log: silentLog,
          clock: { now: () => now.ms },
          signal: new AbortController().signal,
        },
        onProgress: (done, total) => void progress.push([done, total]),
        ...deps,
      },
      { target, files, maxFileBytes: CAP, recorded: new Map(), cursor: null, ...facts },
    );
  return {
    ...{ now, layout, disk, files, run, target, space, progress },
    folder: workFolder(target),
    setFree: (bytes: number) => {
      freeBytes = bytes;
    },
  };
}

/** Names in a folder and all below it. */
const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();

async function thrown(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  );
}

const canPack = has('bzip2') && has('7z') && has('gzip');

describe.skipIf(!canPack)('unpacked bytes', () => {
  const a = text('a', 3_000_000);
  const b = text('b', 1_234_567);

  test('are those of bzip2, gzip and 7-Zip, streams and members to the last', async () => {
    const packed = {
      'one.xml.bz2': bzip2(a),
      'multistream.xml.bz2': Buffer.concat([
        bzip2(a, '-1'),
        bzip2(b),
        bzip2(Buffer.alloc(0)),
        bzip2(a, '-5'),
      ]),
      'runs.xml.bz2': bzip2(Buffer.alloc(20_000_000, 0x61)),
      'one.sql.gz': gzipSync(b),
      'members.sql.gz': Buffer.concat([gzipSync(a), gzipSync(Buffer.alloc(0)), gzipSync(b)]),
      'history.xml.7z': sevenZip(Buffer.concat([a, b])),
      'empty.xml.bz2': bzip2(Buffer.alloc(0)),
    };
    const world = setup(packed);
    const { unpacked, broken, tooLarge, damaged } = await world.run();
    expect([broken, tooLarge, damaged]).toEqual([[], [], []]);
    expect(unpacked).toHaveLength(7);
    for (const { content, absolutePath, facts } of unpacked) {
      const { filename } = content.dump;
      const source = world.layout.absolute(content.dump.localPath!);
      const [program, ...args] = filename.endsWith('.bz2')
        ? ['bzip2', '-dc', source]
        : filename.endsWith('.gz')
          ? ['gzip', '-dc', source]
          : ['7z', 'x', '-so', source];
      const expected = execFileSync(program!, args, {
        maxBuffer: 2 ** 30,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const found = readFileSync(absolutePath);
      expect(found.equals(expected), filename).toBe(true);
      expect(facts).toEqual({
        sizeBytes: expected.length,
        ...Object.fromEntries(['md5', 'sha1', 'sha256'].map((name) => [name, hex(name, expected)])),
      });
      expect(statSync(absolutePath).mode & 0o777).toBe(0o444);
    }
    expect(world.progress.at(-1)?.[0]).toBe(world.progress.at(-1)?.[1]);
    expect(world.space.reservedBytes()).toBe(0);
  });

  test('of real dumps', async () => {
    const folder = fixtures();
    if (folder === null) return;
    const names = readdirSync(join(folder, 'aawiki/20260101')).filter((name) =>
      /\.(?:bz2|gz|7z)$/.test(name),
    );
    expect(names.length).toBeGreaterThan(5);
    const packed = Object.fromEntries(
      names.map((name) => [name, readFileSync(join(folder, 'aawiki/20260101', name))]),
    );
    // Those in two formats would get one name.
    delete packed['aawiki-20260101-pages-meta-history.xml.bz2'];
    const { unpacked, broken } = await setup(packed).run();
    expect(broken).toEqual([]);
    for (const { content, absolutePath } of unpacked.filter(({ content: { dump } }) =>
      dump.filename.endsWith('z2'),
    )) {
      const found = execFileSync('bzip2', ['-dc'], {
        input: packed[content.dump.filename],
        maxBuffer: 2 ** 30,
      });
      expect(readFileSync(absolutePath).equals(found), content.dump.filename).toBe(true);
    }
  });
});

describe.skipIf(!canPack)('files that are not unpacked', () => {
  const big = text('big', 2_000_000);

  test.each<[string, Buffer]>([
    ['x.xml.bz2', bzip2(big)],
    ['x.xml.gz', gzipSync(big)],
    ['x.xml.7z', sevenZip(big)],
  ])('%s: one byte more than may come out ends it, and leaves nothing', async (name, bytes) => {
    const world = setup({ [name]: bytes });
    const { unpacked, tooLarge } = await world.run({ maxFileBytes: big.length - 1 });
    expect([unpacked, tooLarge.length]).toEqual([[], 1]);
    expect(below(world.folder)).toEqual(['journal.jsonl']);
    // The setting decides, not what was found before.
    expect((await world.run({ maxFileBytes: big.length })).unpacked).toHaveLength(1);
    expect((await world.run({ maxFileBytes: big.length - 1 })).tooLarge).toHaveLength(1);
  });

  test.each<[string, Buffer]>([
    ['x.xml.bz2', bzip2(big).subarray(0, -20)],
    ['x.xml.gz', Buffer.concat([gzipSync(big), Buffer.from('no gzip')])],
    ['x.xml.7z', Buffer.concat([sevenZip(big).subarray(0, 200), Buffer.alloc(5000)])],
    ['y.xml.bz2', Buffer.from('no bzip2 at all')],
    ['z.sql.gz', Buffer.alloc(0)],
  ])('%s: a broken container as upstream published it; the others go on', async (name, bytes) => {
    const world = setup({ [name]: bytes, 'sound.xml.bz2': bzip2(big) });
    const { unpacked, broken, damaged } = await world.run();
    expect(broken.map(({ dump }) => dump.filename)).toEqual([name]);
    expect(unpacked.map(({ content }) => content.dump.filename)).toEqual(['sound.xml.bz2']);
    expect(damaged).toEqual([]);
    expect(below(world.folder)).toEqual(['journal.jsonl', 'sound.xml']);
  });

  test('one that is left before its end closes no file that somebody else has open by then', async () => {
    const folder = temporary();
    const packed = gzipSync(randomBytes(4_000_000), { level: 0 });
    const source = join(folder, 'x.sql.gz');
    writeFileSync(source, packed);
    const worker = new Worker(new URL('../../dist/torrenting/unpacking/unpack.worker.js', import.meta.url));
    const facts = { source, container: 'gz', sizeBytes: packed.length, sha1: hex('sha1', packed) };
    const answers: string[] = [];
    const next = (): void =>
      worker.postMessage({
        index: 0,
        target: join(folder, `${answers.length}.sql`),
        maxBytes: 1000,
        ...facts,
      });
    worker.on('message', ({ kind }: { kind: string }) => {
      if (kind === 'progress') return;
      answers.push(kind);
      next();
    });
    next();
    const lost: string[] = [];
    while (answers.length < 150) {
      const held = Array.from({ length: 6 }, (_, index) => openSync(join(folder, String(index)), 'w'));
      const count = answers.length;
      while (answers.length === count) await stat(folder);
      for (const fd of held)
        try {
          closeSync(fd);
        } catch (error) {
          lost.push((error as Error).message);
        }
    }
    await worker.terminate();
    expect(new Set(answers)).toEqual(new Set(['too_large']));
    expect(lost).toEqual([]);
  });

  test('a packed file that rotted here is damaged, not broken, also when it still unpacks', async () => {
    const bytes = gzipSync(big);
    const world = setup({ 'x.xml.gz': bytes });
    // The time in the header: no checksum covers it.
    bytes[4] = 0x77;
    writeFileSync(world.layout.absolute(world.files[0]!.dump.localPath!), bytes);
    const { unpacked, broken, damaged } = await world.run();
    expect([unpacked, broken]).toEqual([[], []]);
    expect(damaged).toMatchObject([{ isRepairable: true }]);
  });
});

test.skipIf(!canPack)('of all threads one alone reads 7z, and every file is unpacked', async () => {
  const packed = Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((seed) => [`${seed}.xml.7z`, sevenZip(text(seed, 400_000))]),
  );
  const others = Object.fromEntries(
    // Small, so that less than `CAP` is promised for them.
    ['g', 'h', 'i'].map((seed) => [`${seed}.sql.gz`, gzipSync(text(seed, 1000))]),
  );
  const world = setup({ ...packed, ...others });
  let [promised, reserved, most] = [0, 0, 0];
  // A promise lasts as long as its file: a file of 7z is promised all that may come out.
  const space = {
    ...world.space,
    async reserve(sizeBytes: number) {
      const promise = await world.space.reserve(sizeBytes);
      if (sizeBytes !== CAP) return promise;
      promised += 1;
      reserved += 1;
      most = Math.max(most, reserved);
      return {
        ...promise,
        release() {
          reserved -= 1;
          promise.release();
        },
      };
    },
  };
  expect((await world.run({}, { space })).unpacked).toHaveLength(9);
  expect([promised, most, reserved]).toEqual([6, 1, 0]);
});

describe.skipIf(!canPack)('interruptions', () => {
  test('room that is promised when the work is over already is given back', async () => {
    const world = setup({ 'a.sql.gz': gzipSync(text('a', 1000)), 'b.sql.gz': gzipSync(text('b', 1000)) });
    const abort = new AbortController();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const counted = { promised: 0, released: 0 };
    const late = Promise.withResolvers<void>();
    const room = {
      async promise() {
        asked.resolve();
        await answer.promise;
        counted.promised += 1;
        return {
          written: () => {},
          release() {
            counted.released += 1;
            late.resolve();
          },
        };
      },
    };
    const files = world.files.map((content) => ({
      ...{ content, container: 'gz' as const, packedSha1: content.dump.sha1 ?? '', maxBytes: CAP },
      source: world.layout.absolute(content.dump.localPath ?? ''),
      absolutePath: join(world.folder, content.path),
    }));
    const work = thrown(
      unpackFiles({ disk: world.disk, room: room as never, signal: abort.signal }, files, () => {}),
    );
    await asked.promise;
    abort.abort();
    expect(await work).toBeInstanceOf(Interrupted);
    answer.resolve();
    await late.promise;
    await new Promise((resolve) => setImmediate(resolve));
    // Nobody asks for the second file any more.
    expect(counted).toEqual({ promised: 1, released: 1 });
  });

  const texts = ['a', 'b', 'c', 'd', 'e', 'f'].map((seed) => text(seed, 2_000_000));
  const packed = Object.fromEntries(texts.map((bytes, index) => [`${index}.xml.bz2`, bzip2(bytes)]));

  test('an abort ends the threads; what was whole by then is not unpacked again', async () => {
    const world = setup(packed);
    const abort = new AbortController();
    let unpackedFiles = 0;
    const disk = {
      ...world.disk,
      open: async (...given: Parameters<typeof world.disk.open>) => {
        const file = await world.disk.open(...given);
        const { write } = file;
        // A line of the journal: a file is done.
        file.write = async (...what) => {
          await write(...what);
          if (++unpackedFiles === 2) abort.abort();
        };
        return file;
      },
    };
    expect(await thrown(world.run({}, { disk, signal: abort.signal }))).toBeInstanceOf(Interrupted);
    expect(unpackedFiles).toBeGreaterThanOrEqual(2);
    const done = below(world.folder).filter((name) => name.endsWith('.xml'));
    expect(done.length).toBeLessThan(6);
    const before = new Map(
      done.map((name) => [name, statSync(join(world.folder, 'uncompressed/aa/wikipedia', name)).ino]),
    );
    const { unpacked } = await world.run();
    expect(unpacked).toHaveLength(6);
    const kept = unpacked.filter(
      ({ absolutePath }) => before.get(basename(absolutePath)) === statSync(absolutePath).ino,
    );
    expect(kept.length).toBeGreaterThanOrEqual(2);
    expect(below(world.folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    for (const { content, absolutePath } of unpacked)
      expect(readFileSync(absolutePath).equals(texts[Number(content.dump.filename[0])]!)).toBe(true);
  });

  test('a torn journal and a file that was changed since: unpacked once more', async () => {
    const world = setup(packed);
    await world.run();
    const journal = join(world.folder, 'journal.jsonl');
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    writeFileSync(journal, `${lines.slice(0, 4).join('\n')}\nno json\n${lines[4]!.slice(0, 30)}`);
    const changed = join(world.folder, JSON.parse(lines[0]!).path as string);
    rmSync(changed);
    writeFileSync(changed, 'other bytes');
    const { unpacked } = await world.run();
    for (const { content, absolutePath } of unpacked)
      expect(readFileSync(absolutePath).equals(texts[Number(content.dump.filename[0])]!)).toBe(true);
    expect((await world.run()).unpacked).toHaveLength(6);
    expect(readFileSync(journal, 'utf8').trimEnd().split('\n').at(-1)).toMatch(/^\{.*\}$/);
  });

  test('without room: everything unpacked is given up, and it does not begin again before there is more', async () => {
    const world = setup(packed, { freeBytes: CAP - 1 });
    const snooze = (await thrown(world.run())) as Snooze;
    expect(snooze).toBeInstanceOf(Snooze);
    expect(snooze.message).toMatch(/no room for unpacked files/);
    expect(readdirSync(world.layout.torrents)).toEqual([]);
    expect(snooze.cursor).toEqual({ neededBytes: CAP, sinceMs: 1000 });
    expect(await thrown(world.run({ cursor: snooze.cursor }))).toBeInstanceOf(Snooze);
    expect(readdirSync(world.layout.torrents)).toEqual([]);
    // After a day it gives up, so that nothing waits for it; it is asked for anew.
    world.now.ms += 25 * 3_600_000;
    expect(await thrown(world.run({ cursor: snooze.cursor }))).toMatchObject({ code: 'no_room_to_unpack' });
    world.setFree(CAP);
    // There is room for one at a time only: the others wait for it.
    expect((await world.run({ cursor: snooze.cursor })).unpacked).toHaveLength(6);
    expect(world.space.reservedBytes()).toBe(0);
  });

  test('a hard stop ends it at once and gives the room back', async () => {
    const world = setup(packed);
    const reason = new HaltPipelineError('storage_hard_stop', 'No room', { pauseMs: 1 });
    let isStopped = false;
    const reserve = async (sizeBytes: number) => {
      if (!isStopped) setImmediate(() => world.space.stopRunning(reason));
      isStopped = true;
      return await world.space.reserve(sizeBytes);
    };
    const error = await thrown(world.run({}, { space: { ...world.space, reserve } }));
    expect(error).toBeInstanceOf(Snooze);
    expect(readdirSync(world.layout.torrents)).toEqual([]);
    expect(world.space.reservedBytes()).toBe(0);
  });
});
