import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Wiki } from '../../src/catalog/index.ts';
import { createContentSource } from '../../src/discovery/content-source.ts';
import type { KnownRun, Look, ScanEnd, Selection, Sighting } from '../../src/discovery/source.ts';
import { createUpstream } from '../../src/discovery/upstream.ts';
import { createHttp, limitConnectionsPerHost, silentLog } from '../../src/ports/index.ts';
import { createFaultList, generateDumpTree, startDumpSite } from '../../src/sandbox/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { fixtures } from '../helpers/needs.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const RUN = '2026-11-01';
const BEFORE = new Date('2026-10-05T00:00:00Z');
const AFTER = new Date('2026-11-03T00:00:00Z');
const LATER = Date.parse('2026-11-10T00:00:00Z');
const selection: Selection = {
  regularTypes: ['pages-meta-current'],
  historyTypes: ['pages-meta-history'],
  includesHistory: true,
  historyFormat: '7z',
  splitFiles: 'prefer_whole',
  isUrgent: false,
};

/** Content exports over real sockets: the source, the plain http port and the sandbox's dump site over a folder made here. */
async function setup(options: { root?: string; kind?: 'content_current' | 'content_history' } = {}) {
  const { kind = 'content_current', root = join(temporaryFolder(), 'site') } = options;
  const folder = join(root, 'other', `mediawiki_${kind}`);
  const faults = createFaultList();
  const clock = new FakeClock('2026-11-10T00:00:00Z');
  const site = await startDumpSite({ root, faults, now: () => clock.now() });
  onTestFinished(() => site.stop());
  const agent = 'WikiSeed/test (https://example.org; a@b.c)';
  const http = limitConnectionsPerHost(createHttp({ userAgent: agent, clock }), 2);
  const look = (change: Partial<Look> = {}): Look => ({
    cycle: { cycleDate: RUN, includesHistory: true },
    runDate: RUN,
    attempt: 1,
    nowMs: 0,
    isOpen: true,
    sumsLeft: 200,
    signal: new AbortController().signal,
    upstream: createUpstream({ http, clock }),
    log: silentLog,
    scanned: null,
    onListing: () => {},
    ...change,
  });
  const source = createContentSource({ baseUrl: `${site.baseUrl}/`, kind });
  return {
    site,
    clock,
    faults,
    source,
    look,
    folder,
    /** Makes `<db>/<date>/xml/bzip2/` with files; the wiki's folder then has the time `at`. */
    publish(db: string, at: Date, date: string | null, files: Record<string, string> = {}) {
      mkdirSync(join(folder, db), { recursive: true });
      if (date !== null) {
        const run = join(folder, db, date, 'xml', 'bzip2');
        mkdirSync(run, { recursive: true });
        for (const [name, text] of Object.entries(files)) writeFileSync(join(run, name), text);
      }
      utimesSync(join(folder, db), at, at);
    },
    async scan(names: string[], known: Record<string, KnownRun> = {}, change: Partial<Look> = {}) {
      const seen: Record<string, Sighting> = {};
      const wikis = names.map((wikiDbName) => ({ wikiDbName }) as Wiki);
      const sightings = source.scan(look(change), wikis, (name) => known[name] ?? null);
      for (;;) {
        const next = await sightings.next();
        if (next.done === true) return { seen, end: next.value satisfies ScanEnd };
        expect(seen[next.value.wikiDbName]).toBeUndefined();
        seen[next.value.wikiDbName] = next.value;
      }
    },
    ask: (
      wikiDbName: string,
      known: KnownRun | null = null,
      isInIndex: boolean | null = true,
      change: Partial<Look> = {},
    ) => source.askOne(look(change), { wikiDbName, isInIndex }, known),
    requests: () => site.counters().requests,
  };
}

const known = (status: KnownRun['status'], change: Partial<KnownRun> = {}): KnownRun => ({
  status,
  validators: null,
  checkedAt: LATER,
  ...change,
});
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const part = (db: string, range: string, date = RUN): string => `${db}-${date}-${range}.xml.bz2`;

/** A complete export of two parts. */
function whole(db: string, date = RUN): Record<string, string> {
  const [one, two] = [part(db, 'p1p9', date), part(db, 'p10p20', date)];
  return {
    [one]: 'one',
    [two]: 'twotwo',
    SHA256SUMS: `${sha256('one')}  ${one}\n${sha256('twotwo')}  ${two}\n`,
    _SUCCESS: '',
  };
}

