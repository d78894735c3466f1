import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readMetainfo } from '../../src/lib/metainfo.ts';
import { findMissingTorrents, ofCycle, torrentName } from '../../src/torrenting/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { libtorrentCheck, libtorrentMake, libtorrentPython, libtorrentShow } from '../helpers/libtorrent.ts';
import { has } from '../helpers/needs.ts';
import {
  AA,
  ALL,
  bytesOf,
  CYCLE,
  EMPTY,
  EXPORT,
  GONE,
  HISTORY,
  pieceSha1s,
  readBencode,
  readTorrent,
  setup,
  tree,
} from '../helpers/torrenting-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: beside the torrent of a cycle there are those of a wiki's run, of a project and of a language, each the same for every
 * operator, and ordinary programs agree with them.
 * Method: real files in temporary data directories, the real job handler and threads, a catalog in memory.
 * Independent checkers: a plain hash over the files in torrent order, libtorrent, create-torrent, mktorrent, transmission-show.
 */

type Operator = ReturnType<typeof setup>;

const PIECE = 2 ** 16;
const SETTINGS = { pieceLengthBytes: PIECE, alignFilesFromBytes: 2 ** 17 };
const PAGE = { ...AA, name: 'aawiki-20261120-page.sql.gz', dumpType: 'page', sizeBytes: 300_123 };
/** The largest of the run, and not the first by its name. */
const STUBS = {
  ...AA,
  name: 'aawiki-20261120-stub-articles.xml.gz',
  dumpType: 'stub-articles',
  sizeBytes: 1_900_001,
};
const SPECS = [...ALL.filter(({ name }) => name !== GONE.name), PAGE, STUBS];

const RUN = ofCycle(CYCLE, { grouping: 'wiki_run', scope: 'aawiki', source: 'classic', runDate: '20261120' });
const PROJECT = ofCycle(CYCLE, { grouping: 'project', scope: 'wikipedia' });
const LANGUAGE = ofCycle(CYCLE, { grouping: 'language', scope: 'en' });

/** The bytes of a torrent's files as they lie on the disk, one behind the other. */
function contentOf(operator: Operator, name: string, folder: string): Buffer {
  return Buffer.concat(
    readTorrent(operator, name).files.map(({ path, length, isPadding }) =>
      isPadding ? Buffer.alloc(length) : readFileSync(join(folder, path)),
    ),
  );
}

const torrentFile = (operator: Operator, name: string): string =>
  join(operator.layout.torrents, `${name}.torrent`);

