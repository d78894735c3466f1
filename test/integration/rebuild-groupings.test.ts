import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import bencode from 'bencode';
import { expect, test } from 'vitest';
import { createRecordKeeper } from '../../src/maintenance/index.ts';
import { parseTorrentName } from '../../src/maintenance/rebuild/torrent-name.ts';
import { silentLog } from '../../src/ports/index.ts';
import { ofCycle, torrentName, type WhichTorrent } from '../../src/torrenting/which-torrent.ts';
import { withPruning } from '../helpers/pruning-bundle.ts';
import {
  filesBelow,
  loseDatabase,
  readJson,
  rebuild,
  recordOf,
  tablesOf,
} from '../helpers/rebuild-bundle.ts';

/**
 * Goal: torrents of wikis' runs, of languages and of unpacked files survive the loss of the database, with their records and without.
 * Method: a data directory with real files, hard links and .torrent files; rows by SQL, so that no code of the product decides what is lost.
 */

/** Writes the .torrent of a recorded torrent from the files it has, without pieces that fit: nobody reads those here. */
function writeTorrent(world: ReturnType<typeof withPruning>, id: number): void {
  const row = world.db.sqlite
    .prepare<[number], { name: string; folder: string; contentPath: string }>(
      'SELECT name, coalesce(info_name, name) AS folder, content_path AS contentPath FROM torrents WHERE id = ?',
    )
    .get(id) as { name: string; folder: string; contentPath: string };
  const root = join(world.layout.dataDir, row.contentPath, row.folder);
  const known = world.db.sqlite
    .prepare<[number], string>('SELECT path_in_torrent FROM torrent_files WHERE torrent_id = ?')
    .pluck()
    .all(id);
  const paths = row.contentPath === 'dumps' ? known : filesBelow(root);
  const files = paths
    .sort()
    .map((path) => ({ path: path.split('/'), length: readFileSync(join(root, path)).length }));
  const sizeBytes = files.reduce((sum, { length }) => sum + length, 0);
  const info = {
    files,
    name: row.folder,
    'piece length': 2 ** 18,
    pieces: Buffer.alloc(20 * Math.ceil(sizeBytes / 2 ** 18), 'p'),
  };
  const bytes = bencode.encode({ info });
  writeFileSync(join(world.layout.torrents, `${row.name}.torrent`), bytes);
  world.db.sqlite
    .prepare(
      'UPDATE torrents SET info_hash = ?, total_size_bytes = ?, file_count = ?, piece_length = ? WHERE id = ?',
    )
    .run(createHash('sha1').update(bencode.encode(info)).digest('hex'), sizeBytes, files.length, 2 ** 18, id);
}

/** What a torrent's HASH.json says, in the words of the product's own. */
function writeHashes(folder: string, files: object[]): void {
  writeFileSync(join(folder, 'HASH.json'), JSON.stringify({ files }));
}

async function setup() {
  const world = withPruning();
  const ids = world.run('20261101', [{ dumpType: 'pages-articles' }, { dumpType: 'pagelinks' }]);
  const cycle = world.torrent('2026-11-01', ids);
  const language = world.torrent('2026-11-01', ids, { language: 'aa' });
  const run = world.runTorrent('20261101', ids);
  const unpacked = world.unpackedTorrent('2026-11-01', ids.slice(0, 1), 3000);
  const told = (id: number, path: string) => ({
    ...{ wiki: 'aawiki', runDate: '20261101', source: 'classic', project: 'wikipedia', language: 'aa' },
    dumpType: id === ids[0] ? 'pages-articles' : 'pagelinks',
    filename: world.pathOf(id).split('/').at(-1),
    ...{ sizeBytes: 1000, path, md5: 'm', sha1: 's', sha256: 'h', verifiedBy: 'sha1' },
    upstreamUrl: `https://dumps.wikimedia.org/x/${world.pathOf(id).split('/').at(-1)}`,
  });
  const paths = world.db.sqlite.prepare<[number], { id: number; path: string }>(
    'SELECT dump_id AS id, path_in_torrent AS path FROM torrent_files WHERE torrent_id = ?',
  );
  for (const [id, name] of [
    [cycle, 'wikimedia-dumps-2026-11-01'],
    [language, 'wikimedia-dumps-language-aa-2026-11-01'],
  ] as const)
    writeHashes(
      join(world.layout.torrents, name),
      paths.all(id).map((file) => told(file.id, file.path)),
    );
  writeHashes(
    unpacked.folder,
    paths.all(unpacked.id).map((file) => ({
      ...told(file.id, file.path),
      ...{ sizeBytes: 3000, md5: 'um', sha1: 'us', sha256: 'uh' },
      filename: file.path.split('/').at(-1),
      unpackedFrom: { filename: world.pathOf(file.id).split('/').at(-1), sizeBytes: 1000 },
    })),
  );
  for (const id of [cycle, language, run, unpacked.id]) writeTorrent(world, id);
  const { db, disk, layout, clock } = world;
  const keeper = createRecordKeeper({ db, disk, layout, clock, log: silentLog });
  keeper.start();
  await keeper.flush();
  await keeper.stop();
  const before = tablesOf(layout.dataDir);
  db.close();
  return { dataDir: layout.dataDir, before };
}

