/**
 * Goal: a plan tells what the stored facts and the judge that acts make of every file, with a reason for each that is not fetched.
 * Method: a real catalog, and a source whose judgement is written in its documents.
 */
import { expect, test } from 'vitest';
import {
  type Catalog,
  createCatalog,
  type DumpFile,
  type RunFacts,
  type RunNotice,
} from '../../src/catalog/index.ts';
import { planCycle } from '../../src/discovery/plan.ts';
import type { DumpSource, FileDecision } from '../../src/discovery/source.ts';
import { RetryableError } from '../../src/lib/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';
const RUN = '20261120';
const DAY_MS = 24 * 60 * 60_000;
const SHA1 = 'a'.repeat(40);
const SELECTION = {
  ...{ regularTypes: ['pages-articles'], historyTypes: [], includesHistory: false },
  ...{ historyFormat: '7z' as const, splitFiles: 'prefer_whole' as const, isUrgent: false },
};

/** What a document of the source below says of itself. */
interface Said {
  files: (Pick<FileDecision, 'filename' | 'dumpType' | 'action' | 'reason'> & {
    sizeBytes?: number;
    sha1?: string | null;
  })[];
  notices?: RunNotice[];
  isFinished?: boolean;
}

const urlOf = (filename: string): string => `https://dumps.example/${filename}`;

/** Judges as the document says. */
const SOURCE: DumpSource = {
  name: 'classic',
  runDate: ({ cycleDate }) => (cycleDate === CYCLE ? RUN : null),
  scan: () => {
    throw new Error('a plan asks nothing');
  },
  askOne: () => {
    throw new Error('a plan asks nothing');
  },
  decide(text) {
    if (text === 'torn') throw new RetryableError('torn_status', 'it is cut off');
    const { files, notices = [], isFinished = false } = JSON.parse(text) as Said;
    return {
      ...{ notices, isFinished, refused: [], mayChange: false },
      files: files.map(({ sizeBytes = 100, sha1 = SHA1, ...said }) => {
        const facts = { ...said, sizeBytes, url: urlOf(said.filename) };
        if (said.action !== 'take') return { ...facts, action: said.action };
        const file = {
          ...{ dumpType: said.dumpType ?? '', filename: said.filename, isHistory: false, sizeBytes },
          hashes: sha1 === null ? {} : { sha1 },
          ...{ wikimediaUrl: facts.url, wikimediaStatus: 'done', wikimediaDate: null },
        };
        return { ...facts, action: 'take' as const, file };
      }),
    };
  },
};

function setup(wikis: string[] = ['aawiki']) {
  const db = withDb();
  const clock = new FakeClock();
  const catalog = createCatalog({ db, clock });
  catalog.recordWikis(
    wikis.map((wikiDbName) => ({
      ...{ wikiDbName, project: 'wikipedia', language: wikiDbName.slice(0, 2), url: '', name: '' },
      ...{ isClosed: false, isPrivate: wikiDbName.startsWith('private'), isFishbowl: false },
    })),
  );
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: clock.now() + 10 * DAY_MS });
  /** A look that found this; the catalog gets what the judge takes of it, as it does in a real look. */
  const look = (said: Said, facts: Partial<RunFacts> = {}) => {
    const text = JSON.stringify(said);
    const wikiDbName = facts.wikiDbName ?? 'aawiki';
    const decision = SOURCE.decide(text, { wikiDbName, runDate: RUN }, SELECTION);
    return catalog.recordRun({
      ...{ wikiDbName, source: 'classic', cycleDate: CYCLE, runDate: RUN },
      status: decision.isFinished ? 'finished' : 'in_progress',
      notices: decision.notices,
      files: decision.files.flatMap((each) => (each.action === 'take' ? [each.file] : [])),
      listedNames: new Set(decision.files.map(({ filename }) => filename)),
      document: { text, etag: null, lastModified: null },
      ...facts,
    });
  };
  const plan = (options: Partial<Parameters<typeof planCycle>[0]> = {}) => {
    const cycle = catalog.cycle(CYCLE);
    if (cycle === null) throw new Error('the cycle was opened');
    return planCycle({
      ...{ catalog, cycle, sources: [SOURCE], selection: SELECTION },
      judge: ({ isPrivate }) => ({ included: !isPrivate, reason: isPrivate ? 'private' : 'wanted' }),
      ...options,
    });
  };
  const rows = (options: Parameters<typeof plan>[0] = {}) =>
    Object.fromEntries(
      plan(options).files.map((row) => [row.filename ?? row.dumpType, `${row.action}: ${row.reason}`]),
    );
  return { db, clock, catalog, look, plan, rows };
}