describe('the torrent of a run of a wiki', () => {
  it("holds upstream's own files where they lie, the largest first, and nothing else", async () => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const output = await operator.make(RUN);
    expect(output).toMatchObject({
      ...{ name: 'aawiki-20261120', infoName: 'aawiki', grouping: 'wiki_run', scope: 'aawiki' },
      ...{ source: 'classic', runDate: '20261120', isHistory: false, part: 0, hasMore: false },
      ...{ contentPath: 'dumps', torrentFilePath: 'torrents/aawiki-20261120.torrent' },
      ...{ pieceLength: PIECE, alignFilesFromBytes: null, payloadVersion: 'none', fileCount: 4 },
    });
    const { files, info, inner } = readTorrent(operator, output.name);
    expect(files.map(({ path }) => path)).toEqual(
      [STUBS, PAGE, AA, EMPTY].map(({ name }) => `20261120/${name}`),
    );
    expect(output.files.map(({ pathInTorrent }) => pathInTorrent).sort()).toEqual(
      files.map(({ path }) => path).sort(),
    );
    expect(String(inner.get('name'))).toBe('aawiki');
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
    const content = contentOf(operator, output.name, join(operator.layout.dumps, 'aawiki'));
    expect(output.totalSizeBytes).toBe(content.length);
    expect(inner.get('pieces')).toEqual(pieceSha1s(content, PIECE));
    // No folder, no link: the files are where they were.
    expect(readdirSync(operator.layout.torrents)).toEqual(['aawiki-20261120.torrent']);
    // What the run lacks is known, although no file of the torrent says so.
    expect(output.gaps.map(({ filename }) => filename)).toEqual(['aawiki-20261120-pagelinks.sql.gz']);
  });

  it.each([
    [{ ...RUN, variant: 'history' as const }, 'aawiki-history-20261120', `20261120/${HISTORY.name}`],
    [
      { ...RUN, source: 'content_current' as const, runDate: '2026-11-01' },
      'aawiki-content-current-2026-11-01',
      `2026-11-01/${EXPORT.name}`,
    ],
    [
      {
        ...RUN,
        variant: 'history' as const,
        source: 'content_history' as const,
        runDate: '2026-11-01',
      },
      'aawiki-content-history-2026-11-01',
      `2026-11-01-history/${EXPORT.name}`,
    ],
  ])('has its own name for each kind of run: %#', async (which, name, path) => {
    const full = { ...EXPORT, source: 'content_history' as const, isHistory: true };
    const operator = setup({ ...SETTINGS, specs: [...SPECS, full] });
    const output = await operator.make(which);
    expect(output).toMatchObject({ name, infoName: 'aawiki' });
    expect(readTorrent(operator, name).files.map((file) => file.path)).toEqual([path]);
  });

  it('takes the stored hashes of the largest file, and reads only its last piece and what follows', async () => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const { infoHash } = await operator.make(RUN);
    const totalBytes = (STUBS.sizeBytes % PIECE) + PAGE.sizeBytes + AA.sizeBytes;
    expect(operator.progress).toContainEqual(
      expect.objectContaining({ doneBytes: totalBytes, totalBytes, label: 'proving files' }),
    );
    // Read as a whole it is the same: hashes of another length, none at all, or a file that somebody touched.
    for (const change of [
      (other: Operator) => other.storedPieces.delete(other.rowOf(STUBS).id),
      (other: Operator) => other.storedPieces.get(other.rowOf(STUBS).id)!.sha1s.subarray(-20).fill(7),
      (other: Operator) => utimesSync(other.layout.absolute(other.rowOf(STUBS).localPath!), 1, 1),
    ]) {
      const other = setup({ ...SETTINGS, specs: SPECS });
      change(other);
      expect((await other.make(RUN)).infoHash).toBe(infoHash);
      expect(other.reopened).toEqual([]);
    }
  });

  it.each([
    ['one file alone', [STUBS]],
    ['a largest file that ends a piece', [{ ...STUBS, sizeBytes: 20 * PIECE }, PAGE]],
    ['all that follows in one piece', [STUBS, { ...PAGE, sizeBytes: 5 }, { ...AA, sizeBytes: 7 }]],
    ['nothing but empty files beside it', [STUBS, EMPTY]],
  ])('has true pieces for %s', async (_what, specs) => {
    const operator = setup({ ...SETTINGS, specs });
    const output = await operator.make(RUN);
    const content = contentOf(operator, output.name, join(operator.layout.dumps, 'aawiki'));
    expect(readTorrent(operator, output.name).inner.get('pieces')).toEqual(
      pieceSha1s(content, output.pieceLength),
    );
  });

  it('waits for a file whose bytes are wrong, and is made once they are right', async () => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const { infoHash } = await setup({ ...SETTINGS, specs: SPECS }).make(RUN);
    const place = operator.layout.absolute(operator.rowOf(PAGE).localPath!);
    const bytes = bytesOf(PAGE);
    // In the piece that the largest file ends in.
    bytes[3] = bytes[3]! ^ 1;
    unlinkSync(place);
    writeFileSync(place, bytes);
    await expect(operator.make(RUN)).rejects.toThrow(/must be had again/);
    expect(operator.toRepair).toEqual([PAGE.name]);
    operator.fetchAgain(PAGE);
    expect((await operator.make(RUN)).infoHash).toBe(infoHash);
  });

  it('gets a file that is missing back from the folder of the cycle, and is missed when its run is gone', async () => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    await operator.makeAndRecord();
    const output = await operator.makeAndRecord(RUN);
    const { catalog, disk, layout } = operator;
    expect(await findMissingTorrents({ catalog, disk, layout })).toEqual([]);
    // Texts alone are left of a retired torrent; one that is not misses its files.
    const [cycle] = catalog.torrents().filter(({ grouping }) => grouping === 'cycle');
    const packed = join(layout.torrents, cycle?.infoName ?? '', 'compressed');
    renameSync(packed, `${packed}.away`);
    expect(await findMissingTorrents({ catalog, disk, layout })).toEqual([cycle]);
    renameSync(`${packed}.away`, packed);
    for (const { name } of [STUBS, PAGE, AA, EMPTY, HISTORY])
      unlinkSync(join(layout.dumps, 'aawiki', '20261120', name));
    expect((await operator.make(RUN)).infoHash).toBe(output.infoHash);
    expect(operator.reopened).toEqual([]);
    rmSync(join(layout.dumps, 'aawiki', '20261120'), { recursive: true });
    // The wiki's folder is there still, with its content export.
    expect((await findMissingTorrents({ catalog, disk, layout })).map(({ name }) => name)).toEqual([
      'aawiki-20261120',
    ]);
  });

  it('is left out of what the torrents of the cycle carry and supplement', async () => {
    const late = { ...PAGE, name: 'aawiki-20261120-redirect-late.sql.gz', ourStatus: 'pending' as const };
    const operator = setup({ ...SETTINGS, specs: [...SPECS, late] });
    await operator.makeAndRecord(RUN);
    await operator.makeAndRecord();
    operator.settle(late);
    const output = await operator.makeAndRecord({ supplement: 1 });
    expect(output.files.map(({ pathInTorrent }) => pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${late.name}`,
    ]);
    // The run's own is final.
    expect((await operator.make(RUN)).files).toHaveLength(4);
  });
});

it('of a small run has smaller pieces than the download hashed', async () => {
  const operator = setup({ ...SETTINGS, pieceLengthBytes: 2 ** 20, specs: [STUBS, PAGE] });
  const output = await operator.make(RUN);
  expect(output.pieceLength).toBe(2 ** 18);
  const content = contentOf(operator, output.name, join(operator.layout.dumps, 'aawiki'));
  expect(readTorrent(operator, output.name).inner.get('pieces')).toEqual(pieceSha1s(content, 2 ** 18));
});

describe('the torrent of a project, and of a language', () => {
  it.each([
    [PROJECT, 'wikimedia-dumps-project-wikipedia-2026-11-20', 'aa/wikipedia', 'the project "wikipedia"'],
    [LANGUAGE, 'wikimedia-dumps-language-en-2026-11-20', 'en/wikinews', 'the language "en"'],
  ])('carries its own files alone, and every text says so: %#', async (which, name, folder, words) => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const output = await operator.make(which);
    expect(output).toMatchObject({ name, infoName: name, grouping: which.grouping, scope: which.scope });
    const root = join(operator.layout.torrents, name);
    const paths = tree(root);
    const mine = SPECS.filter(
      ({ language, project, isHistory, ourStatus }) =>
        `${language}/${project}` === folder && isHistory !== true && ourStatus === undefined,
    );
    expect(paths.filter((path) => path.startsWith('compressed/')).sort()).toEqual(
      mine.map((spec) => `compressed/${folder}/${spec.name}`).sort(),
    );
    const read = (path: string): string => readFileSync(join(root, path), 'utf8');
    expect(read('README.txt')).toContain(words);
    expect(read('VERSION.txt')).toContain('WikiSeed payload 1.3');
    for (const list of ['STATUS.txt', 'HASH.txt', 'checksums.txt', 'sources.txt', 'ARCHIVE_URLS.txt'])
      expect(read(list)).toContain(`# Only ${words.replaceAll('"', '')}`);
    const status = JSON.parse(read('STATUS.json'));
    expect(status).toMatchObject({ grouping: which.grouping, scope: which.scope, part: 0, torrent: name });
    // Runs of other wikis are no gaps of it.
    const ofProject = which.scope === 'wikipedia';
    expect(status.notOffered.map(({ wiki }: { wiki: string }) => wiki)).toEqual(ofProject ? ['aawiki'] : []);
    for (const program of ['sha1sum', 'md5sum', 'sha256sum']) {
      if (!has(program)) continue;
      const out = execFileSync(program, ['-c', 'checksums.txt'], {
        ...{ cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      });
      expect(out.match(/: OK/g)).toHaveLength(mine.length);
    }
  });

  it('has a history torrent, supplements and a memory of its own', async () => {
    const late = { ...PAGE, name: 'aawiki-20261120-late.sql.gz', ourStatus: 'pending' as const };
    const operator = setup({ ...SETTINGS, specs: [...SPECS, late] });
    await operator.makeAndRecord();
    const main = await operator.makeAndRecord(PROJECT);
    const history = await operator.makeAndRecord({ ...PROJECT, variant: 'history' });
    expect(history.name).toBe('wikimedia-dumps-project-wikipedia-history-2026-11-20');
    operator.settle(late);
    const supplement = await operator.makeAndRecord({ ...PROJECT, supplement: 1 });
    expect(supplement.name).toBe(`${main.name}-supplement-1`);
    expect(supplement.files.map(({ pathInTorrent }) => pathInTorrent)).toEqual([
      `compressed/aa/wikipedia/${late.name}`,
    ]);
    expect(readFileSync(join(operator.layout.torrents, supplement.name, 'README.txt'), 'utf8')).toContain(
      `It goes with the torrent ${main.name}: it carries`,
    );
    expect((await operator.make(PROJECT)).infoHash).toBe(main.infoHash);
  });
});

it.each([
  ['cycle', ofCycle(CYCLE)],
  ['history', ofCycle(CYCLE, { variant: 'history' })],
  ['run', RUN],
  ['project', PROJECT],
  ['language', LANGUAGE],
])('two operators make the same %s torrent, byte for byte', async (_what, which) => {
  const one = setup({ ...SETTINGS, specs: SPECS });
  const other = setup({
    ...{ ...SETTINGS, specs: [...SPECS].reverse(), baseUrl: 'http://127.0.0.1:9999' },
    clock: new FakeClock('2031-05-05T05:05:05Z'),
  });
  other.runs.reverse();
  const [a, b] = [await one.make(which), await other.make(which)];
  expect(b.infoHash).toBe(a.infoHash);
  expect(readFileSync(torrentFile(other, b.name)).equals(readFileSync(torrentFile(one, a.name)))).toBe(true);
});

describe('other programs', () => {
  const python = libtorrentPython();

  it.skipIf(python === null)(
    'libtorrent makes the same torrent of a run, and finds its files right',
    async () => {
      const operator = setup({ ...SETTINGS, specs: SPECS });
      const output = await operator.make(RUN);
      const { files } = readTorrent(operator, output.name);
      const made = libtorrentMake(python!, {
        ...{ root: operator.layout.dumps, name: 'aawiki', pieceLength: PIECE, files },
      });
      expect(made).toBe(output.infoHash);
      expect(libtorrentCheck(python!, torrentFile(operator, output.name), operator.layout.dumps)).toBe(
        'complete',
      );
    },
  );

  it.skipIf(python === null).each([
    ['cycle', ofCycle(CYCLE)],
    ['run', RUN],
    ['project', PROJECT],
  ])('libtorrent reads the %s torrent as we wrote it, padding and all', async (_what, which) => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const output = await operator.make(which);
    const shown = libtorrentShow(python!, torrentFile(operator, output.name));
    expect(shown).toMatchObject({ infoHash: output.infoHash, name: output.infoName, pieceLength: PIECE });
    const { files } = readTorrent(operator, output.name);
    expect(files.some(({ isPadding }) => isPadding)).toBe(which !== RUN);
    const paths = shown.files.filter(({ isPadding }) => !isPadding);
    expect(paths.map(({ path, length }) => `${length} ${path}`)).toEqual(
      files
        .filter(({ isPadding }) => !isPadding)
        .map(({ path, length }) => `${length} ${output.infoName}/${path}`),
    );
    expect(shown.files.filter(({ isPadding }) => isPadding).map(({ length }) => length)).toEqual(
      files.filter(({ isPadding }) => isPadding).map(({ length }) => length),
    );
    const folder = operator.layout.absolute(output.contentPath);
    expect(libtorrentCheck(python!, torrentFile(operator, output.name), folder)).toBe('complete');
    expect(await readMetainfo(readFileSync(torrentFile(operator, output.name)))).toMatchObject({
      ...{ infoHash: output.infoHash, name: output.infoName, webseeds: [] },
    });
  });

  it('create-torrent makes the same torrent of a run', async () => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const output = await operator.make(RUN);
    const { default: theirs } = (await import('create-torrent' as string)) as {
      default: (
        input: unknown[],
        options: object,
        done: (error: Error | null, bytes: Uint8Array) => void,
      ) => void;
    };
    const root = join(operator.layout.dumps, 'aawiki');
    // It strips a folder that all files share, so each path gets the torrent's own name in front.
    const input = readTorrent(operator, output.name).files.map(({ path }) =>
      Object.assign(createReadStream(join(root, path)), { fullPath: `aawiki/${path}`, name: path }),
    );
    const made = await new Promise<Uint8Array>((resolve, reject) =>
      theirs(input, { name: 'aawiki', pieceLength: PIECE, filterJunkFiles: false }, (error, bytes) =>
        error ? reject(error) : resolve(bytes),
      ),
    );
    const { value, info } = readBencode(Buffer.from(made));
    const theirFiles = ((value as Map<string, unknown>).get('info') as Map<string, unknown>).get('files');
    expect(
      (theirFiles as Map<string, Buffer[]>[]).map((file) => file.get('path')!.map(String).join('/')),
    ).toEqual(readTorrent(operator, output.name).files.map(({ path }) => path));
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
  });

  // It sorts: it can say the same only where the largest file is the first by its name, too.
  it.skipIf(!has('mktorrent'))('mktorrent makes the same torrent of a run', async () => {
    const first = { ...STUBS, name: 'aawiki-20261120-all-titles.gz' };
    const operator = setup({ ...SETTINGS, specs: [AA, PAGE, EMPTY, first] });
    const output = await operator.make(RUN);
    const folder = join(temporaryFolder(), 'aawiki');
    for (const { path } of readTorrent(operator, output.name).files) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      linkSync(join(operator.layout.dumps, 'aawiki', path), join(folder, path));
    }
    const target = join(folder, '..', 'made.torrent');
    execFileSync('mktorrent', ['-l', '16', '-a', 'http://127.0.0.1:1/a', '-o', target, folder]);
    const { info } = readBencode(readFileSync(target));
    expect(createHash('sha1').update(info).digest('hex')).toBe(output.infoHash);
  });

  it.skipIf(!has('transmission-show')).each([
    ['cycle', ofCycle(CYCLE)],
    ['run', RUN],
  ])('transmission-show reads the %s torrent', async (_what, which) => {
    const operator = setup({ ...SETTINGS, specs: SPECS });
    const output = await operator.make(which);
    const shown = execFileSync('transmission-show', [torrentFile(operator, output.name)], {
      encoding: 'utf8',
    });
    expect(shown).toContain(output.infoHash);
    expect(shown).toContain(`Piece Count: ${output.pieceCount}`);
    for (const { path } of readTorrent(operator, output.name).files)
      expect(shown).toContain(`${output.infoName}/${path}`);
  });
});

