import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createCatalog, type ExpectedFile, type RunFacts, type SourceName } from '../../src/catalog/index.ts';
import type { Db } from '../../src/db/index.ts';
import { JobId } from '../../src/lib/index.ts';
import { createRecordKeeper } from '../../src/maintenance/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { createTorrenting } from '../../src/torrenting/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { loseDatabase, rebuild, tablesOf } from '../helpers/rebuild-bundle.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

/*
 * Goal: torrents of all sources, with their gaps and supplements, survive the loss of the database, and are made again
 * with the same infohash by the rebuilt one.
 * Method: the real catalog and the real torrenting room over real files; the database is lost with and without the records.
 */

const CYCLE = '2026-11-01';
type Spec = { source: SourceName; runDate: string; filename: string; dumpType: string; isHistory?: boolean };
const ARTICLES: Spec = {
  ...{ source: 'classic', runDate: '20261101', dumpType: 'pages-articles' },
  filename: 'aawiki-20261101-pages-articles.xml.bz2',
};
const PAGE: Spec = { ...ARTICLES, filename: 'aawiki-20261101-page.sql.gz', dumpType: 'page' };
const TITLES: Spec = { ...ARTICLES, filename: 'aawiki-20261101-all-titles.gz', dumpType: 'all-titles' };
const CURRENT: Spec = {
  ...{ source: 'content_current', runDate: '2026-11-01', dumpType: 'pages-meta-current' },
  filename: 'aawiki-2026-11-01-p1p9.xml.bz2',
};
/** The same name as the current one: only their folders and torrents differ. */
const HISTORY: Spec = {
  ...CURRENT,
  source: 'content_history',
  dumpType: 'pages-meta-history',
  isHistory: true,
};

const bytesOf = (spec: Spec): Buffer => Buffer.from(`${spec.source} ${spec.filename}\n`.repeat(500));
const hex = (algorithm: string, spec: Spec): string =>
  createHash(algorithm).update(bytesOf(spec)).digest('hex');

function expected(spec: Spec): ExpectedFile {
  const { source, filename, dumpType, isHistory = false, runDate } = spec;
  const folder =
    source === 'classic' ? `aawiki/${runDate}` : `other/mediawiki_${source}/aawiki/${runDate}/xml/bzip2`;
  return {
    ...{ dumpType, filename, isHistory, sizeBytes: bytesOf(spec).length },
    hashes: source === 'classic' ? { sha1: hex('sha1', spec) } : { sha256: hex('sha256', spec) },
    wikimediaUrl: `https://dumps.wikimedia.org/${folder}/${filename}`,
    ...{ wikimediaStatus: 'done', wikimediaDate: null },
  };
}

/** A data directory with its catalog; `withDb` closes the database when the test ends. */
function openCatalog(dataDir: string, db: Db = withDb(dataDir)) {
  const catalog = createCatalog({ db, clock: new FakeClock() });
  const room = createTorrenting({
    ...{ catalog, disk: createNodeDisk(), layout: createLayout(dataDir) },
    ...{ clock: createSystemClock(), log: silentLog },
    askForRepair: () => {},
    config: {
      // Some of the files begin on a piece.
      alignFilesFromBytes: 20_000,
      pieceLengthBytes: 2 ** 18,
      regularTypes: ['pages-articles', 'page', 'all-titles', 'redirect'],
      historyTypes: ['pages-meta-history', 'all-titles'],
      ...{ trackers: [], version: '0' },
    },
  });
  const make = async (variant: 'regular' | 'history', supplement = 0): Promise<string> => {
    const handler = room.handlers[0]!;
    const input = { cycleDate: CYCLE, variant, supplement };
    const output = await handler.run(input, {
      ...{ jobId: JobId.parse(1), attempt: 1, signal: new AbortController().signal },
      ...{ clock: createSystemClock(), log: silentLog, cursor: null, progress: () => {} },
    });
    db.transaction(() => handler.record?.(input, output));
    return (output as { infoHash: string }).infoHash;
  };
  return { catalog, db, make };
}

