import { expect, test } from 'vitest';
import {
  type Catalog,
  createCatalog,
  type ExpectedFile,
  LATE_MS,
  type RunFacts,
} from '../../src/catalog/index.ts';
import type { DumpFileId } from '../../src/lib/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';
const RUN = '20261120';
const DAY_MS = 24 * 60 * 60_000;
const hex = (digit: string): string => digit.repeat(40);

/** The ledger over a real database, with one wiki and one open cycle; nothing is fetched, downloads are told. */
function setup() {
  const db = withDb(temporaryFolder());
  const clock = new FakeClock('2026-11-22T00:00:00Z');
  const catalog: Catalog = createCatalog({ db, clock });
  const wiki = { url: '', name: '', isClosed: false, isPrivate: false, isFishbowl: false };
  catalog.recordWikis([
    { ...wiki, wikiDbName: 'aawiki', project: 'wikipedia', language: 'aa' },
    { ...wiki, wikiDbName: 'abwiki', project: 'wikipedia', language: 'ab' },
  ]);
  const deadlineAt = Date.parse('2026-12-01T00:00:00Z');
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt });
  const look = (files: readonly ExpectedFile[], more: Partial<RunFacts> = {}) =>
    catalog.recordRun({
      ...{ wikiDbName: 'aawiki', source: 'classic', cycleDate: CYCLE, runDate: RUN },
      ...{ status: 'finished', notices: [], files, document: null },
      listedNames: new Set(files.map(({ filename }) => filename)),
      ...more,
    });
  const hold = (id: DumpFileId, sha1 = hex('a'), verification: 'sha1' | 'structure-only' = 'sha1') => {
    const row = catalog.dumpFile(id);
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      ...{ md5: 'd'.repeat(32), sha1, sha256: 'e'.repeat(64), sizeBytes: row?.sizeBytes ?? 0, verification },
      ...{ localPath: `dumps/aawiki/${RUN}/${row?.filename}`, fetchedFromUrl: '', pieceHashes: null },
    });
  };
  const only = (): DumpFileId => {
    const [id] = catalog.dumpFiles(CYCLE).map((row) => row.id);
    if (id === undefined) throw new Error('no file');
    return id;
  };
  return { db, clock, catalog, look, hold, only, deadlineAt };
}

function file(rest: string, more: Partial<ExpectedFile> = {}): ExpectedFile {
  const filename = `aawiki-${RUN}-${rest}`;
  return {
    ...{ dumpType: 'pages-articles', filename, isHistory: false, sizeBytes: 10, hashes: { sha1: hex('a') } },
    ...{ wikimediaUrl: `https://x/aawiki/${RUN}/${filename}`, wikimediaStatus: 'done', wikimediaDate: null },
    ...more,
  };
}
const PAGES = file('pages-articles.xml.bz2');

test('a file is wanted from the look at which its hash is there', () => {
  const t = setup();
  expect(t.look([{ ...PAGES, hashes: {} }])).toEqual({ wanted: [], replaced: [] });
  expect(t.catalog.filesToDownload()).toEqual([]);
  expect(t.look([PAGES]).wanted).toEqual([t.only()]);
  expect(t.catalog.filesToDownload()).toMatchObject([
    { id: t.only(), wikiDbName: 'aawiki', source: 'classic' },
  ]);
});

test('two days before the deadline a file without any hash is taken, not a minute sooner', async () => {
  const t = setup();
  t.look([{ ...PAGES, hashes: {} }]);
  t.catalog.markScanned(CYCLE);
  await t.clock.advance(t.deadlineAt - 2 * DAY_MS - t.clock.now() - 1);
  expect([t.catalog.mayGoWithoutHash(CYCLE), t.catalog.filesToDownload().length]).toEqual([false, 0]);
  await t.clock.advance(1);
  expect([t.catalog.mayGoWithoutHash(CYCLE), t.catalog.filesToDownload().length]).toEqual([true, 1]);
});

