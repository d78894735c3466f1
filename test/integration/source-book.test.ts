import { beforeEach, describe, expect, test } from 'vitest';
import type { DumpFile } from '../../src/catalog/index.ts';
import { type Db, schema } from '../../src/db/index.ts';
import { createMirrorStore } from '../../src/download/sources/mirror-store.ts';
import { createSourceBook } from '../../src/download/sources/source-book.ts';
import { createTraffic } from '../../src/download/sources/traffic.ts';
import type { ByteSource, FaultKind } from '../../src/download/sources/types.ts';
import { type Bus, createBus, type EventMap } from '../../src/events/index.ts';
import { DumpFileId, hours, minutes } from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: bulk bytes come from mirrors that do well, the origin is always there and is left alone when it says so, liars are set aside.
 * Method: the book over the real table, told of good and bad answers; a clock turned by hand, chance from a list.
 */

const UMEA = 'https://mirror.accum.se/mirror/wikimedia.org/dumps';
const YOUR = 'https://dumps.wikimedia.your.org';
const MB = 1_000_000;

const fileOf = (facts: Partial<DumpFile> = {}): DumpFile => {
  const wikiDbName = facts.wikiDbName ?? 'aawiki';
  const runDate = facts.runDate ?? '20261120';
  const filename = facts.filename ?? `${wikiDbName}-${runDate}-pages-articles.xml.bz2`;
  return {
    id: DumpFileId.parse(1),
    source: 'classic',
    wikiDbName,
    runDate,
    filename,
    sizeBytes: 500 * MB,
    wikimediaUrl: `https://dumps.wikimedia.org/${wikiDbName}/${runDate}/${filename}`,
    iaUrl: null,
    iaVerifiedAt: null,
    ...facts,
  } as DumpFile;
};
const ROW = fileOf();
const CONTENT_ROW = fileOf({
  source: 'content_current',
  runDate: '2026-11-01',
  filename: 'aawiki-2026-11-01-p1p9.xml.bz2',
  wikimediaUrl:
    'https://dumps.wikimedia.org/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/aawiki-2026-11-01-p1p9.xml.bz2',
});

let clock: FakeClock;
let db: Db;
let alerts: EventMap['alert:raised'][];
let bus: Bus;
beforeEach(() => {
  clock = new FakeClock();
  db = withDb();
  bus = createBus({ log: silentLog });
  alerts = [];
  bus.on('alert:raised', (alert) => alerts.push(alert));
  bus.on('alert:resolved', ({ key }) => {
    alerts = alerts.filter((alert) => alert.key !== key);
  });
});

function open(options: { mirrors?: string[]; chances?: number[]; connections?: number } = {}) {
  const { mirrors = [UMEA, YOUR], chances = [], connections = 2 } = options;
  const traffic = createTraffic();
  const book = createSourceBook({
    clock,
    log: silentLog,
    // Never an experiment, unless a test wants one.
    random: { next: () => chances.shift() ?? 0.99, hex: () => '' },
    store: createMirrorStore({ db, clock, log: silentLog }),
    traffic,
    bus,
    config: { mirrors, connections },
  });
  const ids = (row = ROW): string[] => book.sourcesFor(row).ready.map(({ id }) => id);
  const find = (id: string, row = ROW): ByteSource => {
    const source = book.sourcesFor(row).all.find((each) => each.id === id);
    if (source === undefined) throw new Error(`${id} is no source`);
    return source;
  };
  const fault = (id: string, kind: FaultKind, row = ROW, retryAfterMs?: number): void =>
    book.noteFault(find(id, row), row, { kind, retryAfterMs });
  /** A proved file, at so many bytes per second. */
  const good = (id: string, speed = 5 * MB, row = ROW): void => {
    book.noteBytes(find(id, row), { bytes: speed, durationMs: 1_000 });
    book.noteGood(find(id, row), row);
  };
  return { book, traffic, ids, find, fault, good };
}

