import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Wiki } from '../../src/catalog/index.ts';
import { CYCLE_DATE, listingOf, RUN_DATE, startClassicSite, statusOf } from '../helpers/classic-site.ts';

/** Looks of the classic source over real sockets: what is asked, and what is told. */
const aDone = statusOf('aawiki', { redirecttable: ['done', 'redirect.sql.gz'] });
const older = (wiki: string) => statusOf(wiki, { redirecttable: ['done', 'redirect.sql.gz'] }, '20261101');
const newer = (wiki: string) => statusOf(wiki, { redirecttable: ['done', 'redirect.sql.gz'] }, '20261201');
const index = (wikis: Record<string, unknown>): string => JSON.stringify({ wikis });
const STATUS = `/aawiki/${RUN_DATE}/dumpstatus.json`;

test('a run is named by its cycle, and the base may end in a slash', async () => {
  const site = await startClassicSite({ '/index.json': index({}) });
  expect(site.source.runDate({ cycleDate: CYCLE_DATE, includesHistory: false })).toBe(RUN_DATE);
  await site.scan([]);
  expect(site.requests).toEqual(['200 /index.json']);
});

describe('a look at all wikis', () => {
  test('one request tells of each wanted wiki once; what it does not tell is asked singly', async () => {
    const wikis = { aawiki: aDone, bbwiki: older('bbwiki'), ccwiki: newer('ccwiki'), ddwiki: {}, zzwiki: {} };
    const site = await startClassicSite({ '/index.json': index(wikis) });
    const { sightings, end } = await site.scan(['aawiki', 'bbwiki', 'ccwiki', 'ddwiki', 'eewiki']);
    expect(sightings).toEqual([
      { wikiDbName: 'aawiki', kind: 'document', document: JSON.stringify(aDone), validators: null },
      { wikiDbName: 'bbwiki', kind: 'not_yet', reason: 'the run has not begun yet' },
      { wikiDbName: 'ccwiki', kind: 'ask', isInIndex: true },
      { wikiDbName: 'ddwiki', kind: 'ask', isInIndex: true },
      { wikiDbName: 'eewiki', kind: 'ask', isInIndex: false },
    ]);
    expect(end).toMatchObject({ isUnchanged: false, listedNames: Object.keys(wikis) });
    expect(end.validators?.etag).toMatch(/^"/);
    expect(site.requests).toEqual(['200 /index.json']);
  });

  test('of an index that shows no run of this date at all a few wikis are asked: it may be old, or upstream late', async () => {
    const names = ['aawiki', 'bbwiki', 'ccwiki', 'ddwiki', 'eewiki'];
    const pages = { '/index.json': index(Object.fromEntries(names.map((name) => [name, older(name)]))) };
    const site = await startClassicSite(pages);
    const kinds = async (known: Parameters<typeof site.scan>[1]) =>
      (await site.scan(names, known)).sightings.map(({ kind }) => kind);
    expect(await kinds({})).toEqual(['ask', 'ask', 'ask', 'not_yet', 'not_yet']);
    // Next day the same, since none of them had begun.
    const told = { status: 'in_progress', hasDocument: false } as const;
    const all = Object.fromEntries(names.map((name) => [name, told]));
    expect(await kinds(all)).toEqual(['ask', 'ask', 'ask', 'not_yet', 'not_yet']);
    // One of them had: the index is old as a whole, and whoever is not known to have begun is asked once a week.
    const asked = new Set<string>();
    for (let day = 0; day < 7; day += 1) {
      const known = { ...all, aawiki: { status: 'in_progress' } } as const;
      const { sightings } = await site.scan(names, known, { nowMs: day * 86_400_000 });
      const now = sightings.filter((each) => each.kind === 'ask' && each.wikiDbName !== 'aawiki');
      for (const { wikiDbName } of now) {
        expect(asked.has(wikiDbName)).toBe(false);
        asked.add(wikiDbName);
      }
    }
    expect([...asked].sort()).toEqual(names.slice(1));
  });

  test('what is known saves single requests, until the index shows this very run again', async () => {
    const pages = { '/index.json': index({ aawiki: newer('aawiki'), bbwiki: older('bbwiki'), ccwiki: {} }) };
    const site = await startClassicSite(pages);
    const kinds = async (known: Parameters<typeof site.scan>[1]) =>
      (await site.scan(['aawiki', 'bbwiki', 'ccwiki'], known)).sightings.map(({ kind }) => kind);
    const all = (facts: object) => ({ aawiki: facts, bbwiki: facts, ccwiki: facts });
    expect(await kinds(all({ status: 'absent' }))).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(await kinds(all({ status: 'finished' }))).toEqual(['unchanged', 'ask', 'ask']);
    expect(await kinds(all({ status: 'in_progress' }))).toEqual(['ask', 'ask', 'ask']);
    expect(await kinds(all({ status: 'in_progress', hasDocument: false }))).toEqual([
      'ask',
      'not_yet',
      'ask',
    ]);
    site.pages.set('/index.json', index({ aawiki: aDone }));
    const again = await site.scan(['aawiki'], { aawiki: { status: 'absent' } });
    expect(again.sightings).toMatchObject([{ kind: 'document' }]);
  });

  test('nothing new is one request without a body; only what the index never told is asked', async () => {
    const site = await startClassicSite({ '/index.json': index({ aawiki: aDone }) });
    const { end: first } = await site.scan(['aawiki']);
    const own = { etag: '"x"', lastModified: null };
    const known = {
      aawiki: { status: 'in_progress' },
      bbwiki: { status: 'finished' },
      ccwiki: { status: 'absent', hasDocument: false },
      ddwiki: { status: 'in_progress', validators: own },
      eewiki: { status: 'in_progress', hasDocument: false },
      ffwiki: { status: 'finished', validators: own },
    } as const;
    const names = [...Object.keys(known), 'newwiki'];
    const { sightings, end } = await site.scan(names, known, { scanned: first.validators });
    expect(sightings.map((each) => `${each.wikiDbName} ${each.kind}`)).toEqual([
      'aawiki unchanged',
      'bbwiki unchanged',
      'ccwiki unchanged',
      'ddwiki ask',
      'eewiki unchanged',
      'ffwiki unchanged',
      'newwiki ask',
    ]);
    expect(end).toEqual({ validators: first.validators, isUnchanged: true, listedNames: [] });
    expect(site.requests).toEqual(['200 /index.json', '304 /index.json']);
  });

  test('without an index every wiki is asked singly, but not one that is known to be over', async () => {
    const site = await startClassicSite();
    const { sightings, end } = await site.scan(['aawiki', 'bbwiki', 'ccwiki'], {
      bbwiki: { status: 'absent' },
      ccwiki: { status: 'finished' },
    });
    expect(sightings).toEqual([
      { wikiDbName: 'aawiki', kind: 'ask', isInIndex: null },
      { wikiDbName: 'bbwiki', kind: 'unchanged' },
      { wikiDbName: 'ccwiki', kind: 'unchanged' },
    ]);
    expect(end).toEqual({ validators: null, isUnchanged: false, listedNames: [] });
    expect(site.warnings[0]?.message).toMatch(/no index\.json/);
  });

  test('a torn index is read again twice, then done without; nothing of it is told', async () => {
    const text = index({ aawiki: aDone, bbwiki: older('bbwiki') });
    const site = await startClassicSite({ '/index.json': text.slice(0, -40) });
    for (const attempt of [1, 2])
      await expect(site.scan(['aawiki'], {}, { attempt })).rejects.toMatchObject({ code: 'torn_index' });
    const { sightings, end } = await site.scan(['aawiki', 'bbwiki'], {}, { attempt: 3 });
    expect(sightings).toEqual([
      { wikiDbName: 'aawiki', kind: 'ask', isInIndex: null },
      { wikiDbName: 'bbwiki', kind: 'ask', isInIndex: null },
    ]);
    expect(end.validators).toBeNull();
    expect(site.warnings).toHaveLength(1);
  });

  test('a connection that breaks off is no torn index, at whatever attempt', async () => {
    const text = index({ aawiki: aDone });
    const site = await startClassicSite({ '/index.json': { text, cutAfter: 50 } });
    await expect(site.scan(['aawiki'], {}, { attempt: 5 })).rejects.toMatchObject({ code: 'network' });
    expect(site.requests).toHaveLength(1);
  });

  test('a version that we do not know is read all the same, with one warning for all wikis', async () => {
    const wikis = { aawiki: { ...aDone, version: '0.9' }, bbwiki: { ...older('bbwiki'), version: '0.9' } };
    const site = await startClassicSite({ '/index.json': index(wikis) });
    const { sightings } = await site.scan(['aawiki', 'bbwiki']);
    expect(sightings[0]?.kind).toBe('document');
    expect(site.warnings).toMatchObject([{ fields: { version: '0.9', wikis: 1 } }]);
  });

  test('an abort ends the look', async () => {
    const site = await startClassicSite({ '/index.json': index({ aawiki: aDone, bbwiki: {} }) });
    const abort = new AbortController();
    const look = site.look({ signal: abort.signal });
    const scan = site.source.scan(
      look,
      [{ wikiDbName: 'aawiki' }, { wikiDbName: 'bbwiki' }] as never,
      () => null,
    );
    expect(await scan.next()).toMatchObject({ done: false });
    abort.abort();
    await expect(scan.next()).rejects.toMatchObject({ code: 'interrupted' });
  });

  test('hundreds of wikis: others have their turn after every 256 KiB and before every wiki', async () => {
    const names = Array.from({ length: 300 }, (_, number) => `w${number}wiki`);
    const rests = Array.from({ length: 30 }, (_, number) => `table${number}.sql.gz`);
    const wikis = Object.fromEntries(names.map((name) => [name, statusOf(name, { a: ['done', ...rests] })]));
    const bytes = Buffer.from(index(wikis));
    const answer = { kind: 'body' as const, validators: null, text: async () => '', discard: () => {} };
    const site = await startClassicSite();
    const upstream = {
      get: async () => ({ ...answer, body: Readable.from([bytes]) }),
      text: async () => null,
      size: async () => null,
    };
    let turns = 0;
    let isOver = false;
    const ticker = (async () => {
      while (!isOver) {
        await nextTurn();
        turns += 1;
      }
    })();
    const rows = names.map((wikiDbName) => ({ wikiDbName })) as Wiki[];
    const told: string[] = [];
    let before = 0;
    for await (const sighting of site.source.scan(site.look({ upstream }), rows, () => null)) {
      expect(turns - before).toBeGreaterThanOrEqual(told.length === 0 ? bytes.length / 262_144 : 1);
      before = turns;
      expect(sighting.kind).toBe('document');
      told.push(sighting.wikiDbName);
    }
    isOver = true;
    await ticker;
    expect(told).toEqual(names);
  });
});

describe('a look at one wiki', () => {
  test('a status is a document with its validators, and only news is sent again', async () => {
    const text = JSON.stringify(aDone);
    const site = await startClassicSite({ [STATUS]: text });
    const first = await site.askOne('aawiki', true);
    expect(first).toMatchObject({ kind: 'document', document: text });
    const validators = first.kind === 'document' ? first.validators : null;
    expect(await site.askOne('aawiki', true, { validators })).toEqual({
      wikiDbName: 'aawiki',
      kind: 'unchanged',
    });
    // A run that was gone and is there again is read anew, whatever was known of its last description.
    expect(await site.askOne('aawiki', true, { status: 'absent', validators })).toMatchObject({
      kind: 'document',
    });
    expect(site.requests).toEqual([`200 ${STATUS}`, `304 ${STATUS}`, `200 ${STATUS}`]);
  });

  test.each([
    ['dates around it', ['20261101/', '20261201/'], true, 'absent', 'upstream has no run of this date'],
    ['only older dates', ['20261101/'], true, 'not_yet', 'the run has not begun yet'],
    ['only older dates, not in the index', ['20261101/'], false, 'not_yet', 'the run has not begun yet'],
    [
      'its own date, and newer ones',
      [`${RUN_DATE}/`, '20261201/'],
      true,
      'not_yet',
      'the run has not begun yet',
    ],
    ['no dates', ['latest/'], true, 'not_yet', 'the run has not begun yet'],
    ['no dates, not in the index', ['latest/'], false, 'absent', 'upstream has no dumps of this wiki'],
    ['no listing', null, true, 'not_yet', 'the run has not begun yet'],
    ['no listing, nobody knows the index', null, null, 'not_yet', 'the run has not begun yet'],
    ['no listing, not in the index', null, false, 'absent', 'upstream has no dumps of this wiki'],
  ] as const)('no status, and a listing with %s', async (_name, entries, isInIndex, kind, reason) => {
    const site = await startClassicSite(
      entries === null ? {} : { '/aawiki/': listingOf('/aawiki/', entries) },
    );
    expect(await site.askOne('aawiki', isInIndex)).toEqual({ wikiDbName: 'aawiki', kind, reason });
    expect(site.requests).toEqual([`404 ${STATUS}`, `${entries === null ? 404 : 200} /aawiki/`]);
  });

  test('a run that was seen is gone only when the listing has gone on without it', async () => {
    const site = await startClassicSite({ '/aawiki/': listingOf('/aawiki/', ['20261101/']) });
    const known = { status: 'in_progress', hasDocument: true } as const;
    expect(await site.askOne('aawiki', true, known)).toEqual({ wikiDbName: 'aawiki', kind: 'unchanged' });
    expect(site.warnings).toHaveLength(1);
    site.pages.set('/aawiki/', listingOf('/aawiki/', ['20261101/', '20261201/']));
    for (const status of ['in_progress', 'finished'] as const)
      expect(await site.askOne('aawiki', true, { status })).toEqual({
        ...{ wikiDbName: 'aawiki', kind: 'absent' },
        reason: 'upstream has removed the run',
      });
    expect(await site.askOne('aawiki', true, { ...known, hasDocument: false })).toMatchObject({
      reason: 'upstream has no run of this date',
    });
  });

  test('a torn status is an error, so that nothing is written down', async () => {
    const text = JSON.stringify(aDone);
    const site = await startClassicSite();
    for (const cut of [0, 1, 20, text.length - 1]) {
      site.pages.set(STATUS, text.slice(0, cut));
      await expect(site.askOne('aawiki', true), String(cut)).rejects.toMatchObject({
        code: 'torn_status',
        message: expect.stringContaining('aawiki'),
      });
    }
  });

  test('a listing that is none proves nothing', async () => {
    const site = await startClassicSite({ '/aawiki/': '<html><title>Maintenance</title></html>' });
    await expect(site.askOne('aawiki', false)).rejects.toMatchObject({ code: 'torn_listing' });
  });

  test('every listing that is read is told, because it says how long upstream keeps its runs', async () => {
    const entries = ['20260801/', '20260820/', '20261201/', '20260231/', 'archive/', 'latest/'];
    const site = await startClassicSite({ '/aawiki/': listingOf('/aawiki/', entries) });
    await site.askOne('aawiki', true);
    expect(site.listings).toEqual([['aawiki', ['20260801', '20260820', '20261201']]]);
  });

  test('a version that we do not know is read all the same, with a warning', async () => {
    const site = await startClassicSite({ [STATUS]: JSON.stringify({ ...aDone, version: '1.0' }) });
    expect(await site.askOne('aawiki', true)).toMatchObject({ kind: 'document' });
    expect(site.warnings).toMatchObject([{ fields: { version: '1.0' } }]);
  });
});
