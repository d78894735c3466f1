// Goal: only roots that a BitTorrent client can use are written into a torrent, nothing else of it changes, and a bad hour of a server
// takes none away. Method: the room over real sockets; the sandbox's mirror serves the very folder of the held files.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import bencode from 'bencode';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Torrent } from '../../src/catalog/index.ts';
import { readMetainfo } from '../../src/lib/metainfo.ts';
import { type Mirror, startMirror } from '../../src/sandbox/index.ts';
import { answeringHost, servingRanges } from '../helpers/answering-host.ts';
import { rot } from '../helpers/rot.ts';
import { type WebseedWorld, webseedRoom, webseedWorld } from '../helpers/webseed-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const HOUR = 3_600_000;

async function mirrorOf(root: string, basePath = '/mirror/dumps'): Promise<Mirror> {
  const mirror = await startMirror({ root, name: 'mirror-1', basePath });
  onTestFinished(() => mirror.stop());
  return mirror;
}

/** A run with its torrent, a mirror that has it, and a dump site that nobody answers for. */
async function setup() {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const mirror = await mirrorOf(world.layout.dumps);
  return { world, torrent, mirror, root: `${mirror.baseUrl}/` };
}

/** SHA-1 of the info dictionary as an independent reader cuts it out. */
function infoHashOf(bytes: Buffer): string {
  const { info } = bencode.decode(bytes) as { info: Parameters<typeof bencode.encode>[0] };
  const encoded = Buffer.from(bencode.encode(info));
  expect(bytes.includes(encoded)).toBe(true);
  return createHash('sha1').update(encoded).digest('hex');
}

const listed = async (world: WebseedWorld, torrent: Torrent): Promise<string[]> =>
  (await readMetainfo(readFileSync(world.torrentFile(torrent)))).webseeds;

describe('a root that works', () => {
  test('is written into the torrent and its link, and nothing else of it changes', async () => {
    const { world, torrent, mirror, root } = await setup();
    const before = readFileSync(world.torrentFile(torrent));
    const { check, room } = webseedRoom(world, { mirrors: [mirror.baseUrl] });
    expect(await check(torrent.id)).toMatchObject({ isChanged: true, webseeds: [root] });
    const after = readFileSync(world.torrentFile(torrent));
    const { 'url-list': urls, ...rest } = bencode.decode(after) as Record<string, unknown>;
    expect((urls as Uint8Array[]).map((url) => Buffer.from(url).toString())).toEqual([root]);
    expect(rest).toEqual(bencode.decode(before));
    expect([infoHashOf(after), (await readMetainfo(after)).infoHash]).toEqual([
      torrent.infoHash,
      torrent.infoHash,
    ]);
    const row = world.catalog.torrent(torrent.id) as Torrent;
    expect(row.webseeds).toEqual([root]);
    expect(new URL(row.magnetLink).searchParams.getAll('ws')).toEqual([root]);
    expect(new URL(row.magnetLink).searchParams.get('dn')).toBe('enwiki');
    expect(room.webseedsOf(torrent.id).map(({ url, state }) => [url, state])).toEqual([
      [root, 'working'],
      ['http://127.0.0.1:1/', 'unproved'],
    ]);
    // Whole pieces were asked for, and never a whole file.
    expect(new Set(mirror.requestLog().map(({ status }) => status))).toEqual(new Set([206]));
    expect(mirror.requestLog().length).toBeGreaterThanOrEqual(4);
    // Asked again at once, nothing is asked for and nothing changes.
    mirror.resetCounters();
    expect(await check(torrent.id)).toMatchObject({ isChanged: false });
    expect(mirror.requestLog()).toEqual([]);
    expect(readFileSync(world.torrentFile(torrent)).equals(after)).toBe(true);
  });

  test('comes back into a torrent that was made again without it, and nobody is asked for that', async () => {
    const { world, torrent, mirror, root } = await setup();
    const before = readFileSync(world.torrentFile(torrent));
    const { check } = webseedRoom(world, { mirrors: [mirror.baseUrl] });
    await check(torrent.id);
    mirror.resetCounters();
    writeFileSync(world.torrentFile(torrent), before);
    expect(await check(torrent.id)).toMatchObject({ isChanged: true });
    expect([await listed(world, torrent), mirror.requestLog()]).toEqual([[root], []]);
  });

  test('goes when the configuration does not name it any more', async () => {
    const { world, torrent, mirror } = await setup();
    await webseedRoom(world, { mirrors: [mirror.baseUrl] }).check(torrent.id);
    const { check, room } = webseedRoom(world, { order: ['self'] });
    expect(await check(torrent.id)).toMatchObject({ isChanged: true, webseeds: [] });
    expect([await listed(world, torrent), room.webseedsOf(torrent.id)]).toEqual([[], []]);
  });

  test('is reached over a redirect, as the Internet Archive answers', async () => {
    const { world, torrent, mirror } = await setup();
    const archive = await answeringHost((request, response) => {
      response
        .writeHead(302, { location: `${mirror.baseUrl}${(request.url ?? '').replace('/download/item', '')}` })
        .end();
    });
    for (const [name, { id }] of world.files)
      world.catalog.recordUploaded(id, {
        iaIdentifier: 'item',
        iaUrl: `${archive.url}/download/item/enwiki/20261120/${name}`,
      });
    const { check } = webseedRoom(world, { order: ['internet_archive'], iaSiteUrl: archive.url });
    expect(await check(torrent.id)).toMatchObject({ webseeds: [`${archive.url}/download/item/`] });
  });

  test('one file in another item, and there is no root at the archive', async () => {
    const { world, torrent } = await setup();
    for (const [at, [name, { id }]] of [...world.files].entries()) {
      const item = at === 0 ? 'item-2' : 'item';
      world.catalog.recordUploaded(id, {
        iaIdentifier: item,
        iaUrl: `http://127.0.0.1:1/download/${item}/enwiki/20261120/${name}`,
      });
    }
    const { check } = webseedRoom(world, { order: ['internet_archive'] });
    expect(await check(torrent.id)).toMatchObject({ rows: [], webseeds: [] });
  });
});

