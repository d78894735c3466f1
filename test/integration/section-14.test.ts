import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { App } from '../../src/app.ts';
import type { Torrent } from '../../src/catalog/index.ts';
import { createUpstream } from '../../src/discovery/upstream.ts';
import { type Clock, createHttp, createSystemClock } from '../../src/ports/index.ts';
import { startDumpSite } from '../../src/sandbox/index.ts';
import { CONTENT, expectNotStored, expectStored, type Serve, setup } from '../helpers/download-bundle.ts';
import { drive, expectPolite, expectStored as expectStoredIn } from '../helpers/download-drive.ts';
import { type DownloadWorld, DUMP_NAME, openDownloadWorld } from '../helpers/download-world.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/**
 * The cases 14.13 to 14.15 of upstream's odd ways (see discovery-cases.test.ts for the others) that no room's own tests have:
 * servers that answer wrongly, and runs that come and go while the whole app works.
 */
/** Cases of the list. */
const CASES = 15;
const CYCLE = '2026-11-20';
const RUN = '20261120';
const HOUR_MS = 60 * 60_000;

test.each([
  ['with Retry-After', { 'retry-after': '90' }, 90_000],
  ['without Retry-After', {}, undefined],
] as const)('14.13 a burst of 503 %s costs no byte, blames no file, and heals', async (_name, headers, wait) => {
  const bundle = await setup();
  const busy: Serve = (_request, response) => response.writeHead(503, headers).end('busy');
  bundle.script.push(busy, busy, busy);
  for (let round = 0; round < 3; round += 1) {
    const error = await bundle.attempt().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'UnavailableError', code: 'http_status' });
    expect((error as { retryAfterMs?: number }).retryAfterMs).toBe(wait);
    bundle.fail(error);
    expect(bundle.row().ourStatus).toBe('pending');
    expectNotStored(bundle);
    await bundle.clock.advance(wait ?? 30_000);
  }
  expect(bundle.script).toEqual([]);
  await bundle.attempt();
  expectStored(bundle);
});

test('14.13 a 416 to the range of the last byte starts over', async () => {
  const bundle = await setup();
  bundle.script.push(
    (_request, response) => {
      response.writeHead(200, { etag: '"1-v1"', 'content-length': CONTENT.length });
      response.write(CONTENT.subarray(0, -1), () => setImmediate(() => response.socket?.end()));
    },
    (_request, response) =>
      response.writeHead(416, { 'content-range': `bytes */${CONTENT.length - 1}` }).end(),
  );
  await expect(bundle.attempt()).rejects.toMatchObject({ code: 'truncated' });
  await bundle.attempt();
  expect(bundle.seen.map(({ range }) => range)).toEqual([
    null,
    `bytes=${CONTENT.length - 1}-${CONTENT.length - 1}`,
    null,
  ]);
  expectStored(bundle);
});

test('14.13 a generic agent is refused, which stops the host and tells the operator; ours is not', async () => {
  const site = await startDumpSite({ root: temporaryFolder() });
  onTestFinished(() => site.stop());
  const clock = createSystemClock();
  const { signal } = new AbortController();
  const ask = (userAgent: string) =>
    createUpstream({ http: createHttp({ userAgent, clock }), clock }).text(
      `${site.baseUrl}/index.json`,
      signal,
    );
  await expect(ask('got (https://github.com/sindresorhus/got)')).rejects.toMatchObject({
    ...{ name: 'HaltPipelineError', code: 'forbidden' },
    hint: expect.stringMatching(/wikiseed\.contact/),
  });
  expect(site.counters().refused.agent).toBe(1);
  await ask('WikiSeed/test (https://example.org; a@b.c)');
  expect(site.counters().refused.agent).toBe(1);
});

test('14.14 bytes of the right size but wrong content are never held, however often they come', async () => {
  const bundle = await setup();
  const wrong = Buffer.from(CONTENT);
  wrong[2_000_000] = (wrong[2_000_000] as number) ^ 1;
  const serve: Serve = (_request, response) =>
    response.writeHead(200, { 'content-length': wrong.length }).end(wrong);
  bundle.script.push(serve, serve);
  for (let round = 0; round < 2; round += 1) {
    const error = await bundle.attempt().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'CorruptError', code: 'checksum_mismatch' });
    expectNotStored(bundle);
    expect(existsSync(bundle.paths.part)).toBe(false);
    bundle.fail(error);
    expect(bundle.row()).toMatchObject({ ourStatus: 'quarantined', localPath: null, sha1: null });
  }
  expect(bundle.seen.map(({ range }) => range)).toEqual([null, null]);
  await bundle.attempt();
  expectStored(bundle);
});