async function setup() {
  const dataDir = temporaryFolder();
  const layout = createLayout(dataDir);
  const { catalog, db, make } = openCatalog(dataDir);
  const clock = new FakeClock();
  const keeper = createRecordKeeper({ db, disk: createNodeDisk(), layout, clock, log: silentLog });
  keeper.start();
  const wiki = {
    project: 'wikipedia',
    url: 'x',
    name: 'x',
    isClosed: false,
    isPrivate: false,
    isFishbowl: false,
  };
  catalog.recordWikis(['aa', 'bb'].map((language) => ({ ...wiki, language, wikiDbName: `${language}wiki` })));
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: true, deadlineAt: 9e12 });
  const look = (source: SourceName, specs: Spec[], facts: Partial<RunFacts> = {}) =>
    catalog.recordRun({
      ...{ wikiDbName: 'aawiki', source, cycleDate: CYCLE, status: 'finished', notices: [] },
      runDate: source === 'classic' ? '20261101' : '2026-11-01',
      ...{ listedNames: new Set(specs.map(({ filename }) => filename)), document: null },
      files: specs.map(expected),
      ...facts,
    });
  const hold = (spec: Spec): void => {
    const row = catalog
      .dumpFiles(CYCLE)
      .find(({ filename, source }) => filename === spec.filename && source === spec.source)!;
    const place = layout.dumpFile(row);
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytesOf(spec));
    catalog.markDownloading(row.id);
    catalog.recordDownloaded(row.id, {
      ...{ md5: hex('md5', spec), sha1: hex('sha1', spec), sha256: hex('sha256', spec) },
      ...{ sizeBytes: row.sizeBytes, localPath: layout.relative(place), fetchedFromUrl: row.wikimediaUrl },
      ...{ verification: spec.source === 'classic' ? 'sha1' : 'sha256-upstream', pieceHashes: null },
    });
  };
  // all-titles is not fetched by the deadline, redirect has not begun; bbwiki has no run at all.
  look('classic', [ARTICLES, PAGE, TITLES], {
    status: 'in_progress',
    notices: [
      { dumpType: 'abstract', reason: 'not offered', kind: 'not_offered' },
      { dumpType: 'langlinks', reason: 'failed upstream', kind: 'failed' },
    ],
  });
  look('classic', [], { wikiDbName: 'bbwiki', status: 'absent' });
  look('content_current', [CURRENT]);
  look('content_history', [HISTORY]);
  for (const spec of [ARTICLES, PAGE, CURRENT, HISTORY]) hold(spec);
  // Taken by us, then published anew.
  catalog.recordRun({
    ...{ wikiDbName: 'aawiki', source: 'content_current', cycleDate: CYCLE, runDate: '2026-11-01' },
    ...{ status: 'finished', notices: [], listedNames: null, document: null },
    files: [{ ...expected(CURRENT), sizeBytes: 12, hashes: { sha256: 'd'.repeat(64) } }],
  });
  catalog.markScanned(CYCLE);
  expect(catalog.sealIfSettled(CYCLE, { force: true })).toBe(true);
  const made = { regular: await make('regular'), history: await make('history') };
  expect(catalog.lateVariants(CYCLE, ['all-titles'])).toEqual({ regular: false, history: false });
  // Late: it is finished, and offers nothing further.
  hold(TITLES);
  look('classic', [ARTICLES, PAGE, TITLES]);
  expect(catalog.lateVariants(CYCLE, ['all-titles'])).toEqual({ regular: true, history: true });
  const late = { regular: await make('regular', 1), history: await make('history', 1) };
  expect(catalog.lateVariants(CYCLE, ['all-titles'])).toEqual({ regular: false, history: false });
  await keeper.stop();
  const tables = tablesOf(dataDir);
  db.close();
  return { dataDir, tables, infoHashes: [made.regular, made.history, late.regular, late.history] };
}

const torrentColumns = (rows: Record<string, unknown>[] = []) =>
  rows.map(({ name, info_hash, is_history, supplement, payload_version }) => ({
    ...{ name, info_hash, is_history, supplement, payload_version },
  }));

/** A set: their order among themselves is made anew when the torrent is. */
const gapSet = (rows: Record<string, unknown>[] = []) => rows.map((row) => JSON.stringify(row)).sort();

test('gaps are told by source, with their reasons', async () => {
  const { tables } = await setup();
  const told = (tables.torrent_gaps ?? []).map(
    ({ name, wiki_db_name, source, dump_type, filename, state, reason }) =>
      `${String(name).replace(`-${CYCLE}`, '')}: ${wiki_db_name} ${source} ${filename ?? dump_type} ${state}: ${reason}`,
  );
  const late = 'Wikimedia listed it, but it was not fetched by the deadline';
  const none = 'bbwiki classic * not_offered: upstream has no such run';
  const open = 'aawiki classic';
  const anew = 'upstream published it anew after it was taken;';
  const earlier = 'carries the earlier bytes, proved against the hashes published then';
  expect(told).toEqual([
    `wikimedia-dumps: aawiki content_current ${CURRENT.filename} not_included: ${anew} this torrent ${earlier}`,
    `wikimedia-dumps: ${open} abstract not_offered: not offered`,
    `wikimedia-dumps: ${open} langlinks failed_upstream: failed upstream`,
    `wikimedia-dumps: ${open} redirect missing: not finished upstream by the deadline`,
    `wikimedia-dumps: ${open} ${TITLES.filename} missing: ${late}`,
    `wikimedia-dumps: ${none}`,
    `wikimedia-dumps-supplement-1: aawiki content_current ${CURRENT.filename} not_included: ${anew} the torrent wikimedia-dumps-${CYCLE} ${earlier}`,
    `wikimedia-dumps-supplement-1: ${none}`,
    `wikimedia-dumps-history: ${open} pages-meta-history missing: not finished upstream by the deadline`,
    `wikimedia-dumps-history: ${open} ${TITLES.filename} missing: ${late}`,
    `wikimedia-dumps-history: ${none}`,
    `wikimedia-dumps-history-supplement-1: ${none}`,
  ]);
});

test.each([
  true,
  false,
])('a rebuilt database (records kept: %s) makes every torrent again', async (hasRecords) => {
  const { dataDir, tables, infoHashes } = await setup();
  loseDatabase(dataDir);
  if (!hasRecords) rmSync(join(dataDir, 'records'), { recursive: true });
  const report = await rebuild(dataDir, { verify: true });
  expect(report).toMatchObject({ isWhole: hasRecords, missing: [], damaged: [], foreign: [], unproved: [] });
  const after = tablesOf(dataDir);
  expect(torrentColumns(after.torrents)).toEqual(torrentColumns(tables.torrents));
  expect(after.torrent_files).toEqual(tables.torrent_files);
  expect(gapSet(after.torrent_gaps)).toEqual(gapSet(tables.torrent_gaps));
  if (hasRecords) expect(after).toEqual(tables);

  const { make } = openCatalog(dataDir);
  rmSync(join(dataDir, 'torrents'), { recursive: true });
  const again = [];
  for (const supplement of [0, 1])
    for (const variant of ['regular', 'history'] as const) again.push(await make(variant, supplement));
  expect(again).toEqual(infoHashes);
});