describe('a root that does not work is not written, and the reason is said', () => {
  const reasonOf = async (
    world: WebseedWorld,
    torrent: Torrent,
    mirror: string,
  ): Promise<[string, string]> => {
    const { check } = webseedRoom(world, { mirrors: [mirror] });
    const { rows, webseeds } = await check(torrent.id);
    expect(webseeds).toEqual([]);
    const row = rows.find(({ url }: { url: string }) => url.startsWith(mirror));
    return [row.state, row.reason];
  };

  test('the address of a file is no root', async () => {
    const { world, torrent, mirror } = await setup();
    const file = `${mirror.baseUrl}/enwiki/20261120/enwiki-20261120-page.sql.gz`;
    // Whoever asks it for a range gets the very bytes: only its form tells.
    const [state, reason] = await reasonOf(world, torrent, file);
    expect([state, reason]).toEqual([
      'dead',
      expect.stringMatching(/address of one file .*page\.sql\.gz.*a webseed is a root/),
    ]);
    expect(mirror.requestLog()).toEqual([]);
  });

  test.each([
    [
      'has nothing of it',
      async () => (await mirrorOf(temporaryFolder())).baseUrl,
      /^it has no 20261120\/.* \(404\)$/,
    ],
    [
      'ignores ranges',
      async () =>
        (await answeringHost((_request, response) => void response.writeHead(200).end('x'.repeat(100)))).url,
      /whole file: clients would fetch all of it/,
    ],
    [
      'has files of another size',
      async () => (await answeringHost(servingRanges(Buffer.alloc(900_000)))).url,
      /has 900000 bytes instead of \d+/,
    ],
    [
      'refuses us',
      async () => (await answeringHost((_request, response) => void response.writeHead(403).end())).url,
      /^it refuses .* \(403\)$/,
    ],
  ])('a host that %s', async (_what, host, reason) => {
    const { world, torrent } = await setup();
    expect(await reasonOf(world, torrent, await host())).toEqual(['dead', expect.stringMatching(reason)]);
  });

  test('one flipped bit in every piece of the largest file', async () => {
    const { world, torrent, mirror } = await setup();
    const large = world.files.get('enwiki-20261120-pages-articles.xml.bz2');
    for (let at = 10; at < (large?.bytes.length ?? 0); at += 30_000) rot(large?.path ?? '', at);
    expect(await reasonOf(world, torrent, mirror.baseUrl)).toEqual([
      'dead',
      expect.stringMatching(/other bytes than the torrent has: piece \d+ .*pages-articles/),
    ]);
  });

  test('a host that asks for a pause is unproved, and left alone for so long', async () => {
    const { world, torrent } = await setup();
    const host = await answeringHost(
      (_request, response) => void response.writeHead(503, { 'retry-after': '7200' }).end(),
    );
    const { check } = webseedRoom(world, { mirrors: [host.url] });
    const find = (rows: { url: string }[]) => rows.find(({ url }) => url.startsWith(host.url));
    expect(find((await check(torrent.id)).rows)).toMatchObject({
      state: 'unproved',
      reason: expect.stringContaining('503'),
    });
    expect(host.seen.length).toBe(1);
    await world.clock.advance(HOUR);
    await check(torrent.id);
    expect(host.seen.length).toBe(1);
    await world.clock.advance(1.1 * HOUR);
    await check(torrent.id);
    expect(host.seen.length).toBe(2);
  });
});

