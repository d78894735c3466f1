import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { runCli } from '../../src/cli/index.ts';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { startSandbox } from '../../src/sandbox/index.ts';
import {
  filesBelow,
  loseDatabase,
  NOW,
  readJson,
  rebuild,
  recordOf,
  tablesOf,
  untouched,
} from '../helpers/rebuild-bundle.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/*
 * One small cycle is published once; every test takes a copy of its data directory, loses the database and does some harm.
 */

const CYCLE = '2026-11-20';
const TORRENT = `wikimedia-dumps-${CYCLE}`;
let published: {
  folder: string;
  options: ReturnType<typeof sandboxConfig>;
  tables: ReturnType<typeof tablesOf>;
};

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-rebuild-'));
  const sandbox = await startSandbox({
    dir: join(folder, 'sandbox'),
    wikis: 2,
    sizeBytes: 500_000,
    runDates: ['20261120'],
    taskDelayMs: 0,
    r2WriteIntervalMs: 0,
  });
  const options = sandboxConfig(sandbox, join(folder, 'data'));
  const app = await createApp({ ...options, clock: shiftedClock(NOW), log: silentLog });
  await app.start();
  await app.whenIdle();
  await app.stop();
  await sandbox.stop();
  const tables = tablesOf(join(folder, 'data'));
  expect(tables.cycles).toMatchObject([{ status: 'published' }]);
  published = { folder, options, tables };
});
afterAll(() => rmSync(published.folder, { recursive: true, force: true }));

/** A copy with its hard links, and without the database. */
function setup() {
  const dataDir = join(temporaryFolder(), 'data');
  expect(spawnSync('cp', ['-a', join(published.folder, 'data'), dataDir]).status).toBe(0);
  loseDatabase(dataDir);
  const { options } = published;
  const config = { ...options.config, wikiseed: { ...options.config.wikiseed, dataDir } };
  const cli = async (...args: string[]) => {
    const written = { out: '', err: '' };
    const { path, env } = writeConfig({ ...options, config });
    const code = await runCli(['rebuild', '--config', path, ...args], {
      out: { write: (text: string) => (written.out += text) },
      err: { write: (text: string) => (written.err += text) },
      env,
      cwd: dataDir,
      readTextFile: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
      signal: new AbortController().signal,
    });
    return { code, ...written };
  };
  const row = (ending: string): Record<string, unknown> => {
    const found = published.tables.dumps?.find(({ filename }) => String(filename).endsWith(ending));
    if (found === undefined) throw new Error(`no dump file ends with ${ending}`);
    return found;
  };
  return { dataDir, cli, row, config, database: join(dataDir, 'db', 'jobs.db') };
}

/** Rewrites a record as an attacker, or a careless hand, could: with a digest that fits. */
function forge(path: string, change: (tables: Record<string, Record<string, unknown>[]>) => void): void {
  const { tables } = readJson(path) as { tables: Record<string, Record<string, unknown>[]> };
  change(tables);
  const { hash } = process.getBuiltinModule('node:crypto');
  const sha256 = hash('sha256', JSON.stringify(tables));
  writeFileSync(path, JSON.stringify({ format: 'wikiseed-record', version: 1, sha256, tables }));
}

const heldCount = (): number => published.tables.dumps?.length ?? 0;