describe('calendar', () => {
  const source = (kind: 'content_current' | 'content_history', isFirstOfMonth?: (date: string) => boolean) =>
    createContentSource({
      baseUrl: 'https://x',
      kind,
      ...(isFirstOfMonth === undefined ? {} : { isFirstOfMonth }),
    });
  const date = (
    cycleDate: string,
    includesHistory = true,
    kind: 'content_current' | 'content_history' = 'content_current',
  ) => source(kind).runDate({ cycleDate, includesHistory });

  test('the export of a month belongs to its first cycle', () => {
    expect(date('2026-11-01')).toBe('2026-11-01');
    expect(date('2026-11-20')).toBeNull();
    const fifth = source('content_current', (cycleDate) => cycleDate.endsWith('-05'));
    expect(fifth.runDate({ cycleDate: '2026-11-05', includesHistory: false })).toBe('2026-11-01');
    expect(fifth.runDate({ cycleDate: '2026-11-01', includesHistory: false })).toBeNull();
  });

  test('history only in cycles with history', () => {
    expect(date('2026-11-01', true, 'content_history')).toBe('2026-11-01');
    expect(date('2026-11-01', false, 'content_history')).toBeNull();
    expect(date('2026-11-01', false)).toBe('2026-11-01');
  });
});

describe('a look at all wikis', () => {
  test('one request tells which are exported and which are not', async () => {
    const { publish, scan, requests } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    publish('bawiki', BEFORE, '2026-10-01', whole('bawiki', '2026-10-01'));
    publish('readme', AFTER, null);
    const { seen, end } = await scan(['aawiki', 'bawiki', 'cawiki'], {
      aawiki: known('in_progress', { hasDocument: true }),
    });
    expect(seen).toMatchObject({
      aawiki: { kind: 'ask', isInIndex: true },
      bawiki: { kind: 'not_yet', reason: 'the content export has not begun yet' },
      // One listing is no proof: its own folder has to be missing too.
      cawiki: { kind: 'ask', isInIndex: false },
    });
    expect(end).toEqual({ validators: null, isUnchanged: false, listedNames: ['aawiki', 'bawiki'] });
    expect(requests()).toBe(1);
  });

  test('what is known and cannot have changed is unchanged', async () => {
    const { publish, scan } = await setup();
    for (const db of ['aawiki', 'bawiki', 'cawiki', 'dawiki', 'eawiki', 'fawiki']) publish(db, AFTER, null);
    publish('gawiki', BEFORE, null);
    const { seen } = await scan(
      ['aawiki', 'bawiki', 'cawiki', 'dawiki', 'eawiki', 'fawiki', 'gawiki', 'zawiki'],
      {
        aawiki: known('finished'),
        bawiki: known('absent'),
        cawiki: known('in_progress', { hasDocument: false }),
        // Its export grows without a trace in the listing of all wikis.
        dawiki: known('in_progress', { hasDocument: true }),
        eawiki: known('in_progress'),
        fawiki: known('absent', { checkedAt: AFTER.getTime() + 60_000 }),
        gawiki: known('in_progress', { hasDocument: false }),
        zawiki: known('finished'),
      },
    );
    const kinds = Object.fromEntries(Object.entries(seen).map(([db, { kind }]) => [db, kind]));
    expect(kinds).toEqual({
      aawiki: 'unchanged',
      bawiki: 'unchanged',
      cawiki: 'unchanged',
      dawiki: 'ask',
      eawiki: 'ask',
      fawiki: 'unchanged',
      gawiki: 'unchanged',
      zawiki: 'unchanged',
    });
  });

  test('a wiki that counts as absent is asked again once a week while it is listed', async () => {
    const { publish, scan } = await setup();
    publish('aawiki', AFTER, null);
    let asked = 0;
    for (let day = 0; day < 7; day += 1) {
      const { seen } = await scan(['aawiki'], { aawiki: known('absent') }, { nowMs: day * 86_400_000 });
      if (seen.aawiki?.kind === 'ask') asked += 1;
    }
    expect(asked).toBe(1);
  });

  test('a wiki that had no folder when it was last asked is asked on any day on which it has one', async () => {
    const { publish, scan } = await setup();
    publish('aawiki', AFTER, null);
    const absent = known('absent', { checkedAt: AFTER.getTime() - 3_600_000 });
    for (let day = 0; day < 7; day += 1) {
      const { seen } = await scan(['aawiki'], { aawiki: absent }, { nowMs: day * 86_400_000 });
      expect(seen.aawiki?.kind).toBe('ask');
    }
  });

  test('a wiki whose files were seen is not gone because one listing says so', async () => {
    const { publish, scan } = await setup();
    publish('aawiki', AFTER, null);
    const { seen } = await scan(['bawiki'], { bawiki: known('in_progress', { hasDocument: true }) });
    expect(seen.bawiki).toEqual({ wikiDbName: 'bawiki', kind: 'ask', isInIndex: false });
  });

  test('before any run was seen the most recent folder is asked, so that times which lie are found out', async () => {
    const { publish, scan, ask } = await setup();
    const names = ['aawiki', 'bawiki', 'cawiki'];
    for (const db of names) publish(db, BEFORE, RUN, whole(db));
    publish('bawiki', new Date(BEFORE.getTime() + 86_400_000), RUN);
    const first = await scan(names);
    expect(names.map((db) => first.seen[db]?.kind)).toEqual(['not_yet', 'ask', 'not_yet']);
    expect((await ask('bawiki')).kind).toBe('document');
    const second = await scan(names, {
      aawiki: known('in_progress', { hasDocument: false }),
      bawiki: known('finished'),
      cawiki: known('in_progress', { hasDocument: false }),
    });
    expect(names.map((db) => second.seen[db]?.kind)).toEqual(['ask', 'unchanged', 'ask']);
  });

  test('a folder of exports that is missing or empty proves nothing', async () => {
    const { publish, scan, folder, faults } = await setup();
    mkdirSync(folder, { recursive: true });
    const states = { aawiki: known('in_progress', { hasDocument: true }) };
    expect((await scan(['aawiki', 'bawiki'], states)).seen).toMatchObject({
      aawiki: { kind: 'unchanged' },
      bawiki: { kind: 'not_yet', reason: "upstream's folder of these exports names no wiki now" },
    });
    publish('aawiki', AFTER, null);
    const gone = faults.add({ server: 'dumps', match: '/other/', kind: 'vanish', times: 1 });
    expect((await scan(['aawiki', 'bawiki'], states)).seen).toMatchObject({
      aawiki: { kind: 'unchanged' },
      bawiki: { kind: 'not_yet', reason: 'upstream has no folder of these exports now' },
    });
    expect(gone.fired).toBe(1);
  });

  test('half a listing is read again, and done without in the end', async () => {
    const { publish, scan, faults } = await setup();
    for (const db of ['aawiki', 'bawiki']) publish(db, AFTER, null);
    const torn = faults.add({ server: 'dumps', match: '/other/', kind: 'torn-json', times: 2 });
    await expect(scan(['aawiki'])).rejects.toMatchObject({ code: 'torn_listing' });
    const { seen, end } = await scan(['aawiki', 'bawiki'], { bawiki: known('finished') }, { attempt: 3 });
    expect(torn.fired).toBe(2);
    expect(seen).toMatchObject({
      aawiki: { kind: 'ask', isInIndex: null },
      bawiki: { kind: 'unchanged' },
    });
    expect(end.listedNames).toEqual([]);
  });
});