describe('a root that worked', () => {
  const small = async () => {
    const { world, torrent, mirror, root } = await setup();
    const bundle = webseedRoom(world, { mirrors: [mirror.baseUrl] });
    await bundle.check(torrent.id);
    const state = () => bundle.room.webseedsOf(torrent.id).find(({ url }) => url === root);
    return { ...bundle, world, torrent, mirror, root, state };
  };

  test('stays through two bad looks, goes with the third, and comes back when it works', async () => {
    const { world, torrent, mirror, root, check, state, died } = await small();
    const gone = mirror.faults.add({ server: 'mirror-1', match: '', kind: 'vanish' });
    await world.clock.advance(21 * HOUR);
    for (const looks of [1, 2]) {
      await check(torrent.id);
      expect([state()?.state, state()?.failedLooks, await listed(world, torrent)]).toEqual([
        'working',
        looks,
        [root],
      ]);
      await world.clock.advance(3.1 * HOUR);
    }
    expect(died).toEqual([]);
    expect(await check(torrent.id)).toMatchObject({ isChanged: true });
    expect([state()?.state, await listed(world, torrent)]).toEqual(['dead', []]);
    expect(died).toEqual([
      expect.objectContaining({ url: root, isExpected: false, reason: expect.stringContaining('404') }),
    ]);
    expect(gone.fired).toBe(3);
    mirror.faults.clear();
    await world.clock.advance(21 * HOUR);
    expect(await check(torrent.id)).toMatchObject({ isChanged: true });
    expect([state()?.state, await listed(world, torrent)]).toEqual(['working', [root]]);
  });

  test('is not asked while a good look is fresh; then a few bytes a day, and pieces once a month', async () => {
    const { world, torrent, mirror, check, state } = await small();
    const provedAt = state()?.provedAt;
    mirror.resetCounters();
    await world.clock.advance(10 * HOUR);
    await check(torrent.id);
    expect(mirror.requestLog().length).toBe(0);
    await world.clock.advance(15 * HOUR);
    await check(torrent.id);
    expect([mirror.requestLog().length, state()?.provedAt]).toEqual([2, provedAt]);
    await world.clock.advance(31 * 24 * HOUR);
    await check(torrent.id);
    expect(state()?.provedAt).toBe(world.clock.now());
  });

  test('that sends other bytes goes at once', async () => {
    const { world, torrent, check, state, died } = await small();
    const large = world.files.get('enwiki-20261120-pages-articles.xml.bz2');
    for (let at = 10; at < (large?.bytes.length ?? 0); at += 30_000) rot(large?.path ?? '', at);
    await world.clock.advance(31 * 24 * HOUR);
    await check(torrent.id);
    expect([state()?.state, died.length]).toEqual(['dead', 1]);
  });

  test('the watch gives every torrent its turn', async () => {
    const { world, mirror, watch, state } = await small();
    mirror.resetCounters();
    expect(await watch()).toEqual({ checked: 0, changed: [], failed: 0 });
    await world.clock.advance(25 * HOUR);
    expect(await watch()).toMatchObject({ checked: 1, changed: [] });
    expect([mirror.requestLog().length, state()?.state]).toEqual([2, 'working']);
    expect(await watch()).toMatchObject({ checked: 0 });
  });
});

