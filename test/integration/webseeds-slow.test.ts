// Goal: a server that trickles costs a torrent that server and nothing else: not the other webseeds, and no time of other torrents.
// Method: the room over real sockets and a clock that is turned by hand; servers that send a byte and then keep the rest.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Interrupted } from '../../src/lib/index.ts';
import { readMetainfo } from '../../src/lib/metainfo.ts';
import { createHttp, createNodeDisk, limitConnectionsPerHost, silentLog } from '../../src/ports/index.ts';
import { askRange } from '../../src/webseeds/ask-range.ts';
import { createChecker } from '../../src/webseeds/checker.ts';
import type { Prober } from '../../src/webseeds/probe.ts';
import { createWebseedStore } from '../../src/webseeds/webseed-store.ts';
import { type Answer, answeringHost, servingRanges } from '../helpers/answering-host.ts';
import { eventually } from '../helpers/eventually.ts';
import { type WebseedWorld, webseedRoom, webseedWorld } from '../helpers/webseed-bundle.ts';

const HOUR = 3_600_000;

/** Has every file. */
const serving =
  (world: WebseedWorld): Answer =>
  (request, response) => {
    const name = (request.url ?? '').split('/').at(-1) ?? '';
    servingRanges(world.files.get(name)?.bytes ?? Buffer.alloc(0))(request, response);
  };

