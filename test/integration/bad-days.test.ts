import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { createDiscovery, type DiscoveryConfig } from '../../src/discovery/index.ts';
import { createHttp, type Http, silentLog } from '../../src/ports/index.ts';
import { createFaultList, type FaultSpec, generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';
import { listingOf } from '../helpers/classic-site.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-01';
const RUN = '20261101';
const DAY_MS = 24 * 60 * 60_000;
const DEADLINE = Date.parse('2026-11-20T00:00:00Z');
const signal = new AbortController().signal;

/**
 * Goal: a bad day of upstream, or of our own clock, costs that day and nothing more: nothing that is known is forgotten, nothing
 * that may come is given up, and what never came is named. Method: the room over a real database and real sockets; upstream and
 * its faults scripted. Faults in the budget: one answer or one host that lies or is silent, for as long as it likes.
 */
async function setup(options: { wikis?: number; runDates?: string[] } = {}) {
  const { wikis = 3, runDates = [RUN] } = options;
  const root = temporaryFolder();
  const faults = createFaultList();
  const clock = new FakeClock('2026-11-03T00:00:00Z');
  const tree = await generateDumpTree({
    ...{ dir: join(root, 'site'), seed: 3, wikis, sizeBytes: 300_000, runDates },
    contentExports: ['current'],
  });
  const site = await startDumpSite({ root: tree.dir, faults, now: () => clock.now() });
  onTestFinished(() => site.stop());
  const db = withDb(join(root, 'data'));
  const catalog = createCatalog({ db, clock });
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: DEADLINE });
  const plain = createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock });
  // A conditional question can be told from a plain one by its address, so that faults can tell them apart.
  const http: Http = {
    request: ({ url, headers = {}, ...rest }) => {
      const isConditional = 'if-none-match' in headers || 'if-modified-since' in headers;
      return plain.request({ ...rest, headers, url: isConditional ? `${url}?conditional` : url });
    },
  };
  const base = defaultConfig();
  const room = (change: Partial<DiscoveryConfig> = {}) =>
    createDiscovery({
      ...{ catalog, http, clock, log: silentLog, state: createSystemState(db) },
      config: {
        ...{ ...base.dumps, ...base.discovery, cycleDays: [1, 20], sources: ['classic'] },
        ...{ dumpsBaseUrl: site.baseUrl, sitematrixUrl: site.sitematrixUrl },
        ...change,
      },
    });
  const look = (change: Partial<DiscoveryConfig> = {}) => room(change).lookNow({ cycleDate: CYCLE, signal });
  await room().lookForWikis(signal);
  const fail = (spec: Omit<FaultSpec, 'server'>) => faults.add({ server: 'dumps', ...spec });
  const files = (wiki: string) => catalog.dumpFiles(CYCLE).filter(({ wikiDbName }) => wikiDbName === wiki);
  const find = (wiki: string, rest: string) =>
    files(wiki).find(({ filename }) => filename.endsWith(`-${rest}`));
  const statusOf = (wiki: string) => catalog.run(wiki, RUN)?.status;
  /** All that the catalog knows of the cycle, without the times of looks. */
  const known = () => ({
    runs: catalog.runs(CYCLE).map(({ checkedAt: _, ...run }) => run),
    documents: catalog.runs(CYCLE).map(({ id }) => catalog.runDocument(id)),
    files: catalog.dumpFiles(CYCLE),
  });
  const { upstream } = site;
  return { tree, upstream, clock, catalog, room, look, fail, files, find, statusOf, known };
}

test('a checksum list that answers 500 ends nothing: its wiki waits for its hash, all others are judged', async () => {
  const t = await setup();
  await t.upstream.run('aawiki', RUN).hideHashes({ where: 'status', files: ['page.sql.gz'] });
  const broken = t.fail({ match: /(md5|sha1)sums/, kind: 'status', status: 500, times: 1000 });
  await t.look();
  expect(broken.fired).toBeGreaterThan(0);
  for (const wiki of ['aawiki', 'commonswiki', 'enwiki']) expect(t.statusOf(wiki)).toBe('finished');
  expect(t.find('aawiki', 'page.sql.gz')).toMatchObject({ ourStatus: 'pending', upstreamSha1: null });
  expect(t.find('aawiki', 'redirect.sql.gz')?.upstreamSha1).toMatch(/^[0-9a-f]{40}$/);
  broken.remove();
  await t.look();
  expect(t.find('aawiki', 'page.sql.gz')?.upstreamSha1).toMatch(/^[0-9a-f]{40}$/);
});