test('with the records every row is as it was', async () => {
  const { dataDir, before } = await setup();
  expect(before.torrents).toHaveLength(4);
  loseDatabase(dataDir);
  const report = await rebuild(dataDir);
  expect(report.problems).toEqual([]);
  expect(report.isWhole).toBe(true);
  const after = tablesOf(dataDir);
  for (const table of ['torrents', 'torrent_files', 'dumps']) expect(after[table]).toEqual(before[table]);
});

test('without the records the torrents themselves tell it', async () => {
  const { dataDir, before } = await setup();
  loseDatabase(dataDir);
  rmSync(join(dataDir, 'records'), { recursive: true });
  const report = await rebuild(dataDir);
  expect(report.foreign).toEqual([]);
  const after = tablesOf(dataDir);
  const kept = ({ torrents = [] }: typeof after) =>
    torrents.map((row) =>
      [
        ...[
          'name',
          'info_name',
          'grouping',
          'scope',
          'source',
          'run_date',
          'cycle_date',
          'part',
          'supplement',
        ],
        ...['is_uncompressed', 'is_history', 'content_path', 'torrent_file_path', 'info_hash', 'file_count'],
      ].map((column) => row[column]),
    );
  expect(kept(after)).toEqual(kept(before));
  expect(after.torrents?.map(({ name, payload_version: form }) => [name, form])).toEqual([
    ['aawiki-20261101', 'none'],
    ['wikimedia-dumps-2026-11-01', '1.1'],
    ['wikimedia-dumps-language-aa-2026-11-01', '1.3'],
    ['wikimedia-dumps-uncompressed-2026-11-01', '1.4'],
  ]);
  const carried = ({ torrent_files: files = [] }: typeof after) =>
    files.map((row) =>
      ['name', 'filename', 'path_in_torrent', 'size_bytes', 'md5', 'sha1', 'sha256'].map(
        (column) => row[column],
      ),
    );
  expect(carried(before)).toHaveLength(7);
  expect(carried(after)).toEqual(carried(before));
  // What is said of unpacked bytes is no fact about the dump.
  expect(
    after.dumps?.map(({ filename, sha1, size_bytes: size, our_status: state }) => [
      filename,
      sha1,
      size,
      state,
    ]),
  ).toEqual(
    before.dumps?.map(({ filename, sha1, size_bytes: size, our_status: state }) => [
      filename,
      sha1,
      size,
      state,
    ]),
  );
});