describe('what a source is', () => {
  test('addresses: the origin’s own, below each mirror, and the archive’s when its copy was verified', () => {
    const { book } = open();
    const path = 'aawiki/20261120/aawiki-20261120-pages-articles.xml.bz2';
    const iaUrl = 'https://archive.org/download/item/file.bz2';
    const row = fileOf({ iaUrl, iaVerifiedAt: 1 });
    const originHost = 'dumps.wikimedia.org';
    const bytesPerSecond = null;
    expect(book.sourcesFor(row).all).toEqual([
      { id: UMEA, kind: 'mirror', url: `${UMEA}/${path}`, rangesAtOnce: 2, bytesPerSecond, originHost },
      { id: YOUR, kind: 'mirror', url: `${YOUR}/${path}`, rangesAtOnce: 2, bytesPerSecond, originHost },
      {
        ...{ id: 'origin', kind: 'origin', url: `https://dumps.wikimedia.org/${path}` },
        ...{ rangesAtOnce: 1, bytesPerSecond },
      },
      { id: 'archive', kind: 'archive', url: iaUrl, rangesAtOnce: 1 },
    ]);
    for (const unproved of [{ iaUrl }, { iaUrl: 'javascript:x', iaVerifiedAt: 1 }])
      expect(book.sourcesFor(fileOf(unproved)).all).toHaveLength(3);
  });

  test('content exports keep their path below the mirror, and one answer tells that a mirror has none', () => {
    const { find, fault, ids } = open();
    expect(find(UMEA, CONTENT_ROW).url).toBe(
      `${UMEA}/other/mediawiki_content_current/aawiki/2026-11-01/xml/bzip2/aawiki-2026-11-01-p1p9.xml.bz2`,
    );
    fault(UMEA, 'not_found', CONTENT_ROW);
    const other = fileOf({
      ...CONTENT_ROW,
      wikiDbName: 'bawiki',
      wikimediaUrl: CONTENT_ROW.wikimediaUrl.replaceAll('aawiki', 'bawiki'),
      filename: 'bawiki-2026-11-01-p1p9.xml.bz2',
    });
    expect(ids(other)).toEqual([YOUR, 'origin']);
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
  });

  test('an address that upstream should not have published is refused', () => {
    const row = fileOf({ wikimediaUrl: 'https://dumps.wikimedia.org/aawiki/20261120/../../etc/passwd' });
    expect(() => open().book.sourcesFor(row)).toThrow(expect.objectContaining({ code: 'unsafe_url' }));
  });
});

describe('order', () => {
  test('mirrors before the origin, as configured until they are known, then the fastest first', () => {
    const { ids, good } = open();
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
    good(UMEA, 2 * MB);
    good(YOUR, 8 * MB);
    expect(ids()).toEqual([YOUR, UMEA, 'origin']);
  });

  test('without mirrors there is the origin', () => {
    expect(open({ mirrors: [] }).ids()).toEqual(['origin']);
  });

  test('small files from the origin while it has a connection to spare', () => {
    const { ids, traffic } = open();
    const small = fileOf({ sizeBytes: 1024 * 1024 - 1 });
    expect(ids(small)).toEqual(['origin', UMEA, YOUR]);
    const ends = [traffic.open('origin'), traffic.open('origin')];
    expect(ids(small)).toEqual([UMEA, YOUR, 'origin']);
    ends[0]?.();
    expect(ids(small)).toEqual(['origin', UMEA, YOUR]);
    expect(ids(fileOf({ sizeBytes: 1024 * 1024 }))).toEqual([UMEA, YOUR, 'origin']);
  });

  test('a mirror that is much slower than the origin goes behind it', () => {
    const { ids, good } = open();
    good('origin', 4 * MB);
    good(UMEA, 0.4 * MB);
    expect(ids()).toEqual([YOUR, 'origin', UMEA]);
    // Slow, but so is everybody here.
    const slow = open();
    slow.good('origin', 0.8 * MB);
    slow.good(UMEA, 0.4 * MB);
    expect(slow.ids()).toEqual([UMEA, YOUR, 'origin']);
  });

  test('for one file in twelve another mirror comes first, the one that was not used for longest', async () => {
    const third = 'https://m.example';
    const { ids, good } = open({ mirrors: [UMEA, YOUR, third], chances: [0.99, 0.99, 0.08, 0.084] });
    const file = (id: number): DumpFile => fileOf({ id: DumpFileId.parse(id) });
    good(third, 2 * MB, file(1));
    await clock.advance(1_000);
    good(YOUR, 3 * MB, file(2));
    await clock.advance(1_000);
    good(UMEA, 4 * MB, file(1));
    // Drawn once: every part of a file is asked for in the same order.
    for (let part = 0; part < 3; part += 1) expect(ids(file(3))).toEqual([third, UMEA, YOUR, 'origin']);
    good(third, 2 * MB, file(3));
    expect(ids(file(3))).toEqual([third, UMEA, YOUR, 'origin']);
    for (const other of [4, 5, 1]) expect(ids(file(other))).toEqual([UMEA, YOUR, third, 'origin']);
  });

  test('one that stands behind the origin gets its chance, too', async () => {
    const { ids, fault } = open({ chances: [0.99, 0.01] });
    fault(UMEA, 'wrong_bytes');
    await clock.advance(hours(24));
    expect(ids()).toEqual([YOUR, 'origin', UMEA]);
    expect(ids(fileOf({ id: DumpFileId.parse(2) }))).toEqual([UMEA, YOUR, 'origin']);
  });

  test('a speed is an average in which a long time counts more than a moment', () => {
    const { book, find } = open();
    const source = find(UMEA);
    book.noteBytes(source, { bytes: 10 * MB, durationMs: 10_000 });
    book.noteBytes(source, { bytes: 1_000, durationMs: 5_000 });
    book.noteBytes(source, { bytes: 30 * MB, durationMs: 1_000 });
    book.stop();
    const [{ bytesPerSecond = 0 } = {}] = db.orm.select().from(schema.mirrors).all();
    expect(bytesPerSecond).toBeGreaterThan(1.3 * MB);
    expect(bytesPerSecond).toBeLessThan(1.7 * MB);
  });
});