test('a source that answers 500 until the deadline leaves a named gap for every wanted wiki', async () => {
  const t = await setup();
  const sources = ['classic', 'content_current'] as const;
  const broken = t.fail({ match: '/other/', kind: 'status', status: 500, times: 1000 });
  await expect(t.look({ sources })).rejects.toMatchObject({ code: 'http_status' });
  expect(broken.fired).toBeGreaterThan(0);
  t.catalog.markScanned(CYCLE);
  const before = t.known();
  await t.clock.advance(DEADLINE - t.clock.now());
  const room = t.room({ sources });
  room.noteUnseen({ cycleDate: CYCLE, includesHistory: false });
  expect(t.catalog.sealIfSettled(CYCLE, { force: true })).toBe(true);
  const runs = t.catalog.runs(CYCLE).filter(({ source }) => source === 'content_current');
  expect(runs.map(({ wikiDbName }) => wikiDbName)).toEqual(
    room.wantedWikis().map(({ wikiDbName }) => wikiDbName),
  );
  for (const run of runs) {
    expect(run.status).toBe('in_progress');
    expect(JSON.parse(run.notices)).toEqual([
      { dumpType: '*', reason: 'upstream gave no answer about this run' },
    ]);
  }
  // What did answer stays as it was.
  expect(t.known().runs.filter(({ source }) => source === 'classic')).toEqual(before.runs);
});

