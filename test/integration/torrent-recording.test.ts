import { describe, expect, it } from 'vitest';
import { createCatalog, type TorrentFacts } from '../../src/catalog/index.ts';
import { type Db, STATE_KEYS } from '../../src/db/index.ts';
import { createThreadPlanner, ofCycle } from '../../src/torrenting/index.ts';
import { makePlan, type PlanInput } from '../../src/torrenting/planning/make-plan.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/*
 * Goal: the thousands of rows of a torrent hold nobody up, and at no moment does anybody meet half of a torrent.
 * Method: a real database; whoever writes a torrent down is stopped at every pause, and a new process takes over.
 */

const CYCLE = '2026-11-20';
const FILES = 600;
const clock = new FakeClock('2026-11-22T00:00:00Z');

function setup() {
  const db = withDb();
  db.sqlite.exec(
    `INSERT INTO cycles (cycle_date, status, includes_history, opened_at, sealed_at, deadline_at)
     VALUES ('${CYCLE}', 'sealed', 0, 1, 2, 3);
     WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${FILES + 9})
     INSERT INTO dumps (project, language, wiki_db_name, run_date, cycle_date, dump_type, filename, size_bytes, md5, sha1, sha256,
       verification, wikimedia_url, local_path, our_status, discovered_at)
     SELECT 'wikipedia', 'aa', 'aawiki', '20261120', '${CYCLE}', 'page', printf('aawiki-%04d.sql.gz', n), 1000 + n, printf('%032x', n),
       iif(n < ${FILES}, printf('%040x', n), NULL), printf('%064x', n), iif(n < ${FILES}, 'sha1', NULL), 'https://dumps.example/' || n,
       iif(n < ${FILES}, 'dumps/aawiki/20261120/' || n, NULL), iif(n < ${FILES}, 'downloaded', 'failed'), 1 FROM numbers`,
  );
  return { db, catalog: createCatalog({ db, clock }) };
}

/** What the job returns of a torrent with every held file. */
function factsOf(db: Db, name = `wikimedia-dumps-${CYCLE}`): TorrentFacts {
  const catalog = createCatalog({ db, clock });
  const files = catalog.dumpFiles(CYCLE).filter(({ ourStatus }) => ourStatus !== 'failed');
  return {
    ...{ name, grouping: 'cycle', cycleDate: CYCLE, isHistory: false, supplement: 0, payloadVersion: '1.1' },
    ...{ infoHash: Buffer.from(name).toString('hex').slice(-40), magnetLink: '', totalSizeBytes: 1 },
    ...{ fileCount: 1, pieceLength: 1, pieceCount: 1, torrentFilePath: '', contentPath: '' },
    ...{ trackers: [], webseeds: [] },
    files: files.map(({ id, filename, sizeBytes }) => ({
      ...{ dumpId: id, pathInTorrent: `x/${filename}`, sizeBytes, verification: 'sha1' },
    })),
    gaps: Array.from({ length: 300 }, (_, index) => ({
      ...{ wikiDbName: 'aawiki', source: 'classic', runDate: '20261120', dumpType: 'page' },
      ...{ filename: `gap-${index}`, sizeBytes: 1, state: 'missing', reason: 'late' },
    })),
  };
}

const rowsOf = ({ sqlite }: Db) => ({
  torrents: sqlite.prepare('SELECT name, info_hash, created_at FROM torrents ORDER BY name').all(),
  files: sqlite
    .prepare(
      `SELECT t.name, dump_id, path_in_torrent, f.size_bytes, verification, f.sha1
         FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id ORDER BY 1, 2`,
    )
    .all(),
  gaps: sqlite
    .prepare(
      `SELECT t.name, g.filename, g.reason FROM torrent_gaps g JOIN torrents t ON t.id = g.torrent_id ORDER BY g.id`,
    )
    .all(),
  included: sqlite.prepare(`SELECT count(*) AS count FROM dumps WHERE our_status = 'included'`).get(),
  marks: sqlite.prepare(`SELECT key FROM system_state WHERE key LIKE '${STATE_KEYS.recording}%'`).all(),
});

