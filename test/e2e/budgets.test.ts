import { expect, onTestFinished, test } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import { userAgentOf } from '../../src/app-settings.ts';
import { openDb } from '../../src/db/index.ts';
import { discoverWikis, findDumps } from '../../src/discovery/index.ts';
import { downloadDump } from '../../src/download/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import type { FaultSpec, Sandbox } from '../../src/sandbox/index.ts';
import { openAlerts } from '../helpers/alerts.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';

/**
 * Goal: whatever runs at once, upstream sees one polite client.
 * Method: the whole program, with downloads, looks at two sources and the site matrix against one host; the site counts.
 */

/** In the cycle of the 1st, history and content exports included. */
const NOW = '2026-11-12T12:00:00Z';
const CYCLE = '2026-11-01';
const world = { wikis: 5, sizeBytes: 2_000_000, runDates: ['20261101'] };
const HOUR_MS = 60 * 60_000;

function optionsOf(sandbox: Sandbox, perHostConnections = 2) {
  const { config, secrets } = sandboxConfig(sandbox);
  const ia = { ...config.ia, enabled: false };
  return { secrets, config: { ...config, ia, download: { ...config.download, perHostConnections } } };
}

/** Resolves when the first file has come. */
function firstFile(app: App): Promise<void> {
  return new Promise((resolve) => {
    const forget = app.bus.on('dumpFile:downloaded', () => {
      forget();
      resolve();
    });
  });
}

test.each([1, 2])('looks and downloads together never open more than %i connections', async (perHost) => {
  // Slow enough that files are still on their way when the looks come.
  const sandbox = await withSandbox({ ...world, bytesPerSecond: 400_000 });
  const options = optionsOf(sandbox, perHost);
  const { app } = await withApp(options, { clock: shiftedClock(NOW) });
  await firstFile(app);
  app.queue.enqueue([discoverWikis.request({})]);
  expect(await app.whenIdle()).toEqual({ halted: [], paused: [] });

  const counted = sandbox.counters().dumps;
  expect(counted.refused).toEqual({ connections: 0, agent: 0 });
  expect(counted.maxConcurrent).toBe(perHost);
  expect(counted.maxSockets).toBe(perHost);
  const requests = sandbox.dumpRequests();
  expect(new Set(requests.map(({ userAgent }) => userAgent))).toEqual(new Set([userAgentOf(options.config)]));
  expect([...new Set(Object.keys(counted.byHost))]).toEqual([new URL(sandbox.dumpsBaseUrl).host]);
  // They really were at it together: files before and after what the looks asked for.
  const places = (kind: string): number[] =>
    requests.flatMap((request, at) => (request.kind === kind ? [at] : []));
  const files = places('data');
  for (const kind of ['siteMatrix', 'index', 'content'])
    expect(
      places(kind).some((at) => at > (files[0] ?? Infinity) && at < (files.at(-1) ?? -1)),
      kind,
    ).toBe(true);
  const expected = app.catalog.dumpFiles(CYCLE);
  expect(expected.every(({ ourStatus }) => ourStatus === 'included')).toBe(true);
  expect(counted.fileRequests).toBe(expected.length);
});

test('a look asks for no more than it needs, and the second one only for news', async () => {
  const sandbox = await withSandbox(world);
  const { app } = await withApp(optionsOf(sandbox), { clock: shiftedClock(NOW) });
  app.operator.pause(`type:${downloadDump.type}`, 'only looks');
  await app.whenIdle();
  sandbox.resetDumpCounters();
  app.queue.enqueue([discoverWikis.request({})]);
  await app.whenIdle();
  const { byKind, notModified, requests } = sandbox.counters().dumps;
  expect(byKind).toMatchObject({
    siteMatrix: 1,
    index: 1,
    content: 1,
    status: 0,
    listing: 0,
    sums: 0,
    data: 0,
  });
  expect(requests).toBe(3);
  expect(notModified).toBe(1);
});

test('the first look asks once for each list, and singly only where there is no list', async () => {
  const sandbox = await withSandbox(world);
  const options = optionsOf(sandbox);
  const app = await pausedApp(options);
  const { byKind } = sandbox.counters().dumps;
  // Three listings tell how long upstream keeps runs, and one what a wiki has that the index does not name; of content exports each wiki has a listing and a list of sums.
  expect(byKind).toMatchObject({ siteMatrix: 1, index: 1, sums: 0, data: 0, wikistats: 0 });
  const classic = app.catalog.runs(CYCLE).filter(({ source }) => source === 'classic');
  expect(byKind.status).toBe(classic.length - world.wikis);
  expect(byKind.listing).toBeLessThanOrEqual(3 + classic.length - world.wikis);
  const exports = app.catalog.runs(CYCLE).filter(({ source }) => source === 'content_current');
  expect(exports.length).toBeGreaterThanOrEqual(world.wikis);
  expect(byKind.content).toBeGreaterThanOrEqual(1 + 2 * world.wikis);
  expect(byKind.content).toBeLessThanOrEqual(1 + 2 * exports.length);
});

