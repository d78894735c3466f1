import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { createDiscovery, type DiscoveryConfig, type DiscoveryDeps } from '../../src/discovery/index.ts';
import { createHttp, silentLog } from '../../src/ports/index.ts';
import { createFaultList, generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-01';
const RUN = '20261101';
const signal = new AbortController().signal;
const original = JSON.parse;

/**
 * What looks write down and remember: the room over a real database and real sockets, upstream scripted. A "day" is another
 * room over the same database, as after a restart with another configuration.
 */
async function setup() {
  const root = temporaryFolder();
  const faults = createFaultList();
  const clock = new FakeClock('2026-11-03T00:00:00Z');
  const tree = await generateDumpTree({
    ...{ dir: join(root, 'site'), seed: 3, wikis: 3, sizeBytes: 300_000, runDates: [RUN] },
    contentExports: ['current'],
  });
  const site = await startDumpSite({ root: tree.dir, faults, now: () => clock.now() });
  onTestFinished(() => site.stop());
  const db = withDb(join(root, 'data'));
  const catalog = createCatalog({ db, clock });
  const deadlineAt = Date.parse('2026-11-20T00:00:00Z');
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt });
  const http = createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock });
  const base = defaultConfig();
  const room = (change: Partial<DiscoveryConfig> = {}, more: Partial<DiscoveryDeps> = {}) =>
    createDiscovery({
      ...{ catalog, http, clock, log: silentLog, state: createSystemState(db), ...more },
      config: {
        ...{ ...base.dumps, ...base.discovery, cycleDays: [1, 20], sources: ['classic'] },
        ...{ dumpsBaseUrl: site.baseUrl, sitematrixUrl: site.sitematrixUrl },
        ...change,
      },
    });
  const look = async (change: Partial<DiscoveryConfig> = {}) => {
    const made = room(change);
    site.resetCounters();
    await made.lookNow({ cycleDate: CYCLE, signal });
    return site.counters();
  };
  await room().lookForWikis(signal);
  const types = (): string[] => [...new Set(catalog.dumpFiles(CYCLE).map((file) => file.dumpType))].sort();
  const wikis = { include: ['*'], exclude: [] as string[], maxSizeBytes: null as number | null };
  return { site, faults, clock, catalog, room, look, types, wikis };
}

test('a second look with nothing new asks once, and brings back what was given up', async () => {
  const t = await setup();
  const first = await t.look();
  // One wiki of the site matrix has no dumps, and must be asked to know that.
  expect(first.byKind).toMatchObject({ index: 1, status: 1 });
  const [file] = t.catalog.dumpFiles(CYCLE);
  if (file === undefined) throw new Error('no file');
  t.catalog.recordNotDownloaded(file.id, 'failed', 'it was not there');
  await t.clock.advance(19 * 60 * 60_000);
  await t.look();
  expect(t.catalog.dumpFile(file.id)?.ourStatus).toBe('failed');
  await t.clock.advance(60 * 60_000);
  const second = await t.look();
  expect([second.requests, second.notModified]).toEqual([1, 1]);
  expect(t.catalog.dumpFile(file.id)?.ourStatus).toBe('pending');
});

test('another choice of files judges anew, also what upstream has not changed', async () => {
  const t = await setup();
  await t.look({ regularTypes: ['all-titles'] });
  expect(t.types()).toEqual(['all-titles']);
  await t.look({ regularTypes: ['all-titles', 'page'] });
  expect(t.types()).toEqual(['all-titles', 'page']);
  await t.look({ regularTypes: ['page'] });
  expect(t.types()).toEqual(['page']);
});

test('content exports are judged anew from what is stored, without asking for it again', async () => {
  const t = await setup();
  const content = { sources: ['content_current'] as const };
  const first = await t.look({ ...content, regularTypes: ['all-titles'] });
  expect(first.byKind.content + first.byKind.listing + first.byKind.sums).toBeGreaterThan(3);
  expect(t.types()).toEqual([]);
  const second = await t.look({ ...content, regularTypes: ['pages-meta-current'] });
  expect(second.byKind.sums).toBe(0);
  expect(t.types()).toEqual(['pages-meta-current']);
});