test('an upstream that lost its disk for a day makes nothing absent and removes nothing', async () => {
  const t = await setup({ wikis: 6, runDates: ['20261001', RUN] });
  await t.upstream.run('aawiki', RUN).setJob('pagetable', 'in-progress');
  // Of this one the run has not begun: it was never seen, but the wiki was.
  await t.upstream.run('enwiki', RUN).remove();
  await t.look();
  expect([t.statusOf('aawiki'), t.statusOf('enwiki'), t.statusOf('commonswiki')]).toEqual([
    ...['in_progress', 'in_progress', 'finished'],
  ]);
  expect(t.files('aawiki').length).toBeGreaterThan(5);
  const before = t.known();
  const empty = t.fail({
    ...{ match: '/index.json', kind: 'status', status: 200, message: '{"wikis":{}}', times: 2 },
  });
  const gone = t.fail({ match: /GET \/[a-z_]+wiki\//, kind: 'vanish' });
  for (let round = 0; round < 2; round += 1) {
    await t.clock.advance(DAY_MS);
    await t.look();
    const { runs, files } = t.known();
    // The wiki of the site matrix that never had a dump is as absent as it was.
    const states = (list: typeof runs) => list.map(({ wikiDbName, status }) => `${wikiDbName} ${status}`);
    expect(states(runs)).toEqual(states(before.runs));
    expect(files).toEqual(before.files);
  }
  expect(empty.fired).toBe(2);
  expect(gone.fired).toBeGreaterThan(0);
  empty.remove();
  gone.remove();
  await t.upstream.run('aawiki', RUN).setJob('pagetable', 'done');
  await t.look();
  expect(t.statusOf('aawiki')).toBe('finished');
});

test('a wiki whose run was seen stays when the index lacks it and its whole folder is missing for a day', async () => {
  const t = await setup();
  await t.upstream.run('aawiki', RUN).setJob('pagetable', 'in-progress');
  await t.look();
  const before = t.files('aawiki');
  t.upstream.index.entry('aawiki', 'absent');
  const gone = t.fail({ match: 'GET /aawiki/', kind: 'vanish' });
  await t.look();
  expect(gone.fired).toBe(2);
  expect(t.statusOf('aawiki')).toBe('in_progress');
  expect(t.files('aawiki')).toEqual(before);
});

const CONTENT = { sources: ['content_current'] as const, regularTypes: ['pages-meta-current'] };
const CONTENT_ROOT = '/other/mediawiki_content_current/';

test('content exports that one listing lacks are gone only when their own folder is, and come back', async () => {
  const t = await setup();
  const stateOf = (wiki: string) => t.catalog.run(wiki, CYCLE, 'content_current')?.status;
  const lacking = t.fail({
    ...{ match: new RegExp(`GET ${CONTENT_ROOT}$`), kind: 'status', status: 200, times: 1 },
    message: listingOf(CONTENT_ROOT, ['enwiki/']),
  });
  const gone = t.fail({ match: `${CONTENT_ROOT}commonswiki/`, kind: 'vanish' });
  await t.look(CONTENT);
  expect(lacking.fired).toBe(1);
  expect(gone.fired).toBeGreaterThan(1);
  expect([stateOf('aawiki'), stateOf('commonswiki'), stateOf('enwiki')]).toEqual([
    ...['finished', 'absent', 'finished'],
  ]);
  gone.remove();
  // Once a week, on a day of its own.
  for (let day = 0; day < 7; day += 1) {
    await t.clock.advance(DAY_MS);
    await t.look(CONTENT);
  }
  expect(stateOf('commonswiki')).toBe('finished');
  expect(t.files('commonswiki').length).toBeGreaterThan(0);
});

test.each([
  ['another wiki', (text: string) => text.replaceAll('aawiki', 'enwiki')],
  ['another date', (text: string) => text.replaceAll(RUN, '20261020')],
])('a status of %s is refused as torn, and nothing of the run is changed', async (_name, change) => {
  const t = await setup();
  const run = t.upstream.run('aawiki', RUN);
  await run.setJob('pagetable', 'in-progress');
  t.upstream.index.entry('aawiki', 'absent');
  await t.look();
  const before = t.known();
  expect(t.statusOf('aawiki')).toBe('in_progress');
  await run.setJob('redirecttable', 'failed');
  const message = change(JSON.stringify(await run.status()));
  const wrong = t.fail({ match: /aawiki\/\d+\/dumpstatus/, kind: 'status', status: 200, message, times: 3 });
  await t.look();
  expect(wrong.fired).toBe(3);
  expect(t.known()).toEqual(before);
  await t.look();
  expect(t.known()).not.toEqual(before);
});

test('an index that answers 304 for ever is read as a whole after two days', async () => {
  const t = await setup();
  await t.upstream.run('aawiki', RUN).setJob('pagetable', 'in-progress');
  await t.look();
  await t.upstream.run('aawiki', RUN).setJob('pagetable', 'done');
  const stuck = t.fail({ match: '/index.json?conditional', kind: 'status', status: 304, times: 1000 });
  for (let day = 1; day <= 2; day += 1) {
    await t.clock.advance(DAY_MS);
    await t.look();
    expect(stuck.fired).toBe(day);
    expect(t.statusOf('aawiki')).toBe('in_progress');
  }
  await t.clock.advance(60_000);
  await t.look();
  expect(stuck.fired).toBe(2);
  expect(t.statusOf('aawiki')).toBe('finished');
});

test('a rerun that is running withdraws nothing that is held; one that ends without a file does', async () => {
  const t = await setup();
  await t.look();
  const held = t.find('aawiki', 'pages-articles.xml.bz2');
  if (held === undefined) throw new Error('no articles');
  t.catalog.markDownloading(held.id);
  const { sizeBytes, upstreamMd5, upstreamSha1, filename } = held;
  t.catalog.recordDownloaded(held.id, {
    ...{ md5: upstreamMd5 ?? '', sha1: upstreamSha1 ?? '', sha256: 'e'.repeat(64), verification: 'sha1' },
    ...{ sizeBytes, localPath: `dumps/aawiki/${RUN}/${filename}`, fetchedFromUrl: '', pieceHashes: null },
  });
  const run = t.upstream.run('aawiki', RUN);
  await run.setJob('articlesdump', 'in-progress', { files: 'absent' });
  await t.look();
  expect(t.statusOf('aawiki')).toBe('in_progress');
  expect(t.catalog.replacement(held.id)).toBeNull();

  await run.rerun('articlesdump', { rename: () => 'pages-articles1.xml-p1p9.bz2' });
  await t.look();
  expect(t.statusOf('aawiki')).toBe('finished');
  expect(t.catalog.replacement(held.id)).toEqual({ kind: 'withdrawn' });
  expect(t.find('aawiki', 'pages-articles1.xml-p1p9.bz2')?.ourStatus).toBe('pending');
});

test('a cycle that only a wrong clock opened is not looked at, and the right one is', async () => {
  const sandbox = await withSandbox({ wikis: 3, sizeBytes: 600_000 });
  const options = sandboxConfig(sandbox);
  const day = async (at: string) => {
    sandbox.resetDumpCounters();
    const { app } = await withApp(options, { clock: shiftedClock(at) });
    await app.whenIdle();
    return app;
  };
  const early = await day('2026-12-13T12:00:00Z');
  expect(early.catalog.cycles().map(({ cycleDate }) => cycleDate)).toEqual(['2026-12-01']);
  const paths = () => sandbox.dumpRequests().map(({ path }) => path);
  expect(paths().filter((path) => path.includes('/20261201/')).length).toBeGreaterThan(0);
  await early.stop();

  const right = await day('2026-11-23T12:00:00Z');
  expect(right.catalog.cycle('2026-11-20')?.status).toBe('published');
  expect(paths().filter((path) => path.includes('/20261201/'))).toEqual([]);
  const wrong = right.catalog.runs('2026-12-01');
  expect(wrong.length).toBeGreaterThan(0);
  // Nobody has looked since: not even an unchanged index was asked on its behalf.
  for (const run of wrong) expect(run.checkedAt).toBeGreaterThan(Date.parse('2026-12-13T00:00:00Z'));
});