test('a record of an earlier version lacks the new columns, one that was tampered with names no other folder', async () => {
  const { dataDir, before } = await setup();
  const change = (name: string, by: (row: Record<string, unknown>) => void): void => {
    const path = recordOf(dataDir, `torrents/2026-11-01/${name}.json`);
    const record = readJson(path) as { tables: { torrents: Record<string, unknown>[] } };
    by(record.tables.torrents[0] as Record<string, unknown>);
    const text = JSON.stringify(record.tables);
    const sha256 = createHash('sha256').update(text).digest('hex');
    writeFileSync(path, `{"format":"wikiseed-record","version":1,"sha256":"${sha256}","tables":${text}}\n`);
  };
  change('wikimedia-dumps-2026-11-01', (row) => {
    for (const column of ['info_name', 'scope', 'source', 'run_date', 'part', 'is_uncompressed'])
      delete row[column];
  });
  change('wikimedia-dumps-language-aa-2026-11-01', (row) => Object.assign(row, { content_path: 'dumps' }));
  change('aawiki-20261101', (row) => Object.assign(row, { info_name: '../..' }));
  loseDatabase(dataDir);
  // Else the torrents themselves would tell it.
  for (const name of ['wikimedia-dumps-language-aa-2026-11-01', 'aawiki-20261101'])
    rmSync(join(dataDir, 'torrents', `${name}.torrent`));
  const report = await rebuild(dataDir);
  expect(report.problems.map(({ reason }) => reason)).toEqual([
    'the name of its folder is no safe folder name',
    'its folder should be below torrents',
  ]);
  const { torrents: after = [] } = tablesOf(dataDir);
  const cycle = (rows: Record<string, unknown>[] = []) =>
    rows.find(({ name }) => name === 'wikimedia-dumps-2026-11-01');
  expect(cycle(after)).toEqual(cycle(before.torrents));
  expect(after.map(({ name }) => name)).toEqual([
    'wikimedia-dumps-2026-11-01',
    'wikimedia-dumps-uncompressed-2026-11-01',
  ]);
});

test('a file that lost its name under dumps/ gets it back from a hard link, never from unpacked bytes', async () => {
  const { dataDir } = await setup();
  loseDatabase(dataDir);
  const path = 'dumps/aawiki/20261101/aawiki-20261101-pages-articles1.xml.bz2';
  rmSync(join(dataDir, path));
  const report = await rebuild(dataDir);
  expect(report.relinked).toEqual([path]);
  expect(readFileSync(join(dataDir, path))).toHaveLength(1000);
});

test('without any other name of it, it is missing', async () => {
  const { dataDir } = await setup();
  loseDatabase(dataDir);
  const path = 'dumps/aawiki/20261101/aawiki-20261101-pages-articles1.xml.bz2';
  rmSync(join(dataDir, path));
  for (const name of ['wikimedia-dumps-2026-11-01', 'wikimedia-dumps-language-aa-2026-11-01']) {
    rmSync(join(dataDir, 'torrents', name), { recursive: true });
    mkdirSync(join(dataDir, 'torrents', name));
  }
  const report = await rebuild(dataDir);
  expect(report.relinked).toEqual([]);
  expect(report.missing.map(({ what }) => what)).toEqual([path]);
});

const run: Partial<WhichTorrent> = { grouping: 'wiki_run', scope: 'be_x_oldwiki', source: 'classic' };
test.each<Partial<WhichTorrent>>([
  {},
  { variant: 'history', supplement: 2 },
  { variant: 'uncompressed', part: 3 },
  { grouping: 'project', scope: 'wiktionary' },
  { grouping: 'language', scope: 'zh-min-nan', variant: 'history', supplement: 1, part: 12 },
  { grouping: 'language', scope: 'be-x-old' },
  { ...run, runDate: '20261101' },
  { ...run, runDate: '20261101', variant: 'history', part: 1 },
  { ...run, runDate: '2026-11-01', source: 'content_current' },
  { ...run, runDate: '2026-11-01', source: 'content_history', variant: 'history' },
])('the name of %o says what it is', (facts) => {
  const which = ofCycle('2026-11-01', facts);
  const parsed = parseTorrentName(torrentName(which));
  const isRun = which.grouping === 'wiki_run';
  expect(parsed).toEqual({
    ...{ grouping: which.grouping, scope: which.scope, source: which.source, runDate: which.runDate },
    cycleDate: isRun ? null : '2026-11-01',
    isHistory: which.variant === 'history',
    isUncompressed: which.variant === 'uncompressed',
    ...{ supplement: which.supplement, part: which.part },
    infoName: isRun ? which.scope : torrentName(which),
  });
});