const take = (filename: string, more: Partial<Said['files'][number]> = {}): Said['files'][number] => ({
  ...{ filename, dumpType: 'pages-articles', action: 'take', reason: 'the whole file' },
  ...more,
});

function hold(catalog: Catalog, filename: string): DumpFile {
  const row = catalog.dumpFiles(CYCLE).find((file) => file.filename === filename);
  if (row === undefined) throw new Error(`${filename} is expected`);
  catalog.markDownloading(row.id);
  catalog.recordDownloaded(row.id, {
    ...{ md5: 'b'.repeat(32), sha1: SHA1, sha256: 'c'.repeat(64), sizeBytes: row.sizeBytes },
    ...{ verification: 'sha1', localPath: `dumps/${filename}`, fetchedFromUrl: '', pieceHashes: null },
  });
  return row;
}

test('what is taken is downloaded, and what is held stays', () => {
  const { catalog, look, plan } = setup();
  look({ files: [take('a.bz2'), take('b.bz2', { sizeBytes: 7 })] });
  hold(catalog, 'a.bz2');
  expect(plan()).toEqual({
    cycleDate: CYCLE,
    notices: [],
    wikis: [{ wikiDbName: 'aawiki', included: true, reason: 'wanted' }],
    files: [
      {
        ...{ wikiDbName: 'aawiki', source: 'classic', runDate: RUN, dumpType: 'pages-articles' },
        ...{ filename: 'a.bz2', sizeBytes: 100, url: urlOf('a.bz2') },
        ...{ action: 'held', reason: 'verified by sha1' },
      },
      {
        ...{ wikiDbName: 'aawiki', source: 'classic', runDate: RUN, dumpType: 'pages-articles' },
        ...{ filename: 'b.bz2', sizeBytes: 7, url: urlOf('b.bz2') },
        ...{ action: 'download', reason: 'the whole file' },
      },
    ],
  });
});

test('every file that is not taken keeps its reason, and a dump type that no file stands for is one row', () => {
  const { look, plan, rows } = setup();
  look({
    files: [
      { filename: 'w.bz2', dumpType: 'pages-articles', action: 'wait', reason: 'the job is running' },
      { filename: 's.gz', dumpType: 'page', action: 'skip', reason: 'not configured' },
      { filename: 'x', dumpType: null, action: 'skip', reason: 'of no known type' },
    ],
    notices: [
      { dumpType: 'abstract', reason: 'not offered' },
      { dumpType: 'page', reason: 'said by its file already' },
    ],
  });
  expect(rows()).toEqual({
    'w.bz2': 'wait: the job is running',
    's.gz': 'skip: not configured',
    x: 'skip: of no known type',
    abstract: 'skip: not offered',
  });
  expect(plan().files.at(-1)).toMatchObject({ filename: null, sizeBytes: null, url: null });
});

test('a file without any hash waits until the deadline is near', () => {
  const { clock, catalog, look, rows } = setup();
  look({ files: [take('a.bz2', { sha1: null })] });
  catalog.markScanned(CYCLE);
  expect(rows()['a.bz2']).toMatch(/^wait: upstream has published no hash/);
  clock.advance(9 * DAY_MS);
  expect(catalog.mayGoWithoutHash(CYCLE)).toBe(true);
  expect(rows()['a.bz2']).toBe('download: the whole file');
});

