import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TorrentFacts } from '../../src/catalog/index.ts';
import { readTorrentFacts } from '../../src/maintenance/rebuild/torrent-file.ts';
import { libtorrentPython } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';
import {
  AA,
  ALL,
  bytesOf,
  CYCLE,
  EMPTY,
  EXPORT,
  GONE,
  makeWith,
  NEWS,
  pieceSha1s,
  readTorrent,
  setup,
  text,
  tree,
} from '../helpers/torrenting-bundle.ts';

/*
 * Goal: large files begin on a piece and are not read again, and still no wrong byte gets into a torrent.
 * Method: real files in temporary data directories with the hashes that a download stores; the real job handler and threads.
 * Independent checkers: a plain hash over the bytes in torrent order, libtorrent, transmission-show, aria2c, /proc/self/io.
 */

type Operator = ReturnType<typeof setup>;

const PIECE = 2 ** 16;
/** AA and NEWS are longer, the others shorter. */
const ALIGNED = { pieceLengthBytes: PIECE, alignFilesFromBytes: 2 ** 18 };
const MULTIPLE = { ...AA, name: 'aawiki-20261120-stub.xml.gz', dumpType: 'page', sizeBytes: 5 * PIECE };
const FILES = [...ALL, MULTIPLE];

const placeOf = (operator: Operator, spec: typeof AA): string =>
  operator.layout.absolute(operator.rowOf(spec).localPath!);

/** Changes a byte and nothing that `stat` tells. */
function rot(path: string, at: number): void {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(path, bytes);
  utimesSync(path, atime, mtime);
}

/** Modification times that can be set again exactly. */
function roundTimes(operator: Operator): void {
  for (const row of operator.rows.filter(({ localPath }) => localPath !== null)) {
    const path = operator.layout.absolute(row.localPath!);
    utimesSync(path, 1_760_000_000, 1_760_000_000);
    row.storedMtimeMs = statSync(path).mtimeMs;
  }
}

/** All bytes of a torrent as a client puts them together. */
function contentOf(operator: Operator): Buffer {
  return Buffer.concat(
    readTorrent(operator).files.map(({ path, length, isPadding }) =>
      isPadding ? Buffer.alloc(length) : readFileSync(join(operator.root, path)),
    ),
  );
}

