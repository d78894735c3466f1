import { expect, onTestFinished, test } from 'vitest';
import { createCatalog } from '../../src/catalog/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import type { JobRequest, Queue } from '../../src/queue/index.ts';
import { createScheduling } from '../../src/scheduling/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Scheduling over a real catalog; the queue only notes what it is asked for. */
function setup(now: string, dataDir = temporaryFolder(), chance = 0) {
  const db = withDb(dataDir);
  const clock = new FakeClock(now);
  const catalog = createCatalog({ db, clock });
  const asked: string[] = [];
  const lastLook: { at: number | null } = { at: null };
  const queue = {
    enqueue: (requests: readonly JobRequest[]) => asked.push(...requests.map((r) => r.uniqueKey)),
  } as unknown as Queue;
  const request = (key: string) => ({ uniqueKey: key }) as JobRequest;
  const scheduling = createScheduling({
    db,
    catalog,
    queue,
    state: createSystemState(db),
    bus: createBus({ log: silentLog }),
    clock,
    log: silentLog,
    random: { next: () => chance, hex: () => '' },
    config: {
      cycleDays: [1, 20],
      embargoDays: 1,
      deadlines: { firstCycle: 19, secondCycle: -1 },
      includeHistory: true,
      historyMonths: [1],
      wikiDiscovery: 'weekly',
      dumpCheck: 'daily',
    },
    requests: {
      discoverWikis: () => request('discover'),
      lastLookAt: () => lastLook.at ?? clock.now(),
      beforeDeadlineSeal: () => {},
      hasRuns: () => true,
      looks: () =>
        catalog
          .cycles()
          .filter(({ status }) => status === 'open')
          .map(({ cycleDate }) => request(`find ${cycleDate}`)),
      sealedAtDeadline: (cycleDate) => [request(`torrent ${cycleDate}`)],
      daily: () => [],
    },
  });
  onTestFinished(() => scheduling.stop());
  const addWiki = () =>
    catalog.recordWikis([
      {
        wikiDbName: 'aawiki',
        project: 'wikipedia',
        language: 'aa',
        url: '',
        name: '',
        isClosed: true,
        isPrivate: false,
        isFishbowl: false,
      },
    ]);
  return { db, clock, catalog, scheduling, asked, addWiki, lastLook };
}

test('a cycle whose deadline has passed when it is opened gets its time all the same', async () => {
  const t = setup('2026-11-20T12:00:00Z');
  t.addWiki();
  t.scheduling.start();
  expect(t.catalog.cycles()).toMatchObject([{ cycleDate: '2026-11-01', status: 'open' }]);
  expect(t.catalog.cycles()[0]?.deadlineAt).toBeGreaterThanOrEqual(t.clock.now() + 14 * DAY_MS);
  expect(t.asked).toContain('find 2026-11-01');
});

test('a cycle that is opened in time keeps the deadline of the calendar', () => {
  const t = setup('2026-11-21T12:00:00Z');
  t.scheduling.start();
  expect(t.catalog.cycle('2026-11-20')?.deadlineAt).toBe(Date.parse('2026-12-01T00:00:00Z'));
});

test('a deadline does not end a cycle that nobody has looked at', async () => {
  const t = setup('2026-11-21T12:00:00Z');
  t.addWiki();
  t.scheduling.start();
  await t.clock.advance(20 * DAY_MS);
  expect(t.catalog.cycle('2026-11-20')?.status).toBe('open');
  t.catalog.markScanned('2026-11-20');
  await t.clock.advance(2 * DAY_MS);
  expect(t.catalog.cycle('2026-11-20')?.status).toBe('sealed');
  expect(t.asked.filter((key) => key === 'torrent 2026-11-20')).toHaveLength(1);
});

test('after months of downtime every cycle that upstream can still have is opened, and no more', () => {
  const t = setup('2026-11-25T00:00:00Z');
  t.catalog.openCycle({ cycleDate: '2024-01-01', includesHistory: false, deadlineAt: 1 });
  t.scheduling.start();
  const dates = t.catalog.cycles().map((cycle) => cycle.cycleDate);
  expect(dates).toHaveLength(1 + 12);
  expect(dates.at(-2)).toBe('2026-06-01');
});