describe('a retired torrent', () => {
  /** Its root works, and its files are deleted here. */
  const retired = async () => {
    const { world, torrent, mirror, root } = await setup();
    const bundle = webseedRoom(world, { mirrors: [mirror.baseUrl] });
    await bundle.check(torrent.id);
    const retire = () => world.db.sqlite.prepare('UPDATE torrents SET retired_at = ?').run(world.clock.now());
    const stateOf = () => bundle.room.webseedsOf(torrent.id).find(({ url }) => url === root)?.state;
    return { ...bundle, world, torrent, mirror, root, retire, stateOf };
  };

  test('is looked at once a week, so that its .torrent stays true, and nobody is told to mend it', async () => {
    const { world, torrent, mirror, root, watch, retire, stateOf, died } = await retired();
    retire();
    await world.clock.advance(6 * 24 * HOUR);
    mirror.resetCounters();
    expect(await watch()).toEqual({ checked: 0, changed: [], failed: 0 });
    const gone = mirror.faults.add({ server: 'mirror-1', match: '', kind: 'vanish' });
    await world.clock.advance(24 * HOUR);
    // The first bad look may be that of a bad hour.
    expect(await watch()).toMatchObject({ checked: 1, changed: [] });
    expect([stateOf(), await listed(world, torrent)]).toEqual(['working', [root]]);
    await world.clock.advance(24 * HOUR);
    expect(await watch()).toMatchObject({ checked: 0 });
    await world.clock.advance(6 * 24 * HOUR);
    expect(await watch()).toMatchObject({ checked: 1, changed: [torrent.id] });
    expect([stateOf(), await listed(world, torrent)]).toEqual(['dead', []]);
    expect(died).toEqual([expect.objectContaining({ url: root, isExpected: true })]);
    expect(gone.fired).toBe(2);
    mirror.faults.clear();
    await world.clock.advance(7 * 24 * HOUR);
    expect(await watch()).toMatchObject({ changed: [torrent.id] });
    expect(await listed(world, torrent)).toEqual([root]);
  });

  test('whose root died before needs nobody any more', async () => {
    const { world, torrent, mirror, root, check, watch, retire, died, settled } = await retired();
    mirror.faults.add({ server: 'mirror-1', match: '', kind: 'vanish' });
    for (const hours of [21, 4, 4]) {
      await world.clock.advance(hours * HOUR);
      await check(torrent.id);
    }
    expect(died).toEqual([expect.objectContaining({ url: root, isExpected: false })]);
    settled.length = 0;
    await watch();
    expect(settled).not.toContain(root);
    await world.clock.advance(HOUR);
    retire();
    await world.clock.advance(HOUR);
    await watch();
    expect(settled).toEqual([root]);
    await world.clock.advance(HOUR);
    await watch();
    expect(settled).toEqual([root]);
  });
});