describe('trouble', () => {
  test('a run that a mirror does not have is not asked for again for hours, others are', async () => {
    const { ids, fault } = open();
    fault(UMEA, 'not_found');
    expect(ids()).toEqual([YOUR, 'origin']);
    expect(ids(fileOf({ wikiDbName: 'bawiki' }))).toEqual([UMEA, YOUR, 'origin']);
    await clock.advance(hours(6));
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
  });

  test('three runs of a date that are not there: it does not have that date; a file of it ends that', async () => {
    const { ids, fault, good } = open();
    for (const wikiDbName of ['bawiki', 'cawiki', 'dawiki']) fault(UMEA, 'not_found', fileOf({ wikiDbName }));
    expect(ids()).toEqual([YOUR, 'origin']);
    expect(ids(fileOf({ runDate: '20261101' }))).toEqual([UMEA, YOUR, 'origin']);
    await clock.advance(hours(6));
    good(UMEA);
    expect(ids(fileOf({ wikiDbName: 'bawiki' }))).toEqual([UMEA, YOUR, 'origin']);
  });

  test.each(['wrong_size', 'too_long', 'changed'] as const)('%s: another version of the run', (kind) => {
    const { ids, fault } = open();
    fault(UMEA, kind);
    expect(ids()).toEqual([YOUR, 'origin']);
    expect(ids(fileOf({ wikiDbName: 'bawiki' }))).toEqual([UMEA, YOUR, 'origin']);
  });

  test('who sent wrong bytes is on probation for a day, then behind the origin until it has made up for it', async () => {
    const { ids, fault, good, book } = open();
    fault(UMEA, 'wrong_bytes');
    expect(ids()).toEqual([YOUR, 'origin']);
    expect(book.readyAt(ROW)).toBe(clock.now() + hours(24));
    await clock.advance(hours(24));
    expect(ids()).toEqual([YOUR, 'origin', UMEA]);
    for (let count = 0; count < 20; count += 1) good(UMEA);
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
  });

  test('who may have sent wrong bytes goes behind the origin until it has made up for it', async () => {
    const { ids, fault, good } = open();
    fault(UMEA, 'maybe_wrong');
    expect(ids()).toEqual([YOUR, 'origin', UMEA]);
    for (let count = 0; count < 20; count += 1) good(UMEA);
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
    fault('origin', 'maybe_wrong');
    expect(ids()).toContain('origin');
  });

  test('an overload lets it rest, longer each time, and lowers how many ranges it gets; good files raise it again', async () => {
    const { ids, fault, find, good } = open({ connections: 3 });
    fault(UMEA, 'overloaded');
    expect(ids()).toEqual([YOUR, 'origin']);
    await clock.advance(30_000);
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
    expect(find(UMEA).rangesAtOnce).toBe(1);
    fault(UMEA, 'overloaded');
    await clock.advance(59_000);
    expect(ids()).toEqual([YOUR, 'origin']);
    await clock.advance(1_000);
    fault(UMEA, 'overloaded', ROW, minutes(20));
    await clock.advance(minutes(20) - 1);
    expect(ids()).toEqual([YOUR, 'origin']);
    await clock.advance(1);
    for (let count = 0; count < 20; count += 1) good(UMEA);
    expect(find(UMEA).rangesAtOnce).toBe(2);
    for (let count = 0; count < 20; count += 1) good(UMEA);
    expect(find(UMEA).rangesAtOnce).toBe(3);
  });

  test('a Retry-After of a year is not obeyed for a year', async () => {
    const { ids, fault } = open();
    fault(UMEA, 'overloaded', ROW, hours(24 * 365));
    await clock.advance(hours(6));
    expect(ids()).toContain(UMEA);
  });

  test.each([
    ['forbidden', minutes(60)],
    ['encoded', hours(6)],
    ['refused_redirect', hours(6)],
    ['unreachable', 30_000],
  ] as const)('%s: a rest of %i ms', async (kind, restMs) => {
    const { ids, fault, book } = open();
    fault(UMEA, kind);
    expect(ids()).toEqual([YOUR, 'origin']);
    expect(book.readyAt(ROW)).toBe(clock.now() + restMs);
    await clock.advance(restMs);
    expect(ids()).toContain(UMEA);
    expect(book.readyAt(ROW)).toBeNull();
  });

  test.each(['broken_off', 'stalled', 'status', 'bad_range'] as const)('%s: three in a row', async (kind) => {
    const { ids, fault, good } = open();
    fault(UMEA, kind);
    fault(UMEA, kind);
    expect(ids()).toContain(UMEA);
    good(UMEA);
    fault(UMEA, kind);
    fault(UMEA, kind);
    expect(ids()).toContain(UMEA);
    fault(UMEA, kind);
    expect(ids()).toEqual([YOUR, 'origin']);
    await clock.advance(minutes(2));
    // It may be tried, but nobody waits for it.
    expect(ids()).toEqual([YOUR, 'origin', UMEA]);
  });

  test('who ignores ranges gets one request at a time', () => {
    const { find, fault } = open();
    fault(UMEA, 'no_ranges');
    expect(find(UMEA).rangesAtOnce).toBe(1);
  });
});

