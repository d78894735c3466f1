import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createCatalog, type DumpFile } from '../../src/catalog/index.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { createSystemState } from '../../src/db/index.ts';
import { createDiscovery } from '../../src/discovery/index.ts';
import { createHttp, silentLog } from '../../src/ports/index.ts';
import { CYCLE_DATE, RUN_DATE, startClassicSite, statusOf } from '../helpers/classic-site.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const DAY_MS = 24 * 60 * 60_000;
const DEADLINE = Date.parse('2026-12-01T00:00:00Z');
const SHA1 = 'a'.repeat(40);
const WHOLE = 'pages-articles.xml.bz2';
const PARTS = ['pages-articles1.xml-p1p9.bz2', 'pages-articles2.xml-p10p20.bz2'] as const;

/** Goal: what hangs upstream costs nothing that is there. Method: the room over a real database and a real socket, days in a row. */
async function setup(recombine: readonly [string, ...string[]]) {
  const site = await startClassicSite();
  const clock = new FakeClock('2026-11-25T06:00:00Z');
  const db = withDb(join(temporaryFolder(), 'data'));
  const catalog = createCatalog({ db, clock });
  const names = ['aawiki', 'bbwiki'];
  catalog.recordWikis(
    names.map((wikiDbName) => ({
      ...{ wikiDbName, project: 'wikipedia', language: wikiDbName.slice(0, 2), url: '', name: '' },
      ...{ isClosed: false, isPrivate: false, isFishbowl: false },
    })),
  );
  catalog.openCycle({ cycleDate: CYCLE_DATE, includesHistory: false, deadlineAt: DEADLINE });
  const { dumps, discovery } = defaultConfig();
  const room = createDiscovery({
    ...{ catalog, clock, log: silentLog, state: createSystemState(db) },
    http: createHttp({ userAgent: 'WikiSeed/test (https://example.org; a@b.c)', clock }),
    config: {
      ...{
        ...dumps,
        ...discovery,
        regularTypes: ['pages-articles'],
        cycleDays: [1, 20],
        sources: ['classic'],
      },
      ...{ dumpsBaseUrl: site.baseUrl, sitematrixUrl: `${site.baseUrl}/w/api.php` },
    },
  });
  const publish = (job: readonly [string, ...string[]]): void => {
    const aawiki = statusOf('aawiki', { articlesdump: ['done', ...PARTS], articlesdumprecombine: job });
    const bbwiki = statusOf('bbwiki', { articlesdump: ['done', WHOLE] });
    site.pages.set('/index.json', JSON.stringify({ wikis: { aawiki, bbwiki } }));
  };
  publish(recombine);
  const rest = ({ filename }: Pick<DumpFile, 'filename'>): string =>
    filename.replace(`aawiki-${RUN_DATE}-`, '');
  const rows = (): DumpFile[] =>
    catalog.dumpFiles(CYCLE_DATE).filter(({ wikiDbName }) => wikiDbName === 'aawiki');
  return {
    ...{ site, clock, catalog, publish },
    rows: () => rows().map((row) => `${rest(row)} ${row.ourStatus}`),
    /** One look, of which the plan says the same, before and after it. */
    async look() {
      const cycle = catalog.cycle(CYCLE_DATE);
      if (cycle === null) throw new Error('it was opened');
      site.requests.length = 0;
      await room.lookNow({ cycleDate: CYCLE_DATE, signal: new AbortController().signal });
      const plan = room.plan(cycle).files.filter(({ wikiDbName }) => wikiDbName === 'aawiki');
      return plan.map((row) => `${rest({ filename: row.filename ?? '' })} ${row.action}: ${row.reason}`);
    },
    hold() {
      for (const { id, ourStatus, filename, sizeBytes } of rows()) {
        if (ourStatus !== 'pending') continue;
        catalog.markDownloading(id);
        catalog.recordDownloaded(id, {
          ...{ md5: 'b'.repeat(32), sha1: SHA1, sha256: 'c'.repeat(64), sizeBytes },
          ...{ verification: 'sha1', localPath: `dumps/${filename}`, fetchedFromUrl: '', pieceHashes: null },
        });
      }
    },
  };
}

test('a recombine job that hangs costs no parts: three days before the deadline they are taken, although nothing changed upstream', async () => {
  const t = await setup(['in-progress', WHOLE]);
  await t.look();
  expect(t.rows()).toEqual([]);
  t.clock.setWall(DEADLINE - 3 * DAY_MS - 60_000);
  await t.look();
  expect(t.rows()).toEqual([]);
  t.clock.setWall(DEADLINE - 3 * DAY_MS);
  const plan = await t.look();
  // Upstream said that nothing is new; the last description was judged again.
  expect(t.site.requests).toEqual(['304 /index.json']);
  expect(t.rows()).toEqual(PARTS.map((part) => `${part} pending`));
  expect(plan).toEqual([
    ...PARTS.map((part) => `${part} download: its parts are taken: the whole file may come too late`),
    `${WHOLE} skip: it may come too late: parts are taken`,
  ]);
});

test('the whole that comes after its parts were begun is not taken as well', async () => {
  const t = await setup(['in-progress', WHOLE]);
  await t.look();
  t.clock.setWall(DEADLINE - 2 * DAY_MS);
  await t.look();
  t.hold();
  t.publish(['done', WHOLE]);
  const plan = await t.look();
  expect(t.rows()).toEqual(PARTS.map((part) => `${part} downloaded`));
  expect(plan).toContain(`${WHOLE} skip: it came later: parts are taken`);
});

test('a failed recombine that is run again leaves the parts alone while they are held, and replaces them while they are not', async () => {
  const held = await setup(['failed', WHOLE]);
  await held.look();
  expect(held.rows()).toEqual(PARTS.map((part) => `${part} pending`));
  held.hold();
  held.publish(['done', WHOLE]);
  await held.look();
  expect(held.rows()).toEqual(PARTS.map((part) => `${part} downloaded`));
  const waiting = await setup(['failed', WHOLE]);
  await waiting.look();
  waiting.publish(['done', WHOLE]);
  await waiting.look();
  expect(waiting.rows()).toEqual([`${WHOLE} pending`]);
});
