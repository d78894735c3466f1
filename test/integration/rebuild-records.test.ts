import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createCatalog, type ExpectedFile } from '../../src/catalog/index.ts';
import { openDb } from '../../src/db/index.ts';
import { createRecordKeeper } from '../../src/maintenance/index.ts';
import { type ListPlace, listKeys } from '../../src/maintenance/rebuild/record-kinds.ts';
import { createNodeDisk, type Disk, type Log, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { loseDatabase, rebuild, tablesOf } from '../helpers/rebuild-bundle.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/** A catalog with one wiki, one open cycle and one verified file, and the keeper of its records beside it. */
function setup(wrap: (disk: Disk) => Disk = (disk) => disk, log: Log = silentLog) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock();
  const layout = createLayout(dataDir);
  const catalog = createCatalog({ db, clock });
  const keeper = createRecordKeeper({ db, disk: wrap(createNodeDisk()), layout, clock, log });
  const flags = { isClosed: false, isPrivate: false, isFishbowl: false };
  /** A look at the run, which upstream describes with its one file changed in some facts. */
  const look = (facts: Partial<ExpectedFile>) =>
    catalog.recordRun({
      wikiDbName: 'aawiki',
      source: 'classic',
      cycleDate: '2026-11-20',
      runDate: '20261120',
      status: 'finished',
      notices: [{ dumpType: 'pagelinks', reason: 'not there' }],
      listedNames: null,
      document: { text: '{"jobs":{"secret":"upstream has it"}}', etag: '"x"', lastModified: null },
      files: [
        {
          dumpType: 'page',
          filename: 'aawiki-20261120-page.sql.gz',
          isHistory: false,
          sizeBytes: 4,
          hashes: {},
          wikimediaUrl: 'https://dumps.wikimedia.org/x',
          wikimediaStatus: 'done',
          wikimediaDate: null,
          ...facts,
        },
      ],
    });
  const discover = () => {
    catalog.recordWikis([
      {
        wikiDbName: 'aawiki',
        project: 'wikipedia',
        language: 'aa',
        url: 'https://aa.wikipedia.org',
        name: 'Afar',
        ...flags,
      },
    ]);
    catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: 9e12 });
    const [id] = look({ hashes: { sha1: 'a'.repeat(40) } }).wanted;
    if (id === undefined) throw new Error('a file was expected');
    return id;
  };
  const hold = (id: ReturnType<typeof discover>) => {
    const place = layout.dumpFile({
      source: 'classic',
      wikiDbName: 'aawiki',
      runDate: '20261120',
      filename: 'aawiki-20261120-page.sql.gz',
    });
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, 'abcd');
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      md5: 'b'.repeat(32),
      sha1: 'a'.repeat(40),
      sha256: 'c'.repeat(64),
      sizeBytes: 4,
      verification: 'sha1',
      localPath: layout.relative(place),
      fetchedFromUrl: 'https://mirror.example.org/x',
      pieceHashes: { pieceLength: 2 ** 24, sha1s: Buffer.alloc(20, 7) },
    });
  };
  const record = (key: string) => join(dataDir, 'records', `${key}.json`);
  const text = (key: string) => (existsSync(record(key)) ? readFileSync(record(key), 'utf8') : '');
  return { dataDir, db, clock, catalog, keeper, discover, look, hold, record, text };
}

const FILES = 'files/20261120/aawiki.classic';

test('what was verified is on disk within two seconds, and a rebuild gives every column back', async () => {
  const { dataDir, db, clock, keeper, discover, hold, text } = setup();
  keeper.start();
  const id = discover();
  await keeper.flush();
  expect(text(FILES)).toContain('"our_status":"pending"');
  hold(id);
  expect(text(FILES)).not.toContain('"our_status":"downloaded"');
  await clock.advance(2000);
  await keeper.flush();
  expect(text(FILES)).toContain('"our_status":"downloaded"');
  // Tables of other rooms, which nothing of the catalog writes.
  db.sqlite.exec(`
    INSERT INTO deletions (dump_id, wiki_db_name, path, size_bytes, sha256, reason, evidence, deleted_at)
      VALUES (${id}, 'aawiki', 'dumps/aawiki/20261101/x', 5, NULL, 'older', '{"newer":true}', 1700000000000);
    INSERT INTO page_snapshots (cycle_date, url, service, status) VALUES ('2026-11-20', 'https://example.org', 'wayback', 'done');
    INSERT INTO shares (subject, platform, status, content_sha256) VALUES ('manifest', 'local', 'active', 'ab');`);
  await keeper.stop();
  const before = tablesOf(dataDir);
  for (const table of ['dump_piece_hashes', 'deletions', 'page_snapshots', 'shares'])
    expect(before[table]?.length, table).toBe(1);
  expect(before.deletions?.[0]?.filename).toBe('aawiki-20261120-page.sql.gz');
  db.close();
  loseDatabase(dataDir);
  expect(await rebuild(dataDir)).toMatchObject({ isWhole: true, filesHeld: 1 });
  expect(tablesOf(dataDir)).toEqual(before);
});