/** Bytes this process was given by reading, page cache included; null where the system does not tell. */
function bytesRead(): number | null {
  if (!existsSync('/proc/self/io')) return null;
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

describe('a torrent with large files', () => {
  it('has them first, each on a piece, and the others sorted behind; with true piece hashes', async () => {
    const operator = setup({ ...ALIGNED, specs: FILES });
    const output = await operator.make();
    const { inner, files, info } = readTorrent(operator);
    const aa = `compressed/aa/wikipedia/${AA.name}`;
    const news = `compressed/en/wikinews/${NEWS.name}`;
    const padOf = (sizeBytes: number): string => `.pad/${PIECE - (sizeBytes % PIECE)}`;
    const paths = files.map(({ path }) => path);
    expect(paths.slice(0, 6)).toEqual([
      ...[aa, padOf(AA.sizeBytes), `compressed/aa/wikipedia/${MULTIPLE.name}`, news, padOf(NEWS.sizeBytes)],
      'ARCHIVE_URLS.json',
    ]);
    expect(paths.slice(5)).toEqual([...paths.slice(5)].sort());
    expect(files.filter(({ isPadding }) => isPadding).map(({ path }) => path)).toEqual([paths[1], paths[4]]);
    let at = 0;
    for (const { path, length } of files) {
      if ([aa, news, 'ARCHIVE_URLS.json'].includes(path)) expect(at % PIECE).toBe(0);
      at += length;
    }
    const content = contentOf(operator);
    expect(inner.get('pieces')).toEqual(pieceSha1s(content, PIECE));
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
    expect(output).toMatchObject({
      totalSizeBytes: content.length,
      pieceCount: Math.ceil(content.length / PIECE),
      fileCount: files.length - 2,
      alignFilesFromBytes: MULTIPLE.sizeBytes,
      payloadVersion: '1.2',
    });
    expect(output.files.map(({ pathInTorrent }) => pathInTorrent)).not.toContain(paths[1]);
    // What a lost database is made again from.
    const bytes = readFileSync(join(operator.layout.torrents, `${output.name}.torrent`));
    expect(readTorrentFacts(bytes)).toMatchObject({
      ...{
        infoHash: output.infoHash,
        alignFilesFromBytes: MULTIPLE.sizeBytes,
        totalSizeBytes: content.length,
      },
      files: files
        .filter(({ isPadding }) => !isPadding)
        .map(({ path, length }) => ({ path, sizeBytes: length })),
    });
  });

  it('has its padding nowhere on the disk and in no list, and tells of it in README.txt', async () => {
    const operator = await makeWith({ ...ALIGNED, specs: FILES });
    expect(tree(operator.root).filter((path) => path.includes('.pad'))).toEqual([]);
    for (const name of ['HASH.json', 'HASH.txt', 'checksums.txt', 'STATUS.json', 'STATUS.txt', 'sources.txt'])
      expect(text(operator, name)).not.toContain('.pad');
    expect(text(operator, 'README.txt')).toContain('A folder .pad');
    expect(text(operator, 'VERSION.txt')).toContain('WikiSeed payload 1.2');
    const other = await makeWith({ ...ALIGNED, alignFilesFromBytes: 2 ** 26, specs: FILES });
    expect(text(other, 'README.txt')).not.toContain('.pad');
    expect(text(other, 'VERSION.txt')).toContain('WikiSeed payload 1.1');
  });

  it('is the same for operators whose settings choose the same files, and stays so when they change', async () => {
    const { output } = await makeWith({ ...ALIGNED, specs: FILES });
    const other = setup({ ...ALIGNED, specs: [...FILES].reverse(), alignFilesFromBytes: 2 ** 18 + 5 });
    expect((await other.make()).infoHash).toBe(output.infoHash);
    for (const settings of [
      { pieceLengthBytes: 2 ** 14, alignFilesFromBytes: 1 },
      { pieceLengthBytes: PIECE, alignFilesFromBytes: 2 ** 30 },
    ]) {
      const later = setup({ specs: FILES, ...settings, recorded: () => [output as TorrentFacts] });
      expect((await later.make()).infoHash).toBe(output.infoHash);
    }
    const apart = setup({ ...ALIGNED, specs: FILES, alignFilesFromBytes: 2 ** 20 });
    expect((await apart.make()).infoHash).not.toBe(output.infoHash);
  });

  it('aligns nothing in a torrent whose pieces are smaller than the stored ones', async () => {
    const operator = await makeWith({
      specs: FILES,
      pieceLengthBytes: 2 ** 20,
      alignFilesFromBytes: 2 ** 18,
    });
    expect(operator.output).toMatchObject({
      ...{ pieceLength: 2 ** 18, alignFilesFromBytes: null, payloadVersion: '1.1' },
    });
    expect(readTorrent(operator).inner.get('pieces')).toEqual(pieceSha1s(contentOf(operator), 2 ** 18));
  });

  it.skipIf(bytesRead() === null)('is made without reading them, but for the last piece', async () => {
    const large = { ...NEWS, sizeBytes: 60_000_001 };
    const operator = setup({ ...ALIGNED, specs: [AA, large, EXPORT, EMPTY] });
    const before = bytesRead()!;
    const output = await operator.make();
    const read = bytesRead()! - before;
    // Threads load their programs, too.
    expect(read).toBeLessThan(10_000_000);
    expect(operator.progress).toContainEqual({
      label: 'proving files',
      doneBytes: (AA.sizeBytes % PIECE) + (large.sizeBytes % PIECE) + EXPORT.sizeBytes,
      totalBytes: (AA.sizeBytes % PIECE) + (large.sizeBytes % PIECE) + EXPORT.sizeBytes,
    });
    // The control: of a file that was touched every byte is read, and the torrent is the same.
    utimesSync(placeOf(operator, large), 1_760_000_000, 1_760_000_000);
    const between = bytesRead()!;
    expect((await operator.make()).infoHash).toBe(output.infoHash);
    const again = bytesRead()! - between;
    expect(again).toBeGreaterThan(large.sizeBytes);
    expect(again).toBeLessThan(large.sizeBytes * 1.2);
    // It is known again by its new time: not read a third time.
    expect(operator.rowOf(large)).toMatchObject({ storedMtimeMs: 1_760_000_000_000, damagedAt: null });
    const last = bytesRead()!;
    expect((await operator.make()).infoHash).toBe(output.infoHash);
    expect(bytesRead()! - last).toBeLessThan(10_000_000);
  });

  it.each([
    [
      'was never looked at by this version',
      (operator: Operator) => (operator.rowOf(AA).storedMtimeMs = null),
    ],
    [
      'has no stored piece hashes',
      (operator: Operator) => operator.storedPieces.delete(operator.rowOf(AA).id),
    ],
    [
      'has stored piece hashes of another length',
      (operator: Operator) =>
        operator.storedPieces.set(operator.rowOf(AA).id, {
          pieceLength: PIECE / 2,
          sha1s: pieceSha1s(bytesOf(AA), PIECE / 2),
        }),
    ],
    [
      'has a wrong hash of its last piece in the store',
      (operator: Operator) => operator.storedPieces.get(operator.rowOf(AA).id)!.sha1s.subarray(-20).fill(7),
    ],
    [
      'lies only in the folder of a torrent',
      async (operator: Operator) => {
        await operator.make();
        unlinkSync(placeOf(operator, AA));
      },
    ],
  ])('is the same when a large file %s: that one is read', async (_what, change) => {
    const { output } = await makeWith({ ...ALIGNED, specs: FILES });
    const operator = setup({ ...ALIGNED, specs: FILES });
    await change(operator);
    expect((await operator.make()).infoHash).toBe(output.infoHash);
    expect(operator.reopened).toEqual([]);
  });
});

it('a touched file whose stored piece hashes are wrong is not trusted by its new time', async () => {
  const { output } = await makeWith({ ...ALIGNED, specs: FILES });
  const operator = setup({ ...ALIGNED, specs: FILES });
  operator.storedPieces.get(operator.rowOf(AA).id)!.sha1s.subarray(0, 20).fill(7);
  utimesSync(placeOf(operator, AA), 1_760_000_000, 1_760_000_000);
  expect((await operator.make()).infoHash).toBe(output.infoHash);
  expect((await operator.make()).infoHash).toBe(output.infoHash);
});

describe('wrong bytes', () => {
  const touch = (path: string): void => utimesSync(path, 1_770_000_000, 1_770_000_000);

  it.each([
    ['a large file that was changed', AA, 70_000, (operator: Operator) => touch(placeOf(operator, AA))],
    [
      'a large file that is known to be damaged',
      AA,
      9,
      (operator: Operator) => (operator.rowOf(AA).damagedAt = 5),
    ],
    ['the last piece of a large file', AA, AA.sizeBytes - 1, () => {}],
    ['a small file', EXPORT, 77, () => {}],
  ])('in %s are to be repaired and get into no torrent', async (_what, spec, at, change) => {
    const { output } = await makeWith({ ...ALIGNED, specs: FILES });
    const operator = setup({ ...ALIGNED, specs: FILES });
    roundTimes(operator);
    rot(placeOf(operator, spec), at);
    change(operator);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.reopened).toEqual([]);
    expect(operator.toRepair).toEqual([spec.name]);
    expect(operator.rowOf(spec).damagedAt).not.toBeNull();
    expect(existsSync(operator.layout.torrents)).toBe(false);
    operator.fetchAgain(spec);
    expect((await operator.make()).infoHash).toBe(output.infoHash);
  });

  it('of every small file are found in one reading, over many stretches and threads', async () => {
    const specs = Array.from({ length: 40 }, (_, index) => ({
      ...GONE,
      name: `aawiki-20261120-${String(index).padStart(2, '0')}.gz`,
      sizeBytes: index % 7 === 0 ? 0 : 700_000 + index,
      ourStatus: 'downloaded' as const,
    }));
    const operator = setup({ ...ALIGNED, alignFilesFromBytes: 2 ** 26, specs });
    roundTimes(operator);
    const output = await operator.make();
    expect(readTorrent(operator).inner.get('pieces')).toEqual(
      pieceSha1s(contentOf(operator), output.pieceLength),
    );
    for (const index of [1, 12, 13, 39]) rot(placeOf(operator, specs[index]!), 3);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    expect(operator.toRepair).toEqual([1, 12, 13, 39].map((index) => specs[index]!.name));
  });

  it('of a torrent that is recorded do not get into it when it is made again', async () => {
    const operator = setup({ ...ALIGNED, specs: FILES });
    const first = await operator.makeAndRecord();
    unlinkSync(join(operator.layout.torrents, `wikimedia-dumps-${CYCLE}.torrent`));
    const path = placeOf(operator, NEWS);
    const bytes = readFileSync(path);
    bytes[1_000_000] = bytes[1_000_000]! ^ 1;
    writeFileSync(path, bytes);
    await expect(operator.make()).rejects.toMatchObject({ name: 'Snooze' });
    operator.fetchAgain(NEWS);
    expect((await operator.make()).infoHash).toBe(first.infoHash);
  });
});

