// Goal: swarms are counted at real trackers over http and udp, and what is not known is never written as zero. Method: the tracker
// of bittorrent-tracker, opentracker, and trackers that lie, hang, refuse and answer garbage; a real database, real sockets.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hours, minutes } from '../../src/lib/index.ts';
import type { TorrentActivity } from '../../src/seeding/protocol.ts';
import { createFirstLook } from '../../src/seeding/statistics/first-look.ts';
import { readScrapeAnswer, scrapeAddress } from '../../src/seeding/statistics/http-scrape.ts';
import type { CountingEngine } from '../../src/seeding/statistics/statistics.ts';
import { readCounts } from '../../src/seeding/statistics/udp-scrape.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { has } from '../helpers/needs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import {
  announce,
  connectAnswer,
  hash,
  httpTracker,
  startOpentracker,
  startServer,
  udpTracker,
  withStatistics,
} from '../helpers/statistics-bundle.ts';

const never = (): AbortSignal => new AbortController().signal;
const START = '2026-11-21T00:00:00Z';

function activity(n: number, more: Partial<TorrentActivity> = {}): TorrentActivity {
  return {
    ...{ infoHash: hash(n), peers: 0, uploadedBytes: 0, uploadBytesPerSecond: 0, isReady: true },
    ...{ seeders: null, leechers: null, state: 'seeding', problem: null },
    ...more,
  };
}

function fakeEngine(activities: TorrentActivity[], name: CountingEngine['name'] = 'webtorrent') {
  const told: ReadonlyMap<string, number | null>[] = [];
  const engine = {
    ...{ name, restartCount: 0, activities, told },
    restarts: () => engine.restartCount,
    snapshot: async () => engine.activities,
    noteSeeders: (seeders: ReadonlyMap<string, number | null>) => void told.push(seeders),
  };
  return engine;
}

const bencoded = (entries: [number, string][]): Buffer =>
  Buffer.concat([
    Buffer.from('d5:filesd'),
    ...entries.flatMap(([n, text]) => [Buffer.from('20:'), Buffer.from(hash(n), 'hex'), Buffer.from(text)]),
    Buffer.from('ee'),
  ]);

describe('at real trackers', () => {
  test('http and udp: what they know of each torrent; one they do not know stays unknown', async () => {
    const server = await startServer();
    for (const port of [1001, 1002, 1003]) await announce(server.http, hash(1), port);
    await announce(server.http, hash(1), 1004, 5);
    await announce(server.http, hash(2), 1001);
    for (const tracker of [server.http, server.udp]) {
      const { scraper } = withStatistics();
      const torrents = [1, 2, 3].map((n) => ({ infoHash: hash(n), trackers: [tracker] }));
      const { said } = await scraper.ask(torrents, never());
      expect([tracker, said.get(hash(1))]).toEqual([
        tracker,
        [{ tracker, counts: { seeders: 3, leechers: 1, completed: expect.any(Number) } }],
      ]);
      expect(said.get(hash(2))?.[0]?.counts).toMatchObject({ seeders: 1, leechers: 0 });
    }
  });

  test('hundreds of torrents take few requests, and all are answered', async () => {
    const server = await startServer();
    for (let n = 1; n <= 200; n += 20) await announce(server.http, hash(n), 1000);
    for (const tracker of [server.http, server.udp]) {
      const { scraper, book } = withStatistics();
      const torrents = Array.from({ length: 200 }, (_, at) => ({
        infoHash: hash(at + 1),
        trackers: [tracker],
      }));
      const { said } = await scraper.ask(torrents, never());
      const known = [...said].filter(([, all]) => all[0]?.counts.seeders === 1).map(([infoHash]) => infoHash);
      expect(known.sort()).toEqual(Array.from({ length: 10 }, (_, at) => hash(1 + at * 20)));
      expect(book.note(tracker)).toMatchObject({ asked: 200, problem: null, resumeAfter: null });
    }
  });

  test.skipIf(!has('opentracker'))('opentracker, which serves only what is in its list', async () => {
    const { http, udp } = await startOpentracker([hash(1), hash(2)]);
    // It reads its list beside, and knows nobody before.
    await expect.poll(() => announce(http, hash(1), 20001)).toContain('interval');
    await announce(http, hash(1), 40002);
    await announce(http, hash(1), 60003, 7);
    expect(await announce(http, hash(9), 1001)).toContain('not authorized');
    for (const tracker of [http, udp]) {
      const { scraper, book } = withStatistics();
      const torrents = [1, 2, 9].map((n) => ({ infoHash: hash(n), trackers: [tracker] }));
      const { said } = await scraper.ask(torrents, never());
      expect([tracker, book.note(tracker)?.problem]).toEqual([tracker, null]);
      expect([...said.keys()]).toEqual([hash(1)]);
      expect(said.get(hash(1))?.[0]?.counts).toMatchObject({ seeders: 2, leechers: 1 });
    }
  });
});