describe('what is missing or damaged', () => {
  test('a file that is gone everywhere is pending, and told', async () => {
    const { dataDir, row, cli } = setup();
    const file = row('pages-articles.xml.bz2');
    for (const path of filesBelow(dataDir))
      if (path.endsWith(String(file.filename))) rmSync(join(dataDir, path));
    const { code, out } = await cli();
    expect(code).toBe(3);
    expect(out).toContain('1 file missing');
    expect(out).toContain(String(file.local_path));
    const dumps = tablesOf(dataDir).dumps ?? [];
    expect(dumps.filter((dump) => dump.our_status !== 'included')).toMatchObject([
      {
        filename: file.filename,
        our_status: 'pending',
        local_path: null,
        sha1: null,
        upstream_sha1: file.sha1,
      },
    ]);
    expect(tablesOf(dataDir).torrent_files).toEqual(published.tables.torrent_files);
  });

  test('a name that only dumps/ lost is given back from the torrent', async () => {
    const { dataDir, row } = setup();
    const path = join(dataDir, String(row('pages-articles.xml.bz2').local_path));
    const { ino } = statSync(path);
    rmSync(path);
    const report = await rebuild(dataDir, { verify: true });
    expect(report).toMatchObject({ isWhole: true, relinked: [row('pages-articles.xml.bz2').local_path] });
    expect(statSync(path).ino).toBe(ino);
    expect(tablesOf(dataDir)).toEqual(published.tables);
  });

  test('a flipped byte is found by --verify and by nothing less; the bytes are kept aside and served no more', async () => {
    const { dataDir, row, database } = setup();
    const file = row('pages-articles.xml.bz2');
    const path = join(dataDir, String(file.local_path));
    const bytes = readFileSync(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    chmodSync(path, 0o644);
    writeFileSync(path, bytes);
    expect(await rebuild(dataDir)).toMatchObject({ isWhole: true, filesVerified: null });
    rmSync(database);
    const report = await rebuild(dataDir, { verify: true });
    expect(report).toMatchObject({ isWhole: false, filesVerified: heldCount(), filesHeld: heldCount() - 1 });
    expect(report.damaged).toMatchObject([
      { what: file.local_path, reason: expect.stringContaining('SHA-1') },
    ]);
    expect(readFileSync(join(dataDir, String(file.local_path).replace('dumps/', 'dumps/.damaged/')))).toEqual(
      bytes,
    );
    const named = filesBelow(dataDir).filter((name) => name.endsWith(String(file.filename)));
    expect(named).toEqual([String(file.local_path).replace('dumps/', 'dumps/.damaged/')]);
  });

  test('a truncated file is found without reading it', async () => {
    const { dataDir, row } = setup();
    const file = row('page.sql.gz');
    const path = join(dataDir, String(file.local_path));
    chmodSync(path, 0o644);
    writeFileSync(path, readFileSync(path).subarray(0, 10));
    const report = await rebuild(dataDir);
    expect(report.damaged).toMatchObject([
      { what: file.local_path, reason: expect.stringContaining('it has 10 bytes') },
    ]);
  });

  test('a disk that is not mounted loses nothing', async () => {
    const { dataDir, database } = setup();
    for (const folder of ['dumps', 'torrents']) rmSync(join(dataDir, folder), { recursive: true });
    mkdirSync(join(dataDir, 'dumps'));
    await expect(rebuild(dataDir)).rejects.toMatchObject({ code: 'dumps_folder_empty' });
    expect(existsSync(database)).toBe(false);
    mkdirSync(join(dataDir, 'dumps', 'lost'));
    expect((await rebuild(dataDir)).missing.length).toBe(heldCount());
  });

  test('unknown files are told and left alone', async () => {
    const { dataDir } = setup();
    const strange = [
      'dumps/notes.txt',
      'dumps/aawiki/20200101/aawiki-20200101-page.sql.gz',
      'dumps/aawiki/deep/er/still/x',
    ];
    for (const path of strange) {
      mkdirSync(join(dataDir, path, '..'), { recursive: true });
      writeFileSync(join(dataDir, path), 'not ours');
    }
    const before = untouched(dataDir, ['dumps']);
    const report = await rebuild(dataDir);
    expect(report.foreign.sort()).toEqual([
      'dumps/aawiki/20200101/aawiki-20200101-page.sql.gz',
      'dumps/aawiki/deep/er',
      'dumps/notes.txt',
    ]);
    expect(report.isWhole).toBe(true);
    expect(untouched(dataDir, ['dumps'])).toEqual(before);
  });
});

describe('records that are torn, missing or hostile', () => {
  test('a torn record of files is made good from the torrent: same files, same hashes, same torrent', async () => {
    const { dataDir } = setup();
    const files = filesBelow(join(dataDir, 'records', 'files')).map((name) =>
      join(dataDir, 'records', 'files', name),
    );
    expect(files.length).toBeGreaterThan(1);
    const torn = files[0] as string;
    writeFileSync(torn, readFileSync(torn, 'utf8').slice(0, 500));
    const report = await rebuild(dataDir, { verify: true });
    expect(report.isWhole).toBe(false);
    expect(report.problems[0]).toMatchObject({
      what: torn.slice(dataDir.length + 1),
      reason: 'it is torn or no JSON',
    });
    expect(report).toMatchObject({
      damaged: [],
      missing: [],
      filesVerified: heldCount(),
      foreign: [],
      unproved: [],
    });
    const pick = (row: Record<string, unknown>) =>
      Object.fromEntries(
        [
          'wiki_db_name',
          'run_date',
          'filename',
          'project',
          'language',
          'cycle_date',
          'dump_type',
          'is_history',
          'size_bytes',
          'md5',
          'sha1',
          'sha256',
          'verification',
          'local_path',
          'our_status',
          'ia_identifier',
          'ia_url',
          'wikimedia_url',
          'wikimedia_status',
        ].map((c) => [c, row[c]]),
      );
    const tables = tablesOf(dataDir);
    expect(tables.dumps?.map(pick)).toEqual(published.tables.dumps?.map(pick));
    expect(tables.torrents).toEqual(published.tables.torrents);
    expect(tables.torrent_files).toEqual(published.tables.torrent_files);
  });

  test('one changed digit in a record condemns the record and not the file', async () => {
    const { dataDir, row } = setup();
    const { sha1 } = row('page.sql.gz');
    const path = filesBelow(join(dataDir, 'records', 'files'))
      .map((name) => join(dataDir, 'records', 'files', name))
      .find((name) => readFileSync(name, 'utf8').includes(String(sha1))) as string;
    const text = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      text.replaceAll(
        String(sha1),
        String(sha1).replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
      ),
    );
    const report = await rebuild(dataDir, { verify: true });
    expect(report.problems[0]?.reason).toBe('its bytes changed after it was written');
    expect(report).toMatchObject({ damaged: [], filesVerified: heldCount() });
  });

  test.each([
    'cycles.json',
    'wikis.json',
    'runs',
    'torrents',
    'files',
  ])('without records/%s the rest of the directory says the same', async (name) => {
    const { dataDir } = setup();
    rmSync(join(dataDir, 'records', name), { recursive: true });
    const report = await rebuild(dataDir);
    expect(report).toMatchObject({
      cycles: [{ cycleDate: CYCLE, status: 'published' }],
      missing: [],
      filesHeld: heldCount(),
      torrents: published.tables.torrents?.map(({ name, info_hash }) => ({ name, infoHash: info_hash })),
    });
    expect(report.isWhole).toBe(false);
    expect(
      tablesOf(dataDir).dump_runs?.map(({ wiki_db_name, run_date, status }) => [
        wiki_db_name,
        run_date,
        status,
      ]),
    ).toEqual(
      published.tables.dump_runs?.map(({ wiki_db_name, run_date, status }) => [
        wiki_db_name,
        run_date,
        status,
      ]),
    );
  });

  test('without any record: torrents and manifest give the same files and infohashes', async () => {
    const { dataDir } = setup();
    rmSync(join(dataDir, 'records'), { recursive: true });
    const report = await rebuild(dataDir, { verify: true });
    expect(report.notes.join()).toContain('there are no records');
    expect(report).toMatchObject({
      isWhole: false,
      filesVerified: heldCount(),
      damaged: [],
      missing: [],
      torrentsFromFiles: published.tables.torrents?.length,
      cycles: [{ cycleDate: CYCLE, status: 'published' }],
    });
    const facts = [
      'name',
      'info_hash',
      'magnet_link',
      'total_size_bytes',
      'file_count',
      'piece_length',
      'piece_count',
      'is_history',
      'trackers',
      'webseeds',
      'torrent_url',
    ];
    const pick = (row: Record<string, unknown>) => Object.fromEntries(facts.map((fact) => [fact, row[fact]]));
    expect(tablesOf(dataDir).torrents?.map(pick)).toEqual(published.tables.torrents?.map(pick));
    expect(tablesOf(dataDir).torrent_files).toEqual(published.tables.torrent_files);
    expect(tablesOf(dataDir).dumps?.every((row) => row.ia_verified_at !== null)).toBe(true);
  });

  test('without records and without HASH.json the manifest names the files, and the daemon is to prove them', async () => {
    const { dataDir } = setup();
    rmSync(join(dataDir, 'records'), { recursive: true });
    rmSync(join(dataDir, 'torrents'), { recursive: true });
    rmSync(join(dataDir, 'publish', 'torrents'), { recursive: true });
    const report = await rebuild(dataDir);
    expect(report.problems[0]?.reason).toContain('made again from its files');
    expect(report.unproved.length).toBe(heldCount());
    expect(
      tablesOf(dataDir).dumps?.every(
        (row) => row.our_status === 'pending' && row.upstream_sha1 !== null && row.downloaded_at !== null,
      ),
    ).toBe(true);
  });

  test('nothing at all to rebuild from is said, and no empty database is made', async () => {
    const dataDir = temporaryFolder();
    mkdirSync(join(dataDir, 'dumps'));
    await expect(rebuild(dataDir)).rejects.toMatchObject({ code: 'nothing_to_rebuild' });
    expect(filesBelow(join(dataDir, 'db')).filter((name) => name.startsWith('jobs.db'))).toEqual([]);
  });

  test.each<[string, (row: Record<string, unknown>) => void]>([
    ['a local path that climbs', (row) => (row.local_path = '../../etc/passwd')],
    ['an absolute local path', (row) => (row.local_path = '/etc/passwd')],
    ['the place of another file', (row) => (row.local_path = 'dumps/aawiki/20261120/other.gz')],
    ['a file name that climbs', (row) => (row.filename = '../../../etc/passwd')],
    ['a file name with a line end', (row) => (row.filename = 'a\nb')],
    ['a wiki that climbs', (row) => (row.wiki_db_name = '..')],
    ['a size that is text', (row) => (row.size_bytes = '12; DROP TABLE dumps')],
    ['a state nobody knows', (row) => (row.our_status = 'splendid')],
    ['a held file without its hash', (row) => (row.sha1 = null)],
  ])('a record with %s loses that row and nothing else', async (_what, change) => {
    const { dataDir } = setup();
    const outside = join(dataDir, '..', 'outside');
    writeFileSync(outside, 'keep');
    const path = recordOf(dataDir, readdirFirst(dataDir));
    let lost = '';
    forge(path, (tables) => {
      const row = tables.dumps?.[0] as Record<string, unknown>;
      lost = String(row.filename);
      change(row);
    });
    // The torrent would give the row back.
    for (const name of filesBelow(join(dataDir, 'torrents')))
      if (name.endsWith('HASH.json')) rmSync(join(dataDir, 'torrents', name));
    rmSync(join(dataDir, 'publish', 'manifest.json'));
    rmSync(join(dataDir, 'publish', 'manifests'), { recursive: true });
    const report = await rebuild(dataDir);
    expect(report.problems.length).toBeGreaterThan(0);
    const dumps = tablesOf(dataDir).dumps ?? [];
    expect(dumps.map(({ filename }) => filename)).toEqual(
      (published.tables.dumps ?? []).map(({ filename }) => filename).filter((filename) => filename !== lost),
    );
    expect(report.foreign.filter((name) => name.endsWith(`/${lost}`)).length).toBe(1);
    expect(readFileSync(outside, 'utf8')).toBe('keep');
  });

  test.each<[string, (row: Record<string, unknown>) => void]>([
    ['a name that climbs', (row) => (row.name = '../x')],
    ['a file elsewhere', (row) => (row.torrent_file_path = '../../etc/passwd')],
    ['a folder elsewhere', (row) => (row.content_path = '/etc')],
    ['no infohash', (row) => (row.info_hash = 'z'.repeat(40))],
  ])('a torrent with %s is taken from its .torrent file instead', async (_what, change) => {
    const { dataDir } = setup();
    forge(recordOf(dataDir, `${TORRENT}.json`), (tables) =>
      change(tables.torrents?.[0] as Record<string, unknown>),
    );
    const report = await rebuild(dataDir);
    expect(report.problems.length).toBeGreaterThan(0);
    expect(tablesOf(dataDir).torrents?.map(({ info_hash }) => info_hash)).toEqual(
      published.tables.torrents?.map(({ info_hash }) => info_hash),
    );
  });

  test('a path inside a torrent that climbs is refused', async () => {
    const { dataDir } = setup();
    forge(recordOf(dataDir, `${TORRENT}.json`), (tables) => {
      (tables.torrent_files?.[0] as Record<string, unknown>).path_in_torrent = 'compressed/../../../x';
    });
    const report = await rebuild(dataDir);
    expect(report.problems[0]?.reason).toBe('it is no path inside a torrent');
    // The torrent itself knows where it lies.
    expect(tablesOf(dataDir).torrent_files).toEqual(published.tables.torrent_files);
  });

  test('strange files between the records are passed over', async () => {
    const { dataDir } = setup();
    writeFileSync(`${recordOf(dataDir, 'cycles.json')}.tmp`, '{"half');
    writeFileSync(join(dataDir, 'records', 'files', 'notes.txt'), 'x');
    mkdirSync(join(dataDir, 'records', 'files', '.hidden'));
    const report = await rebuild(dataDir);
    expect(report.problems).toMatchObject([{ what: 'records/files/.hidden' }]);
    expect(report.filesHeld).toBe(heldCount());
  });
});