const SEGMENT = 160 * 1024;
/** Large enough that mirrors go first. */
const LARGE = Buffer.from(Array.from({ length: 8 * SEGMENT + 4321 }, (_, at) => (at * 31 + (at >> 8)) % 251));

async function worldOf(mirrorContent?: Buffer): Promise<DownloadWorld> {
  const world = await openDownloadWorld({
    ...{ content: LARGE, mirrors: 1, segmentBytes: SEGMENT },
    ...(mirrorContent === undefined ? {} : { mirrorContent }),
  });
  onTestFinished(() => world.close());
  return world;
}

/** Answers to requests for the file, in their order, each kind once. */
const answersOf = (
  site: DownloadWorld['origin'] | DownloadWorld['mirrors'][number] | undefined,
): unknown[] => [
  ...new Set(
    site
      ?.requestLog()
      .filter(({ path }) => path.endsWith(DUMP_NAME))
      .map(({ status }) => status),
  ),
];

test('14.14 a mirror answers 404, then the origin has it: the file is stored at the first attempt', async () => {
  const world = await worldOf();
  const gone = world.script('mirror-1', { kind: 'vanish', times: Number.POSITIVE_INFINITY });
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expect(gone.fired).toBeGreaterThanOrEqual(1);
  expect(answersOf(world.mirrors[0])).toEqual([404]);
  // One body from its first byte on; asked for as a range, so that a body that breaks off is gone on with.
  expect(answersOf(world.origin)).toEqual([206]);
  expectStoredIn(world);
  expectPolite(world);
});

test.each([
  [
    'one other byte',
    (bytes: Buffer) => bytes.fill(bytes.readUInt8(3 * SEGMENT) ^ 1, 3 * SEGMENT, 3 * SEGMENT + 1),
  ],
  ['all bytes different', (bytes: Buffer) => bytes.fill(7)],
])('14.14 a mirror has a file of the same size with %s: what is stored is what the origin has', async (_name, change) => {
  const wrong = Buffer.from(LARGE);
  change(wrong);
  expect(wrong.length).toBe(LARGE.length);
  expect(wrong.equals(LARGE)).toBe(false);
  const world = await worldOf(wrong);
  expect(await drive(world, world.begin())).toEqual({ stored: true, errors: [] });
  expect(answersOf(world.mirrors[0])[0], 'the mirror was asked').toBeOneOf([200, 206]);
  expect(answersOf(world.origin).length, 'the origin was asked').toBeGreaterThanOrEqual(1);
  expectStoredIn(world);
  expectPolite(world);
});

const fileOf = (app: App, rest: string, cycle = CYCLE) =>
  app.catalog
    .dumpFiles(cycle)
    .find(({ filename }) => filename.endsWith(`-${rest}`) && filename.startsWith('aawiki'));

/** The clock of `shiftedClock` that can be moved on while it runs. */
function movingClock(start: string): { clock: Clock; move: (ms: number) => void } {
  const clock = shiftedClock(start);
  let movedMs = 0;
  return {
    clock: { ...clock, now: () => clock.now() + movedMs },
    move: (ms) => {
      movedMs += ms;
    },
  };
}

test('14.15 a run that is removed while its file is downloaded ends it with that reason, and the cycle with the rest', async () => {
  const sandbox = await withSandbox({ wikis: 3, sizeBytes: 600_000 });
  const options = sandboxConfig(sandbox);
  const cut = sandbox.faults.add({
    ...{ server: 'dumps', match: /GET .*aawiki-\d+-redirect\.sql\.gz/, kind: 'truncate' },
  });
  const { clock, move } = movingClock('2026-11-23T12:00:00Z');
  const { app } = await withApp(options, { clock });
  // Everything else is here; half of this one is, and its next attempt waits for five minutes.
  await new Promise<void>((resolve) => {
    const look = (): void => {
      const open = app.catalog.dumpFiles(CYCLE).filter(({ localPath }) => localPath === null);
      if (cut.fired === 1 && open.length === 1) resolve();
    };
    app.bus.on('job:completed', look);
    app.bus.on('job:attemptFailed', look);
  });
  expect(cut.fired).toBe(1);
  expect(fileOf(app, 'redirect.sql.gz')?.ourStatus).toBe('downloading');
  expect(fileOf(app, 'page.sql.gz')?.ourStatus).toMatch(/^(downloaded|uploading|uploaded)$/);
  expect(app.catalog.cycle(CYCLE)?.status).toBe('open');

  await sandbox.upstream.beginRun({ dbname: 'aawiki', date: '20261201' });
  await sandbox.upstream.run('aawiki', RUN).remove();
  sandbox.resetDumpCounters();
  move(2 * HOUR_MS);
  app.queue.hurry(CYCLE, 'download_dump');
  await app.whenIdle();
  const asked = sandbox.dumpRequests().map(({ path, status }) => `${status} ${path}`);
  expect(asked[0]).toBe(`404 /aawiki/${RUN}/aawiki-${RUN}-redirect.sql.gz`);
  expect(asked).toContain(`404 /aawiki/${RUN}/dumpstatus.json`);
  expect(fileOf(app, 'redirect.sql.gz')).toMatchObject({
    ...{ ourStatus: 'failed', errorMessage: 'upstream has removed the run' },
  });
  expect(app.catalog.run('aawiki', RUN)?.status).toBe('absent');
  expect(app.catalog.cycle(CYCLE)?.status).toBe('published');
  expect(fileOf(app, 'page.sql.gz')?.ourStatus).toBe('included');
  const status = join(options.config.wikiseed.dataDir, `torrents/wikimedia-dumps-${CYCLE}/STATUS.txt`);
  expect(readFileSync(status, 'utf8')).toMatch(/aawiki[\s\S]*redirect[\s\S]*upstream has removed the run/);
});

