import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Disk } from '../../src/ports/index.ts';
import { createTorrent, ofCycle } from '../../src/torrenting/index.ts';
import {
  AA,
  ALL,
  CYCLE,
  GONE,
  HISTORY,
  NEWS,
  readBencode,
  readTorrent,
  setup,
  text,
  tree,
} from '../helpers/torrenting-bundle.ts';

/*
 * Goal: two operators who hold the same dump files make the same torrent, also after a crash.
 * Method: real files in temporary data directories, the real job handler, a catalog in memory.
 * Independent checkers: create-torrent, and the bencode reader of test/helpers/torrenting-bundle.ts.
 */

describe('create_torrent', () => {
  it('gives the infohash that create-torrent gives over the same tree', async () => {
    const operator = setup();
    const output = await operator.make();
    const { inner, files, info } = readTorrent(operator);
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
    const { default: theirs } = (await import('create-torrent' as string)) as {
      default: (
        input: unknown[],
        options: object,
        done: (error: Error | null, bytes: Uint8Array) => void,
      ) => void;
    };
    const input = files.map((file) =>
      Object.assign(createReadStream(join(operator.root, file.path)), { fullPath: file.path }),
    );
    const bytes = await new Promise<Uint8Array>((resolve, reject) =>
      theirs(
        input,
        { name: output.name, pieceLength: output.pieceLength, filterJunkFiles: false },
        (error, made) => (error ? reject(error) : resolve(made)),
      ),
    );
    expect(
      createHash('sha1')
        .update(readBencode(Buffer.from(bytes)).info)
        .digest('hex'),
    ).toBe(output.infoHash);
    expect([...inner.keys()]).toEqual(['files', 'name', 'piece length', 'pieces']);
  });

  it('lists exactly the files of the folder, in byte order, with true piece hashes', async () => {
    const operator = setup();
    const output = await operator.make();
    const { inner, files } = readTorrent(operator);
    const paths = files.map((file) => file.path);
    expect(paths).toEqual([...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect([...paths].sort()).toEqual(tree(operator.root).sort());
    const all = Buffer.concat(files.map((file) => readFileSync(join(operator.root, file.path))));
    expect(all.length).toBe(output.totalSizeBytes);
    const pieces: Buffer[] = [];
    for (let at = 0; at < all.length; at += output.pieceLength) {
      pieces.push(
        createHash('sha1')
          .update(all.subarray(at, at + output.pieceLength))
          .digest(),
      );
    }
    expect(inner.get('pieces')).toEqual(Buffer.concat(pieces));
    expect(output).toMatchObject({
      pieceCount: pieces.length,
      pieceLength: 256 * 1024,
      fileCount: files.length,
      isHistory: false,
      grouping: 'cycle',
    });
    // The added texts are not read from the disk.
    const doneBytes = output.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(operator.progress).toContainEqual(expect.objectContaining({ doneBytes, totalBytes: doneBytes }));
  });

  it('gives two operators the same bytes and the same infohash', async () => {
    const one = setup();
    const other = setup({
      specs: [...ALL].reverse(),
      baseUrl: 'http://127.0.0.1:9999',
      version: '9.9.9',
    });
    other.runs.reverse();
    other.rows.find((row) => row.filename === NEWS.name)!.ourStatus = 'uploaded';
    // The one asked a mirror, the other the origin.
    other.rows.find((row) => row.filename === GONE.name)!.errorMessage = 'mirror.example.org has no /x/y';
    const [a, b] = [await one.make(), await other.make()];
    expect(tree(other.root)).toEqual(tree(one.root));
    for (const path of tree(one.root)) {
      expect(readFileSync(join(other.root, path)).equals(readFileSync(join(one.root, path))), path).toBe(
        true,
      );
    }
    expect(b.infoHash).toBe(a.infoHash);
    const payload = tree(other.root)
      .filter((path) => !path.startsWith('compressed/'))
      .map((path) => text(other, path))
      .join('\n');
    for (const secret of ['127.0.0.1', 'mirror.example.org', '9.9.9', other.dataDir])
      expect(payload).not.toContain(secret);
  });

  it('makes another infohash when one byte of a dump differs', async () => {
    const one = setup();
    const other = setup({ specs: [{ ...AA, sizeBytes: AA.sizeBytes + 1 }, ...ALL.slice(1)] });
    expect((await other.make()).infoHash).not.toBe((await one.make()).infoHash);
  });

  it('links the stored copy instead of copying it, and protects the added files', async () => {
    const operator = setup();
    await operator.make();
    for (const row of operator.rows.filter((dump) => dump.localPath !== null && !dump.isHistory)) {
      const inTorrent = statSync(join(operator.root, 'compressed', row.language, row.project, row.filename));
      expect(inTorrent.ino).toBe(statSync(operator.layout.absolute(row.localPath!)).ino);
    }
    expect(statSync(join(operator.root, 'README.txt')).mode & 0o777).toBe(0o444);
  });

  it('parts history from the rest, and gives types of both lists to both torrents', async () => {
    const operator = setup();
    const history = await operator.make({ variant: 'history' });
    expect(history.files.map((file) => file.pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${HISTORY.name}`,
      `compressed/en/wikinews/${NEWS.name}`,
    ]);
    expect(history).toMatchObject({ isHistory: true, name: `wikimedia-dumps-history-${CYCLE}` });
    const regular = await operator.make();
    const paths = regular.files.map((file) => file.pathInTorrent);
    expect(paths).toContain(`compressed/en/wikinews/${NEWS.name}`);
    expect(paths).not.toContain(`compressed/aa/wikipedia/${HISTORY.name}`);
  });

  it('writes trackers in tiers and the date of the cycle, and keeps the webseeds that were found since', async () => {
    const operator = setup();
    const output = await operator.makeAndRecord();
    const { outer } = readTorrent(operator);
    expect(String(outer.get('announce'))).toBe('udp://tracker.example.org:1337/announce');
    expect((outer.get('announce-list') as Buffer[][]).map((tier) => tier.map(String))).toEqual([
      ['udp://tracker.example.org:1337/announce'],
      ['http://second.example.org/announce?a=1&b=2'],
    ]);
    expect(outer.get('creation date')).toBe(Date.UTC(2026, 10, 20) / 1000);
    expect(String(outer.get('created by'))).toBe('WikiSeed 0.1.0');
    const magnet = new URL(output.magnetLink);
    expect(magnet.searchParams.get('xt')).toBe(`urn:btih:${output.infoHash}`);
    expect(magnet.searchParams.getAll('tr')).toEqual(output.trackers);
    expect(magnet.searchParams.get('xl')).toBe(String(output.totalSizeBytes));
    expect(outer.has('url-list')).toBe(false);
    // Nobody looked at an address yet; a look later one works, and the torrent is made again.
    operator.recorded[0] = { ...operator.recorded[0]!, webseeds: ['https://seed.example.org/webseed/'] };
    const again = await operator.make();
    expect(again).toMatchObject({
      infoHash: output.infoHash,
      webseeds: ['https://seed.example.org/webseed/'],
    });
    expect((readTorrent(operator).outer.get('url-list') as Buffer[]).map(String)).toEqual(again.webseeds);
    expect(again.magnetLink).toContain('ws=https%3A%2F%2Fseed.example.org%2Fwebseed%2F');
  });

  it('keeps the large list of files out of the stored result', async () => {
    const operator = setup();
    const output = await operator.make();
    expect(createTorrent.output.parse(output)).toEqual(output);
    expect(operator.handler.summarize?.(output)).toMatchObject({
      infoHash: output.infoHash,
      dumpFileCount: 4,
      gapCount: output.gaps.length,
    });
    for (const list of ['files', 'gaps'])
      expect(operator.handler.summarize?.(output)).not.toHaveProperty(list);
    expect(createTorrent.request(ofCycle(CYCLE, { variant: 'history' }))).toMatchObject({
      uniqueKey: `create_torrent:${CYCLE}:history`,
      cycleDate: CYCLE,
    });
  });
});

describe('after a crash at any point', () => {
  it('ends with the same torrent, whichever disk call was the last one', async () => {
    // Goal: no half-built folder survives. Method: the n-th changing disk call throws, then the job runs again untouched.
    const expected = (await setup().make()).infoHash;
    let fired = 0;
    for (let n = 1; n < 200; n += n < 6 ? 1 : 7) {
      let left = n;
      const failing = (disk: Disk): Disk => {
        const count =
          <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
          async (...args: A): Promise<R> => {
            left -= 1;
            if (left === 0) {
              fired += 1;
              throw new Error(`crash at change ${n}`);
            }
            return call(...args);
          };
        return {
          ...disk,
          makeDirectory: count(disk.makeDirectory),
          link: count(disk.link),
          rename: count(disk.rename),
          chmod: count(disk.chmod),
          removeTree: count(disk.removeTree),
          syncDirectory: count(disk.syncDirectory),
        };
      };
      const operator = setup({ disk: failing });
      const crashed = await operator.make().then(
        () => false,
        () => true,
      );
      left = Number.POSITIVE_INFINITY;
      expect((await operator.make()).infoHash).toBe(expected);
      expect(readdirSync(operator.layout.torrents).sort()).toEqual([
        `wikimedia-dumps-${CYCLE}`,
        `wikimedia-dumps-${CYCLE}.torrent`,
      ]);
      if (!crashed) break;
    }
    expect(fired).toBeGreaterThan(8);
  });

  it('keeps a folder that is right and replaces one that is not', async () => {
    const operator = setup();
    await operator.make();
    const before = statSync(join(operator.root, 'README.txt')).ino;
    await operator.make();
    expect(statSync(join(operator.root, 'README.txt')).ino).toBe(before);
    unlinkSync(join(operator.root, 'README.txt'));
    writeFileSync(join(operator.root, 'stray.txt'), 'x');
    await operator.make();
    expect(tree(operator.root)).not.toContain('stray.txt');
    expect(tree(operator.root)).toContain('README.txt');
  });
});