describe('a look at one wiki', () => {
  test('a complete export takes two requests, and every file its hash', async () => {
    const { publish, ask, source, site, requests } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const found = await ask('aawiki');
    expect(requests()).toBe(2);
    if (found.kind !== 'document') throw new Error(found.kind);
    const decision = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    const folder = `${site.baseUrl}/other/mediawiki_content_current/aawiki/${RUN}/xml/bzip2/`;
    expect(decision).toMatchObject({ isFinished: true, notices: [], refused: [] });
    expect(decision.files.map((file) => (file.action === 'take' ? file.file : file.reason))).toMatchObject([
      { filename: part('aawiki', 'p10p20'), sizeBytes: 6, hashes: { sha256: sha256('twotwo') } },
      { filename: part('aawiki', 'p1p9'), sizeBytes: 3, wikimediaUrl: `${folder}${part('aawiki', 'p1p9')}` },
    ]);
    expect(await ask('aawiki')).toEqual(found);
  });

  test('history exports have a folder of their own', async () => {
    const { publish, ask, source } = await setup({ kind: 'content_history' });
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const found = await ask('aawiki');
    if (found.kind !== 'document') throw new Error(found.kind);
    const { files } = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    expect(files[0]).toMatchObject({
      action: 'take',
      dumpType: 'pages-meta-history',
      file: {
        isHistory: true,
        wikimediaUrl: expect.stringContaining('/other/mediawiki_content_history/aawiki/'),
      },
    });
  });

  test('without _SUCCESS everything waits, and the sums are not asked for', async () => {
    const { publish, ask, source, requests } = await setup();
    const { _SUCCESS: _none, ...growing } = whole('aawiki');
    publish('aawiki', AFTER, RUN, growing);
    const found = await ask('aawiki');
    expect(requests()).toBe(1);
    if (found.kind !== 'document') throw new Error(found.kind);
    const decision = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    expect(decision.files.map(({ action }) => action)).toEqual(['wait', 'wait']);
    expect(decision.isFinished).toBe(false);
  });

  test('sums that are not there leave files without a hash, and the export open', async () => {
    const { publish, ask, source, faults } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const gone = faults.add({ server: 'dumps', match: 'SHA256SUMS', kind: 'vanish', times: 1 });
    const found = await ask('aawiki');
    expect(gone.fired).toBe(1);
    if (found.kind !== 'document') throw new Error(found.kind);
    const decision = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    expect(decision.files).toMatchObject([{ file: { hashes: {} } }, { file: { hashes: {} } }]);
    expect(decision.isFinished).toBe(false);
  });

  test('sizes that the listing rounds are asked for, file by file', async () => {
    const { publish, ask, folder, source, requests } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const rows = [
      part('aawiki', 'p1p9'),
      part('aawiki', 'p10p20'),
      'SHA256SUMS',
      '_SUCCESS',
      part('aawiki', 'p21p30'),
    ]
      .map((name) => `<a href="${name}">${name}</a>   01-Nov-2026 10:00   1.2K`)
      .join('\n');
    writeFileSync(
      join(folder, 'aawiki', RUN, 'xml', 'bzip2', 'index.html'),
      `<html><head><title>Index of /x/</title></head><body><pre>${rows}\n</pre></body></html>`,
    );
    const found = await ask('aawiki');
    expect(requests()).toBe(5);
    if (found.kind !== 'document') throw new Error(found.kind);
    const { files } = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    expect(files.map(({ sizeBytes, action }) => [sizeBytes, action])).toEqual([
      [6, 'take'],
      [3, 'take'],
      [null, 'wait'],
    ]);
  });

  test('a folder of a date without files has begun: the next look asks again', async () => {
    const { publish, ask, folder, source } = await setup();
    publish('aawiki', AFTER, RUN);
    rmSync(join(folder, 'aawiki', RUN, 'xml'), { recursive: true });
    const found = await ask('aawiki');
    if (found.kind !== 'document') throw new Error(found.kind);
    const decision = source.decide(found.document, { wikiDbName: 'aawiki', runDate: RUN }, selection);
    expect(decision).toMatchObject({ files: [], notices: [], refused: [], isFinished: false });
    // What was described once must not be taken for withdrawn.
    expect(await ask('aawiki', known('in_progress', { hasDocument: true }))).toMatchObject({
      kind: 'unchanged',
    });
  });

  test.each<[string, string[], KnownRun | null, boolean | null, string, string | null]>([
    ['older dates only', ['2026-10-01'], null, true, 'not_yet', 'the content export has not begun yet'],
    ['no dates at all', [], known('in_progress', { hasDocument: true }), true, 'unchanged', null],
    [
      'a newer date',
      ['2026-10-01', '2026-12-01'],
      null,
      true,
      'absent',
      'upstream has no content export of this date',
    ],
    [
      'only newer dates, and it was seen',
      ['2026-12-01'],
      known('in_progress', { hasDocument: true }),
      true,
      'absent',
      'upstream has removed this content export',
    ],
    [
      'older dates, and it was seen',
      ['2026-10-01'],
      known('finished'),
      true,
      'absent',
      'upstream has removed this content export',
    ],
    [
      '14.12 dates that are none',
      ['2026-12-32', '2027-02-29', 'latest', '20270101'],
      null,
      true,
      'not_yet',
      'the content export has not begun yet',
    ],
  ])('missing, with %s', async (_what, dates, state, isInIndex, kind, reason) => {
    const { publish, ask, requests } = await setup();
    publish('aawiki', AFTER, null);
    for (const date of dates) publish('aawiki', AFTER, date);
    expect(await ask('aawiki', state, isInIndex)).toEqual({
      ...{ wikiDbName: 'aawiki', kind },
      ...(reason === null ? {} : { reason }),
    });
    expect(requests()).toBe(2);
  });

  test('a wiki without any folder is absent only when the listing of all wikis says so too', async () => {
    const { publish, ask } = await setup();
    publish('bawiki', AFTER, null);
    expect(await ask('aawiki', null, false)).toMatchObject({ kind: 'absent' });
    expect(await ask('aawiki', null, null)).toMatchObject({ kind: 'not_yet' });
    expect(await ask('aawiki', null, true)).toMatchObject({ kind: 'not_yet' });
  });

  test.each([
    'torn-json',
    'truncate',
    'reset',
  ] as const)('an answer that is cut off (%s) is an error, not half an export', async (kind) => {
    const { publish, ask, faults } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const fault = faults.add({ server: 'dumps', match: 'bzip2/', kind });
    await expect(ask('aawiki')).rejects.toMatchObject({ name: 'RetryableError' });
    expect(fault.fired).toBe(1);
    expect((await ask('aawiki')).kind).toBe('document');
  });
});