test('an excluded wiki is released and comes back when it is included again', async () => {
  const t = await setup();
  await t.site.upstream.run('aawiki', RUN).setJob('pagetable', 'waiting');
  await t.look();
  expect(t.catalog.unsettledWikis(CYCLE, 'classic')).toContain('aawiki');
  await t.look({ wikis: { ...t.wikis, exclude: ['aa*'] } });
  expect(t.catalog.unsettledWikis(CYCLE, 'classic')).not.toContain('aawiki');
  expect(t.catalog.run('aawiki', RUN)).toMatchObject({ status: 'absent' });
  await t.look();
  expect(t.catalog.run('aawiki', RUN)).toMatchObject({ status: 'in_progress' });
  const back = t.catalog.dumpFiles(CYCLE).filter((file) => file.wikiDbName === 'aawiki');
  expect(back.every((file) => file.ourStatus === 'pending')).toBe(true);
});

test('a source that is switched off is released, the others are not', async () => {
  const t = await setup();
  await t.site.upstream.content('current', 'aawiki', CYCLE).show({ success: false });
  await t.look({ sources: ['classic', 'content_current'] });
  expect(t.catalog.unsettledWikis(CYCLE, 'content_current')).toContain('aawiki');
  await t.room({ sources: ['classic'] }).releaseSwitchedOff();
  expect(t.catalog.unsettledWikis(CYCLE, 'content_current')).toEqual([]);
  expect(t.catalog.unsettledWikis(CYCLE, 'classic').length).toBe(3);
});

test('small-wiki mode takes a run when its size is final, and none that is too large', async () => {
  const t = await setup();
  const sizeOf = (wiki: string): number =>
    t.catalog
      .dumpFiles(CYCLE)
      .reduce((sum, file) => sum + (file.wikiDbName === wiki ? file.sizeBytes : 0), 0);
  await t.look();
  const maxSizeBytes = sizeOf('aawiki');
  expect(sizeOf('enwiki')).toBeGreaterThan(maxSizeBytes);
  const mode = { wikis: { ...t.wikis, maxSizeBytes } };
  await t.site.upstream.run('aawiki', RUN).setJob('pagetable', 'in-progress');
  await t.look(mode);
  const held = (): string[] => [...new Set(t.catalog.dumpFiles(CYCLE).map((file) => file.wikiDbName))];
  expect(held()).not.toContain('aawiki');
  expect(t.catalog.run('aawiki', RUN)).toMatchObject({
    status: 'in_progress',
    notices: expect.stringMatching(/size is known/),
  });
  await t.site.upstream.run('aawiki', RUN).setJob('pagetable', 'done');
  await t.look(mode);
  expect(held()).toContain('aawiki');
  expect(sizeOf('aawiki')).toBe(maxSizeBytes);
  expect(t.catalog.run('enwiki', RUN)).toMatchObject({
    status: 'absent',
    notices: expect.stringMatching(/small-wiki mode/),
  });
});

test('hashes that come with the checksum lists are found, although the status stays as it is', async () => {
  const t = await setup();
  const run = t.site.upstream.run('aawiki', RUN);
  await run.hideHashes({ files: ['page.sql.gz'] });
  await t.look();
  const hash = (): string | null | undefined =>
    t.catalog.dumpFiles(CYCLE).find((file) => file.filename === `aawiki-${RUN}-page.sql.gz`)?.upstreamSha1;
  expect(hash()).toBeNull();
  await run.showHashes({ files: ['page.sql.gz'], where: 'sums' });
  await t.look();
  expect(hash()).toMatch(/^[0-9a-f]{40}$/);
});