/** The record of the first wiki's files. */
function readdirFirst(dataDir: string): string {
  return `files/${filesBelow(join(dataDir, 'records', 'files'))[0]}`;
}

describe('torrents and the manifest', () => {
  const torrentFile = (dataDir: string): string => join(dataDir, 'torrents', `${TORRENT}.torrent`);

  test.each<[string, (path: string) => void]>([
    ['missing', (path) => rmSync(path)],
    [
      'damaged',
      (path) =>
        writeFileSync(
          path,
          readFileSync(path).map((byte, index) => (index === 400 ? byte ^ 1 : byte)),
        ),
    ],
    ['torn', (path) => writeFileSync(path, readFileSync(path).subarray(0, 300))],
  ])('a %s .torrent comes back from its published copy, byte for byte', async (_what, harm) => {
    const { dataDir } = setup();
    const before = readFileSync(torrentFile(dataDir));
    harm(torrentFile(dataDir));
    expect(existsSync(torrentFile(dataDir)) && readFileSync(torrentFile(dataDir)).equals(before)).toBe(false);
    const report = await rebuild(dataDir);
    expect(report.isWhole).toBe(true);
    expect(report.notes.join()).toContain('put back from its published copy');
    expect(readFileSync(torrentFile(dataDir)).equals(before)).toBe(true);
    expect(tablesOf(dataDir)).toEqual(published.tables);
  });

  test('a .torrent that is nowhere is told; its row stays, for the daemon to make it again', async () => {
    const { dataDir } = setup();
    writeFileSync(torrentFile(dataDir), 'rubbish');
    rmSync(join(dataDir, 'publish', 'torrents'), { recursive: true });
    const report = await rebuild(dataDir);
    expect(report.problems).toMatchObject([
      { what: `torrents/${TORRENT}.torrent`, reason: expect.stringContaining('damaged') },
    ]);
    // The daemon makes again what is not there; it would take rubbish for whole.
    expect(existsSync(torrentFile(dataDir))).toBe(false);
    expect(tablesOf(dataDir)).toEqual(published.tables);
  });

  test('a missing manifest is no loss beside the records', async () => {
    const { dataDir } = setup();
    rmSync(join(dataDir, 'publish', 'manifest.json'));
    const report = await rebuild(dataDir);
    expect(report).toMatchObject({ isWhole: true, notes: [expect.stringContaining('manifest.json')] });
    expect(tablesOf(dataDir)).toEqual(published.tables);
  });

  test('a manifest that names another infohash is told', async () => {
    const { dataDir } = setup();
    const path = join(dataDir, 'publish', 'manifest.json');
    const infoHash = String(published.tables.torrents?.find(({ name }) => name === TORRENT)?.info_hash);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(infoHash, 'f'.repeat(40)));
    const report = await rebuild(dataDir);
    expect(report.isWhole).toBe(false);
    expect(report.problems.map(({ what, reason }) => `${what}: ${reason}`).join('\n')).toMatch(
      /the manifest says infohash f{40}/,
    );
  });
});