test('a hash that comes later proves a file that went without, or has it fetched again', () => {
  for (const [sha1, expected] of [
    [hex('a'), { verification: 'sha1', replaced: [] }],
    [hex('b'), { verification: 'structure-only', replaced: [{ kind: 'replaced' }] }],
  ] as const) {
    const t = setup();
    t.look([{ ...PAGES, hashes: {} }]);
    t.hold(t.only(), hex('a'), 'structure-only');
    const { replaced } = t.look([{ ...PAGES, hashes: { sha1 } }]);
    expect(replaced).toMatchObject(expected.replaced);
    expect(t.catalog.dumpFile(t.only())?.verification).toBe(expected.verification);
  }
});

test.each([
  ['another size', { sizeBytes: 11 }],
  ['another hash', { hashes: { sha1: hex('b') } }],
  ['a second hash that our bytes do not have', { hashes: { sha1: hex('a'), md5: 'f'.repeat(32) } }],
])('a held file that is published anew with %s stays held, is wanted once, and holds up its cycle', (_what, change) => {
  const t = setup();
  t.look([PAGES]);
  t.hold(t.only());
  t.catalog.markScanned(CYCLE);
  const { replaced } = t.look([{ ...PAGES, ...change }]);
  expect(replaced).toMatchObject([{ id: t.only(), kind: 'replaced' }]);
  expect(t.look([{ ...PAGES, ...change }]).replaced).toEqual([]);
  expect(t.catalog.dumpFile(t.only())).toMatchObject({
    ourStatus: 'downloaded',
    sha1: hex('a'),
    sizeBytes: 10,
  });
  expect(t.catalog.filesToDownload().map(({ id }) => id)).toEqual([t.only()]);
  expect(t.catalog.sealIfSettled(CYCLE)).toBe(false);

  const facts = { md5: 'd'.repeat(32), sha256: 'e'.repeat(64), verification: 'sha1' as const };
  t.catalog.recordReplaced(t.only(), {
    ...facts,
    ...{ sha1: hex('b'), sizeBytes: 12, localPath: 'x/y/z', fetchedFromUrl: '', pieceHashes: null },
  });
  expect(t.catalog.replacement(t.only())).toBeNull();
  expect(t.catalog.dumpFile(t.only())).toMatchObject({
    ourStatus: 'downloaded',
    sha1: hex('b'),
    sizeBytes: 12,
  });
  expect(t.catalog.filesToDownload()).toEqual([]);
  expect(t.catalog.sealIfSettled(CYCLE)).toBe(true);
});

test('what upstream takes back before we fetched it again is forgotten', () => {
  const t = setup();
  t.look([PAGES]);
  t.hold(t.only());
  t.look([{ ...PAGES, sizeBytes: 11 }]);
  t.look([PAGES]);
  expect(t.catalog.replacement(t.only())).toBeNull();
});

test('a part that a rerun renamed leaves the expected set; a held one is marked as withdrawn and stays', () => {
  const t = setup();
  t.look([file('pages-articles1.xml-p1p9.bz2'), file('pages-articles2.xml-p10p20.bz2')]);
  t.hold(t.only());
  const { replaced } = t.look([file('pages-articles1.xml-p1p20.bz2')]);
  expect(replaced).toMatchObject([
    { filename: `aawiki-${RUN}-pages-articles1.xml-p1p9.bz2`, kind: 'withdrawn' },
  ]);
  const names = t.catalog.dumpFiles(CYCLE).map((row) => [row.filename.slice(16), row.ourStatus]);
  expect(names).toEqual([
    ['pages-articles1.xml-p1p20.bz2', 'pending'],
    ['pages-articles1.xml-p1p9.bz2', 'downloaded'],
  ]);
});

test('a held file that is only not wanted any more is not withdrawn', () => {
  const t = setup();
  t.look([PAGES]);
  t.hold(t.only());
  const { replaced } = t.look([], { listedNames: new Set([PAGES.filename]) });
  expect(replaced).toEqual([]);
  expect(t.catalog.replacement(t.only())).toBeNull();
});

test('a run that is gone ends its missing files with the reason, and keeps its description and what is held', () => {
  const t = setup();
  const document = { text: '{"jobs":{}}', etag: '"1"', lastModified: null };
  t.look([PAGES, file('page.sql.gz')], { document });
  t.hold(t.only());
  t.look([], {
    ...{ status: 'absent', listedNames: null },
    notices: [{ dumpType: '*', reason: 'upstream has removed the run' }],
  });
  expect(t.catalog.dumpFiles(CYCLE).map((row) => [row.ourStatus, row.errorMessage])).toEqual([
    ['downloaded', null],
    ['failed', 'upstream has removed the run'],
  ]);
  const run = t.catalog.run('aawiki', RUN);
  expect(run?.status).toBe('absent');
  expect(t.catalog.runDocument(run?.id ?? 0)).toEqual(document);
  // Gone means gone: an unchanged look does not ask for its files again.
  expect(t.catalog.touchRun({ wikiDbName: 'aawiki', source: 'classic', runDate: RUN })).toEqual([]);
});