describe('the origin', () => {
  test('refused by it: left alone for an hour, somebody is told, mirrors go on; bytes from it end the alert', async () => {
    const { ids, fault, good, find } = open();
    const origin = find('origin');
    fault('origin', 'forbidden');
    expect(ids()).toEqual([UMEA, YOUR]);
    expect(alerts).toEqual([
      expect.objectContaining({ key: 'source:dumps.wikimedia.org', severity: 'error' }),
    ]);
    await clock.advance(minutes(60));
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
    expect(origin.rangesAtOnce).toBe(1);
    good('origin');
    expect(alerts).toEqual([]);
  });

  test('refused by it and nobody else there: the job stops its target for the rest of the hour', async () => {
    const { ids, fault, book } = open({ mirrors: [UMEA] });
    fault(UMEA, 'not_found');
    fault('origin', 'forbidden');
    expect(ids()).toEqual([]);
    expect(alerts).toEqual([]);
    await clock.advance(minutes(20));
    expect(book.readyAt(ROW)).toBe(clock.now() + minutes(40));
    expect(book.restError(ROW)).toMatchObject({
      name: 'HaltPipelineError',
      code: 'forbidden',
      pauseMs: minutes(40),
    });
    // An operator says "try again now".
    bus.emit('target:resumed', { target: 'internet_archive' });
    expect(ids()).toEqual([]);
    bus.emit('target:resumed', { target: 'dumps' });
    expect(ids()).toEqual(['origin']);
  });

  test('asked for a pause: kept, also when nobody else is there', async () => {
    const { ids, fault, book } = open({ mirrors: [] });
    fault('origin', 'overloaded', ROW, 90_000);
    expect(ids()).toEqual([]);
    expect(book.restError(ROW)).toMatchObject({ name: 'UnavailableError', retryAfterMs: 90_000 });
    await clock.advance(90_000);
    expect(ids()).toEqual(['origin']);
  });

  test('everyday trouble: mirrors meanwhile, but with nobody else it is asked', () => {
    for (const kind of ['unreachable', 'overloaded'] as const) {
      const { ids, fault } = open();
      fault('origin', kind);
      expect(ids()).toEqual([UMEA, YOUR]);
      const alone = open({ mirrors: [] });
      alone.fault('origin', kind);
      expect(alone.ids()).toEqual(['origin']);
    }
  });

  test('an error, silence or a body that broke off: a moment, longer each time, while mirrors are there', async () => {
    for (const kind of ['status', 'stalled', 'broken_off'] as const) {
      const { ids, fault, good, book } = open();
      for (const restMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
        fault('origin', kind);
        expect(book.readyAt(ROW, 'origin')).toBe(clock.now() + restMs);
        expect(ids()).toEqual([UMEA, YOUR]);
        await clock.advance(restMs);
        expect(ids()).toEqual([UMEA, YOUR, 'origin']);
      }
      good('origin', 1);
      fault('origin', kind);
      expect(book.readyAt(ROW, 'origin')).toBe(clock.now() + 1_000);
      const alone = open({ mirrors: [] });
      alone.fault('origin', kind);
      expect(alone.ids()).toEqual(['origin']);
    }
  });

  test('its wrong bytes are no lie', () => {
    const { ids, fault } = open();
    for (let count = 0; count < 5; count += 1) fault('origin', 'wrong_bytes');
    expect(ids()).toEqual([UMEA, YOUR, 'origin']);
  });
});