test('a torrent with its gaps, and news of a held file, are recorded when they come and given back; descriptions of runs are not', async () => {
  const { dataDir, db, catalog, keeper, discover, look, hold, text } = setup();
  keeper.start();
  const id = discover();
  hold(id);
  await keeper.flush();
  // Nothing but the replacement is written here.
  expect(look({ sizeBytes: 5, hashes: { sha256: 'd'.repeat(64) } }).replaced).toHaveLength(1);
  await keeper.flush();
  expect(text(FILES)).toMatch(/"dump_replacements":\[\{[^}]*"kind":"replaced","size_bytes":5/);
  const place = { wikiDbName: 'aawiki', source: 'classic', runDate: '20261120' } as const;
  const torrentId = catalog.recordTorrent({
    ...{ name: 'wikimedia-dumps-2026-11-20-supplement-1', grouping: 'cycle', cycleDate: '2026-11-20' },
    ...{
      isHistory: false,
      supplement: 1,
      payloadVersion: '1.1',
      infoHash: 'e'.repeat(40),
      magnetLink: 'magnet:?x',
    },
    ...{ totalSizeBytes: 9, fileCount: 2, pieceLength: 262_144, pieceCount: 1, trackers: [], webseeds: [] },
    torrentFilePath: 'torrents/wikimedia-dumps-2026-11-20-supplement-1.torrent',
    contentPath: 'torrents',
    files: [{ dumpId: id, pathInTorrent: 'compressed/aa/wikipedia/x', sizeBytes: 4, verification: 'sha1' }],
    gaps: [
      { ...place, dumpType: 'z', filename: 'z', sizeBytes: 3, state: 'missing', reason: 'late' },
      { ...place, dumpType: 'a', filename: null, sizeBytes: null, state: 'not_offered', reason: 'no' },
    ],
  });
  const key = 'torrents/2026-11-20/wikimedia-dumps-2026-11-20-supplement-1';
  await keeper.flush();
  expect(text(key)).toContain('"reason":"late"');
  // A gap that changes alone reaches the record, too.
  db.sqlite.prepare("UPDATE torrent_gaps SET reason = 'later' WHERE filename = 'z'").run();
  await keeper.stop();
  expect(text(key)).toContain('"reason":"later"');
  expect(text('runs/20261120/aawiki.classic')).not.toContain('upstream has it');
  const before = tablesOf(dataDir);
  expect([before.torrent_gaps?.length, before.dump_replacements?.length]).toEqual([2, 1]);
  const gaps = catalog.torrentGaps(torrentId);
  db.close();
  loseDatabase(dataDir);
  await rebuild(dataDir);
  expect(tablesOf(dataDir)).toEqual(before);
  const again = withDb(dataDir);
  const rebuilt = createCatalog({ db: again, clock: new FakeClock() });
  expect(rebuilt.torrentGaps(rebuilt.torrents()[0]!.id)).toEqual(gaps);
  expect(rebuilt.replacement(rebuilt.dumpFiles('2026-11-20')[0]!.id)).toMatchObject({
    kind: 'replaced',
    sizeBytes: 5,
  });
});

test('records of an earlier version, without the newer tables and columns, are read as before', async () => {
  const { dataDir, db, keeper, discover, hold, record } = setup();
  keeper.start();
  hold(discover());
  await keeper.stop();
  const before = tablesOf(dataDir);
  db.close();
  loseDatabase(dataDir);
  const { tables } = JSON.parse(readFileSync(record(FILES), 'utf8'));
  expect(tables.dump_replacements).toEqual([]);
  delete tables.dump_replacements;
  const { hash } = process.getBuiltinModule('node:crypto');
  const sha256 = hash('sha256', JSON.stringify(tables));
  writeFileSync(record(FILES), JSON.stringify({ format: 'wikiseed-record', version: 1, sha256, tables }));
  // Schema 2 kept the description of a run with it.
  const runs = {
    dump_runs: JSON.parse(readFileSync(record('runs/20261120/aawiki.classic'), 'utf8')).tables.dump_runs,
  };
  runs.dump_runs[0].last_good_status = '{"jobs":{}}';
  const text = JSON.stringify({
    ...{ format: 'wikiseed-record', version: 1, sha256: hash('sha256', JSON.stringify(runs)), tables: runs },
  });
  writeFileSync(record('runs/20261120/aawiki.classic'), text);
  expect(await rebuild(dataDir)).toMatchObject({ isWhole: true, problems: [] });
  expect(tablesOf(dataDir)).toEqual(before);
});

test('a timer alone brings the change to disk, with nobody asking', async () => {
  const written: string[] = [];
  let tell = (): void => {};
  const { clock, keeper, discover } = setup((disk) => ({
    ...disk,
    rename: async (from, to) => {
      await disk.rename(from, to);
      written.push(to);
      tell();
    },
  }));
  keeper.start();
  await keeper.flush();
  // The empty whole tables: wikis, cycles, shares, page_snapshots.
  expect(written.length).toBe(4);
  const isWritten = new Promise<void>((resolve) => {
    tell = () => {
      if (written.some((path) => path.endsWith(`${FILES}.json`))) resolve();
    };
  });
  // Armed when the first round was over.
  while (clock.waiting < 2) await new Promise((resolve) => setImmediate(resolve));
  discover();
  await clock.advance(2000);
  await isWritten;
  await keeper.stop();
});

test('what was rolled back is not recorded', async () => {
  const { db, keeper, discover, text } = setup();
  keeper.start();
  await keeper.flush();
  expect(() =>
    db.transaction(() => {
      discover();
      throw new Error('no');
    }),
  ).toThrow('no');
  await keeper.stop();
  expect(text(FILES)).toBe('');
  expect(text('wikis')).not.toContain('aawiki');
});

test('stopping writes what is left', async () => {
  const { keeper, discover, hold, text } = setup();
  keeper.start();
  hold(discover());
  await keeper.stop();
  expect(text(FILES)).toContain('"our_status":"downloaded"');
  expect(text('runs/20261120/aawiki.classic')).toContain('pagelinks');
});

test('a full disk leaves the old record whole and is tried again after a minute', async () => {
  let isFull = false;
  let fired = 0;
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_fields, message) => void errors.push(message), child: () => log };
  const { clock, keeper, discover, hold, text } = setup(
    (disk) => ({
      ...disk,
      async open(path, mode) {
        const file = await disk.open(path, mode);
        return {
          ...file,
          async write(data, position) {
            if (!isFull) return file.write(data, position);
            fired += 1;
            await file.write(data.subarray(0, 10), position);
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          },
        };
      },
    }),
    log,
  );
  keeper.start();
  const id = discover();
  await keeper.flush();
  const old = text(FILES);
  isFull = true;
  hold(id);
  await keeper.flush();
  await keeper.flush();
  expect(fired).toBe(2);
  // Said once, not at every attempt.
  expect(errors.length).toBe(1);
  expect(text(FILES)).toBe(old);
  isFull = false;
  await clock.advance(60_000);
  await keeper.flush();
  expect(text(FILES)).toContain('"our_status":"downloaded"');
  await keeper.stop();
});

