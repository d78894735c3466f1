// Goal: an operator lists, shows, verifies and exports torrents, beside a daemon and without one. Method: a small torrent made by
// bencode alone over real files and a real database; commands in this process; a daemon where it matters.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import bencode from 'bencode';
import { describe, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { runCli } from '../../src/cli/index.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { writeConfig } from '../helpers/with-process.ts';

const PIECE = 16_384;
const TREE = 'compressed/aawiki/20261120';
const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest();

/** Two dump files with padding between them, and a text: as the torrents of a cycle are. */
const FILES = [
  { path: `${TREE}/big.gz`, bytes: Buffer.alloc(40_000, 'big'), isDump: true },
  { path: '.pad/9152', bytes: Buffer.alloc(9152), isPadding: true },
  { path: `${TREE}/small.gz`, bytes: Buffer.alloc(5000, 'small'), isDump: true },
  { path: 'README.txt', bytes: Buffer.from('read me'.repeat(100)) },
];

async function setup() {
  const sandbox = await withSandbox({ wikis: 1, sizeBytes: 100_000 });
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const { path: configPath, env } = writeConfig(options);
  const app = await createApp({ ...options, log: silentLog });
  await app.stop();
  const whole = Buffer.concat(FILES.map(({ bytes }) => bytes));
  const pieces = Buffer.concat(
    Array.from({ length: Math.ceil(whole.length / PIECE) }, (_, at) =>
      sha1(whole.subarray(at * PIECE, (at + 1) * PIECE)),
    ),
  );
  const info = {
    name: 'tree',
    'piece length': PIECE,
    pieces,
    files: FILES.map(({ path, bytes, isPadding }) => ({
      ...(isPadding === true ? { attr: 'p' } : {}),
      length: bytes.length,
      path: path.split('/'),
    })),
  };
  const infoHash = sha1(Buffer.from(bencode.encode(info))).toString('hex');
  const put = (path: string, bytes: Buffer | Uint8Array) => {
    mkdirSync(dirname(join(dataDir, path)), { recursive: true });
    writeFileSync(join(dataDir, path), bytes);
  };
  put('torrents/tree-2026.torrent', bencode.encode({ announce: 'http://127.0.0.1:9/announce', info }));
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  const insert = (table: string, row: Record<string, unknown>): number => {
    const keys = Object.keys(row);
    const sql = `INSERT INTO ${table} (${keys}) VALUES (${keys.map(() => '?')})`;
    return Number(db.sqlite.prepare(sql).run(...Object.values(row)).lastInsertRowid);
  };
  const torrent = (more: Record<string, unknown> = {}) =>
    insert('torrents', {
      ...{
        name: 'tree-2026',
        info_name: 'tree',
        grouping: 'cycle',
        cycle_date: '2026-11-20',
        info_hash: infoHash,
      },
      ...{
        magnet_link: `magnet:?xt=urn:btih:${infoHash}&dn=tree`,
        total_size_bytes: whole.length,
        file_count: 3,
      },
      ...{
        piece_length: PIECE,
        piece_count: pieces.length / 20,
        torrent_file_path: 'torrents/tree-2026.torrent',
      },
      ...{
        content_path: 'torrents',
        trackers: '["http://127.0.0.1:9/announce"]',
        created_at: 0,
        seeding_since: 1,
      },
      ...more,
    });
  const id = torrent();
  for (const { path, bytes, isDump, isPadding } of FILES) {
    if (isPadding === true) continue;
    put(`torrents/tree/${path}`, bytes);
    if (isDump !== true) continue;
    const filename = path.slice(path.lastIndexOf('/') + 1);
    const localPath = `dumps/aawiki/20261120/${filename}`;
    put(localPath, bytes);
    const dump = insert('dumps', {
      ...{
        project: 'wikipedia',
        language: 'aa',
        wiki_db_name: 'aawiki',
        run_date: '20261120',
        cycle_date: '2026-11-20',
      },
      ...{
        dump_type: 'page',
        filename,
        size_bytes: bytes.length,
        wikimedia_url: 'https://x/',
        discovered_at: 0,
      },
      ...{
        our_status: 'included',
        verification: 'sha1',
        local_path: localPath,
        sha1: sha1(bytes).toString('hex'),
      },
      ...{ md5: createHash('md5').update(bytes).digest('hex'), verified_at: 1 },
      sha256: createHash('sha256').update(bytes).digest('hex'),
    });
    insert('torrent_files', {
      torrent_id: id,
      dump_id: dump,
      path_in_torrent: path,
      size_bytes: bytes.length,
    });
  }
  const cli = async (...args: string[]) => {
    let out = '';
    let err = '';
    const io: CliIo = {
      out: { write: (text) => (out += text) },
      err: { write: (text) => (err += text) },
      env,
      cwd: dataDir,
      signal: new AbortController().signal,
      readTextFile: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
    };
    const code = await runCli([...args, '--config', configPath], io);
    return { code, out, err };
  };
  const damagedNames = () => {
    const again = openDb(join(dataDir, 'db', 'jobs.db'));
    const names = again.sqlite
      .prepare('SELECT filename FROM dumps WHERE damaged_at IS NOT NULL')
      .pluck()
      .all();
    again.close();
    return names;
  };
  return { cli, db, insert, torrent, id, infoHash, dataDir, put, damagedNames, close: () => db.close() };
}

test('lists and shows: what is unknown is called so, and states are words', async () => {
  const { cli, insert, torrent, id, infoHash, close } = await setup();
  const other = 'b'.repeat(40);
  torrent({
    name: 'aawiki-20261120',
    info_name: 'aawiki',
    grouping: 'wiki_run',
    info_hash: other,
    retired_at: 5,
  });
  torrent({ name: 'young', info_hash: 'c'.repeat(40), seeding_since: null, cycle_date: '2026-12-01' });
  insert('torrent_stats', {
    ...{
      torrent_id: id,
      seeders: 4,
      leechers: null,
      uploaded_bytes: 3e9,
      source: 'udp://tracker.example.org',
    },
    recorded_at: Date.now() - 1000,
  });
  const now = Date.now();
  insert('torrent_webseeds', {
    torrent_id: id,
    url: 'https://a.example.org/',
    state: 'working',
    checked_at: now,
    since: now,
  });
  insert('torrent_webseeds', {
    ...{ torrent_id: id, url: 'https://b.example.org/', state: 'dead', checked_at: now, since: now },
    reason: 'answers with 404 \u001b[2J',
  });
  close();
  const list = await cli('torrents');
  expect([list.code, list.err]).toEqual([0, '']);
  const lines = list.out.split('\n');
  expect(lines[1]).toMatch(/^young +whole cycle +2026-12-01 .* unknown +unknown +waiting +none$/);
  expect(lines[2]).toMatch(/^tree-2026 .* 4 +unknown +seeding +1 working, 1 dead$/);
  expect(lines[3]).toMatch(/^aawiki-20261120 +one wiki .* retired +none$/);
  expect((await cli('torrents', '--grouping', 'wiki_run')).out).not.toContain('tree-2026');
  expect((await cli('torrents', '--cycle', '2020-01-01')).out).toBe('No torrent matches.\n');
  expect(await cli('torrents', '--grouping', 'wiki')).toMatchObject({
    code: 2,
    err: expect.stringContaining('wiki_run'),
  });
  expect((await cli('torrents', '--grouping', 'toString')).code).toBe(2);
  for (const date of ['2026-13-01', '2026-02-30', 'today'])
    expect(await cli('torrents', '--cycle', date)).toMatchObject({
      code: 2,
      err: `wikiseed: ${date} is not the date of a cycle\n  Write it as YYYY-MM-DD.\n`,
    });
  const json = JSON.parse((await cli('torrents', '--json')).out) as { name: string; seeders: unknown }[];
  expect(json.map(({ name, seeders }) => [name, seeders])).toEqual([
    ['young', null],
    ['tree-2026', 4],
    ['aawiki-20261120', null],
  ]);

  for (const name of ['tree-2026', infoHash.toUpperCase()]) {
    const { code, out } = await cli('torrents', 'show', name);
    expect(code).toBe(0);
    for (const words of [
      infoHash,
      `magnet:?xt=urn:btih:${infoHash}&dn=tree`,
      'http://127.0.0.1:9/announce',
      '3 GB',
    ])
      expect(out).toContain(words);
    expect(out).toMatch(/https:\/\/b\.example\.org\/ +dead .*answers with 404 \?\[2J/);
    expect(out).toContain(`${TREE}/big.gz`);
    expect(out).toMatch(/other seeders +4, unknown leechers/);
  }
  const shown = JSON.parse((await cli('torrents', 'show', 'tree-2026', '--json')).out) as Record<
    string,
    unknown
  >;
  expect(shown).toMatchObject({
    infoHash,
    state: 'seeding',
    files: [{}, {}],
    history: [{ seeders: 4, leechers: null }],
  });
  expect(await cli('torrents', 'show', 'nothing')).toMatchObject({
    code: 2,
    err: 'wikiseed: there is no torrent nothing\n  "wikiseed torrents" lists them.\n',
  });
});

test('lists torrents of one kind: history, unpacked and supplements as well as the groupings', async () => {
  const { cli, torrent, close } = await setup();
  const name = (text: string, more: Record<string, unknown>): number =>
    torrent({ name: text, info_hash: Buffer.from(text.padEnd(20)).toString('hex'), ...more });
  name('with-history', { is_history: 1 });
  name('unpacked', { is_uncompressed: 1 });
  name('later', { supplement: 1 });
  name('later-wiki', { supplement: 2, grouping: 'wiki_run', cycle_date: '2026-12-01' });
  close();
  const names = async (...args: string[]) =>
    (JSON.parse((await cli('torrents', '--json', ...args)).out) as { name: string }[]).map(
      (each) => each.name,
    );
  expect(await names('--grouping', 'history')).toEqual(['with-history']);
  expect(await names('--grouping', 'uncompressed')).toEqual(['unpacked']);
  expect(await names('--grouping', 'supplement')).toEqual(['later-wiki', 'later']);
  expect(await names('--grouping', 'supplement', '--cycle', '2026-11-20')).toEqual(['later']);
  expect(await names('--grouping', 'cycle')).toEqual(['later', 'tree-2026', 'unpacked', 'with-history']);
  expect((await cli('torrents')).out).toMatch(/^later-wiki +one wiki, supplement 2 /m);
});

test('shows the info name, and counts in words', async () => {
  const { cli, insert, torrent, id, close } = await setup();
  const wiki = torrent({ name: 'aawiki-20261120', info_name: 'aawiki', info_hash: 'b'.repeat(40) });
  for (const [torrentId, completed] of [
    [id, 1],
    [wiki, 3],
  ])
    insert('torrent_stats', {
      ...{ torrent_id: torrentId, seeders: 0, leechers: 1, completed, uploaded_bytes: null },
      ...{ source: 'udp://tracker.example.org', recorded_at: Date.now() - 1000 },
    });
  close();
  expect((await cli('torrents', 'show', 'tree-2026')).out).toMatch(
    /other seeders +0, 1 leecher, downloaded once \(/,
  );
  const { out } = await cli('torrents', 'show', 'aawiki-20261120');
  expect(out).toMatch(/downloaded 3 times \(/);
  expect(out).toMatch(/^ {2}info name +aawiki$/m);
});

describe('verify', () => {
  test('says that all pieces are right, with padding that is on no disk', async () => {
    const { cli, close } = await setup();
    close();
    expect(await cli('torrents', 'verify', '--all')).toEqual({
      code: 0,
      out: 'tree-2026: all 4 pieces are right\n',
      err: '',
    });
    expect(await cli('torrents', 'verify')).toMatchObject({ code: 2, err: expect.stringContaining('--all') });
  });

  test('names a damaged file, and records that the stored one behind it is damaged', async () => {
    const { cli, close, put, damagedNames } = await setup();
    close();
    const bytes = Buffer.from(FILES[0]?.bytes as Buffer);
    bytes[20_000] = 1;
    put(`torrents/tree/${TREE}/big.gz`, bytes);
    put('dumps/aawiki/20261120/big.gz', bytes);
    const { code, out } = await cli('torrents', 'verify', 'tree-2026');
    expect(code).toBe(1);
    expect(out).toContain(
      `tree-2026: 1 of 4 pieces wrong, 1 file not proved\n  ${TREE}/big.gz (40 kB): damaged\n`,
    );
    expect(out).toContain('the stored file dumps/aawiki/20261120/big.gz is damaged');
    expect(out).toContain('wikiseed verify --repair');
    expect(damagedNames()).toEqual(['big.gz']);
  });

  test('tells apart what is missing, what it shares a piece with, and what only the folder has wrong', async () => {
    const { cli, close, dataDir, put, damagedNames } = await setup();
    close();
    rmSync(join(dataDir, 'torrents/tree/README.txt'));
    const missing = await cli('torrents', 'verify', 'tree-2026', '--json');
    expect(missing.code).toBe(1);
    expect(JSON.parse(missing.out)).toMatchObject({
      torrents: [
        {
          badPieces: 0,
          faults: [
            { path: `${TREE}/small.gz`, state: 'unproved', stored: null },
            { path: 'README.txt', state: 'missing', stored: null },
          ],
        },
      ],
    });
    put('torrents/tree/README.txt', Buffer.from('read me?'.repeat(100)).subarray(0, 700));
    const suspect = await cli('torrents', 'verify', 'tree-2026');
    expect(suspect.code).toBe(1);
    expect(suspect.out).toContain('README.txt (700 B): perhaps damaged');
    expect(suspect.out).toContain('the stored file dumps/aawiki/20261120/small.gz is sound');
    expect(suspect.out).toContain('made anew');
    put('torrents/tree/README.txt', Buffer.from('short'));
    expect((await cli('torrents', 'verify', 'tree-2026')).out).toContain(
      'of the wrong size (it has 5 bytes instead of 700)',
    );
    expect(damagedNames()).toEqual([]);
  });

  test('a .torrent file that is gone, broken or of another torrent is a finding, and a retired torrent a mistake', async () => {
    const { cli, close, put, dataDir, torrent } = await setup();
    torrent({ name: 'old', info_hash: 'd'.repeat(40), retired_at: 1 });
    close();
    expect(await cli('torrents', 'verify', 'old')).toMatchObject({
      code: 2,
      err: expect.stringContaining('is retired'),
    });
    const path = 'torrents/tree-2026.torrent';
    const text = readFileSync(join(dataDir, path), 'latin1');
    put(path, Buffer.from(text.replace('4:tree', '4:free'), 'latin1'));
    const other = await cli('torrents', 'verify', '--all');
    expect([other.code, other.out]).toEqual([1, expect.stringContaining('of another torrent')]);
    put(path, Buffer.from('d4:infode'));
    expect((await cli('torrents', 'verify', '--all')).out).toContain('cannot be read');
    rmSync(join(dataDir, path));
    expect(await cli('torrents', 'verify', '--all')).toMatchObject({
      code: 1,
      out: expect.stringContaining('made anew'),
    });
  });
});

test('exports either links or a folder: what would be ignored is refused', async () => {
  const { cli, close, infoHash } = await setup();
  close();
  const to = join(temporaryFolder(), 'out');
  expect(await cli('torrents', 'export', '--all', '--magnet', '--to', to)).toMatchObject({
    ...{ code: 2, out: '' },
    err: expect.stringContaining('--magnet and --to exclude each other'),
  });
  expect(existsSync(to)).toBe(false);
  expect((await cli('torrents', 'export', '--all', '--magnet')).out).toContain(infoHash);
});

test('exports .torrent files and magnet links, and overwrites nothing different', async () => {
  const { cli, close, dataDir, infoHash } = await setup();
  close();
  const to = join(temporaryFolder(), 'out');
  const first = await cli('torrents', 'export', '--all', '--to', to);
  expect([first.code, first.out]).toEqual([
    0,
    `1 torrent and magnets.txt in ${to}: 2 files written, 0 were there\n`,
  ]);
  expect(readFileSync(join(to, 'tree-2026.torrent'))).toEqual(
    readFileSync(join(dataDir, 'torrents/tree-2026.torrent')),
  );
  const magnet = `magnet:?xt=urn:btih:${infoHash}&dn=tree\n`;
  expect(readFileSync(join(to, 'magnets.txt'), 'utf8')).toBe(magnet);
  expect((await cli('torrents', 'export', 'tree-2026', '--to', to)).out).toContain(
    '0 files written, 2 were there',
  );
  writeFileSync(join(to, 'magnets.txt'), 'mine');
  rmSync(join(to, 'tree-2026.torrent'));
  const refused = await cli('torrents', 'export', '--all', '--to', to);
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('nothing was written')]);
  expect(readdirSync(to)).toEqual(['magnets.txt']);
  expect(await cli('torrents', 'export', '--all', '--magnet')).toEqual({ code: 0, out: magnet, err: '' });
  expect(await cli('torrents', 'export', '--all')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--to'),
  });
});