/** The same; ranges of more than `mostBytes` begin and do not end. `begun` counts them. */
function trickling(world: WebseedWorld, mostBytes: number) {
  const facts = { begun: 0 };
  const answer: Answer = (request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const size = Number(to) - Number(from) + 1;
    if (size <= mostBytes) return serving(world)(request, response);
    const name = (request.url ?? '').split('/').at(-1) ?? '';
    const bytes = world.files.get(name)?.bytes ?? Buffer.alloc(0);
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${bytes.length}`,
      'content-length': size,
    });
    response.write(bytes.subarray(Number(from), Number(from) + 1), () => {
      facts.begun += 1;
    });
  };
  return { answer, facts };
}

const ENDS = 16 * 1024;
/** What a range of a piece may take, and a little. */
const RANGE_MS = 31_000;

test('two servers trickle: the others are looked at beside them, and what they have is written', async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const [all, pieces] = [trickling(world, 1), trickling(world, ENDS)];
  const slow = [await answeringHost(all.answer), await answeringHost(pieces.answer)];
  const good = await answeringHost(serving(world));
  // Has its turn when the good one is done.
  const last = await answeringHost((_request, response) => void response.writeHead(404).end());
  const mirrors = [...slow, good, last].map(({ url }) => url);
  const { check, room } = webseedRoom(world, { mirrors });
  const checked = check(torrent.id);
  await eventually(() => {
    expect([all.facts.begun, pieces.facts.begun, last.seen.length]).toEqual([1, 1, 1]);
    expect(world.clock.waiting).toBe(3);
  });
  await world.clock.advance(RANGE_MS);
  expect(await checked).toMatchObject({ isChanged: true, webseeds: [`${good.url}/`] });
  expect(room.webseedsOf(torrent.id).map(({ state, reason }) => [state, reason])).toEqual([
    ['unproved', expect.stringMatching(/too slow: \d+ of \d+ bytes of .* came in time/)],
    ['unproved', expect.stringMatching(/too slow: \d+ of \d+ bytes of .* came in time/)],
    ['working', null],
    ['dead', expect.stringContaining('404')],
    ['unproved', expect.stringContaining('ECONNREFUSED')],
  ]);
  expect((await readMetainfo(readFileSync(world.torrentFile(torrent)))).webseeds).toEqual([`${good.url}/`]);
  expect(world.clock.waiting).toBe(0);
});

test('one that worked and trickles now goes after three looks, though it still answers small questions', async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const { answer, facts } = trickling(world, ENDS);
  const host = await answeringHost(serving(world));
  const { check, room, died } = webseedRoom(world, { mirrors: [host.url] });
  expect(await check(torrent.id)).toMatchObject({ webseeds: [`${host.url}/`] });
  host.answer = answer;
  await world.clock.advance(31 * 24 * HOUR);
  for (const looks of [1, 2, 3]) {
    const checked = check(torrent.id);
    await eventually(() => expect(facts.begun).toBe(looks));
    await world.clock.advance(RANGE_MS);
    expect(await checked).toMatchObject({ webseeds: looks < 3 ? [`${host.url}/`] : [] });
    const row = room.webseedsOf(torrent.id).find(({ url }) => url.startsWith(host.url));
    expect([row?.failedLooks, row?.reason]).toEqual([looks, expect.stringContaining('too slow')]);
    await world.clock.advance(3.1 * HOUR);
  }
  expect(died).toEqual([
    expect.objectContaining({ url: `${host.url}/`, reason: expect.stringContaining('too slow') }),
  ]);
});

test('the look of a day finds out who trickles with everything but a byte', async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const { answer, facts } = trickling(world, 1);
  const host = await answeringHost(serving(world));
  const { check, room } = webseedRoom(world, { mirrors: [host.url] });
  await check(torrent.id);
  host.answer = answer;
  await world.clock.advance(25 * HOUR);
  const checked = check(torrent.id);
  await eventually(() => expect(facts.begun).toBe(1));
  await world.clock.advance(RANGE_MS);
  await checked;
  expect(room.webseedsOf(torrent.id)[0]).toMatchObject({ state: 'working', failedLooks: 1 });
});

test('a root has its time, and waiting for a place among the connections costs none of it', async () => {
  const world = webseedWorld();
  const { answer, facts } = trickling(world, 100);
  const host = await answeringHost(answer);
  const name = 'enwiki-20261120-redirect.sql.gz';
  const question = { url: `${host.url}/${name}`, path: name, fileSizeBytes: 777, from: 0 };
  const timeLeft = { ms: 600_000 };
  const { clock } = world;
  const wire = createHttp({ userAgent: 'test', clock });
  const signal = new AbortController().signal;
  const http = {
    async request(request: Parameters<typeof wire.request>[0]) {
      await clock.advance(HOUR);
      return wire.request(request);
    },
  };
  const ask = (sizeBytes: number) =>
    askRange({ http, clock }, { ...question, sizeBytes }, createHash('sha1'), timeLeft, signal);
  expect([await ask(100), timeLeft.ms]).toEqual([{ kind: 'good' }, 600_000]);
  timeLeft.ms = 5_000;
  const slow = ask(700);
  await eventually(() => expect(facts.begun).toBe(1));
  await clock.advance(4_999);
  expect(clock.waiting).toBe(1);
  await clock.advance(1);
  expect(await slow).toMatchObject({ kind: 'unproved', reason: expect.stringContaining('too slow') });
  expect([timeLeft.ms, clock.waiting]).toEqual([0, 0]);
});

test('the time of a torrent is up, too, while it waits for a connection that downloads have', {
  timeout: 15_000,
}, async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const busy = await answeringHost((_request, response) => {
    response.writeHead(200, { 'content-length': 1_000_000 }).write('x');
  });
  const good = await answeringHost(serving(world));
  const { clock } = world;
  const http = limitConnectionsPerHost(createHttp({ userAgent: 'test', clock }), 2);
  const downloads = [await http.request({ url: busy.url }), await http.request({ url: busy.url })];
  const { check, room } = webseedRoom(world, { mirrors: [busy.url, good.url] }, { http });
  const checked = check(torrent.id);
  await eventually(() => expect([good.seen.length > 0, clock.waiting]).toEqual([true, 1]));
  await clock.advance(14 * 60_000);
  expect(await checked).toMatchObject({ isChanged: true, webseeds: [`${good.url}/`] });
  expect(
    room.webseedsOf(torrent.id).map(({ state, reason }) => `${state} ${reason?.slice(0, 10) ?? ''}`),
  ).toEqual(['unproved it was not', 'working ', 'unproved no complet']);
  expect(busy.seen.length).toBe(2);
  for (const { discard } of downloads) discard();
});

test('the time of the watch is up: what it wrote by then is heard of, and the rest has its turn in the next hour', async () => {
  const world = webseedWorld();
  const [first, second] = [world.runTorrent(), world.cycleTorrent().torrent];
  const stuck = Promise.withResolvers<void>();
  let isStuck = true;
  const host = await answeringHost((request, response) => {
    if (!request.url?.includes(second.infoName)) return serving(world)(request, response);
    // Whoever is asked for the other torrent says nothing for now.
    if (isStuck) return stuck.resolve();
    response.writeHead(404).end();
  });
  const { watch, room } = webseedRoom(world, {
    ...{ order: ['mirrors', 'self'], mirrors: [host.url], publicBaseUrl: host.url },
  });
  const over = new AbortController();
  const watching = watch(over.signal);
  await stuck.promise;
  over.abort();
  expect(await watching).toEqual({ checked: 1, changed: [first.id], failed: 0 });
  expect(room.webseedsOf(second.id)).toEqual([]);
  // Nothing was written: the job says so.
  const again = new AbortController();
  again.abort();
  await expect(watch(again.signal)).rejects.toBeInstanceOf(Interrupted);
  isStuck = false;
  expect(await watch()).toEqual({ checked: 1, changed: [], failed: 0 });
  expect(room.webseedsOf(second.id).map(({ state }) => state)).toEqual(['dead']);
});

test('a look that waits for another look at the same torrent ends with its signal', {
  timeout: 15_000,
}, async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const asked = Promise.withResolvers<void>();
  let requests = 0;
  const host = await answeringHost(() => {
    requests += 1;
    asked.resolve();
  });
  const own = await answeringHost((_request, response) => void response.writeHead(404).end());
  const { check } = webseedRoom(world, {
    ...{ order: ['mirrors', 'self'], mirrors: [host.url], publicBaseUrl: own.url },
  });
  const [ofFirst, ofSecond, ofThird] = [new AbortController(), new AbortController(), new AbortController()];
  const first = check(torrent.id, ofFirst.signal);
  const second = check(torrent.id, ofSecond.signal);
  await asked.promise;
  ofSecond.abort();
  await expect(second).rejects.toBeInstanceOf(Interrupted);
  // Whoever comes now waits for the first all the same.
  const third = check(torrent.id, ofThird.signal);
  await check(world.cycleTorrent().torrent.id);
  expect(requests).toBe(1);
  ofFirst.abort();
  await expect(first).rejects.toBeInstanceOf(Interrupted);
  await eventually(() => expect(requests).toBe(2));
  ofThird.abort();
  await expect(third).rejects.toBeInstanceOf(Interrupted);
});

test('when the time of a torrent is up, what was seen is kept; who failed comes last the next time', async () => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const names = ['a', 'b', 'c', 'd', 'e'];
  const asked: string[] = [];
  let stuck: readonly string[] = ['b', 'c'];
  const prober: Prober = {
    look({ root }, _torrent, _closeness, _day, signal) {
      const name = /\/\/127.0.0.1:1\/(.)\//.exec(root)?.[1] ?? 'origin';
      asked.push(name);
      if (stuck.includes(name))
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Interrupted()), { once: true }),
        );
      return Promise.resolve(
        name === 'a'
          ? { kind: 'unproved' as const, reason: 'it is too slow' }
          : { kind: 'works' as const, isProved: true },
      );
    },
  };
  const { catalog, clock, layout } = world;
  const checker = createChecker({
    ...{ catalog, clock, layout, prober, store: createWebseedStore(world) },
    ...{ disk: createNodeDisk(), log: silentLog, bus: { emit: () => {} }, isHalted: () => false },
    config: {
      ...{ order: ['mirrors'], dumpsBaseUrl: 'http://127.0.0.1:1', iaSiteUrl: 'http://127.0.0.1:1' },
      ...{ mirrors: names.map((name) => `http://127.0.0.1:1/${name}`), publicBaseUrl: null },
    },
  });
  const ended = new AbortController();
  const first = checker.check(torrent, ended.signal);
  await eventually(() => expect(asked).toEqual([...names, 'origin']));
  await clock.advance(14 * 60_000);
  const found = await first;
  const states = found.rows.map(({ state, reason }) => `${state} ${reason?.slice(0, 10) ?? ''}`);
  const late = 'unproved it was not';
  expect(states).toEqual(['unproved it is too ', late, late, 'working ', 'working ', 'working ']);
  checker.record(found);
  stuck = [];
  asked.length = 0;
  await clock.advance(HOUR);
  await checker.check(torrent, ended.signal);
  expect(asked).toEqual(['b', 'c', 'a']);
  // With the time of the job it is another matter: nothing is known then.
  stuck = ['a'];
  await clock.advance(31 * 24 * HOUR);
  const interrupted = checker.check(torrent, ended.signal);
  await eventually(() => expect(asked.filter((name) => name === 'a').length).toBe(2));
  ended.abort();
  await expect(interrupted).rejects.toBeInstanceOf(Interrupted);
});
