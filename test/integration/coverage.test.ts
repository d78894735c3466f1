/**
 * Goal: what is called safe is safe, what is missing is said first, and asking never stops the event loop for long.
 * Method: rows written by SQL, so that every state of a file can be had; the page over real HTTP.
 */
import { parse } from 'csv-parse/sync';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import type { Db } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  type CoverageRow,
  coverageCsv,
  createCoverageQueries,
  createCycleQueries,
  createMonitoring,
  createStatusQueries,
  percentCovered,
  stateOf,
  type WikiJudge,
} from '../../src/monitoring/index.ts';
import { type Clock, createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

interface WikiFields {
  project?: string;
  language?: string;
  isPrivate?: boolean;
  isDumped?: boolean;
}

function addWiki(db: Db, wikiDbName: string, fields: WikiFields = {}): void {
  const { project = 'wikipedia', language = wikiDbName.slice(0, 2) } = fields;
  db.sqlite
    .prepare(
      `INSERT INTO wikis (wiki_db_name, project, language, url, is_private, discovered_at, last_seen_at, dumped_seen_at)
       VALUES (?, ?, ?, '', ?, 0, 0, ?)`,
    )
    .run(
      wikiDbName,
      project,
      language,
      fields.isPrivate === true ? 1 : 0,
      fields.isDumped === false ? null : 1,
    );
}

interface FileFields {
  cycleDate?: string;
  source?: string;
  dumpType?: string;
  status?: string;
  isArchived?: boolean;
  error?: string;
}

let serial = 0;

function addFile(db: Db, wikiDbName: string, fields: FileFields = {}): number {
  const { cycleDate = '2026-11-20', source = 'classic', dumpType = 'pages-articles' } = fields;
  const { status = 'downloaded', isArchived = false, error = null } = fields;
  serial += 1;
  const filename = `${wikiDbName}-${cycleDate.replaceAll('-', '')}-${dumpType}${serial}.xml.bz2`;
  const isHeld = ['downloaded', 'uploading', 'uploaded', 'included'].includes(status);
  const { lastInsertRowid } = db.sqlite
    .prepare(
      `INSERT INTO dumps (project, language, wiki_db_name, source, run_date, cycle_date, dump_type, filename, size_bytes, sha1,
         verification, wikimedia_url, local_path, ia_verified_at, our_status, discovered_at, error_message)
       VALUES ('wikipedia', 'xx', ?, ?, ?, ?, ?, ?, 100, ?, ?, '', ?, ?, ?, 0, ?)`,
    )
    .run(
      ...[wikiDbName, source, cycleDate.replaceAll('-', ''), cycleDate, dumpType, filename],
      ...(isHeld ? ['a'.repeat(40), 'sha1', 'x'] : [null, null, null]),
      ...[isArchived ? 1 : null, status, error],
    );
  return Number(lastInsertRowid);
}

function addTorrent(db: Db, dumpIds: number[], isSeeded: boolean): void {
  serial += 1;
  const { lastInsertRowid } = db.sqlite
    .prepare(
      `INSERT INTO torrents (name, grouping, cycle_date, info_hash, magnet_link, total_size_bytes, file_count, piece_length,
         piece_count, torrent_file_path, content_path, created_at, seeding_since)
       VALUES (?, 'cycle', '2026-11-20', ?, '', 1, 1, 1, 1, '', '', 0, ?)`,
    )
    .run(`torrent-${serial}`, String(serial).padStart(40, '0'), isSeeded ? 5 : null);
  for (const id of dumpIds)
    db.sqlite
      .prepare(
        'INSERT INTO torrent_files (torrent_id, dump_id, path_in_torrent, size_bytes) VALUES (?, ?, ?, 1)',
      )
      .run(lastInsertRowid, id, `f${id}`);
}

const look = (db: Db, judgeWiki?: WikiJudge) =>
  createCoverageQueries({
    ...{ db, clock: new FakeClock() },
    ...(judgeWiki === undefined ? {} : { judgeWiki }),
  }).coverage();

const words = (rows: readonly CoverageRow[]): string[] =>
  rows.map(
    (row) => `${row.wikiDbName} ${stateOf(row)} ${row.copy?.cycleDate ?? '-'} ${row.copy?.places ?? ''}`,
  );

describe('a copy', () => {
  test('is the newest whole set: one part that is lacking is no copy, and an older whole one counts', () => {
    const db = withDb();
    addWiki(db, 'aawiki');
    addFile(db, 'aawiki', { status: 'included' });
    addFile(db, 'aawiki', { status: 'pending' });
    addFile(db, 'aawiki', { cycleDate: '2026-11-01' });
    addFile(db, 'aawiki', { cycleDate: '2026-11-01', dumpType: 'pagelinks', status: 'failed' });
    addFile(db, 'aawiki', { cycleDate: '2026-10-20' });
    expect(words(look(db).rows)).toEqual(['aawiki covered 2026-11-01 disk']);
    expect(createCatalog({ db, clock: new FakeClock() }).isCovered('aawiki')).toBe(true);
  });

  test.each([
    ['tables alone are none', [{ dumpType: 'pagelinks' }]],
    ['a failed file is none', [{ status: 'failed' }]],
    ['a quarantined part spoils the set', [{}, { status: 'quarantined' }]],
    ['what was pruned and is nowhere else is none', [{ status: 'deleted' }]],
    [
      'sets of different sources do not add up',
      [{ status: 'pending' }, { status: 'pending', source: 'content_current' }],
    ],
  ])('%s', (_what, files: FileFields[]) => {
    const db = withDb();
    addWiki(db, 'aawiki');
    for (const file of files) addFile(db, 'aawiki', file);
    expect(words(look(db).rows)).toEqual(['aawiki missing - ']);
    expect(createCatalog({ db, clock: new FakeClock() }).isCovered('aawiki')).toBe(false);
  });

  test('says where all of it is', () => {
    const db = withDb();
    for (const name of ['aawiki', 'bbwiki', 'ccwiki', 'ddwiki', 'eewiki']) addWiki(db, name);
    addFile(db, 'aawiki', { status: 'deleted', isArchived: true });
    const seeded = [addFile(db, 'bbwiki', { isArchived: true }), addFile(db, 'bbwiki', { isArchived: true })];
    addTorrent(db, seeded, true);
    addTorrent(db, [addFile(db, 'ccwiki')], false);
    // Each place lacks a part, and together they have all.
    addFile(db, 'ddwiki', { status: 'deleted', isArchived: true });
    addTorrent(db, [addFile(db, 'ddwiki')], true);
    // Of two sets of one cycle the one in more places is told.
    addFile(db, 'eewiki', { dumpType: 'pages-articles' });
    addFile(db, 'eewiki', { dumpType: 'pages-meta-current', isArchived: true });
    expect(words(look(db).rows)).toEqual([
      'aawiki covered 2026-11-20 internet_archive',
      'bbwiki covered 2026-11-20 disk,internet_archive,torrent',
      'ccwiki covered 2026-11-20 disk',
      'ddwiki covered 2026-11-20 ',
      'eewiki covered 2026-11-20 disk,internet_archive',
    ]);
  });
});

describe('the totals', () => {
  test('count the wikis that are taken and that upstream dumps; missing ones come first', () => {
    const db = withDb();
    addWiki(db, 'zzwiki');
    addFile(db, 'zzwiki');
    addWiki(db, 'mmwiktionary', { project: 'wiktionary' });
    addWiki(db, 'aawiki');
    addFile(db, 'aawiki', { status: 'failed' });
    addWiki(db, 'newwiki', { isDumped: false });
    addWiki(db, 'seenwiki', { isDumped: false });
    addFile(db, 'seenwiki', { cycleDate: '2026-11-01' });
    addWiki(db, 'privatewiki', { isPrivate: true });
    addWiki(db, 'excludedwiki');
    addFile(db, 'excludedwiki');
    const coverage = look(db, ({ wikiDbName, isPrivate }) => {
      if (isPrivate) return { included: false, reason: 'private' };
      return wikiDbName === 'excludedwiki'
        ? { included: false, reason: 'excluded' }
        : { included: true, reason: 'included' };
    });
    expect(words(coverage.rows)).toEqual([
      'aawiki missing - ',
      'mmwiktionary missing - ',
      'seenwiki covered 2026-11-01 disk',
      'zzwiki covered 2026-11-20 disk',
      'excludedwiki not_counted 2026-11-20 disk',
      'newwiki not_counted - ',
      'privatewiki not_counted - ',
    ]);
    expect(coverage.rows.map(({ reason }) => reason).slice(4)).toEqual([
      'excluded',
      'upstream has no dumps of it',
      'private',
    ]);
    expect(coverage.totals).toEqual({ counted: 4, covered: 2, missing: 2 });
    expect(coverage.projects).toEqual([
      { project: 'wikipedia', counted: 3, covered: 2, missing: 1 },
      { project: 'wiktionary', counted: 1, covered: 0, missing: 1 },
    ]);
  });

  test('100 % means all of them', () => {
    expect(percentCovered({ counted: 3000, covered: 2999, missing: 1 })).toBe(99.9);
    expect(percentCovered({ counted: 3, covered: 3, missing: 0 })).toBe(100);
    expect(percentCovered({ counted: 0, covered: 0, missing: 0 })).toBeNull();
  });
});

test('the CSV is what RFC 4180 says, whatever a name holds', () => {
  const db = withDb();
  addWiki(db, 'aawiki', { language: 'a "quoted", odd\nname' });
  addWiki(db, 'bbwiki');
  addFile(db, 'bbwiki', { isArchived: true });
  const now = Date.UTC(2026, 10, 23);
  const text = coverageCsv(look(db).rows, now);
  expect(text.split('\r\n')).toHaveLength(4);
  expect(text.endsWith('\r\n')).toBe(true);
  expect(parse(text, { columns: true, recordDelimiter: '\r\n' })).toMatchObject([
    { wiki: 'aawiki', language: 'a "quoted", odd\nname', state: 'missing', cycle: '', age_days: '' },
    { wiki: 'bbwiki', state: 'covered', cycle: '2026-11-20', age_days: '3', places: 'disk internet_archive' },
  ]);
});

/** Every look at it takes so long, so that each part seems long; its sleeps are counted and do not last. */
function slowClock(stepMs: number): { clock: Clock; sleeps: () => number } {
  let nowMs = 0;
  let slept = 0;
  const clock = Object.assign(new FakeClock(), {
    monotonicMs: () => (nowMs += stepMs),
    sleep: async () => {
      slept += 1;
      await new Promise((resolve) => setImmediate(resolve));
    },
  });
  return { clock, sleeps: () => slept };
}

describe('in a daemon', () => {
  test('many wikis are looked up in parts between other work, and the answer is kept', async () => {
    const db = withDb();
    for (let n = 0; n < 30; n += 1) {
      addWiki(db, `w${n}wiki`);
      addFile(db, `w${n}wiki`);
    }
    const { clock, sleeps } = slowClock(10);
    const queries = createCoverageQueries({ db, clock });
    await queries.freshen();
    expect(sleeps()).toBe(30);
    expect(queries.coverage().totals).toEqual({ counted: 30, covered: 30, missing: 0 });
    addWiki(db, 'newwiki');
    await queries.freshen();
    expect(sleeps()).toBe(30);
    expect(queries.coverage().totals.counted).toBe(30);
  });

  test('while it is looked up again the answer before is told', async () => {
    const db = withDb();
    addWiki(db, 'aawiki');
    addFile(db, 'aawiki');
    const { clock } = slowClock(500);
    const queries = createCoverageQueries({ db, clock });
    await queries.freshen();
    addWiki(db, 'bbwiki');
    // What took seconds is kept for a minute at most.
    for (let n = 0; n < 150; n += 1) clock.monotonicMs();
    await queries.freshen();
    expect(queries.coverage().totals.counted).toBe(1);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(queries.coverage().totals).toEqual({ counted: 2, covered: 1, missing: 1 });
  });

  test('a database that was closed meanwhile ends nothing', async () => {
    const db = withDb();
    addWiki(db, 'aawiki');
    const queries = createCoverageQueries({ db, clock: new FakeClock() });
    db.close();
    await queries.freshen();
    expect(() => queries.coverage()).toThrow(/not open/);
  });
});

async function pages(fill: (db: Db) => void) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  fill(db);
  const clock = new FakeClock(Date.UTC(2026, 10, 23));
  const monitoring = createMonitoring({
    ...{
      db,
      clock,
      bus: createBus({ log: silentLog }),
      layout: createLayout(dataDir),
      disk: createNodeDisk(),
    },
    ...{ log: silentLog, queries: createStatusQueries({ db, clock }), version: '1.2.3' },
    storage: async () => ({ usedBytes: 1, freeBytes: 3, totalBytes: 5 }),
    config: { host: '127.0.0.1', port: 0 },
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const get = async (path: string) => {
    const response = await fetch(new URL(path, url));
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  return { db, get };
}

describe('the page', () => {
  test('shows totals, missing ones first, filters, pages and never unescaped text', async () => {
    const { get } = await pages((db) => {
      for (let n = 100; n < 350; n += 1) {
        addWiki(db, `w${n}wiki`);
        addFile(db, `w${n}wiki`);
      }
      addWiki(db, 'evilwiki', { project: '<b id=evil>', language: '"><script>' });
    });
    const all = await get('/coverage');
    expect(all.status).toBe(200);
    expect(all.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(all.text).toMatch(/<strong>99.6 %<\/strong> 250 of 251 wikis/);
    expect(all.text).not.toContain('<b id=evil>');
    expect(all.text).not.toContain('<script>');
    expect(all.text).toContain('&quot;&gt;&lt;script&gt;');
    expect(all.text).toMatch(/<caption[^>]*>Newest verified copy/);
    expect(all.text).toMatch(/<th scope="row" role="rowheader">evilwiki/);
    expect(all.text.indexOf('evilwiki')).toBeLessThan(all.text.indexOf('w100wiki'));
    expect(all.text).toContain('href="/coverage?page=2"');
    expect(all.text).toContain('aria-current="page">Coverage');
    expect((await get('/coverage?page=2')).text).toContain('w349wiki');
    const missing = await get('/coverage?missing=1');
    expect(missing.text).toContain('evilwiki');
    expect(missing.text).not.toContain('w100wiki');
    expect(missing.text).toContain('href="/coverage.csv?missing=1"');
    expect((await get('/coverage?project=wikipedia&missing=1')).text).toContain('None is missing');
    const unknown = await get('/coverage?project=%3Cu%3E&page=x');
    expect(unknown.status).toBe(404);
    expect(unknown.text).toContain('There is no project “&lt;u&gt;”');
    expect(unknown.text).toContain('<select name="project">');
    expect(unknown.text).not.toContain('Nothing is to be covered yet');
    expect((await get('/coverage?page=x')).status).toBe(200);
    const csv = await get('/coverage.csv?project=nothing');
    expect([csv.status, csv.text]).toEqual([404, 'There is no project nothing.\n']);
  });

  test('the CSV is the list that is shown', async () => {
    const { get } = await pages((db) => {
      addWiki(db, 'aawiki');
      addWiki(db, 'bbwiki', { project: 'wiktionary' });
      addFile(db, 'bbwiki');
    });
    const { headers, text } = await get('/coverage.csv?project=wiktionary');
    expect(headers.get('content-type')).toContain('text/csv');
    expect(headers.get('content-disposition')).toContain('attachment');
    expect(parse(text, { columns: true })).toMatchObject([{ wiki: 'bbwiki', state: 'covered' }]);
  });

  test('before the first look it says what happens next', async () => {
    const { get } = await pages(() => {});
    expect((await get('/coverage')).text).toContain('No wiki is known yet');
    expect((await get('/coverage?project=wikipedia')).status).toBe(200);
  });
});

describe('a cycle', () => {
  const fill = (db: Db, status: 'open' | 'sealed') => {
    const sealedAt = status === 'sealed' ? Date.UTC(2026, 10, 22) : null;
    db.sqlite
      .prepare(
        `INSERT INTO cycles (cycle_date, status, includes_history, scanned_at, deadline_at, opened_at, sealed_at)
         VALUES ('2026-11-20', ?, 0, 1, ?, 1, ?)`,
      )
      .run(status, Date.UTC(2026, 11, 1), sealedAt);
    const run = db.sqlite.prepare(
      `INSERT INTO dump_runs (wiki_db_name, source, run_date, cycle_date, status, notices, checked_at)
       VALUES (?, ?, '20261120', '2026-11-20', ?, ?, 1)`,
    );
    const notices = JSON.stringify([{ dumpType: 'abstract', reason: 'not <offered>', kind: 'not_offered' }]);
    for (const name of ['aawiki', 'bbwiki']) {
      addWiki(db, name);
      run.run(name, 'classic', 'finished', notices);
      addFile(db, name);
      addFile(db, name, { status: 'failed', error: `404 for ${name}-20261120-x` });
    }
    addWiki(db, 'ccwiki');
    run.run('ccwiki', 'classic', 'in_progress', '[]');
    run.run('ccwiki', 'content_current', 'absent', JSON.stringify([{ dumpType: '*', reason: 'no run' }]));
    addFile(db, 'ccwiki', { status: 'pending' });
    db.sqlite
      .prepare(
        "INSERT INTO dump_replacements (dump_id, kind, size_bytes, found_at) SELECT min(id), 'replaced', 7, 1 FROM dumps",
      )
      .run();
  };

  test('tells its sources, its gaps by reason, and what changed upstream', () => {
    const db = withDb();
    fill(db, 'sealed');
    const cycle = { cycleDate: '2026-11-20', sealedAt: Date.UTC(2026, 10, 22) };
    const detail = createCycleQueries({ db, clock: new FakeClock() }).detail(cycle);
    expect(detail.sources).toEqual([
      {
        source: 'classic',
        runs: { finished: 2, unfinished: 1, absent: 0 },
        files: { expected: 5, held: 2, waiting: 1, failed: 2, deleted: 0 },
        bytes: { expected: 500, held: 200 },
      },
      {
        source: 'content_current',
        runs: { finished: 0, unfinished: 0, absent: 1 },
        files: { expected: 0, held: 0, waiting: 0, failed: 0, deleted: 0 },
        bytes: { expected: 0, held: 0 },
      },
    ]);
    expect(detail.gaps.map((gap) => [gap.kind, gap.dumpType, gap.reason, gap.wikis, gap.files])).toEqual([
      ['failed', 'pages-articles', '404 for <wiki>-20261120-x', 2, 2],
      ['missing', 'pages-articles', 'it was not fetched before the cycle ended', 1, 1],
      ['not_offered', 'abstract', 'not <offered>', 2, 0],
      ['absent', '*', 'no run', 1, 0],
    ]);
    expect(detail.replaced).toMatchObject([{ wikiDbName: 'aawiki', kind: 'replaced', newSizeBytes: 7 }]);
    expect(new Date(detail.lateUntil ?? 0).toISOString()).toBe('2026-12-20T00:00:00.000Z');
    const list = createCycleQueries({ db, clock: new FakeClock() }).gaps(cycle);
    expect(list.map((gap) => gap.wikiDbName)).toEqual([
      'aawiki',
      'aawiki',
      'bbwiki',
      'bbwiki',
      'ccwiki',
      'ccwiki',
    ]);
  });

  test('tells what failed upstream, is incomplete, skipped or awaited from what is not offered', async () => {
    const db = withDb();
    fill(db, 'sealed');
    const notices = [
      { dumpType: 'a', reason: 'x', kind: 'failed' },
      { dumpType: 'b', reason: 'x', kind: 'lacking' },
      { dumpType: 'c', reason: 'x', kind: 'refused' },
      { dumpType: 'd', reason: 'x', kind: 'skipped' },
      { dumpType: 'e', reason: 'x', kind: 'waiting' },
      // Written by earlier versions.
      { dumpType: 'f', reason: 'failed upstream' },
      { dumpType: 'g', reason: 'not offered by this wiki' },
      { dumpType: '*', reason: 'the run has not begun yet' },
    ];
    db.sqlite
      .prepare("UPDATE dump_runs SET notices = ? WHERE status = 'in_progress'")
      .run(JSON.stringify(notices));
    const cycle = { cycleDate: '2026-11-20', sealedAt: Date.UTC(2026, 10, 22) };
    const gaps = createCycleQueries({ db, clock: new FakeClock() }).gaps(cycle);
    const ofRun = gaps.filter(({ filename, wikiDbName }) => filename === null && wikiDbName === 'ccwiki');
    expect(ofRun.map(({ dumpType, kind }) => `${dumpType} ${kind}`)).toEqual([
      ...['a failed_upstream', 'b lacking', 'c refused', 'd skipped', 'e awaited'],
      ...['f failed_upstream', 'g not_offered', '* awaited', '* absent'],
    ]);
    const { get } = await pages((other) => {
      fill(other, 'sealed');
      other.sqlite
        .prepare("UPDATE dump_runs SET notices = ? WHERE status = 'in_progress'")
        .run(JSON.stringify(notices));
    });
    const { text } = await get('/cycles/2026-11-20');
    expect(text).toContain('<span class="badge bad">failed upstream</span>');
    expect(text).toContain('<span class="badge plain">skipped upstream</span>');
    // Runs that are not there are not called what dump types are.
    expect(text).toContain('<dt>No run</dt>');
    expect(text).not.toContain('<dt>Not offered</dt>');
  });

  test('while it is open, what is still to be fetched is no gap', () => {
    const db = withDb();
    fill(db, 'open');
    const detail = createCycleQueries({ db, clock: new FakeClock() }).detail({
      cycleDate: '2026-11-20',
      sealedAt: null,
    });
    expect(detail.gaps.map(({ kind }) => kind)).toEqual(['failed', 'not_offered', 'absent']);
    expect(detail.lateUntil).toBeNull();
  });

  test('of many files is counted in parts, exactly, and the answer is kept', async () => {
    const db = withDb();
    for (let n = 0; n < 2500; n += 1) addFile(db, `w${n % 7}wiki`);
    for (let n = 0; n < 1200; n += 1)
      addFile(db, `w${n % 5}wiki`, { status: 'failed', source: n % 2 === 0 ? 'classic' : 'content_current' });
    const { clock, sleeps } = slowClock(10);
    const queries = createCycleQueries({ db, clock });
    const cycle = { cycleDate: '2026-11-20', sealedAt: null };
    await queries.freshen(cycle);
    const parts = sleeps();
    expect(parts).toBeGreaterThan(15);
    const { sources, gaps } = queries.detail(cycle);
    expect(sources).toMatchObject([
      { source: 'classic', files: { expected: 3100, held: 2500, failed: 600 }, bytes: { held: 250_000 } },
      { source: 'content_current', files: { expected: 600, held: 0, failed: 600 } },
    ]);
    expect(gaps.map(({ source, wikis, files }) => [source, wikis, files])).toEqual([
      ['classic', 5, 600],
      ['content_current', 5, 600],
    ]);
    await queries.freshen(cycle);
    expect(sleeps()).toBe(parts);
    expect(queries.gaps(cycle)).toHaveLength(1200);
  });

  test('its page shows them, escaped', async () => {
    const { get } = await pages((db) => fill(db, 'sealed'));
    const { status, text } = await get('/cycles/2026-11-20');
    expect(status).toBe(200);
    for (const words of ['classic dumps', 'content exports, current', 'Not taken, and why', 'published anew'])
      expect(text).toContain(words);
    expect(text).toContain('not &lt;offered&gt;');
    expect(text).toMatch(/late files are taken until <time datetime="2026-12-20/);
    expect((await get('/cycles/2026-11-20?status=failed')).text).not.toContain('Not taken, and why');
  });
});