describe('sizes', () => {
  test.each<[Record<string, string>, number | null]>([
    [{ 'content-length': '5000000000' }, 5_000_000_000],
    [{ 'content-length': '70', 'content-encoding': 'gzip' }, null],
    [{ 'transfer-encoding': 'chunked' }, null],
  ])('a header %j means %j', async (headers, expected) => {
    const server = createServer((_req, res) => res.writeHead(200, headers).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())));
    onTestFinished(() => server.closeAllConnections());
    const { look } = await setup();
    const { upstream, signal } = look();
    const { port } = server.address() as AddressInfo;
    expect(await upstream.size(`http://127.0.0.1:${port}/x`, signal)).toBe(expected);
  });

  test('come from the header alone, null where there is none', async () => {
    const { publish, look, site, faults } = await setup();
    publish('aawiki', AFTER, RUN, whole('aawiki'));
    const { upstream, signal } = look();
    const folder = `${site.baseUrl}/other/mediawiki_content_current/aawiki/${RUN}/xml/bzip2/`;
    expect(await upstream.size(`${folder}${part('aawiki', 'p10p20')}`, signal)).toBe(6);
    expect(await upstream.size(`${folder}_SUCCESS`, signal)).toBe(0);
    expect(await upstream.size(`${folder}none`, signal)).toBeNull();
    const busy = faults.add({ server: 'dumps', match: 'HEAD', kind: 'status', status: 503, retryAfter: 7 });
    await expect(upstream.size(`${folder}_SUCCESS`, signal)).rejects.toMatchObject({ retryAfterMs: 7000 });
    const moved = faults.add({
      server: 'dumps',
      match: 'HEAD',
      kind: 'redirect',
      location: `${folder}_SUCCESS`,
      times: 9,
    });
    await expect(upstream.size(`${folder}_SUCCESS`, signal)).rejects.toMatchObject({
      code: 'refused_redirect',
    });
    expect([busy.fired, moved.fired]).toEqual([1, 4]);
  });
});