/** A WikiSeed that has looked at everything, with all downloads held back from the beginning. */
async function pausedApp(options: ReturnType<typeof optionsOf>): Promise<App> {
  const app = await createApp({ ...options, clock: shiftedClock(NOW), log: silentLog });
  onTestFinished(() => app.stop());
  app.operator.pause(`type:${downloadDump.type}`, 'only looks');
  await app.start();
  await app.whenIdle();
  return app;
}

/** What jobs that ask the dump site began, and when. */
function watchStarts(app: App, clock: FakeClock): { jobType: string; at: number }[] {
  const starts: { jobType: string; at: number }[] = [];
  app.bus.on('job:started', ({ jobType }) => {
    if (jobType === findDumps.type || jobType === downloadDump.type)
      starts.push({ jobType, at: clock.now() });
  });
  return starts;
}

/** Resolves when the dump site counts as stopped and nothing is on its way to it any more. */
function stopped(app: App): Promise<{ kind: string; until: number }> {
  return new Promise((resolve) => {
    const running = new Set<number>();
    let halt: { kind: string; until: number } | null = null;
    const settle = (): void => {
      if (halt !== null && running.size === 0) resolve(halt);
    };
    app.bus.on('job:started', ({ jobId }) => void running.add(jobId));
    for (const event of ['job:completed', 'job:attemptFailed', 'job:givenBack'] as const)
      app.bus.on(event, ({ jobId }) => {
        running.delete(jobId);
        setImmediate(settle);
      });
    app.bus.on('target:halted', ({ target, kind, until }) => {
      if (target === 'dumps') halt = { kind, until };
      setImmediate(settle);
    });
  });
}

const refusals: [string, Partial<FaultSpec>][] = [
  ['429 to the index', { match: 'GET /index.json', status: 429, retryAfter: 1800 }],
  ['503 to the index', { match: 'GET /index.json', status: 503, retryAfter: 1800 }],
  [
    '503 to a listing of content exports',
    { match: /^GET \/other\/.*bzip2\/$/, status: 503, retryAfter: 1800 },
  ],
  ['503 to a file', { match: /^GET \/\w+\/\d+\/\S+\.(?:gz|bz2|7z)$/, status: 503, retryAfter: 1800 }],
];

test.each(
  refusals,
)('%s: nothing is asked of the host before the named time has passed', async (_name, spec) => {
  const sandbox = await withSandbox(world);
  const fault = sandbox.faults.add({ server: 'dumps', kind: 'status', match: '', ...spec });
  const clock = new FakeClock(NOW);
  const app = await createApp({ ...optionsOf(sandbox), clock, log: silentLog });
  onTestFinished(() => app.stop());
  const starts = watchStarts(app, clock);
  const halted = stopped(app);
  await app.start();
  await fault.whenFired();
  const { until } = await halted;
  expect(until).toBeGreaterThanOrEqual(clock.now() + 1_800_000);
  const asked = sandbox.counters().dumps.requests;
  const stoppedAt = clock.now();
  await clock.advance(1_799_000);
  expect(sandbox.counters().dumps.requests).toBe(asked);
  const resumed = new Promise<void>((resolve) => {
    app.bus.on('target:resumed', ({ target }) => {
      if (target === 'dumps') resolve();
    });
  });
  await clock.advance(until - clock.now() + 60_000);
  await resumed;
  expect(sandbox.counters().dumps.requests).toBeGreaterThan(asked);
  expect(fault.fired).toBe(1);
  expect(starts.filter(({ at }) => at > stoppedAt && at < until)).toEqual([]);
});

test('403 stops the host for everything and raises an alert', async () => {
  const sandbox = await withSandbox(world);
  const fault = sandbox.faults.add({
    ...{ server: 'dumps', kind: 'status', status: 403, times: 1000 },
    match: /^GET \/\w+\/\d+\/\S+\.(?:gz|bz2|7z)$/,
  });
  const clock = new FakeClock(NOW);
  const app = await createApp({ ...optionsOf(sandbox), clock, log: silentLog });
  onTestFinished(() => app.stop());
  const halted = stopped(app);
  await app.start();
  await fault.whenFired();
  expect(await halted).toMatchObject({ kind: 'halted' });
  const asked = sandbox.counters().dumps.requests;
  app.queue.enqueue([
    findDumps.request({ cycleDate: CYCLE, source: 'classic', wikiDbName: null, isInIndex: null }),
  ]);
  await clock.advance(HOUR_MS - 60_000);
  expect(sandbox.counters().dumps.requests).toBe(asked);
  expect(app.queries.halts()).toMatchObject([{ target: 'dumps', kind: 'halted', code: 'forbidden' }]);
  const db = openDb(app.layout.database, 'readonly');
  onTestFinished(() => db.close());
  expect(openAlerts(db)).toMatchObject([{ severity: 'error', message: expect.stringContaining('403') }]);
});
