import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import bencode from 'bencode';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Disk } from '../../src/ports/index.ts';
import { createSystemClock, silentLog } from '../../src/ports/index.ts';
import { createSeeder } from '../../src/seeding/seeder.ts';
import { has } from '../helpers/needs.ts';
import { aria2, startTracker } from '../helpers/seeding-bundle.ts';
import { CYCLE, type FileSpec, readTorrent, setup, tree } from '../helpers/torrenting-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/**
 * Goal: the torrent of unpacked files is what anybody gets who unpacks the same dumps, and says so in lists that real programs read.
 * Method: the real room on packed files; sha256sum, bzip2 and aria2c are the judges.
 */

const NAME = `wikimedia-dumps-uncompressed-${CYCLE}`;
const text = (seed: string, sizeBytes: number): Buffer =>
  Buffer.from(Array.from({ length: Math.ceil(sizeBytes / 12) }, (_, n) => `${seed}${n}\n`).join('')).subarray(
    0,
    sizeBytes,
  );
const bzip2 = (bytes: Buffer): Buffer => execFileSync('bzip2', ['-c'], { input: bytes, maxBuffer: 2 ** 30 });

const spec = (name: string, dumpType: string, bytes: Buffer, facts: Partial<FileSpec> = {}): FileSpec => ({
  ...{ wiki: 'aawiki', language: 'aa', project: 'wikipedia', name: `aawiki-20261120-${name}`, dumpType },
  ...{ bytes, sizeBytes: bytes.length },
  ...facts,
});

const ARTICLES = text('articles', 900_000);
const TITLES = text('titles', 70_000);
const canPack = has('bzip2');
const SPECS: FileSpec[] = canPack
  ? [
      spec('pages-articles.xml.bz2', 'pages-articles', Buffer.concat([bzip2(ARTICLES), bzip2(TITLES)])),
      spec('all-titles.gz', 'all-titles', gzipSync(TITLES)),
      spec('page.sql.gz', 'page', gzipSync(text('page', 40_000))),
      // Too large when unpacked; broken; one that unpacks to a name that is taken; history; not packed at all.
      spec('pagelinks.sql.gz', 'pagelinks', gzipSync(text('links', 1_500_000))),
      spec('redirect.sql.gz', 'redirect', Buffer.from('this is no gzip file')),
      spec('page.sql.bz2', 'page', bzip2(text('page', 40_000)), { name: 'aawiki-20261120-page.sql.bz2' }),
      spec('pages-meta-history.xml.bz2', 'pages-meta-history', bzip2(ARTICLES), { isHistory: true }),
      spec('site_stats.json', 'page', Buffer.from('{}')),
    ]
  : [];
const SETTINGS = { maxFileSizeBytes: 1_000_000, types: [] };

const operator = (options: Parameters<typeof setup>[0] = {}) => {
  const made = setup({ specs: SPECS, uncompressed: SETTINGS, ...options });
  return { ...made, root: join(made.layout.torrents, NAME), torrents: made.layout.torrents };
};
const UNCOMPRESSED = { variant: 'uncompressed' } as const;
const UNPACKED = [
  'uncompressed/aa/wikipedia/aawiki-20261120-all-titles',
  'uncompressed/aa/wikipedia/aawiki-20261120-page.sql',
  'uncompressed/aa/wikipedia/aawiki-20261120-pages-articles.xml',
];

