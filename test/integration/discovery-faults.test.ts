import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Catalog, createCatalog, type RunNotice } from '../../src/catalog/index.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { createDiscovery, discoverWikis, findDumps } from '../../src/discovery/index.ts';
import { createBus, type EventMap, type EventName } from '../../src/events/index.ts';
import { createHttp, limitConnectionsPerHost, silentLog } from '../../src/ports/index.ts';
import { createQueue } from '../../src/queue/index.ts';
import { createFaultList, generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';
const RUN = '20261120';

/**
 * Discovery over real sockets and a turned clock: the queue, the room and the sandbox's dump site, nothing downloads.
 * Faults in the budget: one torn, missing or hostile document at a time; survivable because each wiki is judged alone.
 */
async function setup() {
  const root = temporaryFolder();
  const tree = await generateDumpTree({
    dir: join(root, 'site'),
    seed: 1,
    wikis: 4,
    sizeBytes: 400_000,
    runDates: [RUN],
  });
  const faults = createFaultList();
  const site = await startDumpSite({ root: tree.dir, faults });
  onTestFinished(() => site.stop());
  const db = withDb(join(root, 'data'));
  const clock = new FakeClock('2026-11-22T00:00:00Z');
  const bus = createBus({ log: silentLog });
  const catalog: Catalog = createCatalog({ db, clock });
  const queue = createQueue({
    db,
    clock,
    bus,
    log: silentLog,
    random: seededRandom(1),
    state: createSystemState(db),
    concurrency: {},
  });
  const base = defaultConfig();
  const http = limitConnectionsPerHost(
    createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock }),
    2,
  );
  const state = createSystemState(db);
  const room = createDiscovery({
    catalog,
    state,
    http,
    clock,
    log: silentLog,
    config: {
      ...base.dumps,
      ...base.discovery,
      sources: ['classic'],
      cycleDays: [1, 20],
      dumpsBaseUrl: site.baseUrl,
      sitematrixUrl: site.sitematrixUrl,
    },
  });
  queue.register(room.handlers);
  queue.start();
  onTestFinished(() => queue.stop(0));
  const next = <K extends EventName>(name: K): Promise<EventMap[K]> =>
    new Promise((resolve) => {
      const off = bus.on(name, (event) => {
        off();
        resolve(event);
      });
    });
  queue.enqueue([discoverWikis.request({})]);
  await next('job:completed');
  catalog.openCycle({
    cycleDate: CYCLE,
    includesHistory: false,
    deadlineAt: Date.parse('2026-12-01T00:00:00Z'),
  });
  const look = (wikiDbName: string, isInIndex: boolean | null = true) =>
    queue.enqueue([findDumps.request({ cycleDate: CYCLE, source: 'classic', wikiDbName, isInIndex })]);
  const documentOf = (wikiDbName: string): string =>
    catalog.runDocument(catalog.run(wikiDbName, RUN)?.id ?? 0)?.text ?? '';
  const statusPath = (wiki: string) => join(tree.dir, wiki, RUN, 'dumpstatus.json');
  return { site, faults, catalog, clock, queue, next, look, documentOf, statusPath, tree };
}

test('a torn dumpstatus.json is read again later, and the last good copy stays meanwhile', async () => {
  const t = await setup();
  t.look('aawiki');
  await t.next('job:completed');
  const good = t.catalog.run('aawiki', RUN);
  expect(good).toMatchObject({ status: 'finished' });
  const document = t.documentOf('aawiki');
  expect(JSON.parse(document).jobs).toBeDefined();
  const files = t.catalog.dumpFiles(CYCLE).length;
  expect(files).toBeGreaterThan(5);

  // Written anew, so that it is asked for as a whole.
  writeFileSync(t.statusPath('aawiki'), `${readFileSync(t.statusPath('aawiki'), 'utf8')} `);
  const torn = t.faults.add({ server: 'dumps', match: /aawiki.*dumpstatus\.json/, kind: 'torn-json' });
  t.look('aawiki');
  expect(await t.next('job:attemptFailed')).toMatchObject({ code: 'torn_status', isFinal: false });
  expect(torn.fired).toBe(1);
  expect(t.documentOf('aawiki')).toBe(document);
  expect(t.catalog.dumpFiles(CYCLE)).toHaveLength(files);

  const healed = t.next('job:completed');
  await t.clock.advance(6 * 60_000);
  expect(await healed).toMatchObject({ jobType: 'find_dumps' });
});