describe('what survives a restart', () => {
  const rows = () =>
    new Map(
      db.orm
        .select()
        .from(schema.mirrors)
        .all()
        .map((row) => [row.baseUrl, row]),
    );

  test('is written in batches, wrong bytes at once', async () => {
    const { good, fault } = open();
    good(UMEA);
    expect(rows().get(UMEA)).toMatchObject({ goodFiles: 0 });
    expect(clock.waiting).toBe(1);
    await clock.advance(15_000);
    expect(rows().get(UMEA)).toMatchObject({
      goodFiles: 1,
      bytesPerSecond: 5 * MB,
      newestRunDate: '20261120',
    });
    fault(YOUR, 'wrong_bytes');
    expect(rows().get(YOUR)).toMatchObject({
      badHashes: 1,
      lastFault: 'sent wrong bytes',
      lastFaultAt: clock.now(),
      probationUntil: clock.now() + hours(24),
    });
    expect(clock.waiting).toBe(0);
  });

  test('the newest run it had', async () => {
    const { book, good } = open();
    good(UMEA, MB, CONTENT_ROW);
    good(UMEA, MB, fileOf({ runDate: '20261020' }));
    book.stop();
    expect(rows().get(UMEA)).toMatchObject({ newestRunDate: '20261101', goodFiles: 2 });
  });

  test('standing and probation', async () => {
    const before = open();
    before.fault(UMEA, 'wrong_bytes');
    before.good(YOUR, 3 * MB);
    before.book.stop();
    const after = open();
    expect(after.ids()).toEqual([YOUR, 'origin']);
    await clock.advance(hours(24));
    expect(after.ids()).toEqual([YOUR, 'origin', UMEA]);
  });

  test('mirrors that are configured no more are inactive, and come back as they were', () => {
    const before = open();
    before.good(YOUR, 3 * MB);
    before.book.stop();
    open({ mirrors: [UMEA] }).book.stop();
    expect([...rows().values()].map(({ baseUrl, isActive }) => [baseUrl, isActive])).toEqual([
      [UMEA, true],
      [YOUR, false],
    ]);
    open({ mirrors: [] }).book.stop();
    expect([...rows().values()].every(({ isActive }) => !isActive)).toBe(true);
    open();
    expect(rows().get(YOUR)).toMatchObject({ isActive: true, bytesPerSecond: 3 * MB, goodFiles: 1 });
  });
});