test('a clock that once said 2030 does not stop the calendar', async () => {
  const dataDir = temporaryFolder();
  const wrong = setup('2030-03-05T00:00:00Z', dataDir);
  wrong.addWiki();
  wrong.scheduling.start();
  wrong.scheduling.stop();
  const right = setup('2026-11-23T00:00:00Z', dataDir);
  right.scheduling.start();
  expect(right.catalog.cycles().map((cycle) => cycle.cycleDate)).toContain('2026-11-20');
  expect(right.asked).toContain('find 2026-11-20');
  expect(right.asked).toContain('discover');
});

test('without any wiki every look begins with the site matrix', async () => {
  const t = setup('2026-11-23T00:00:00Z');
  t.scheduling.start();
  t.asked.length = 0;
  await t.clock.advance(DAY_MS);
  expect(t.asked).toContain('discover');
});

test('a database that cannot be written when a schedule ticks ends nothing', async () => {
  const t = setup('2026-11-23T00:00:00Z');
  t.addWiki();
  t.scheduling.start();
  t.asked.length = 0;
  t.db.sqlite.pragma('query_only = ON');
  await t.clock.advance(DAY_MS);
  expect(t.asked).toEqual([]);
  t.db.sqlite.pragma('query_only = OFF');
  await t.clock.advance(2 * 60_000);
  expect(t.asked).toContain('find 2026-11-20');
});

test('a wall clock that is set forward or back neither loses a look nor makes one too many', async () => {
  const t = setup('2026-11-23T12:00:00Z');
  t.addWiki();
  t.scheduling.start();
  t.asked.length = 0;
  await t.clock.advance(11 * 60_000);
  expect(t.asked).toEqual([]);
  // Set forward by a day: the look of the night has passed and is made up at the next step.
  t.clock.setWall(t.clock.now() + DAY_MS);
  await t.clock.advance(11 * 60_000);
  expect(t.asked.filter((key) => key.startsWith('find'))).toHaveLength(1);
  // And back again: the next look is the next morning's, not one a day later.
  t.asked.length = 0;
  t.clock.setWall(t.clock.now() - DAY_MS);
  await t.clock.advance(18 * 60 * 60_000);
  expect(t.asked.filter((key) => key.startsWith('find'))).toHaveLength(1);
});

test('each installation looks at a minute of its own, which a restart keeps', async () => {
  const dataDir = temporaryFolder();
  const first = setup('2026-11-22T00:00:00Z', dataDir, 0.5);
  first.addWiki();
  first.scheduling.start();
  first.asked.length = 0;
  await first.clock.advance(5 * 60 * 60_000 + 17 * 60_000);
  expect(first.asked).not.toContain('find 2026-11-20');
  await first.clock.advance(29.5 * 60_000);
  expect(first.asked).toContain('find 2026-11-20');
  first.scheduling.stop();

  const second = setup('2026-11-22T23:00:00Z', dataDir, 0.9);
  second.scheduling.start();
  second.asked.length = 0;
  await second.clock.advance(6 * 60 * 60_000 + 46 * 60_000);
  expect(second.asked).not.toContain('find 2026-11-20');
  await second.clock.advance(60_000);
  expect(second.asked).toContain('find 2026-11-20');
});

test('a deadline that comes while nobody has looked for days is moved on, once', async () => {
  const t = setup('2026-11-22T00:00:00Z');
  t.addWiki();
  t.scheduling.start();
  t.catalog.recordRun({
    ...{ wikiDbName: 'aawiki', source: 'classic', cycleDate: '2026-11-20', runDate: '20261120' },
    ...{ status: 'in_progress', notices: [], files: [], listedNames: null, document: null },
  });
  t.catalog.markScanned('2026-11-20');
  t.lastLook.at = t.clock.now();
  // As after five weeks of downtime: the looks come first, and get two weeks.
  await t.clock.advance(Date.parse('2026-12-06T12:00:00Z') - t.clock.now());
  expect(t.catalog.cycle('2026-11-20')).toMatchObject({ status: 'open', isPostponed: true });
  const deadlineAt = t.catalog.cycle('2026-11-20')?.deadlineAt ?? 0;
  expect(deadlineAt).toBeGreaterThan(Date.parse('2026-12-14T00:00:00Z'));
  await t.clock.advance(deadlineAt + 2 * DAY_MS - t.clock.now());
  expect(t.catalog.cycle('2026-11-20')?.status).toBe('sealed');
});