describe('trackers that do not behave', () => {
  test.each<[string, () => Parameters<typeof httpTracker>[0], RegExp]>([
    ['a page', () => (_request, response) => response.end('<html>hello</html>'), /not one to a scrape/],
    ['nothing', () => (_request, response) => response.end(''), /not one to a scrape/],
    ['an empty dictionary', () => (_request, response) => response.end('de'), /names no files/],
    [
      'an error',
      () => (_request, response) => response.writeHead(500).end(bencoded([[1, 'd8:completei9ee']])),
      /status 500/,
    ],
    [
      'half of it',
      () => (_request, response) => {
        response.writeHead(200, { 'content-length': '500' });
        response.write('d5:files');
        response.destroy();
      },
      /./,
    ],
    [
      'too much',
      () => (_request, response) => response.end(Buffer.alloc(2_000_000, 'd')),
      /too_large|more than/,
    ],
    [
      'a way to somebody else',
      () => (_request, response) => response.writeHead(302, { location: 'http://127.0.0.2:9/scrape' }).end(),
      /./,
    ],
  ])('http, with %s: unknown, and the reason is kept', async (_what, answer, reason) => {
    const tracker = await httpTracker(answer());
    const { statistics, book, addTorrent, rows } = withStatistics();
    addTorrent(1, [tracker.url]);
    expect(await statistics.look(never())).toEqual({ torrents: 1, known: 0 });
    expect(tracker.asked).toHaveLength(1);
    expect(rows(1)).toEqual([]);
    const { problem } = book.note(tracker.url) ?? {};
    expect(`${problem?.code} ${problem?.message}`).toMatch(reason);
  });

  test.each<[string, string]>([
    ['less than none', 'd8:completei-1e10:incompletei0ee'],
    ['a text', 'd8:complete1:0e'],
    ['no number at all', 'd10:incompletei0ee'],
    ['more than there are people', 'd8:completei99999999999ee'],
    ['a list', 'le'],
  ])('http, with %s instead of a number: unknown, and other torrents are believed', async (_what, text) => {
    const body = bencoded([
      [1, text],
      [2, 'd8:completei3e10:downloadedi0e10:incompletei0ee'],
    ]);
    const tracker = await httpTracker((_request, response) => response.end(body));
    const { statistics, addTorrent, rows } = withStatistics();
    addTorrent(1, [tracker.url]);
    addTorrent(2, [tracker.url]);
    await statistics.look(never());
    expect(rows(1)).toEqual([]);
    expect(rows(2)).toEqual([{ seeders: 3, leechers: 0, uploaded: null, source: tracker.url }]);
  });

  test('one that serves only its own list is left alone for a day, any other for half an hour', async () => {
    const clock = new FakeClock(START);
    const closed = await httpTracker((_request, response) =>
      response.end('d14:failure reason31:Torrent not registered here \u0007oke'),
    );
    const busy = await httpTracker((_request, response) => response.end('d14:failure reason8:too busye'));
    const { scraper, book } = withStatistics({ clock });
    const torrents = [{ infoHash: hash(1), trackers: [closed.url, busy.url] }];
    const asked = (): number[] => [closed.asked.length, busy.asked.length];
    await scraper.ask(torrents, never());
    expect(book.note(closed.url)?.problem).toEqual({
      code: 'tracker_refused',
      message: expect.stringMatching(/^Torrent not registered here ok/),
    });
    await clock.advance(minutes(29));
    await scraper.ask(torrents, never());
    expect(asked()).toEqual([1, 1]);
    await clock.advance(minutes(2));
    await scraper.ask(torrents, never());
    expect(asked()).toEqual([1, 2]);
    await clock.advance(hours(23));
    await scraper.ask(torrents, never());
    expect(asked()).toEqual([1, 3]);
    await clock.advance(minutes(40));
    await scraper.ask(torrents, never());
    expect(asked()).toEqual([2, 4]);
  });

  test('udp: silence is asked twice and then given up; an unfit answer and an error are told', async () => {
    const clock = new FakeClock(START);
    const silent = await udpTracker(() => []);
    const { scraper, book } = withStatistics({ clock });
    const first = silent.next();
    const looking = scraper.ask([{ infoHash: hash(1), trackers: [silent.url] }], never());
    await first;
    const second = silent.next();
    await clock.advance(15_000);
    await second;
    await clock.advance(30_000);
    expect((await looking).said.size).toBe(0);
    expect(silent.asked).toHaveLength(2);
    expect(book.note(silent.url)?.problem?.code).toBe('tracker_timeout');

    const short = await udpTracker((message) => {
      const known = connectAnswer(message);
      return [known ?? Buffer.concat([Buffer.from('00000002', 'hex'), message.subarray(12, 16)])];
    });
    const refusing = await udpTracker((message) => [
      Buffer.concat([Buffer.from('00000003', 'hex'), message.subarray(12, 16), Buffer.from('go away')]),
    ]);
    const other = withStatistics();
    await other.scraper.ask([{ infoHash: hash(1), trackers: [short.url, refusing.url] }], never());
    expect(other.book.note(short.url)?.problem?.code).toBe('tracker_answer_bad');
    expect(other.book.note(refusing.url)?.problem).toEqual({ code: 'tracker_refused', message: 'go away' });
  });

  test('udp: what answers no question of ours is passed over', async () => {
    const tracker = await udpTracker((message) => {
      const noise = [Buffer.alloc(0), Buffer.from('noise'), Buffer.alloc(200, 0)];
      const known = connectAnswer(message);
      if (known !== null) return [...noise, known];
      const counts = Buffer.from('00000005'.concat('00000007', '00000002'), 'hex');
      return [...noise, Buffer.concat([Buffer.from('00000002', 'hex'), message.subarray(12, 16), counts])];
    });
    const { scraper } = withStatistics();
    const { said } = await scraper.ask([{ infoHash: hash(1), trackers: [tracker.url] }], never());
    expect(said.get(hash(1))?.[0]?.counts).toEqual({ seeders: 5, leechers: 2, completed: 7 });
  });

  test('a look that is told to stop does so at once, and asks no tracker again right after it', async () => {
    const silent = await udpTracker(() => []);
    const hanging = await httpTracker(() => {});
    const { statistics, make, addTorrent, rows, store } = withStatistics();
    addTorrent(1, [silent.url, hanging.url]);
    await store.write(
      [{ torrentId: 1, seeders: 4, leechers: 1, completed: null, uploadedBytes: 5, source: 'x' }],
      1,
    );
    const stop = new AbortController();
    const asked = silent.next();
    const looking = statistics.look(stop.signal);
    await asked;
    stop.abort();
    await expect(looking).rejects.toMatchObject({ code: 'interrupted' });
    // Another process, a moment later: what was known stays the newest.
    expect(await make().statistics.look(never())).toEqual({ torrents: 1, known: 0 });
    expect([silent.asked.length, rows(1).length]).toEqual([1, 1]);
  });

  test('one that is not asked again so soon takes nothing from what the engine knows of the need', async () => {
    const server = await startServer();
    for (const port of [1001, 1002]) await announce(server.http, hash(1), port);
    const engine = fakeEngine([]);
    const { statistics, addTorrent, make } = withStatistics({ engine });
    addTorrent(1, [server.http]);
    addTorrent(2, []);
    expect(statistics.lastLookAt()).toBeNull();
    await statistics.look(never());
    // Another process, which may not ask again within half an hour.
    await make().statistics.look(never());
    expect(engine.told.map((told) => [...told])).toEqual([
      [
        [hash(1), 2],
        [hash(2), null],
      ],
      [[hash(2), null]],
    ]);
  });

  test('one that hangs is given up after five minutes, and the others are heard', async () => {
    const clock = new FakeClock(START);
    const server = await startServer();
    await announce(server.http, hash(1), 1001);
    let onAsked = (): void => {};
    const asked = new Promise<void>((resolve) => {
      onAsked = resolve;
    });
    // It goes on sending, so that no silence ends it.
    const endless = await httpTracker((_request, response) => {
      response.write('d5:filesd');
      onAsked();
    });
    const { scraper, book } = withStatistics({ clock });
    const looking = scraper.ask([{ infoHash: hash(1), trackers: [endless.url, server.http] }], never());
    await asked;
    await clock.advance(minutes(5));
    expect([...(await looking).said.values()]).toMatchObject([
      [{ tracker: server.http, counts: { seeders: 1 } }],
    ]);
    expect(book.note(endless.url)?.problem?.code).toBe('tracker_slow');
  });

  test('one that breaks off is asked for the rest first, next time', async () => {
    const clock = new FakeClock(START);
    let left = 1;
    const tracker = await httpTracker((request, response) => {
      left -= 1;
      const asked = [...(request.url ?? '').matchAll(/info_hash=([^&]+)/g)].map(([, text]) =>
        Number.parseInt((text as string).replaceAll('%', '').slice(-6), 16),
      );
      if (left < 0) response.writeHead(503).end();
      else response.end(bencoded(asked.map((n) => [n, 'd8:completei2ee'])));
    });
    const { scraper, book } = withStatistics({ clock });
    const torrents = Array.from({ length: 60 }, (_, at) => ({
      infoHash: hash(at + 1),
      trackers: [tracker.url],
    }));
    expect((await scraper.ask(torrents, never())).said.size).toBe(25);
    expect(book.note(tracker.url)).toMatchObject({
      known: 25,
      resumeAfter: hash(25),
      problem: { code: 'http_503' },
    });
    left = 100;
    await clock.advance(minutes(31));
    expect((await scraper.ask(torrents, never())).said.size).toBe(60);
    expect(tracker.asked[2]).toContain('00%1a');
    expect(tracker.asked.every((url) => url.length < 2000)).toBe(true);
  });
});