test('a mirror that dropped a young run needs nobody any more when the run is old; one of other bytes does', async () => {
  for (const isOther of [false, true]) {
    const { world, torrent, mirror, root } = await setup();
    const { check, died, settled } = webseedRoom(world, { mirrors: [mirror.baseUrl] });
    await check(torrent.id);
    if (isOther)
      for (const { path, bytes } of world.files.values())
        for (let at = 10; at < bytes.length; at += 30_000) rot(path, at);
    else mirror.faults.add({ server: 'mirror-1', match: '', kind: 'vanish' });
    world.db.sqlite.prepare('UPDATE torrent_webseeds SET proved_at = 0').run();
    for (const hours of [21, 4, 4]) {
      await world.clock.advance(hours * HOUR);
      await check(torrent.id);
    }
    expect(died.map(({ isExpected }) => isExpected)).toEqual([false]);
    settled.length = 0;
    await world.clock.advance(20 * 24 * HOUR);
    await check(torrent.id);
    expect(settled).toEqual([]);
    await world.clock.advance(11 * 24 * HOUR);
    await check(torrent.id);
    expect(settled).toEqual(isOther ? [] : [root]);
  }
});

test.each([
  ['http://127.0.0.1:8080', 'http://archive.lan'],
  ['https://10.1.2.3', 'https://[fd00::1]'],
  ['http://localhost:8080', 'http://archive'],
])('outside the sandbox %s and %s are written into no torrent', async (publicBaseUrl, iaSiteUrl) => {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  for (const [name, { id }] of world.files)
    world.catalog.recordUploaded(id, {
      iaIdentifier: 'item',
      iaUrl: `${iaSiteUrl}/download/item/enwiki/20261120/${name}`,
    });
  const config = { publicBaseUrl, iaSiteUrl, mirrors: ['https://192.168.7.7/dumps'] };
  const { check } = webseedRoom(
    world,
    { ...config, dumpsBaseUrl: 'https://dumps.wikimedia.org' },
    { isHalted: (target) => target === 'dumps' },
  );
  const { rows } = await check(torrent.id);
  expect(rows.map(({ url }: { url: string }) => url)).toEqual(['https://dumps.wikimedia.org/']);
});

describe('the dump site', () => {
  test('is asked once for a run, then for one byte or two a week, and never again when it is gone', async () => {
    const world = webseedWorld();
    const torrent = world.runTorrent();
    const origin = await mirrorOf(world.layout.dumps, '');
    const { check } = webseedRoom(world, { dumpsBaseUrl: origin.baseUrl });
    expect(await check(torrent.id)).toMatchObject({ webseeds: [`${origin.baseUrl}/`] });
    expect(origin.requestLog().length).toBeLessThanOrEqual(4);
    origin.resetCounters();
    await world.clock.advance(3 * 24 * HOUR);
    await check(torrent.id);
    expect(origin.requestLog().length).toBe(0);
    await world.clock.advance(5 * 24 * HOUR);
    await check(torrent.id);
    expect(origin.requestLog().length).toBe(2);
    const gone = origin.faults.add({ server: 'mirror-1', match: '', kind: 'vanish' });
    for (const hours of [24 * 8, 4, 21]) {
      await world.clock.advance(hours * HOUR);
      await check(torrent.id);
    }
    expect([await listed(world, torrent), gone.fired]).toEqual([[], 3]);
    origin.resetCounters();
    await world.clock.advance(60 * 24 * HOUR);
    await check(torrent.id);
    expect(origin.requestLog().length).toBe(0);
  });

  test('is left alone while it is halted', async () => {
    const world = webseedWorld();
    const torrent = world.runTorrent();
    const origin = await mirrorOf(world.layout.dumps, '');
    const { check } = webseedRoom(
      world,
      { dumpsBaseUrl: origin.baseUrl },
      { isHalted: (target) => target === 'dumps' },
    );
    expect(await check(torrent.id)).toMatchObject({ rows: [{ state: 'unproved' }], webseeds: [] });
    expect(origin.requestLog().length).toBe(0);
  });
});

test('a .torrent of other bytes is not touched', async () => {
  const { world, torrent, mirror } = await setup();
  writeFileSync(world.torrentFile(torrent), 'd4:infod4:name1:xee');
  const { check } = webseedRoom(world, { mirrors: [mirror.baseUrl] });
  await expect(check(torrent.id)).rejects.toThrow(/is damaged/);
});