test('what another process wrote to the tables is seen by the daily comparison', async () => {
  const { dataDir, clock, keeper, discover, text } = setup();
  keeper.start();
  discover();
  await keeper.flush();
  const other = openDb(join(dataDir, 'db', 'jobs.db'));
  other.sqlite.prepare("UPDATE dumps SET error_message = 'by hand'").run();
  other.close();
  await keeper.flush();
  expect(text(FILES)).not.toContain('by hand');
  await clock.advance(24 * 3_600_000);
  await keeper.flush();
  expect(text(FILES)).toContain('by hand');
  await keeper.stop();
});

test('every key of a large table is compared, and none of the parts stops the event loop for long', () => {
  const { db } = setup();
  const insert = db.sqlite.prepare(
    `INSERT INTO dump_runs (wiki_db_name, run_date, cycle_date, status, checked_at) VALUES (?, '20261120', '2026-11-20', 'finished', 0)`,
  );
  db.transaction(() => {
    for (let n = 0; n < 4500; n += 1) insert.run(`wiki${n}`);
  });
  const keys = new Set<string>();
  let largest = 0;
  for (let place: ListPlace | null = { kind: 0, afterId: 0 }; place !== null; ) {
    const part = listKeys(db, place);
    largest = Math.max(largest, part.keys.length);
    for (const key of part.keys) keys.add(key);
    place = part.next;
  }
  expect(largest).toBe(2000);
  for (const kind of ['runs', 'files'])
    for (const n of [0, 1999, 2000, 4499]) expect(keys).toContain(`${kind}/20261120/wiki${n}.classic`);
  // Both kinds of each run, and the whole tables.
  expect(keys.size).toBe(2 * 4500 + 4);
});