test('one wiki whose status stays torn does not end a look at all the others', async () => {
  const t = await setup();
  t.site.upstream.index.entry('aawiki', 'absent');
  const torn = t.faults.add({ server: 'dumps', match: /aawiki.*dumpstatus/, kind: 'torn-json', times: 9 });
  await t.look();
  expect(torn.fired).toBe(3);
  expect(t.catalog.run('aawiki', RUN)).toMatchObject({
    status: 'in_progress',
    notices: expect.stringMatching(/could not be read/),
  });
  expect(t.catalog.run('enwiki', RUN)?.status).toBe('finished');
});

test('listings tell how long upstream keeps runs only when it has deleted some', async () => {
  const t = await setup();
  const counted = await t.look();
  expect(counted.byKind.listing).toBeGreaterThan(0);
  expect(t.catalog.wikis().every((wiki) => wiki.oldestRunDate === null)).toBe(true);
  for (const date of ['20261120', '20261201', '20261220', '20270101'])
    await t.site.upstream.beginRun({ dbname: 'enwiki', date });
  await t.clock.advance(31 * 24 * 60 * 60_000);
  await t.look();
  expect(t.catalog.wikis().find((wiki) => wiki.wikiDbName === 'enwiki')?.oldestRunDate).toBe(RUN);
});

test('an export that is made again is read anew once a week while its cycle is open', async () => {
  const t = await setup();
  const content = { sources: ['content_current'] as const, regularTypes: ['pages-meta-current'] };
  await t.look(content);
  const [file] = t.catalog.dumpFiles(CYCLE).filter((each) => each.wikiDbName === 'aawiki');
  if (file === undefined) throw new Error('no file');
  await t.site.upstream.content('current', 'aawiki', CYCLE).rerun();
  await t.clock.advance(6 * 24 * 60 * 60_000);
  expect((await t.look(content)).requests).toBe(1);
  await t.clock.advance(24 * 60 * 60_000);
  await t.look(content);
  expect(t.catalog.dumpFile(file.id)?.upstreamSha256).not.toBe(file.upstreamSha256);
  await t.clock.advance(24 * 60 * 60_000);
  expect((await t.look(content)).requests).toBe(1);
});

test('to read a description, to judge it, to write the run down and to ask for its files are turns of their own', async () => {
  const t = await setup();
  // Without index.json each wiki is asked for its own description.
  const missing = t.faults.add({ server: 'dumps', match: /^GET \/index\.json/, kind: 'vanish' });
  const told: { what: string; wiki: string; turn: number }[] = [];
  let turn = 0;
  const count = (): void => {
    turn += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  onTestFinished(() => clearImmediate(counting));
  const parse = vi.spyOn(JSON, 'parse').mockImplementation((text, reviver) => {
    const wiki = /"url":\s*"\/(\w+)\/20261101\//.exec(text)?.[1];
    if (wiki !== undefined) told.push({ what: 'read', wiki, turn });
    return original(text, reviver);
  });
  onTestFinished(() => parse.mockRestore());
  const recordRun: typeof t.catalog.recordRun = (facts) => {
    if (facts.document !== null) told.push({ what: 'write', wiki: facts.wikiDbName, turn });
    return t.catalog.recordRun(facts);
  };
  const askForDownloads = async ({ wikiDbName }: { wikiDbName: string }): Promise<void> =>
    void told.push({ what: 'ask', wiki: wikiDbName, turn });
  await t
    .room({}, { catalog: { ...t.catalog, recordRun }, askForDownloads })
    .lookNow({ cycleDate: CYCLE, signal });
  expect(missing.fired).toBe(1);
  // Each description is read twice: by whoever fetched it, and by the judge.
  const wikis = [...new Set(told.map(({ wiki }) => wiki))];
  expect(wikis.length).toBe(3);
  for (const wiki of wikis) {
    const own = told.filter((each) => each.wiki === wiki);
    expect(own.map(({ what }) => what)).toEqual(['read', 'read', 'write', 'ask']);
    expect(new Set(own.map((each) => each.turn)).size).toBe(4);
  }
});