describe('the command', () => {
  test('prints what it made and what to do next; --json prints the same for scripts', async () => {
    const { cli, database } = setup();
    const first = await cli();
    expect(first).toMatchObject({ code: 0, err: '' });
    for (const text of [
      'published',
      `${heldCount()}`,
      'Nothing is missing',
      'wikiseed run',
      String(published.tables.torrents?.[0]?.info_hash),
    ])
      expect(first.out).toContain(text);
    rmSync(database);
    const second = await cli('--json', '--verify');
    expect(second.code).toBe(0);
    expect(JSON.parse(second.out)).toMatchObject({ isWhole: true, filesVerified: heldCount(), database });
  });

  test('refuses where a database is, and changes nothing', async () => {
    const { cli, database } = setup();
    mkdirSync(join(database, '..'), { recursive: true });
    const db = openDb(database);
    migrateDb(db, { dataDir: null, now: new Date(0) });
    db.close();
    const before = readFileSync(database);
    const { code, err } = await cli();
    expect(code).toBe(1);
    expect(err).toMatch(/there is a whole database at[\s\S]*mv /);
    expect(readFileSync(database).equals(before)).toBe(true);
  });

  test.each([
    ['damaged', 'perhaps the only copy'],
    ['empty', ''],
  ])('sets one aside that is %s', async (_what, content) => {
    const { cli, dataDir, database } = setup();
    mkdirSync(join(database, '..'), { recursive: true });
    writeFileSync(database, content);
    const { code, err } = await cli();
    expect(code, err).toBe(0);
    expect(tablesOf(dataDir)).toEqual(published.tables);
    const [kept] = readdirSync(join(dataDir, 'db')).filter((name) => name.startsWith('replaced-'));
    expect(readFileSync(join(dataDir, 'db', kept as string, 'jobs.db'), 'utf8')).toBe(content);
  });

  test('prefers a backup, and goes on without one when told so', async () => {
    const { cli, dataDir, database } = setup();
    mkdirSync(join(dataDir, 'backups'), { recursive: true });
    writeFileSync(join(dataDir, 'backups', 'jobs-2026-11-22T02-00-00-000Z.db.gz'), 'x');
    const refused = await cli();
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/wikiseed restore[\s\S]*--ignore-backups/);
    expect(existsSync(database)).toBe(false);
    expect((await cli('--ignore-backups')).code).toBe(0);
  });

  test('ends with 11 while a daemon has the data directory', async () => {
    const { cli, config, database } = setup();
    // A daemon that began before the database was deleted under it.
    await rebuild(config.wikiseed.dataDir);
    const app = await createApp({
      config: { ...config, ia: { ...config.ia, enabled: false } },
      secrets: published.options.secrets,
      log: silentLog,
      clock: shiftedClock(NOW),
    });
    try {
      renameSync(database, `${database}.gone`);
      const { code, err } = await cli();
      expect(code).toBe(11);
      expect(err).toContain('another WikiSeed');
    } finally {
      await app.stop();
    }
  });

  test('a log of the lost database is not replayed into the new one', async () => {
    const { dataDir, database } = setup();
    mkdirSync(join(dataDir, 'db'), { recursive: true });
    // Two databases written alike: the log of one would fit the other.
    const other = openDb(join(dataDir, 'other.db'));
    other.sqlite.exec('CREATE TABLE foreign_table (x); INSERT INTO foreign_table VALUES (1)');
    writeFileSync(`${database}-wal`, readFileSync(join(dataDir, 'other.db-wal')));
    other.close();
    expect(statSync(`${database}-wal`).size).toBeGreaterThan(0);
    await rebuild(dataDir);
    expect(filesBelow(join(dataDir, 'db')).filter((name) => name.includes('of-lost-database')).length).toBe(
      1,
    );
    expect(tablesOf(dataDir)).toEqual(published.tables);
    expect(statSync(database).mode & 0o777).toBe(0o600);
  });
});