test('the life of an export: begun, growing, complete, made again, removed; the others are not asked', async () => {
  const root = join(temporaryFolder(), 'site');
  const tree = await generateDumpTree({
    dir: root,
    seed: 1,
    wikis: 3,
    sizeBytes: 400_000,
    runDates: ['20261001', RUN.replaceAll('-', '')],
    contentExports: ['current'],
  });
  const [db = '', ...others] = [...tree.dbnames].sort();
  const { site, clock, ask, scan, source, requests } = await setup({ root });
  const runDate = '2026-12-01';
  const decide = async (state: KnownRun | null) => {
    const found = await ask(db, state, true, { runDate });
    if (found.kind !== 'document') throw new Error(found.kind);
    return source.decide(found.document, { wikiDbName: db, runDate }, selection);
  };
  const kinds = async (states: Record<string, KnownRun>) => {
    const { seen } = await scan([...tree.dbnames], states, { runDate });
    return Object.fromEntries(Object.values(seen).map(({ wikiDbName, kind }) => [wikiDbName, kind]));
  };
  const none = (): KnownRun => known('in_progress', { hasDocument: false, checkedAt: clock.now() });

  clock.setWall(Date.parse('2026-12-02T00:00:00Z'));
  const script = await site.upstream.beginContent('current', db, runDate);
  expect(await kinds({ [db]: none() })).toMatchObject({ [db]: 'ask' });
  expect(await decide(null)).toMatchObject({ files: [], notices: [], refused: [], isFinished: false });

  const growing = known('in_progress', { hasDocument: true, checkedAt: clock.now() });
  clock.setWall(Date.parse('2026-12-03T00:00:00Z'));
  await script.show({ files: 1, sums: false, success: false });
  // Nothing of that shows in the listing of all wikis; the others have not begun, and are left in peace.
  const before = requests();
  expect(await kinds({ [db]: growing, ...Object.fromEntries(others.map((name) => [name, none()])) })).toEqual(
    {
      [db]: 'ask',
      ...Object.fromEntries(others.map((name) => [name, 'unchanged'])),
    },
  );
  expect(requests()).toBe(before + 1);
  expect((await decide(growing)).files.map(({ action }) => action)).toEqual(['wait']);

  await script.show({});
  const first = await decide(growing);
  expect(first).toMatchObject({ isFinished: true, notices: [], refused: [] });
  expect(first.files.length).toBe((await script.files()).length);
  const hashes = (decision: typeof first) =>
    decision.files.map((file) => (file.action === 'take' ? file.file.hashes.sha256 : null));
  for (const file of first.files) {
    const bytes = Buffer.from(
      await (await fetch(file.url ?? '', { headers: { 'user-agent': 'WikiSeed/test' } })).arrayBuffer(),
    );
    expect(bytes.length).toBe(file.sizeBytes);
    expect(hashes(first)).toContain(createHash('sha256').update(bytes).digest('hex'));
  }
  await script.rerun({ sameSize: true });
  const second = await decide(growing);
  expect(second.isFinished).toBe(true);
  expect(hashes(second).some((hash) => hashes(first).includes(hash))).toBe(false);

  await script.remove();
  expect(await ask(db, known('finished'), true, { runDate })).toEqual({
    wikiDbName: db,
    kind: 'absent',
    reason: 'upstream has removed this content export',
  });
});