test('a file without any hash and without a container that could be checked waits to the end', () => {
  const { clock, catalog, look, rows } = setup();
  look({ files: [take('a.json', { sha1: null }), take('b.json')] });
  catalog.markScanned(CYCLE);
  clock.advance(9 * DAY_MS);
  expect(catalog.mayGoWithoutHash(CYCLE)).toBe(true);
  expect(rows()).toMatchObject({
    'a.json': expect.stringMatching(/^wait: unverified: /),
    'b.json': 'download: the whole file',
  });
  expect(catalog.filesToDownload().map(({ id }) => catalog.dumpFile(id)?.filename)).toEqual(['b.json']);
});

test('a hash that only the list of hashes named counts', () => {
  const { look, rows } = setup();
  const said = { files: [take('a.bz2', { sha1: null })] };
  const decision = SOURCE.decide(JSON.stringify(said), { wikiDbName: 'aawiki', runDate: RUN }, SELECTION);
  const [first] = decision.files;
  if (first?.action !== 'take') throw new Error('it is taken');
  look(said, { files: [{ ...first.file, hashes: { md5: 'd'.repeat(32) } }] });
  expect(rows()['a.bz2']).toBe('download: the whole file');
});

test('what failed rests, and says what went wrong', () => {
  const { catalog, look, rows } = setup();
  look({ files: [take('a.bz2'), take('b.bz2')] });
  const [a, b] = catalog.dumpFiles(CYCLE);
  if (a === undefined || b === undefined) throw new Error('both are expected');
  catalog.recordNotDownloaded(a.id, 'failed', '404 everywhere');
  catalog.recordNotDownloaded(b.id, 'quarantined', 'never matched');
  expect(rows()).toEqual({
    'a.bz2': 'wait: asked for again at a later look; last time: 404 everywhere',
    'b.bz2': 'wait: asked for again at a later look; last time: never matched',
  });
});

test('a held file that upstream published anew is fetched again while the cycle is open, and kept afterwards', () => {
  const { db, catalog, look, plan, rows } = setup();
  look({ files: [take('a.bz2')] });
  hold(catalog, 'a.bz2');
  look({ files: [take('a.bz2', { sizeBytes: 120, sha1: 'e'.repeat(40) })] });
  expect(rows()['a.bz2']).toBe('download: upstream published it anew');
  expect(plan().files[0]?.sizeBytes).toBe(120);
  db.sqlite.exec(`UPDATE cycles SET status = 'sealed', sealed_at = ${Date.UTC(2026, 10, 23)}`);
  expect(rows()['a.bz2']).toMatch(/^held: .*anew after the cycle was sealed/);
});

test('a held file that a rerun lists no more, or that is configured no more, stays held', () => {
  const { catalog, look, rows } = setup();
  look({ files: [take('a.bz2'), take('b.bz2')] });
  hold(catalog, 'a.bz2');
  hold(catalog, 'b.bz2');
  look({ files: [{ ...take('b.bz2'), action: 'skip', reason: 'not configured' }] });
  expect(rows()).toEqual({
    'a.bz2': 'held: verified by sha1; upstream does not list it any more',
    'b.bz2': 'held: verified by sha1; not configured',
  });
});

test('a cycle that takes no files any more fetches only what was held once', () => {
  const { db, clock, catalog, look, rows } = setup();
  look({ files: [take('a.bz2'), take('b.bz2'), { ...take('c.bz2'), action: 'wait', reason: 'not yet' }] });
  const held = hold(catalog, 'a.bz2');
  catalog.reopenDumpFile(held.id, 'it is gone from the disk');
  db.sqlite.exec(`UPDATE cycles SET status = 'sealed', sealed_at = ${clock.now()}`);
  clock.advance(29 * DAY_MS);
  expect(rows()).toMatchObject({
    'a.bz2': 'download: the whole file',
    'b.bz2': 'skip: the cycle takes no late files any more',
    'c.bz2': 'skip: not yet; the cycle takes no late files any more',
  });
  // When its description is forgotten, what is stored of the files tells the same.
  db.sqlite.exec('DELETE FROM run_documents');
  expect(rows()).toMatchObject({
    'a.bz2': 'download: expected',
    'b.bz2': 'skip: the cycle takes no late files any more',
  });
});