test('hostile names and addresses are refused and named, the rest of the run goes on', async () => {
  const t = await setup();
  const status = JSON.parse(readFileSync(t.statusPath('aawiki'), 'utf8')) as {
    jobs: Record<string, { files?: Record<string, { url?: string; size?: number; sha1?: string }> }>;
  };
  const before = t.catalog.dumpFiles(CYCLE).length;
  const { files = {} } = status.jobs.redirecttable ?? {};
  const [name, facts] = Object.entries(files)[0] ?? ['', {}];
  files[name] = { ...facts, url: `http://evil.example/aawiki/${RUN}/${name}` };
  files[`../../../${name}`] = { ...facts, url: `/aawiki/${RUN}/../../../${name}` };
  files[`aawiki-${RUN}-page\u0001.sql.gz`] = { ...facts };
  writeFileSync(t.statusPath('aawiki'), JSON.stringify(status));
  t.look('aawiki');
  await t.next('job:completed');
  const found = t.catalog.dumpFiles(CYCLE).filter((file) => file.wikiDbName === 'aawiki');
  expect(found.length).toBeGreaterThan(before + 5);
  expect(found.filter((file) => file.dumpType === 'redirect')).toEqual([]);
  expect(found.every((file) => file.wikimediaUrl.startsWith(`${t.site.baseUrl}/aawiki/${RUN}/aawiki-`))).toBe(
    true,
  );
  // The two hostile names are of no dump type: only what is configured and lacks its file is told.
  const notices = JSON.parse(t.catalog.run('aawiki', RUN)?.notices ?? '[]') as RunNotice[];
  expect(notices.filter(({ reason }) => reason.startsWith('refused: '))).toMatchObject([
    { dumpType: 'redirect', kind: 'refused' },
  ]);
});

test('a wiki without any dumps does not hold the cycle, a run that has not begun does', async () => {
  const t = await setup();
  t.faults.add({ server: 'dumps', match: /GET \/enwiki\//, kind: 'status', status: 404, times: 2 });
  t.look('enwiki', false);
  await t.next('job:completed');
  expect(t.catalog.run('enwiki', RUN)).toMatchObject({ status: 'absent' });

  // The same answers, but index.json knows the wiki: the site has a bad day.
  t.faults.add({ server: 'dumps', match: /GET \/aawiki\//, kind: 'status', status: 404, times: 2 });
  t.look('aawiki', true);
  await t.next('job:completed');
  expect(t.catalog.run('aawiki', RUN)).toMatchObject({ status: 'in_progress' });

  t.faults.add({ server: 'dumps', match: /commonswiki.*dumpstatus\.json/, kind: 'status', status: 404 });
  t.look('commonswiki');
  await t.next('job:completed');
  expect(t.catalog.run('commonswiki', RUN)).toMatchObject({ status: 'in_progress' });
});

test('403 stops the host for all its jobs and says what to do', async () => {
  const t = await setup();
  const refused = t.faults.add({ server: 'dumps', match: /dumpstatus\.json/, kind: 'status', status: 403 });
  t.look('aawiki');
  t.look('enwiki');
  expect(await t.next('target:halted')).toMatchObject({
    target: 'dumps',
    code: 'forbidden',
    hint: expect.stringMatching(/contact/),
  });
  expect((await t.queue.whenIdle()).halted).toHaveLength(1);
  expect(refused.fired).toBe(1);
});
