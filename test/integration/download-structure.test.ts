import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { containerOf } from '../../src/catalog/index.ts';
import { checkStructure } from '../../src/download/structure/check-structure.ts';
import { endingOf } from '../../src/download/structure/text-end.ts';
import { BrokenStructure } from '../../src/lib/containers/broken-structure.ts';
import { readBzip2 } from '../../src/lib/containers/bzip2.ts';
import { readGzip } from '../../src/lib/containers/gzip.ts';
import { checkSevenZip } from '../../src/lib/containers/seven-zip-frame.ts';
import { fixtures, has } from '../helpers/needs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/**
 * Goal: a file that upstream gives no hash for is taken only when its container is whole, and never refused when it is.
 * Method: real dump files, whole and damaged in every way, through the real thread; single bits are judged by bzip2 and gzip too.
 */

const real = fixtures();
const folder = mkdtempSync(join(tmpdir(), 'wikiseed-structure-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const never = new AbortController().signal;

const RUN = 'aawiki/20260101/aawiki-20260101-';
const SAMPLES = '_samples/dump-tooling/';
const readReal = (name: string): Buffer => readFileSync(join(real ?? '', name));

/** Every packed file of the real data. */
const packed =
  real === null
    ? []
    : readdirSync(real, { recursive: true, encoding: 'utf8' }).filter((name) => containerOf(name) !== null);

/** The verdict on these bytes, from the real thread and a real file. */
async function verdictOn(bytes: Buffer, name: string) {
  const path = join(folder, 'part');
  writeFileSync(path, bytes);
  return checkStructure({ path, name, signal: never });
}

/** The same without thread and file, for thousands of cases. `step` bytes at a time. */
async function reasonOf(bytes: Buffer, name: string, step = 4096): Promise<string | null> {
  let position = 0;
  const next = (atMost = step): Buffer => {
    const start = position;
    position = Math.min(bytes.length, start + Math.min(step, atMost));
    return bytes.subarray(start, position);
  };
  try {
    if (name.endsWith('.bz2')) readBzip2({ read: (target) => next(target.length).copy(target) }, () => {});
    else if (name.endsWith('.gz'))
      await readGzip(
        (async function* () {
          while (position < bytes.length) yield next();
        })(),
        () => {},
      );
    else
      checkSevenZip({
        sizeBytes: bytes.length,
        readAt: (target, from) => bytes.copy(target, 0, from, from + target.length),
      });
    return null;
  } catch (error) {
    if (error instanceof BrokenStructure) return error.message;
    throw error;
  }
}

describe.skipIf(real === null)('real files', () => {
  test('there are some of each kind', () => {
    const kinds = new Set(packed.map(containerOf));
    expect([...kinds].sort()).toEqual(['7z', 'bz2', 'gz']);
    expect(packed.length).toBeGreaterThan(20);
  });

  test.each(packed)('%s is whole', async (name) => {
    expect(await verdictOn(readReal(name), basename(name))).toEqual({ isSound: true });
  });

  const chosen = [
    `${RUN}pages-articles-multistream.xml.bz2`,
    `${RUN}pages-articles-multistream-index.txt.bz2`,
    `${RUN}pages-meta-current.xml.bz2`,
    `${RUN}pages-meta-history.xml.7z`,
    `${RUN}all-titles.gz`,
    `${RUN}all-titles-in-ns0.gz`,
    `${RUN}stub-meta-history.xml.gz`,
  ];

  test.each(chosen)('%s is broken when it ends early, anywhere', async (name) => {
    const bytes = readReal(name);
    const ends = [1, 2, 5, 11, 20, 33, 0.1, 0.5, 0.9]
      .map((end) => (end < 1 ? Math.floor(bytes.length * end) : end))
      .concat([1, 2, 4, 5, 8, 12].map((less) => bytes.length - less));
    for (const end of ends) {
      const reason = await reasonOf(bytes.subarray(0, end), name);
      expect(reason, `the first ${end} bytes`).not.toBeNull();
    }
    // The same through the thread, which is slower to start.
    expect(await verdictOn(bytes.subarray(0, -1), name)).toMatchObject({ isSound: false });
  });

  test.each(chosen)('%s is broken with anything behind its end', async (name) => {
    const bytes = readReal(name);
    for (const tail of [
      'x',
      '\0',
      '\0\0\0\0\0\0\0\0',
      '\x1f',
      '\x1f\x8b',
      'BZ',
      'BZh',
      'BZh9',
      '<html>busy</html>',
    ])
      expect(await reasonOf(Buffer.concat([bytes, Buffer.from(tail, 'latin1')]), name), tail).not.toBeNull();
  });

  test.each(chosen)('%s is broken when it is empty, an error page or full of zeros', async (name) => {
    expect(await verdictOn(Buffer.alloc(0), name)).toMatchObject({
      isSound: false,
      reason: 'the file is empty',
    });
    const { length } = readReal(name);
    for (const bytes of [Buffer.from('<html>404 not found</html>'), Buffer.alloc(length)])
      expect(await reasonOf(bytes, name)).not.toBeNull();
  });

  test('the smallest real file of 43 bytes is whole', async () => {
    const bytes = readReal(`${RUN}all-titles-in-ns0.gz`);
    expect(bytes.length).toBe(43);
    expect(await verdictOn(bytes, 'x.gz')).toEqual({ isSound: true });
  });

  // A file of several streams or members may end between two of them: only its size can tell, and that is known.
  test.each([
    `${SAMPLES}pages-articles-sample1.xml-p1p1500.bz2`,
    `${RUN}site_stats.sql.gz`,
  ])('%s is broken at every length but its own', async (name) => {
    const bytes = readReal(name);
    const whole: number[] = [];
    for (let end = 0; end < bytes.length; end += 1)
      if ((await reasonOf(bytes.subarray(0, end), name)) === null) whole.push(end);
    expect(whole).toEqual([]);
  });

  test.each([1, 7, 4096])('the verdict does not depend on blocks of %i bytes', async (step) => {
    for (const name of chosen.filter((one) => !one.endsWith('7z')).slice(0, 5)) {
      const bytes = readReal(name).length < 60_000 ? readReal(name) : null;
      if (bytes === null) continue;
      expect(await reasonOf(bytes, name, step)).toBeNull();
      expect(await reasonOf(bytes.subarray(0, -1), name, step)).not.toBeNull();
      expect(await reasonOf(Buffer.concat([bytes, Buffer.alloc(1)]), name, step)).not.toBeNull();
    }
  });

  test.skipIf(!has('bzip2')).each([
    ['bzip2', `${SAMPLES}pages-articles-sample1.xml-p4001p4321.bz2`],
    ['bzip2', `${RUN}pages-articles-multistream-index.txt.bz2`],
    ['gzip', `${RUN}redirect.sql.gz`],
    ['gzip', `${RUN}all-titles-in-ns0.gz`],
  ])('%s -t thinks the same of flipped bits in %s', async (program, name) => {
    const bytes = readReal(name);
    const random = seededRandom(20260101);
    let broken = 0;
    for (let round = 0; round < 60; round += 1) {
      const flipped = Buffer.from(bytes);
      const bit = Math.floor(random.next() * bytes.length * 8);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const reason = await reasonOf(flipped, name);
      const { status } = spawnSync(program, ['-t'], { input: flipped });
      expect(reason === null, `bit ${bit}: ${reason}`).toBe(status === 0);
      if (reason !== null) broken += 1;
    }
    expect(broken).toBeGreaterThan(40);
  });

  test('of bzip2 the checksum at the end of a stream counts beside those of its blocks', async () => {
    const bytes = readReal(`${RUN}pages-articles-multistream-index.txt.bz2`);
    // The last bytes are the checksum and up to seven bits of nothing.
    for (let bit = (bytes.length - 4) * 8; bit < (bytes.length - 1) * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(await reasonOf(flipped, 'x.bz2')).toContain('the checksum of the stream is wrong');
    }
  });

  test('of 7z every bit of both headers counts', async () => {
    const name = `${RUN}pages-meta-history.xml.7z`;
    const bytes = readReal(name);
    const headerAt = 32 + Number(bytes.readBigUInt64LE(12));
    const flip = async (bit: number) => {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      return reasonOf(flipped, name);
    };
    // Bytes 6 and 7 are the version of the format.
    for (let bit = 0; bit < 32 * 8; bit += 1)
      if (bit >> 3 !== 6 && bit >> 3 !== 7) expect(await flip(bit), `bit ${bit}`).not.toBeNull();
    for (let bit = headerAt * 8; bit < bytes.length * 8; bit += 1)
      expect(await flip(bit), `bit ${bit}`).not.toBeNull();
  });

  test('of 7z every bit of the packed data counts as well', async () => {
    const name = `${RUN}pages-meta-history.xml.7z`;
    const bytes = readReal(name);
    const random = seededRandom(20260102);
    for (let round = 0; round < 12; round += 1) {
      const flipped = Buffer.from(bytes);
      const bit = 32 * 8 + Math.floor(random.next() * Number(bytes.readBigUInt64LE(12)) * 8);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      // Both headers are as they were, so nothing but unpacking can tell.
      expect(await reasonOf(flipped, name), `bit ${bit}`).toBeNull();
      const verdict = await verdictOn(flipped, basename(name));
      expect(verdict, `bit ${bit}`).toMatchObject({
        isSound: false,
        reason: expect.stringContaining('cannot be unpacked'),
      });
    }
  });

  test('files behind one another are one file, as in multistream dumps', async () => {
    const gz = readReal(`${RUN}all-titles.gz`);
    const bz2 = readReal(`${RUN}pages-articles.xml.bz2`);
    const emptyStream = Buffer.from('425a683917724538509000000000', 'hex');
    for (const [name, parts] of [
      ['x.gz', [gz, gz, gzipSync(''), gz]],
      ['x.bz2', [bz2, emptyStream, bz2]],
    ] as const) {
      expect(await verdictOn(Buffer.concat(parts), name)).toEqual({ isSound: true });
      const cut = Buffer.concat([...parts, parts[0].subarray(0, -1)]);
      expect(await verdictOn(cut, name)).toMatchObject({ isSound: false });
    }
  });

  test('stops at once when told, also in the middle of its work', async () => {
    const part = readReal('_samples/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2');
    const path = join(folder, 'large');
    writeFileSync(path, Buffer.concat(Array.from({ length: 3 }, () => part)));
    const controller = new AbortController();
    const { signal } = controller;
    const check = () => checkStructure({ path, name: 'x.bz2', signal, onProgress: () => controller.abort() });
    await expect(check()).rejects.toMatchObject({ code: 'interrupted' });
    expect(signal.aborted).toBe(true);
    await expect(check()).rejects.toMatchObject({ code: 'interrupted' });
  });

  test('unpacks to far more than it is, without keeping it', async () => {
    const zeros = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    expect(await reasonOf(Buffer.concat(Array.from({ length: 8 }, () => zeros)), 'x.gz')).toBeNull();
  });
});

test.each([
  ['x.gz', 'gz'],
  ['x.xml.bz2', 'bz2'],
  ['x.xml.7z', '7z'],
  ['x.GZ', 'gz'],
  ['x.json', null],
  ['x', null],
  ['gz', 'gz'],
])('%s is packed as %s', (name, container) => {
  expect(containerOf(name)).toBe(container);
});

test('says how far it is', async () => {
  const path = join(folder, 'long');
  const size = 10 * 1024 * 1024;
  writeFileSync(
    path,
    gzipSync(
      Buffer.from(seededRandom(1).hex(1024))
        .toString()
        .repeat(size / 2048),
      { level: 0 },
    ),
  );
  const told: number[] = [];
  const onProgress = (checkedBytes: number): void => void told.push(checkedBytes);
  expect(await checkStructure({ path, name: 'x.gz', signal: never, onProgress })).toEqual({ isSound: true });
  expect(told).toEqual([4 * 1024 * 1024, 8 * 1024 * 1024]);
});

test.each([
  'x.json',
  'x.txt',
  'x.html',
  'x.sql',
  'x',
])('of %s nothing is proved, so it never passes', async (name) => {
  const verdict = await checkStructure({ path: '/nowhere/x', name, signal: never });
  expect(verdict).toMatchObject({ isSound: false, reason: expect.stringContaining('not packed') });
});

test.each([
  ['aawiki-20260101-pages-articles.xml.bz2', '</mediawiki>'],
  ['aawiki-20260101-pages-articles1.xml-p1p41242.bz2', '</mediawiki>'],
  ['aawiki-20260101-pages-articles-multistream1.xml-p1p41242.bz2', '</mediawiki>'],
  ['aawiki-2026-01-01-p1269p2402.xml.bz2', '</mediawiki>'],
  ['aawiki-20260101-pages-meta-history1.xml-p000000010p000030302.7z', '</mediawiki>'],
  ['aawiki-20260101-stub-articles27.xml.gz', '</mediawiki>'],
  ['aawiki-20260101-abstract.xml.gz', '</feed>'],
  ['aawiki-20260101-abstract12.xml.gz', '</feed>'],
  ['zhwiki-20260101-abstract-zh-tw2.xml.gz', '</feed>'],
  ['aawiki-20260101-pages-articles-multistream-index1.txt-p1p41242.bz2', null],
  ['aawiki-20260101-siteinfo-namespaces.json.gz', null],
  ['aawiki-20260101-page.sql.gz', null],
])('%s ends with %s', (name, ending) => {
  expect(endingOf(name)).toBe(ending);
});

const packs = [
  ['gz', (text: string) => gzipSync(text)],
  ['bz2', (text: string) => packedBy('bzip2', text)],
  ['7z', (text: string) => sevenZipped(text)],
] as const;

function packedBy(program: string, text: string): Buffer {
  return spawnSync(program, ['-c'], { input: text, maxBuffer: 1e9 }).stdout;
}

function sevenZipped(text: string): Buffer {
  const path = join(folder, 'made.7z');
  rmSync(path, { force: true });
  expect(spawnSync('7z', ['a', '-bd', '-mx=1', '-six.xml', path], { input: text }).status).toBe(0);
  return readFileSync(path);
}

describe.skipIf(!has('bzip2') || !has('7z')).each(packs)('XML packed as %s', (container, pack) => {
  const text = `<mediawiki>${'<page>aaaaaaa</page>\n'.repeat(90_000)}`;

  test.each([
    ['</mediawiki>', true],
    ['</mediawiki>\n', true],
    ['</mediawiki>\n\n', true],
    ['', false],
    ['</mediawiki', false],
    ['</mediawiki><page>', false],
    ['</feed>', false],
  ])('and ending with %j: %s', async (end, isSound) => {
    const bytes = pack(text + end);
    expect(await verdictOn(bytes, `x.xml.${container}`)).toMatchObject({
      isSound,
      ...(isSound ? {} : { reason: expect.stringContaining('</mediawiki>') }),
    });
    // Only of XML is it known how it ends.
    expect(await verdictOn(bytes, `x.txt.${container}`)).toEqual({ isSound: true });
  });
});

test.skipIf(!has('bzip2'))('the end may lie in several streams, and behind long runs', async () => {
  const streams = ['<mediawiki>', 'y'.repeat(5000), '</med', 'iawi', 'ki>', ' '.repeat(20)];
  const bytes = Buffer.concat(streams.map((text) => packedBy('bzip2', text)));
  expect(await verdictOn(bytes, 'x.xml.bz2')).toEqual({ isSound: true });
  const cut = Buffer.concat(streams.slice(0, -2).map((text) => packedBy('bzip2', text)));
  expect(await verdictOn(cut, 'x.xml.bz2')).toMatchObject({ isSound: false });
});

test.skipIf(!has('7z'))(
  'a 7z archive that asks for more memory than there is for it is no broken file',
  async () => {
    const path = join(folder, 'greedy.7z');
    rmSync(path, { force: true });
    const made = spawnSync('7z', ['a', '-bd', '-m0=lzma2:d=1g', '-mx=1', '-mmt=1', '-six.xml', path], {
      input: Buffer.alloc(1000),
    });
    expect(made.status, String(made.stderr)).toBe(0);
    const check = checkStructure({ path, name: 'x.txt.7z', signal: never });
    await expect(check).rejects.toMatchObject({
      code: 'structure_unreadable',
      message: expect.stringContaining('memory'),
    });
  },
);

test.each(['x.gz', 'x.bz2', 'x.7z'])('%s that cannot be read is no broken file', async (name) => {
  const check = checkStructure({ path: '/nowhere/x', name, signal: never });
  await expect(check).rejects.toMatchObject({ name: 'RetryableError', code: 'structure_unreadable' });
});

test.each([
  'BZh0',
  'BZh:',
  'BZh9AAAAAA',
  '425a6839314159265359',
])('bytes that only begin like bzip2 are broken: %s', async (text) => {
  const bytes = /^[0-9a-f]{8,}$/.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text);
  expect(await reasonOf(bytes, 'x.bz2')).not.toBeNull();
});

test.skipIf(!has('7z'))('says how far it is with a 7z archive as well', async () => {
  const path = join(folder, 'long.7z');
  const input = Buffer.from(seededRandom(2).hex(5_000_000), 'hex');
  expect(spawnSync('7z', ['a', '-bd', '-mx=1', '-six.sql', path], { input }).status).toBe(0);
  const told: number[] = [];
  const onProgress = (checkedBytes: number): void => void told.push(checkedBytes);
  expect(await checkStructure({ path, name: 'x.sql.7z', signal: never, onProgress })).toEqual({
    isSound: true,
  });
  // More than once would mean that the header at the end was taken for the end.
  expect(told).toHaveLength(1);
  expect(told[0]).toBeLessThan(readFileSync(path).length);
});

test('random bytes behind the magic of a block never pass and never throw anything else', async () => {
  const random = seededRandom(7);
  const start = Buffer.from('425a6839314159265359', 'hex');
  for (let round = 0; round < 300; round += 1) {
    const noise = Buffer.from(random.hex(2000), 'hex');
    // A plausible map of used bytes lets more of them reach the decoder.
    if (round % 2 === 0) noise.set([0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff], 0);
    expect(await reasonOf(Buffer.concat([start, noise]), 'x.bz2')).not.toBeNull();
  }
});