/** What recording at once, without any preparation, leaves. */
function expected() {
  const { db, catalog } = setup();
  catalog.recordTorrent(factsOf(db));
  return rowsOf(db);
}

const RIGHT = expectedOnce();
function expectedOnce() {
  let rows: ReturnType<typeof rowsOf> | null = null;
  return () => {
    rows ??= expected();
    return rows;
  };
}

it('a torrent is found by its infohash once it is recorded, without reading all of them', () => {
  const { db, catalog } = setup();
  const facts = factsOf(db);
  for (const _ of catalog.prepareTorrent(facts)) expect(catalog.torrentByInfoHash(facts.infoHash)).toBeNull();
  catalog.recordTorrent(facts);
  expect(catalog.torrentByInfoHash(facts.infoHash)).toEqual(catalog.torrents()[0]);
  expect(catalog.torrentByInfoHash('0'.repeat(40))).toBeNull();
  const [plan] = db.sqlite.prepare(`EXPLAIN QUERY PLAN SELECT * FROM torrents WHERE info_hash = ?`).all('x');
  expect(plan).toMatchObject({ detail: expect.stringContaining('USING INDEX') });
});

describe('writing a torrent down', () => {
  it('in parts ends as it does at once, is seen only at the end, and leaves little for it', () => {
    const { db, catalog } = setup();
    const facts = factsOf(db);
    let [pauses, changesBefore] = [0, changes(db)];
    for (const _ of catalog.prepareTorrent(facts)) {
      pauses += 1;
      expect(changes(db) - changesBefore).toBeLessThanOrEqual(2 * 250);
      changesBefore = changes(db);
      expect(catalog.torrents()).toEqual([]);
      expect(catalog.torrentsOfCycle(CYCLE)).toEqual([]);
      expect(catalog.torrentsToMakeAgain(CYCLE)).toEqual([]);
    }
    expect(pauses).toBeGreaterThan(4);
    const before = changes(db);
    catalog.recordTorrent(facts);
    expect(changes(db) - before).toBeLessThan(5);
    expect(rowsOf(db)).toEqual(RIGHT());
    expect(catalog.torrents()).toHaveLength(1);
  });

  it('that a crash ends anywhere is done again by the next process, whatever that one makes', () => {
    let at = 0;
    for (let isOver = false; !isOver; at += 1) {
      const { db, catalog } = setup();
      const steps = catalog.prepareTorrent(factsOf(db));
      for (let done = 0; done <= at && !isOver; done += 1) isOver = steps.next().done === true;
      // The other process.
      const next = createCatalog({ db, clock });
      expect(next.torrents()).toEqual([]);
      const facts = factsOf(db);
      for (const _ of next.prepareTorrent(facts));
      next.recordTorrent(facts);
      expect(rowsOf(db)).toEqual(RIGHT());
    }
    expect(at).toBeGreaterThan(4);
  });

  it('removes what was left of a torrent that nobody makes any more, and not what is under way beside it', () => {
    const { db, catalog } = setup();
    const left = catalog.prepareTorrent(factsOf(db, 'wikimedia-dumps-left'));
    left.next();
    left.next();
    const next = createCatalog({ db, clock });
    const beside = factsOf(db, 'wikimedia-dumps-beside');
    for (const _ of next.prepareTorrent(beside));
    const facts = factsOf(db);
    for (const _ of next.prepareTorrent(facts));
    next.recordTorrent(facts);
    expect(rowsOf(db)).toEqual({ ...RIGHT(), ...allOf(db) });
    expect(next.torrents().map(({ name }) => name)).toEqual([facts.name]);
    next.recordTorrent(beside);
    expect(next.torrents()).toHaveLength(2);
    expect(rowsOf(db).marks).toEqual([]);
    expect(rowsOf(db).files).toHaveLength(2 * FILES);

    function allOf(of: Db) {
      const { torrents, files, gaps, marks } = rowsOf(of);
      expect(torrents.map((row) => (row as { name: string }).name)).toEqual([facts.name, beside.name].sort());
      expect(files).toHaveLength(2 * FILES);
      expect(marks).toHaveLength(1);
      return { torrents, files, gaps, marks };
    }
  });

  it('that is rolled back at its end is not seen, and is recorded by the next try', () => {
    const { db, catalog } = setup();
    const facts = factsOf(db);
    for (const _ of catalog.prepareTorrent(facts));
    expect(() =>
      db.transaction(() => {
        catalog.recordTorrent(facts);
        throw new Error('the disk is full');
      }),
    ).toThrow('the disk is full');
    expect(catalog.torrents()).toEqual([]);
    const other = factsOf(db, 'wikimedia-dumps-other');
    for (const _ of catalog.prepareTorrent(other));
    catalog.recordTorrent(facts);
    expect(catalog.torrentFiles(catalog.torrents()[0]!.id)).toHaveLength(FILES);
  });

  it('again changes nothing of it but what was fetched anew', () => {
    const { db, catalog } = setup();
    const facts = factsOf(db);
    catalog.recordTorrent(facts);
    const ids = db.sqlite.prepare('SELECT id FROM torrent_files ORDER BY id').all();
    db.sqlite.exec(`UPDATE dumps SET our_status = 'downloaded' WHERE id IN (3, 4)`);
    const again = factsOf(db);
    for (const _ of catalog.prepareTorrent(again)) expect(catalog.torrents()).toHaveLength(1);
    catalog.recordTorrent(again);
    expect(rowsOf(db)).toEqual(RIGHT());
    expect(db.sqlite.prepare('SELECT id FROM torrent_files ORDER BY id').all()).toEqual(ids);
  });
});