test('14.15 two runs of the same wiki that are active at once become two cycles, each with the files of its own', async () => {
  const sandbox = await withSandbox({ wikis: 3, sizeBytes: 600_000, runDates: ['20261101'] });
  const options = sandboxConfig(sandbox);
  const { scheduling } = options.config;
  const publishDeadlines = { ...scheduling.publishDeadlines, firstCycleDay: 28 };
  const config = { ...options.config, scheduling: { ...scheduling, publishDeadlines } };
  const day = async (at: string): Promise<App> => {
    const { app } = await withApp({ ...options, config }, { clock: shiftedClock(at) });
    await app.whenIdle();
    return app;
  };
  const older = sandbox.upstream.run('aawiki', '20261101');
  await older.setJob('redirecttable', 'in-progress');
  await (await day('2026-11-05T12:00:00Z')).stop();

  for (const dbname of ['commonswiki', 'enwiki'])
    await (await sandbox.upstream.beginRun({ dbname, date: RUN })).finish();
  const newer = await sandbox.upstream.beginRun({ dbname: 'aawiki', date: RUN });
  await newer.finish();
  await newer.setJob('pagetable', 'waiting');
  const second = await day('2026-11-23T12:00:00Z');
  const states = () => ['2026-11-01', CYCLE].map((date) => second.catalog.cycle(date)?.status);
  expect(states()).toEqual(['open', 'open']);
  for (const date of ['20261101', RUN])
    expect(second.catalog.run('aawiki', date)).toMatchObject({ status: 'in_progress' });
  await second.stop();

  await older.setJob('redirecttable', 'done');
  await newer.setJob('pagetable', 'done');
  const third = await day('2026-11-24T12:00:00Z');
  for (const [cycleDate, runDate] of [
    ['2026-11-01', '20261101'],
    [CYCLE, RUN],
  ] as const) {
    expect(third.catalog.cycle(cycleDate)?.status).toBe('published');
    const [torrent] = third.catalog.torrentsOfCycle(cycleDate);
    const names = third.catalog.torrentFiles((torrent as Torrent).id).map(({ dump }) => dump.filename);
    for (const rest of ['redirect.sql.gz', 'page.sql.gz'])
      for (const dbname of ['aawiki', 'enwiki']) expect(names).toContain(`${dbname}-${runDate}-${rest}`);
    // The export of the month belongs to its first cycle; of the other run's files there is none.
    const dates = cycleDate === CYCLE ? [runDate] : [runDate, cycleDate];
    expect(names.filter((name) => !dates.some((date) => name.includes(`-${date}-`)))).toEqual([]);
  }
});

test('every case of the list has tests that bear its number', () => {
  const root = join(import.meta.dirname, '..', '..');
  const numbers = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .flatMap((path) => [
        // At the beginning of a test's name: after `test(`, or after the table of `test.each`.
        ...readFileSync(join(root, folder, path), 'utf8').matchAll(
          /(?:\btest\(|\]\)\(|as const\)\(|\[\]\)\()\s*'14\.(\d+) /g,
        ),
      ])
      .map((match) => Number(match[1])),
  );
  expect([...new Set(numbers)].sort((a, b) => a - b)).toEqual(
    Array.from({ length: CASES }, (_, at) => at + 1),
  );
});