describe('garbage never becomes a number', () => {
  test('over http', () => {
    const good = bencoded([
      [1, 'd8:completei3e10:downloadedi9e10:incompletei1ee'],
      [2, 'd8:completei5e10:downloadedi9e10:incompletei1ee'],
    ]);
    let bad = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
          fc.nat(good.length).map((end) => good.subarray(0, end)),
          fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
            const bytes = Buffer.from(good);
            bytes[at] = byte;
            return bytes;
          }),
        ),
        (body) => {
          try {
            // A digit may become a 0, and that is then what was said.
            for (const { seeders } of readScrapeAnswer(body, [hash(1), hash(2), hash(3)]).counts.values())
              expect(seeders === 0 ? body.includes('8:completei0e') : (seeders ?? 0) > 0).toBe(true);
          } catch (error) {
            bad += 1;
            expect(['tracker_answer_bad', 'tracker_refused']).toContain((error as { code?: string }).code);
          }
        },
      ),
      { numRuns: 3000 },
    );
    expect(bad).toBeGreaterThan(100);
  });

  test('over udp: three zeros say that it is not known, and no number is beyond what can be', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 24 }), (bytes) => {
        const counts = readCounts(Buffer.from(bytes), [hash(1), hash(2)]);
        for (const [infoHash, said] of counts) {
          expect([hash(1), hash(2)]).toContain(infoHash);
          expect(said.seeders).toBeLessThanOrEqual(10_000_000);
        }
      }),
    );
    expect(readCounts(Buffer.alloc(12), [hash(1)]).size).toBe(0);
    expect(readCounts(Buffer.alloc(12, 0xff), [hash(1)]).size).toBe(0);
  });
});