it('names torrents so that no two are one', () => {
  const ofWiki = { grouping: 'wiki_run', scope: 'enwiki', source: 'classic', runDate: '20261120' } as const;
  const names = (
    [
      {},
      { variant: 'history' },
      { variant: 'uncompressed' },
      { supplement: 2, part: 3 },
      { ...ofWiki, part: 2 },
      { ...ofWiki, variant: 'history' },
      { grouping: 'language', scope: 'zh-min-nan', variant: 'history' },
    ] as const
  ).map((facts) => torrentName(ofCycle(CYCLE, facts)));
  expect(names).toEqual([
    'wikimedia-dumps-2026-11-20',
    'wikimedia-dumps-history-2026-11-20',
    'wikimedia-dumps-uncompressed-2026-11-20',
    'wikimedia-dumps-2026-11-20-supplement-2-part-3',
    'enwiki-20261120-part-2',
    'enwiki-history-20261120',
    'wikimedia-dumps-language-zh-min-nan-history-2026-11-20',
  ]);
});

it('refuses to make one that was retired', async () => {
  const operator = setup({ ...SETTINGS, specs: SPECS });
  await operator.makeAndRecord(RUN);
  Object.assign(operator.recorded[0]!, { retiredAt: 5 });
  await expect(operator.make(RUN)).rejects.toThrow(/retired/);
});