describe('real programs', () => {
  const made = async () => {
    const operator = await makeWith({ ...ALIGNED, specs: FILES });
    const torrent = join(operator.layout.torrents, `wikimedia-dumps-${CYCLE}.torrent`);
    return { ...operator, torrent, files: readTorrent(operator).files };
  };
  const python = libtorrentPython();

  it.skipIf(python === null)(
    'libtorrent agrees on the infohash, the files and which of them are padding',
    async () => {
      const { output, torrent, files } = await made();
      const told = execFileSync(python!, [
        '-c',
        `import libtorrent as lt, json, sys
ti = lt.torrent_info(sys.argv[1]); fs = ti.files()
print(json.dumps([str(ti.info_hash()), ti.total_size(), [[fs.file_path(i), fs.file_size(i), bool(fs.file_flags(i) & 1)] for i in range(fs.num_files())]]))`,
        torrent,
      ]);
      expect(JSON.parse(told.toString())).toEqual([
        output.infoHash,
        output.totalSizeBytes,
        files.map(({ path, length, isPadding }) => [`${output.name}/${path}`, length, isPadding]),
      ]);
    },
  );

  it.skipIf(!has('transmission-show'))('transmission-show agrees on the infohash and the files', async () => {
    const { output, torrent, files } = await made();
    const told = execFileSync('transmission-show', [torrent], { encoding: 'utf8' });
    expect(told).toContain(`Hash: ${output.infoHash}`);
    expect(told).toContain(`Piece Count: ${output.pieceCount}`);
    for (const { path } of files) expect(told).toContain(`  ${output.name}/${path} (`);
  });

  it.skipIf(!has('aria2c'))('aria2c agrees on the infohash and the files', async () => {
    const { output, torrent, files } = await made();
    const told = execFileSync('aria2c', ['--no-conf', '-S', torrent], { encoding: 'utf8' });
    expect(told).toContain(`Info Hash: ${output.infoHash}`);
    expect([...told.matchAll(/^ *\d+\|\.\/[^/]+\/(.*)$/gm)].map(([, path]) => path)).toEqual(
      files.map(({ path }) => path),
    );
  });
});