describe('SIGKILL during a rebuild', () => {
  const STEPS = [
    'rebuild:begun',
    'rebuild:records_read',
    'rebuild:files_checked',
    'rebuild:moved_aside',
    'rebuild:filled',
    'rebuild:place_cleared',
    'rebuild:in_place',
  ];
  const dieAt = (name: string): string =>
    `data:text/javascript,${encodeURIComponent(
      `import { subscribe } from 'node:diagnostics_channel';
       import { isMainThread } from 'node:worker_threads';
       if (isMainThread) subscribe('wikiseed:step', (message) => {
         if (message.name !== '${name}') return;
         process.kill(process.pid, 'SIGKILL');
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       });`,
    )}`;

  test.each(STEPS)('at %s leaves no half database, and running it again works', async (name) => {
    const { dataDir, config, database } = setup();
    const { path, env } = writeConfig({ ...published.options, config });
    const args = ['rebuild', '--verify', '--json', '--config', path];
    const killed = await startWikiseed(args, { env: { ...env, NODE_OPTIONS: `--import=${dieAt(name)}` } })
      .ended;
    // The fault fired: a signal ended it.
    expect(killed.code, killed.stderr).toBeNull();
    expect(existsSync(database)).toBe(name === 'rebuild:in_place');
    const again = await startWikiseed(args, { env }).ended;
    if (name === 'rebuild:in_place')
      expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('there is a whole database') });
    else expect(again.code, again.stderr).toBe(0);
    expect(tablesOf(dataDir)).toEqual(published.tables);
    expect(filesBelow(join(dataDir, 'db')).filter((file) => file.includes('rebuilding'))).toEqual([]);
  });

  test('while a damaged database is set aside loses neither it nor its log, and running it again works', async () => {
    const { dataDir, config, database } = setup();
    mkdirSync(join(dataDir, 'db'), { recursive: true });
    const kept = ['the only copy', 'its log'];
    for (const [index, suffix] of ['', '-wal'].entries())
      writeFileSync(`${database}${suffix}`, kept[index] as string);
    const { path, env } = writeConfig({ ...published.options, config });
    const args = ['rebuild', '--json', '--config', path];
    const killed = await startWikiseed(args, {
      env: { ...env, NODE_OPTIONS: `--import=${dieAt('restore:moved jobs.db')}` },
    }).ended;
    expect(killed.code, killed.stderr).toBeNull();
    // The fault fired between the two moves.
    expect([existsSync(database), existsSync(`${database}-wal`)]).toEqual([false, true]);
    const started = await startWikiseed(['run', '--until-idle', '--config', path], { env }).ended;
    expect(started.stderr).toContain('wikiseed rebuild');
    expect(existsSync(database)).toBe(false);
    const again = await startWikiseed(args, { env }).ended;
    expect(again.code, again.stderr).toBe(0);
    expect(tablesOf(dataDir)).toEqual(published.tables);
    const texts = filesBelow(join(dataDir, 'db')).map((name) =>
      readFileSync(join(dataDir, 'db', name), 'utf8'),
    );
    for (const text of kept) expect(texts.filter((each) => each === text)).toHaveLength(1);
  });

  test('a stop in the middle of the reading leaves nothing behind', async () => {
    const { dataDir, database } = setup();
    const stop = new AbortController();
    stop.abort();
    await expect(rebuild(dataDir, { signal: stop.signal })).rejects.toThrow();
    expect(existsSync(database)).toBe(false);
    expect(filesBelow(join(dataDir, 'db')).filter((file) => file.includes('rebuilding'))).toEqual([]);
  });
});