test('runs without a description: not looked at, not begun, gone, torn', () => {
  const { catalog, look, plan } = setup(['aawiki', 'bbwiki', 'ccwiki', 'ddwiki', 'eewiki']);
  const nothing = { files: [], listedNames: null, document: null };
  look({ files: [] }, { ...nothing, wikiDbName: 'bbwiki' });
  look(
    { files: [] },
    {
      ...nothing,
      wikiDbName: 'ccwiki',
      status: 'absent',
      notices: [{ dumpType: '*', reason: 'no such run' }],
    },
  );
  look({ files: [take('d.bz2'), take('h.bz2')] }, { wikiDbName: 'ddwiki' });
  hold(catalog, 'h.bz2');
  look(
    { files: [] },
    { ...nothing, wikiDbName: 'ddwiki', status: 'absent', notices: [{ dumpType: '*', reason: 'removed' }] },
  );
  look({ files: [] }, { wikiDbName: 'eewiki', document: { text: 'torn', etag: null, lastModified: null } });
  expect(
    plan().files.map((row) => [row.wikiDbName, row.filename ?? row.dumpType, row.action, row.reason]),
  ).toEqual([
    ['aawiki', '*', 'wait', 'nobody has looked at it yet'],
    ['bbwiki', '*', 'wait', 'the run has not begun yet'],
    ['ccwiki', '*', 'skip', 'no such run'],
    ['ddwiki', '*', 'skip', 'removed'],
    ['ddwiki', 'd.bz2', 'skip', 'removed'],
    ['ddwiki', 'h.bz2', 'held', 'verified by sha1; removed'],
    ['eewiki', '*', 'wait', 'its description cannot be read: it is cut off'],
  ]);
});

test('wikis and sources that are not wanted have no rows, but for what is known of them already', () => {
  const { catalog, look, plan } = setup(['aawiki', 'privatewiki']);
  look({ files: [take('a.bz2'), take('b.bz2')] });
  hold(catalog, 'a.bz2');
  const unwanted = plan({ judge: () => ({ included: false, reason: 'excluded' }) });
  expect(unwanted.wikis).toEqual([
    { wikiDbName: 'aawiki', included: false, reason: 'excluded' },
    { wikiDbName: 'privatewiki', included: false, reason: 'excluded' },
  ]);
  expect(unwanted.files.map((row) => [row.filename, row.action, row.reason])).toEqual([
    ['a.bz2', 'held', 'verified by sha1; excluded'],
    ['b.bz2', 'skip', 'excluded'],
  ]);
  const later: DumpSource = { ...SOURCE, name: 'content_history', runDate: () => null };
  const sourceless = plan({ sources: [later] });
  expect(sourceless.notices).toEqual(['content_history has no run that belongs to the cycle 2026-11-20']);
  expect(sourceless.files[1]).toMatchObject({
    action: 'skip',
    reason: 'its source is not configured any more',
  });
});

test('in small-wiki mode a run is refused as a whole, for good or for now', () => {
  const { look, rows } = setup();
  look({ files: [take('a.bz2', { sizeBytes: 60 }), take('b.bz2', { sizeBytes: 50 })], isFinished: false });
  const asked: unknown[] = [];
  const refuseSize = (isFinal: boolean) => (facts: unknown) => {
    asked.push(facts);
    return { reason: 'too large', isFinal };
  };
  expect(rows({ refuseSize: refuseSize(true) })).toEqual({
    'a.bz2': 'skip: too large',
    'b.bz2': 'skip: too large',
  });
  expect(rows({ refuseSize: refuseSize(false) })['a.bz2']).toBe('wait: too large');
  expect(asked[0]).toEqual({ sizeBytes: 110, isFinished: false });
});