test('a file that was given up is asked for again after a rest, also at an unchanged look', async () => {
  const t = setup();
  t.look([PAGES]);
  t.catalog.recordNotDownloaded(t.only(), 'failed', 'gone');
  expect(t.look([PAGES]).wanted).toEqual([]);
  expect(t.catalog.touchRun({ wikiDbName: 'aawiki', source: 'classic', runDate: RUN })).toEqual([]);
  await t.clock.advance(20 * 60 * 60_000);
  expect(t.catalog.touchRun({ wikiDbName: 'aawiki', source: 'classic', runDate: RUN })).toEqual([t.only()]);
  expect(t.catalog.dumpFile(t.only())?.ourStatus).toBe('pending');
});

test('a file on its way takes the newest facts', () => {
  const t = setup();
  t.look([PAGES]);
  t.catalog.markDownloading(t.only());
  t.look([{ ...PAGES, sizeBytes: 99, hashes: { sha1: hex('c') } }]);
  expect(t.catalog.dumpFile(t.only())).toMatchObject({
    ...{ ourStatus: 'downloading', sizeBytes: 99, upstreamSha1: hex('c') },
  });
});

test('the same name at two sources is two files', () => {
  const t = setup();
  t.look([PAGES]);
  const run = { source: 'content_current' as const, runDate: '2026-11-01' };
  t.look([{ ...PAGES, hashes: { sha256: 'e'.repeat(64) } }], run);
  expect(t.catalog.dumpFiles(CYCLE).map((row) => row.source)).toEqual(['classic', 'content_current']);
  expect(t.catalog.filesOfRun({ wikiDbName: 'aawiki', ...run })).toHaveLength(1);
  expect(t.catalog.runs(CYCLE).map((row) => row.source)).toEqual(['classic', 'content_current']);
});

test('a wiki is covered by a whole set of text, not by one part of it, nor by tables', () => {
  const t = setup();
  t.look([file('pages-articles1.xml-p1p9.bz2'), file('pages-articles2.xml-p10p20.bz2')]);
  t.hold(t.only());
  expect(t.catalog.isCovered('aawiki')).toBe(false);
  const [, second] = t.catalog.dumpFiles(CYCLE);
  if (second !== undefined) t.hold(second.id);
  expect(t.catalog.isCovered('aawiki')).toBe(true);
  expect(t.catalog.isCovered('abwiki')).toBe(false);
});

test('a sealed cycle takes files for 28 days; then what was not had ends with a reason', async () => {
  const t = setup();
  t.look([PAGES, file('page.sql.gz', { dumpType: 'page' })], { status: 'in_progress' });
  t.hold(t.only());
  t.catalog.markScanned(CYCLE);
  expect(t.catalog.unsettledWikis(CYCLE, 'classic')).toEqual(['aawiki']);
  expect(t.catalog.sealIfSettled(CYCLE)).toBe(false);
  expect(t.catalog.sealIfSettled(CYCLE, { force: true })).toBe(true);
  await t.clock.advance(LATE_MS - 1);
  expect([t.catalog.takesFiles(CYCLE), t.catalog.filesToDownload(CYCLE).length]).toEqual([true, 1]);
  await t.clock.advance(1);
  expect([t.catalog.takesFiles(CYCLE), t.catalog.filesToDownload(CYCLE).length]).toEqual([false, 0]);
  t.catalog.closeLateWindow(CYCLE);
  expect(t.catalog.dumpFiles(CYCLE).map((row) => row.ourStatus)).toEqual(['downloaded', 'failed']);
  expect(t.catalog.lateVariants(CYCLE, [])).toEqual({ regular: true, history: false });
});