describe.skipIf(fixtures() === null)('a real export', () => {
  test('is found, listed and judged as it stands', async () => {
    const { ask, source, scan, requests } = await setup({ root: fixtures() ?? '' });
    const runDate = '2026-01-01';
    expect((await scan(['aawiki'], {}, { runDate })).end.listedNames).toEqual(['aawiki']);
    const found = await ask('aawiki', null, true, { runDate });
    expect(requests()).toBe(3);
    if (found.kind !== 'document') throw new Error(found.kind);
    const decision = source.decide(found.document, { wikiDbName: 'aawiki', runDate }, selection);
    expect(decision).toMatchObject({ notices: [], refused: [], isFinished: true });
    expect(decision.files).toMatchObject([
      {
        filename: 'aawiki-2026-01-01-p1269p2402.xml.bz2',
        action: 'take',
        file: {
          dumpType: 'pages-meta-current',
          hashes: { sha256: 'bce37692c49d52e6a86d9f786d5533b719a186537503453d8dccd57251f7f096' },
        },
      },
    ]);
    const bytes = readFileSync(
      join(
        fixtures() ?? '',
        'other/mediawiki_content_current/aawiki/2026-01-01/xml/bzip2',
        decision.files[0]?.filename ?? '',
      ),
    );
    expect(decision.files[0]?.sizeBytes).toBe(bytes.length);
    expect(createHash('sha256').update(bytes).digest('hex')).toMatch(/^bce37692/);
  });
});