test.each([
  ['http://example.org/announce', 'http://example.org/scrape'],
  ['http://example.org/x/announce?a=1/2', 'http://example.org/x/scrape?a=1/2'],
  ['http://example.org/announce.php?pass=%2F', 'http://example.org/scrape.php?pass=%2F'],
  ['https://example.org:8443/a', null],
  ['http://example.org/announce/x', null],
  ['http://example.org/x%064announce', null],
  ['http://example.org/?announce', null],
])('%s is asked for numbers at %s', (tracker, address) => {
  expect(scrapeAddress(tracker)).toBe(address);
});

describe('what is written down', () => {
  const counting = (n: number) =>
    httpTracker((_request, response) => response.end(bencoded([[1, `d8:completei${n}e10:incompletei1ee`]])));

  test('the highest of all places, ourselves apart, and where it is from', async () => {
    const [few, many] = [await counting(3), await counting(6)];
    const engine = fakeEngine([activity(1, { seeders: 2, leechers: 4, uploadedBytes: 10 })]);
    const { statistics, addTorrent, rows } = withStatistics({ engine });
    addTorrent(1, [few.url, many.url, 'wss://example.org', 'http://example.org/a', 'nonsense']);
    expect(await statistics.look(never())).toEqual({ torrents: 1, known: 1 });
    expect(rows(1)).toEqual([{ seeders: 5, leechers: 4, uploaded: 10, source: many.url }]);
    expect(engine.told).toEqual([new Map([[hash(1), 5]])]);
  });

  test('ourselves are taken off while a tracker may still count us, and not later, nor where we never were', async () => {
    const clock = new FakeClock(START);
    const tracker = await counting(4);
    const engine = fakeEngine([activity(1)]);
    const { statistics, addTorrent, rows } = withStatistics({ clock, engine });
    addTorrent(1, [tracker.url]);
    const look = async (): Promise<number | null | undefined> => {
      await statistics.look(never());
      return rows(1).at(-1)?.seeders;
    };
    expect(await look()).toBe(3);
    engine.activities = [activity(1, { state: 'resting' })];
    await clock.advance(hours(1));
    expect(await look()).toBe(3);
    await clock.advance(hours(6));
    expect(await look()).toBe(4);

    // Seeded by our last process, which ended a moment ago.
    const fresh = withStatistics({ clock, engine: null });
    fresh.addTorrent(1, [tracker.url], { seeding_since: 1 });
    await fresh.statistics.look(never());
    expect(fresh.rows(1)).toMatchObject([{ seeders: 3 }]);
    await clock.advance(hours(6));
    await fresh.statistics.look(never());
    expect(fresh.rows(1).at(-1)).toMatchObject({ seeders: 4 });
  });

  test('unknown is written once, and retired torrents are not asked for', async () => {
    const clock = new FakeClock(START);
    let body = bencoded([[1, 'd8:completei2ee']]);
    const tracker = await httpTracker((_request, response) => response.end(body));
    const { statistics, addTorrent, rows } = withStatistics({ clock });
    addTorrent(1, [tracker.url]);
    addTorrent(2, [tracker.url], { retired_at: 5 });
    await statistics.look(never());
    body = Buffer.from('nonsense');
    for (let look = 0; look < 3; look += 1) {
      await clock.advance(hours(6));
      await statistics.look(never());
    }
    expect(rows(1).map(({ seeders }) => seeders)).toEqual([2, null]);
    expect(tracker.asked).toHaveLength(4);
    expect(tracker.asked.some((url) => url.endsWith('02'))).toBe(false);
  });

  test('what was given is added up over restarts of the thread, of the process, and of both', async () => {
    const clock = new FakeClock(START);
    const engine = fakeEngine([activity(1, { uploadedBytes: 100 })]);
    const world = withStatistics({ clock, engine });
    world.addTorrent(1, []);
    const total = async (statistics = world.statistics): Promise<number | null | undefined> => {
      await statistics.look(never());
      return world.rows(1).at(-1)?.uploaded;
    };
    expect(await total()).toBe(100);
    engine.activities = [activity(1, { uploadedBytes: 150 })];
    expect(await total()).toBe(150);
    // The thread was replaced, and gave more than before already.
    engine.restartCount = 1;
    engine.activities = [activity(1, { uploadedBytes: 400 })];
    expect(await total()).toBe(550);
    engine.activities = [activity(1, { uploadedBytes: 500 })];
    await world.statistics.keep();
    // Another process, whose engine begins at nothing.
    const next = world.make().statistics;
    engine.restartCount = 0;
    engine.activities = [activity(1, { uploadedBytes: 7 })];
    expect(await total(next)).toBe(657);
    // One that is not seeded for a while keeps what it had.
    engine.activities = [];
    expect(await total(next)).toBe(657);
  });

  test('a program beside us counts on while we are away', async () => {
    const engine = fakeEngine([activity(1, { uploadedBytes: 100 })], 'qbittorrent');
    const world = withStatistics({ engine });
    world.addTorrent(1, []);
    await world.statistics.look(never());
    engine.activities = [activity(1, { uploadedBytes: 130 })];
    await world.make().statistics.look(never());
    expect(world.rows(1).map(({ uploaded }) => uploaded)).toEqual([100, 130]);
  });

  test('an engine that does not answer costs nothing but its own numbers', async () => {
    const tracker = await counting(2);
    const engine = { ...fakeEngine([]), snapshot: () => Promise.reject(new Error('down')) };
    const { statistics, addTorrent, rows } = withStatistics({ engine });
    addTorrent(1, [tracker.url]);
    await statistics.look(never());
    expect(rows(1)).toEqual([{ seeders: 2, leechers: 1, uploaded: null, source: tracker.url }]);
  });
});

describe('the first look', () => {
  test('is asked for some minutes after something is served, once, unless there was one lately', async () => {
    const clock = new FakeClock(START);
    const { statistics, addTorrent, make } = withStatistics({ clock });
    const asked: number[] = [];
    const first = (): (() => void) =>
      createFirstLook({
        ...{ clock, random: seededRandom(1), lastLookAt: make().statistics.lastLookAt },
        ...{ intervalMs: hours(6), ask: (delayMs) => void asked.push(delayMs) },
      });
    // A look at nothing is none.
    await statistics.look(never());
    const served = first();
    served();
    served();
    expect(asked).toEqual([expect.toSatisfy((ms: number) => ms >= minutes(5) && ms < minutes(10))]);
    addTorrent(1, []);
    await statistics.look(never());
    const next = first();
    next();
    expect(asked).toHaveLength(1);
    await clock.advance(hours(6));
    next();
    expect(asked).toHaveLength(2);
  });
});