const changes = ({ sqlite }: Db): number => sqlite.prepare('SELECT total_changes()').pluck().get() as number;

describe('planning in a thread', () => {
  const INPUT: PlanInput = {
    ...ofCycle(CYCLE),
    ...{ pieceLengthBytes: 2 ** 24, alignFilesFromBytes: 2 ** 26, regularTypes: ['page'], historyTypes: [] },
  };
  const signal = new AbortController().signal;

  it('says the same as planning here, in however many parts it is told', async () => {
    const { db, catalog } = setup();
    const planner = createThreadPlanner({ databasePath: db.path });
    const plan = await planner.plan(INPUT, signal);
    const { selection, ...rest } = makePlan(catalog, INPUT);
    expect(plan).toEqual({ ...rest, selection: { ...selection, gaps: [] } });
    expect(plan.payload?.files.length).toBeGreaterThan(FILES);
    expect(selection.absent).toHaveLength(10);
    const unpacked = {
      ...INPUT,
      variant: 'uncompressed',
      uncompressed: { maxFileSizeBytes: 9, types: [] },
    } as const;
    expect(await planner.plan(unpacked, signal)).toEqual(makePlan(catalog, unpacked));
  });

  it('refuses what planning here refuses, at the same time', async () => {
    const { db, catalog } = setup();
    const planner = createThreadPlanner({ databasePath: db.path });
    await expect(planner.plan({ ...INPUT, supplement: 1 }, signal)).rejects.toMatchObject({
      code: 'nothing_to_supplement',
      hint: expect.stringContaining('settled late'),
    });
    // Whoever waits for lost files learns only then that there is nothing else.
    const empty = { ...INPUT, variant: 'history' } as const;
    expect(await planner.plan(empty, signal)).toEqual(makePlan(catalog, empty));
    expect(makePlan(catalog, empty).refusal?.code).toBe('torrent_empty');
  });

  it('ends with its signal, and tells when it could not', async () => {
    const { db } = setup();
    const stopping = new AbortController();
    const planned = createThreadPlanner({ databasePath: db.path }).plan(INPUT, stopping.signal);
    stopping.abort();
    await expect(planned).rejects.toMatchObject({ name: 'Interrupted' });
    await expect(
      createThreadPlanner({ databasePath: `${db.path}.nowhere` }).plan(INPUT, signal),
    ).rejects.toMatchObject({ code: 'torrent_plan_failed' });
  });
});