describe.skipIf(!canPack)('the torrent of unpacked files', () => {
  it('holds the unpacked bytes, and lists that real programs check them with', async () => {
    const world = operator();
    const output = await world.makeAndRecord(UNCOMPRESSED);
    expect(output).toMatchObject({
      name: NAME,
      infoName: NAME,
      isUncompressed: true,
      isHistory: false,
      payloadVersion: '1.4',
    });
    expect(tree(world.root).filter((path) => path.startsWith('un'))).toEqual(UNPACKED);
    expect(tree(world.root)).toHaveLength(UNPACKED.length + 12);
    expect(readdirSync(world.torrents).sort()).toEqual([NAME, `${NAME}.torrent`]);
    expect(readFileSync(join(world.root, UNPACKED[2]!)).equals(Buffer.concat([ARTICLES, TITLES]))).toBe(true);
    expect(readTorrent(world, NAME).files.map(({ path }) => path)).toEqual(tree(world.root).sort());
    for (const [program, list] of [
      ...['sha256sum', 'sha1sum', 'md5sum'].map((sum) => [sum, 'HASH.txt']),
      ...['sha256sum', 'sha1sum', 'md5sum'].map((sum) => [sum, 'checksums.txt']),
    ] as [string, string][]) {
      const { status, stdout } = spawnSync(program, ['-c', list], { cwd: world.root, encoding: 'utf8' });
      expect(status, `${program} ${list}`).toBe(0);
      expect(stdout.match(/: OK/g)).toHaveLength(UNPACKED.length);
    }
    // Turned once: the lists are about these bytes.
    const victim = join(world.root, UNPACKED[0]!);
    rmSync(victim);
    writeFileSync(victim, text('other', 70_000));
    expect(spawnSync('sha1sum', ['-c', 'HASH.txt'], { cwd: world.root }).status).not.toBe(0);
  });

  it('says of every file why it is in or out, and what it was unpacked from', async () => {
    const world = operator();
    const { gaps, files } = await world.makeAndRecord(UNCOMPRESSED);
    const reasons = Object.fromEntries(
      gaps.filter(({ filename }) => filename).map((gap) => [gap.filename, gap.reason]),
    );
    expect(reasons).toEqual({
      'aawiki-20261120-pagelinks.sql.gz': 'unpacked it is larger than 1 MB',
      'aawiki-20261120-redirect.sql.gz':
        'it cannot be unpacked: what Wikimedia published is not a whole archive',
      'aawiki-20261120-page.sql.gz': 'unpacked, it would have the name of another file',
    });
    const status = readFileSync(join(world.root, 'STATUS.txt'), 'utf8');
    for (const reason of Object.values(reasons)) expect(status).toContain(reason);
    expect(status).toMatch(
      /included {9}aawiki aawiki-20261120-all-titles\.gz: here unpacked; the packed file matches/,
    );
    const sources = readFileSync(join(world.root, 'sources.txt'), 'utf8');
    expect(sources).toContain(
      `File: ${UNPACKED[0]}\nUnpacked From: https://dumps.wikimedia.org/aawiki/20261120/aawiki-20261120-all-titles.gz\nPacked SHA1: ${world.rowOf(SPECS[1]!).sha1}`,
    );
    const readme = readFileSync(join(world.root, 'README.txt'), 'utf8');
    expect(readme).toContain('How it was unpacked');
    expect(readme).not.toMatch(/exactly as Wikimedia published|\.xml\.bz2/);
    expect(readFileSync(join(world.root, 'legal.txt'), 'utf8')).toContain('unpacked, otherwise unchanged');
    const { files: listed } = JSON.parse(readFileSync(join(world.root, 'HASH.json'), 'utf8'));
    expect(listed[0]).toMatchObject({
      ...{ filename: 'aawiki-20261120-all-titles', sizeBytes: TITLES.length },
      unpackedFrom: { filename: 'aawiki-20261120-all-titles.gz', sha1: world.rowOf(SPECS[1]!).sha1 },
      upstreamHash: { value: world.rowOf(SPECS[1]!).sha1 },
    });
    expect(listed[0].sha1).toBe(files.find(({ pathInTorrent }) => pathInTorrent === UNPACKED[0])?.sha1);
  });

  it('is the same in two data directories, and another one only where the settings choose other files', async () => {
    const first = await operator().make(UNCOMPRESSED);
    const second = await operator({ specs: [...SPECS].reverse() }).make(UNCOMPRESSED);
    expect(second.infoHash).toBe(first.infoHash);
    const titles = await operator({ uncompressed: { ...SETTINGS, types: ['all-titles'] } }).make(
      UNCOMPRESSED,
    );
    expect(titles.files.map(({ pathInTorrent }) => pathInTorrent)).toEqual([UNPACKED[0]]);
    expect(titles.gaps.every(({ dumpType }) => dumpType === 'all-titles' || dumpType === '*')).toBe(true);
  });

  it('is made again as it was: folder gone, file rotten', async () => {
    const world = operator();
    const made = await world.makeAndRecord(UNCOMPRESSED);
    rmSync(world.root, { recursive: true });
    expect((await world.makeAndRecord(UNCOMPRESSED)).infoHash).toBe(made.infoHash);
    const victim = join(world.root, UNPACKED[1]!);
    const right = readFileSync(victim);
    rmSync(victim);
    writeFileSync(victim, Buffer.alloc(right.length, 0x20));
    await expect(world.make(UNCOMPRESSED)).rejects.toMatchObject({ code: 'unpacked_file_changed' });
    expect((await world.makeAndRecord(UNCOMPRESSED)).infoHash).toBe(made.infoHash);
    expect(readFileSync(victim).equals(right)).toBe(true);
    expect(readdirSync(world.torrents).sort()).toEqual([NAME, `${NAME}.torrent`]);
    expect(tree(world.root)).toHaveLength(UNPACKED.length + 12);
  });

  it('sends a packed file that rotted to its repair, and is made once that is sound', async () => {
    const world = operator();
    const place = world.layout.absolute(world.rowOf(SPECS[1]!).localPath!);
    const right = readFileSync(place);
    writeFileSync(place, Buffer.alloc(right.length, 1));
    await expect(world.make(UNCOMPRESSED)).rejects.toMatchObject({ name: 'Snooze' });
    expect(world.toRepair).toEqual([SPECS[1]!.name]);
    expect(existsSync(world.root)).toBe(false);
    writeFileSync(place, right);
    Object.assign(world.rowOf(SPECS[1]!), { damagedAt: null });
    expect((await world.make(UNCOMPRESSED)).infoHash).toBe((await operator().make(UNCOMPRESSED)).infoHash);
  });

  it.each([
    'link',
    'rename',
    'chmod',
  ] as const)('a disk that fails at any %s: nothing half is left, the infohash is the same', async (call) => {
    const expected = (await operator().make(UNCOMPRESSED)).infoHash;
    let failures = 0;
    let passes = 0;
    for (let failAt = 0; ; failAt += call === 'link' ? 1 : 4) {
      let calls = 0;
      const disk = (real: Disk): Disk => ({
        ...real,
        [call]: async (...args: [string, string & number]) => {
          if (calls++ === failAt) throw Object.assign(new Error('injected'), { code: 'EIO' });
          return await real[call](...args);
        },
      });
      const world = operator({ disk });
      const result = await world.make(UNCOMPRESSED).catch((error: unknown) => error);
      if (!(result instanceof Error)) {
        passes += 1;
        break;
      }
      failures += 1;
      // A folder of that name is always whole.
      if (existsSync(world.root)) expect(tree(world.root)).toHaveLength(UNPACKED.length + 12);
      expect((await world.another().make(UNCOMPRESSED)).infoHash).toBe(expected);
      expect(readdirSync(world.torrents).sort()).toEqual([NAME, `${NAME}.torrent`]);
    }
    expect(failures).toBeGreaterThan(0);
    expect(passes).toBe(1);
  });

  it.skipIf(!has('aria2c'))('reaches a stranger with aria2c byte for byte', async () => {
    const world = operator();
    const made = await world.makeAndRecord(UNCOMPRESSED);
    const tracker = await startTracker();
    const torrentFile = join(world.torrents, `${NAME}.torrent`);
    const outer = bencode.decode(readFileSync(torrentFile)) as Record<string, string | Uint8Array>;
    delete outer['announce-list'];
    outer.announce = Buffer.from(tracker.url);
    writeFileSync(torrentFile, bencode.encode(outer));
    const seeder = createSeeder({
      settings: {
        ...{ port: 0, host: '127.0.0.1', maxConnections: 20, dht: false, lsd: false, utPex: false },
        ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
      },
      ...{ clock: createSystemClock(), log: silentLog },
    });
    onTestFinished(() => seeder.stop());
    await seeder.start([]);
    await seeder.add(
      { infoHash: made.infoHash, torrentFile, contentRoot: world.torrents },
      new AbortController().signal,
    );
    const target = temporaryFolder();
    const { code, output } = await aria2(torrentFile, target);
    expect(code, output).toBe(0);
    expect(tree(join(target, NAME)).sort()).toEqual(tree(world.root).sort());
    for (const path of tree(world.root))
      expect(readFileSync(join(target, NAME, path)).equals(readFileSync(join(world.root, path))), path).toBe(
        true,
      );
  });
});