test('a record that says the truth already is not written again', async () => {
  let renames = 0;
  const { db, keeper, discover, hold } = setup((disk) => ({
    ...disk,
    rename: (from, to) => {
      renames += 1;
      return disk.rename(from, to);
    },
  }));
  keeper.start();
  hold(discover());
  await keeper.flush();
  const before = renames;
  expect(before).toBeGreaterThan(0);
  db.sqlite.prepare('UPDATE dumps SET size_bytes = size_bytes').run();
  await keeper.stop();
  expect(renames).toBe(before);
});

test('changes are seen whatever the conflict clause of the statement that made them', async () => {
  const { db, keeper, text } = setup();
  keeper.start();
  await keeper.flush();
  const insert = (verb: string, status: string) =>
    db.sqlite
      .prepare(
        `${verb} INTO cycles (cycle_date, status, includes_history, deadline_at, opened_at) VALUES ('2026-11-20', '${status}', 0, 1, ?)`,
      )
      .run(verb.length);
  insert('INSERT OR REPLACE', 'open');
  insert('INSERT OR REPLACE', 'open');
  insert('INSERT OR IGNORE', 'open');
  db.sqlite
    .prepare(
      "INSERT INTO cycles (cycle_date, includes_history, deadline_at, opened_at) VALUES ('2026-11-20', 0, 1, 5) ON CONFLICT DO UPDATE SET opened_at = 777",
    )
    .run();
  await keeper.flush();
  expect(text('cycles')).toContain('"opened_at":777');
  db.sqlite.prepare('DELETE FROM cycles').run();
  await keeper.stop();
  expect(text('cycles')).not.toContain('2026-11-20');
});

test('a run without files has no record of files, not even after a restart; one that lost its files says so', async () => {
  const { db, dataDir, clock, keeper, discover, record, text } = setup();
  keeper.start();
  discover();
  db.sqlite.exec(
    `INSERT INTO dump_runs (wiki_db_name, run_date, cycle_date, status, checked_at) VALUES ('abwiki', '20261120', '2026-11-20', 'in_progress', 0)`,
  );
  await keeper.stop();
  const again = createRecordKeeper({
    ...{ db, disk: createNodeDisk(), layout: createLayout(dataDir), clock },
    log: silentLog,
  });
  again.start();
  await again.flush();
  expect(text('runs/20261120/abwiki.classic')).toContain('abwiki');
  expect(existsSync(record('files/20261120/abwiki.classic'))).toBe(false);
  expect(text(FILES)).toContain('aawiki-20261120-page.sql.gz');
  db.sqlite.prepare('DELETE FROM dumps').run();
  await again.stop();
  expect(text(FILES)).toContain('"dumps":[]');
});

test('a database that cannot be read ends nothing: it is told once, tried again, and the records follow', async () => {
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_fields, message) => void errors.push(message), child: () => log };
  const { db, clock, keeper, discover, text } = setup(undefined, log);
  let fired = 0;
  let isBroken = true;
  const refuse = (): void => {
    if (!isBroken) return;
    fired += 1;
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
  };
  const statements = Object.getPrototypeOf(db.sqlite.prepare('SELECT 1')) as {
    all(...values: unknown[]): unknown[];
  };
  const { all } = statements;
  onTestFinished(() => {
    statements.all = all;
  });
  statements.all = function (this: { source: string }, ...values) {
    if (/FROM changed_records|FROM dump_runs/.test(this.source)) refuse();
    return all.apply(this, values);
  };
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  onTestFinished(() => void process.off('unhandledRejection', onUnhandled));
  keeper.start();
  discover();
  await keeper.flush();
  for (let minute = 0; minute < 3; minute += 1) await clock.advance(60_000);
  expect(fired).toBeGreaterThanOrEqual(4);
  expect(errors).toHaveLength(1);
  expect(text(FILES)).toBe('');
  isBroken = false;
  await clock.advance(60_000);
  await keeper.flush();
  expect(text(FILES)).toContain('aawiki-20261120-page.sql.gz');
  await keeper.stop();
  expect(unhandled).toEqual([]);
});