test('bytes that never matched are fetched again after three days, or at once when upstream changes them', async () => {
  const t = setup();
  t.look([PAGES]);
  t.catalog.recordNotDownloaded(t.only(), 'quarantined', 'never matched');
  await t.clock.advance(3 * DAY_MS - 1);
  expect(t.look([PAGES]).wanted).toEqual([]);
  expect(t.look([{ ...PAGES, sizeBytes: 11 }]).wanted).toEqual([t.only()]);
  t.catalog.recordNotDownloaded(t.only(), 'quarantined', 'never matched');
  await t.clock.advance(3 * DAY_MS);
  expect(t.look([{ ...PAGES, sizeBytes: 11 }]).wanted).toEqual([t.only()]);
});

test('a 404 for a listed file ends it only when another day says the same', async () => {
  const t = setup();
  t.look([PAGES]);
  t.catalog.recordMissing(t.only(), 'upstream has it not');
  expect(t.catalog.dumpFile(t.only())).toMatchObject({
    ourStatus: 'pending',
    errorMessage: 'upstream has it not',
  });
  await t.clock.advance(60_000);
  t.catalog.recordMissing(t.only(), 'upstream has it not');
  expect(t.catalog.dumpFile(t.only())?.ourStatus).toBe('pending');
  await t.clock.advance(20 * 60 * 60_000);
  t.catalog.recordMissing(t.only(), 'upstream has it not');
  expect(t.catalog.dumpFile(t.only())?.ourStatus).toBe('failed');
  // It is still looked for: upstream lists it.
  expect(t.catalog.mayBringMore(CYCLE)).toBe(true);
});

test('a replacement that cannot be had holds up its cycle no more, and rests', async () => {
  const t = setup();
  t.look([PAGES]);
  t.hold(t.only());
  t.catalog.markScanned(CYCLE);
  t.look([{ ...PAGES, sizeBytes: 11 }]);
  expect(t.catalog.sealIfSettled(CYCLE)).toBe(false);
  t.catalog.recordNotReplaced(t.only());
  expect(t.catalog.filesToDownload()).toEqual([]);
  await t.clock.advance(3 * DAY_MS);
  expect(t.catalog.filesToDownload()).toHaveLength(1);
  expect(t.catalog.sealIfSettled(CYCLE)).toBe(true);
});

test('a run that is not wanted any more forgets what it would have replaced', () => {
  const t = setup();
  t.look([PAGES]);
  t.hold(t.only());
  t.look([{ ...PAGES, sizeBytes: 11 }]);
  t.look([], { status: 'absent', listedNames: null, notices: [{ dumpType: '*', reason: 'excluded' }] });
  expect(t.catalog.replacement(t.only())).toBeNull();
  expect(t.catalog.dumpFile(t.only())?.ourStatus).toBe('downloaded');
});

test('a run stays with the cycle it began in', () => {
  const t = setup();
  t.look([]);
  t.catalog.openCycle({ cycleDate: '2026-11-21', includesHistory: false, deadlineAt: t.deadlineAt });
  t.look([PAGES], { cycleDate: '2026-11-21' });
  expect(t.catalog.dumpFiles(CYCLE)).toHaveLength(1);
});

test.each([
  1, 999, 1000, 2000,
])('what is left to do of a wiki is found with %i open files, at its own source only', (count) => {
  const t = setup();
  t.look(Array.from({ length: count }, (_, n) => file(`pages-articles${n}.xml-p${n}p${n}.bz2`)));
  const ab = { wikiDbName: 'abwiki', runDate: '2026-11-01', source: 'content_current' as const };
  t.look([], ab);
  expect(t.catalog.unsettledWikis(CYCLE, 'classic')).toEqual(['aawiki']);
  expect([...t.catalog.restlessWikis(CYCLE, 'classic')]).toEqual(['aawiki']);
  expect(t.catalog.unsettledWikis(CYCLE, 'content_current')).toEqual([]);
  t.look([], { ...ab, status: 'in_progress' });
  expect(t.catalog.unsettledWikis(CYCLE, 'content_current')).toEqual(['abwiki']);
  t.db.sqlite.exec("UPDATE dumps SET our_status = 'failed', failed_at = 1");
  expect(t.catalog.unsettledWikis(CYCLE, 'classic')).toEqual([]);
  expect([...t.catalog.restlessWikis(CYCLE, 'classic')]).toEqual(['aawiki']);
});
