// Goal: `/webseed/` gives exactly the bytes of recorded torrents, to clients that come with ranges, leave early or want too much, and
// nothing else. Method: the real server and room on a free port, torrents made by hand, the descriptors of this very process counted.
import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries, type WebseedLimits } from '../../src/monitoring/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { startMirror } from '../../src/sandbox/index.ts';
import { rot } from '../helpers/rot.ts';
import { type WebseedWorld, webseedRoom, webseedWorld } from '../helpers/webseed-bundle.ts';

const LARGE = 'enwiki-20261120-pages-articles.xml.bz2';
const SMALL = 'enwiki-20261120-redirect.sql.gz';
const UNLIMITED: WebseedLimits = {
  ...{ maxRequests: 100, maxRequestsPerClient: 100 },
  ...{ bandwidthLimitBytesPerSecond: null, bandwidthLimitPerClientBytesPerSecond: null },
};

/** The page's server with the room behind it. */
async function serve(
  world: WebseedWorld,
  options: {
    limits?: Partial<WebseedLimits>;
    trustedProxies?: string[];
    config?: Parameters<typeof webseedRoom>[1];
  } = {},
) {
  const { db, clock, layout } = world;
  const { room, repairs, check } = webseedRoom(world, options.config ?? {});
  const monitoring = createMonitoring({
    ...{ db, clock, layout, disk: createNodeDisk(), log: silentLog, bus: createBus({ log: silentLog }) },
    queries: createStatusQueries({ db, clock }),
    storage: async () => ({ usedBytes: 1, freeBytes: 1, totalBytes: 2 }),
    webseed: {
      open: room.serving.open,
      limits: { ...UNLIMITED, ...options.limits },
      trustedProxies: options.trustedProxies ?? [],
    },
    ...{ config: { host: '127.0.0.1', port: 0 }, version: '1.2.3' },
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`${url}webseed/${path}`, { headers, method, redirect: 'manual' });
  return { url, get, repairs, check };
}

/** Nobody out there is known to have anything. */
const ALONE = { order: ['self'] } as const;

/** A run torrent that is served. */
async function setup(options: Parameters<typeof serve>[1] = {}) {
  const world = webseedWorld();
  const torrent = world.runTorrent();
  const held = (name: string) => world.files.get(name) as { id: never; bytes: Buffer; path: string };
  return { world, torrent, held, ...(await serve(world, options)) };
}

/** The path goes out as it is written, whatever it is. */
function raw(url: string, path: string): Promise<{ status: number; body: Buffer }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`),
    );
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const answer = Buffer.concat(chunks);
      const head = answer.subarray(0, answer.indexOf('\r\n\r\n')).toString('latin1');
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0);
      resolve({ status, body: answer.subarray(head.length + 4) });
    });
  });
}

/** Files below a folder that this process has open. */
function openBelow(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) && !path.includes('/db/') ? [path] : [];
    } catch {
      return [];
    }
  });
}

describe('the bytes', () => {
  test('whole, by head, and with what names them', async () => {
    const { get, held, world } = await setup();
    const answer = await get(`enwiki/20261120/${LARGE}`);
    const { headers } = answer;
    expect(Buffer.from(await answer.arrayBuffer()).equals(held(LARGE).bytes)).toBe(true);
    expect(
      Object.fromEntries(
        [
          'content-type',
          'accept-ranges',
          'content-length',
          'x-content-type-options',
          'etag',
          'access-control-allow-origin',
        ].map((name) => [name, headers.get(name)]),
      ),
    ).toEqual({
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      'content-length': String(held(LARGE).bytes.length),
      'x-content-type-options': 'nosniff',
      etag: `"${world.catalog.dumpFile(held(LARGE).id)?.sha1}"`,
      'access-control-allow-origin': '*',
    });
    expect(Date.parse(headers.get('last-modified') ?? '')).toBeGreaterThan(0);
    const head = await get(`enwiki/20261120/${LARGE}`, {}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      String(held(LARGE).bytes.length),
      '',
    ]);
    const known = await get(`enwiki/20261120/${LARGE}`, { 'If-None-Match': headers.get('etag') ?? '' });
    expect([known.status, await known.text()]).toEqual([304, '']);
  });

  test.each<[string, number, number]>([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 200],
    ['bytes=300000-', 300_000, Number.POSITIVE_INFINITY],
    ['bytes=-10', -10, Number.POSITIVE_INFINITY],
    ['bytes=5-99999999', 5, Number.POSITIVE_INFINITY],
  ])('%s', async (range, from, to) => {
    const { get, held } = await setup();
    const { bytes } = held(LARGE);
    const answer = await get(`enwiki/20261120/${LARGE}`, { Range: range });
    const wanted = bytes.subarray(from, to);
    const begin = from < 0 ? bytes.length + from : from;
    expect([answer.status, answer.headers.get('content-range')]).toEqual([
      206,
      `bytes ${begin}-${begin + wanted.length - 1}/${bytes.length}`,
    ]);
    expect(Buffer.from(await answer.arrayBuffer()).equals(wanted)).toBe(true);
  });

  test('ranges that cannot be, several, and those that are not meant', async () => {
    const { get, held } = await setup();
    const path = `enwiki/20261120/${SMALL}`;
    const status = async (headers: Record<string, string>): Promise<[number, string | null, number]> => {
      const answer = await get(path, headers);
      return [answer.status, answer.headers.get('content-range'), (await answer.arrayBuffer()).byteLength];
    };
    const size = held(SMALL).bytes.length;
    expect(await status({ Range: `bytes=${size}-` })).toEqual([416, `bytes */${size}`, 0]);
    expect(await status({ Range: 'bytes=-0' })).toEqual([416, `bytes */${size}`, 0]);
    expect(await status({ Range: 'bytes=0-1,5-6' })).toEqual([200, null, size]);
    expect(await status({ Range: 'pieces=0-1' })).toEqual([200, null, size]);
    expect(await status({ Range: 'bytes=9-3' })).toEqual([200, null, size]);
    const { headers } = await get(path, {}, 'HEAD');
    const etag = headers.get('etag') ?? '';
    expect((await status({ Range: 'bytes=0-1', 'If-Range': etag }))[0]).toBe(206);
    expect((await status({ Range: 'bytes=0-1', 'If-Range': '"other"' }))[0]).toBe(200);
    expect((await status({ Range: 'bytes=0-1', 'If-Range': `W/${etag}` }))[0]).toBe(200);
    expect((await status({ Range: 'bytes=0-1', 'If-Range': headers.get('last-modified') ?? '' }))[0]).toBe(
      206,
    );
    expect((await status({ Range: 'bytes=0-1', 'If-Range': 'Mon, 01 Jan 2024 00:00:00 GMT' }))[0]).toBe(200);
  });

  test('of an empty file are all there are, whatever range a client asks for', async () => {
    const world = webseedWorld([
      [LARGE, 1000],
      [SMALL, 0],
    ]);
    world.runTorrent();
    const { get } = await serve(world);
    // webtorrent asks for bytes of an empty file that lies within a piece, and an error costs it the piece.
    for (const headers of [
      {},
      { Range: 'bytes=0-0' },
      { Range: 'bytes=0--1' },
      { Range: 'bytes=0-' },
      { Range: 'bytes=-5' },
    ])
      for (const method of ['GET', 'HEAD']) {
        const answer = await get(`enwiki/20261120/${SMALL}`, headers as Record<string, string>, method);
        expect([
          ...[headers, method, answer.status, answer.headers.get('content-length')],
          ...[answer.headers.get('content-range'), (await answer.arrayBuffer()).byteLength],
        ]).toEqual([headers, method, 200, '0', null, 0]);
      }
  });

  test('texts and padding of a tree of ours, and nothing that only lies beside them', async () => {
    const world = webseedWorld();
    const { files, torrent } = world.cycleTorrent();
    writeFileSync(join(world.layout.torrents, torrent.infoName, 'notes.txt'), 'mine');
    const { get } = await serve(world);
    for (const { path, bytes } of files) {
      const answer = await get(`${torrent.infoName}/${path}`);
      expect([path, answer.status, Buffer.from(await answer.arrayBuffer()).equals(bytes)]).toEqual([
        path,
        200,
        true,
      ]);
    }
    const padding = files.find(({ isPadding }) => isPadding)?.path ?? '';
    const part = await get(`${torrent.infoName}/${padding}`, { Range: 'bytes=10-19' });
    expect([part.status, Buffer.from(await part.arrayBuffer()).equals(Buffer.alloc(10))]).toEqual([
      206,
      true,
    ]);
    for (const path of ['notes.txt', '.pad/17', 'README.txt/', `../${torrent.infoName}.torrent`])
      expect([path, (await get(`${torrent.infoName}/${path}`)).status]).toEqual([path, 404]);
  });
});

describe('nothing outside the torrent', () => {
  test('by no spelling of a path', async () => {
    const { url, world, held } = await setup();
    writeFileSync(join(world.layout.dumps, 'enwiki', '20261120', 'secret.txt'), 'secret');
    writeFileSync(join(world.layout.dumps, 'enwiki', '20261120\\enwiki-20261120-redirect.sql.gz'), 'secret');
    const paths = [
      '/webseed/enwiki/20261120/secret.txt',
      '/webseed/enwiki/../../db/jobs.db',
      '/webseed/enwiki/%2e%2e/%2e%2e/db/jobs.db',
      '/webseed/enwiki/20261120%2fenwiki-20261120-redirect.sql.gz',
      '/webseed/enwiki/20261120/..%2f..%2f..%2fdb%2fjobs.db',
      '/webseed/enwiki/20261120%5cenwiki-20261120-redirect.sql.gz',
      '/webseed/enwiki/20261120/enwiki-20261120-redirect.sql.gz%00',
      '/webseed/enwiki//20261120/enwiki-20261120-redirect.sql.gz',
      '/webseed/enwiki/20261120/enwiki-20261120-redirect.sql.gz/',
      '/webseed//enwiki/20261120/enwiki-20261120-redirect.sql.gz',
      '/webseed/enwiki/%zz',
      '/webseed/enwiki',
      '/webseed/',
      '/webseed/enwiki-20261120/20261120/enwiki-20261120-redirect.sql.gz',
      '/webseed/etc/passwd',
      `/webseed/${encodeURIComponent(world.dataDir)}/db/jobs.db`,
    ];
    for (const path of paths) {
      const { status, body } = await raw(url, path);
      expect([path, status]).toEqual([path, 404]);
      expect(body.includes('secret')).toBe(false);
    }
    // No address that HTTP knows: nothing is looked for.
    for (const path of [
      '/webseed/enwiki/20261120\\enwiki-20261120-redirect.sql.gz',
      '/webseed/enwiki/..\\..\\db\\jobs.db',
    ]) {
      const { status, body } = await raw(url, path);
      // Empty, as it goes out in chunks.
      expect([path, status, body.toString('latin1')]).toEqual([path, 400, '0\r\n\r\n']);
    }
    const right = await raw(url, '/webseed/enwiki/20261120/enwiki-20261120-redirect.sql.gz');
    expect([right.status, right.body.equals(held(SMALL).bytes)]).toEqual([200, true]);
  });

  test('a symbolic link is not followed, be it the file or a folder above it', async () => {
    const { get, held, world } = await setup({ config: ALONE });
    const { path } = held(SMALL);
    renameSync(path, `${path}.away`);
    symlinkSync(`${path}.away`, path);
    expect((await get(`enwiki/20261120/${SMALL}`)).status).toBe(404);
    const folder = join(world.layout.dumps, 'enwiki', '20261120');
    renameSync(folder, join(world.dataDir, 'elsewhere'));
    symlinkSync(join(world.dataDir, 'elsewhere'), folder);
    expect((await get(`enwiki/20261120/${LARGE}`)).status).toBe(404);
  });

  test('not what a retired torrent lost and nobody else is known to have', async () => {
    const { get, held, world, torrent } = await setup({ config: ALONE });
    world.db.sqlite.prepare('UPDATE torrents SET retired_at = 1 WHERE id = ?').run(torrent.id);
    world.db.sqlite.prepare("UPDATE dumps SET our_status = 'deleted' WHERE id = ?").run(held(SMALL).id);
    expect((await get(`enwiki/20261120/${SMALL}`)).status).toBe(404);
  });
});

describe('bytes that are not sound are not served', () => {
  test.each<[string, (path: string, world: WebseedWorld, id: number) => void, boolean]>([
    [
      'known to be damaged',
      (path, world, id) => {
        rot(path, 5);
        world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(id);
      },
      false,
    ],
    ['of another size', (path) => truncateSync(path, 10), true],
    ['touched', (path) => utimesSync(path, 1, 1), true],
    ['gone', (path) => rmSync(path), true],
  ])('%s', async (_what, harm, isRepairAsked) => {
    const { get, held, world, repairs } = await setup({ config: ALONE });
    harm(held(SMALL).path, world, held(SMALL).id);
    expect((await get(`enwiki/20261120/${SMALL}`)).status).toBe(404);
    expect(repairs).toEqual(isRepairAsked ? [held(SMALL).id] : []);
    expect((await get(`enwiki/20261120/${LARGE}`)).status).toBe(200);
  });

  const PIECE_OF_FILE = 2 ** 20;

  /** A large file whose pieces are known, as a download leaves them. */
  async function provable() {
    const world = webseedWorld([
      [LARGE, 6 * PIECE_OF_FILE + 4321],
      [SMALL, 5],
    ]);
    world.runTorrent();
    const file = world.files.get(LARGE) as { id: never; bytes: Buffer; path: string };
    const sha1s: Buffer[] = [];
    for (let at = 0; at < file.bytes.length; at += PIECE_OF_FILE)
      sha1s.push(
        createHash('sha1')
          .update(file.bytes.subarray(at, at + PIECE_OF_FILE))
          .digest(),
      );
    const note = () =>
      world.db.sqlite
        .prepare('UPDATE dumps SET stored_mtime_ms = ? WHERE id = ?')
        .run(statSync(file.path).mtimeMs, file.id);
    world.db.sqlite
      .prepare('INSERT INTO dump_piece_hashes (dump_id, piece_length, sha1s) VALUES (?, ?, ?)')
      .run(file.id, PIECE_OF_FILE, Buffer.concat(sha1s));
    return { world, file, note, ...(await serve(world, { config: ALONE })) };
  }

  /** How far an answer comes, and whether it came to its end. */
  async function read(answer: Response, onFirst = () => {}): Promise<{ bytes: Buffer; isWhole: boolean }> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of answer.body ?? []) {
        if (chunks.length === 0) onFirst();
        chunks.push(Buffer.from(chunk));
      }
      return { bytes: Buffer.concat(chunks), isWhole: true };
    } catch {
      return { bytes: Buffer.concat(chunks), isWhole: false };
    }
  }

  test('proved bytes are right whatever range is asked for, over pieces and within them', async () => {
    const { get, file } = await provable();
    for (const [from, to] of [
      [0, file.bytes.length - 1],
      [PIECE_OF_FILE - 3, PIECE_OF_FILE + 2],
      [65_535, 65_536],
      [file.bytes.length - 5, file.bytes.length - 1],
      [3 * PIECE_OF_FILE + 77, 5 * PIECE_OF_FILE + 99],
    ] as const) {
      const { bytes, isWhole } = await read(
        await get(`enwiki/20261120/${LARGE}`, { Range: `bytes=${from}-${to}` }),
      );
      expect([from, isWhole, bytes.equals(file.bytes.subarray(from, to + 1))]).toEqual([from, true, true]);
    }
  });

  test.each([
    ['before anybody asked', false],
    ['after its piece was proved', true],
  ])('a flipped bit that changed neither size nor time, %s', async (_when, isProvedBefore) => {
    const { get, file, note, repairs, world } = await provable();
    const path = `enwiki/20261120/${LARGE}`;
    if (isProvedBefore) expect((await read(await get(path))).isWhole).toBe(true);
    rot(file.path, 2 * PIECE_OF_FILE + 200_000);
    note();
    const { bytes, isWhole } = await read(await get(path));
    expect(isWhole).toBe(false);
    expect(bytes.equals(file.bytes.subarray(0, bytes.length))).toBe(true);
    expect(bytes.length).toBeLessThanOrEqual(2 * PIECE_OF_FILE + 200_000);
    expect(repairs).toEqual([file.id]);
    // Nobody else is led to it until somebody looked at the file.
    expect((await get(path)).status).toBe(404);
    await world.clock.advance(11 * 60_000);
    const begin = await read(await get(path, { Range: 'bytes=0-99' }));
    expect([begin.isWhole, begin.bytes.equals(file.bytes.subarray(0, 100))]).toEqual([true, true]);
  });

  test.each([
    ['whose pieces are known', provable],
    [
      'whose pieces nobody knows',
      async () => {
        const made = await provable();
        made.world.db.sqlite.prepare('DELETE FROM dump_piece_hashes').run();
        return made;
      },
    ],
  ])('a file %s that is written to while it is sent', async (_which, make) => {
    const { get, file, repairs } = await make();
    const wrong = Buffer.alloc(PIECE_OF_FILE, 0x55);
    const { bytes, isWhole } = await read(await get(`enwiki/20261120/${LARGE}`), () => {
      const fd = openSync(file.path, 'r+');
      writeSync(fd, wrong, 0, wrong.length, 5 * PIECE_OF_FILE);
      closeSync(fd);
    });
    expect(isWhole).toBe(false);
    expect(bytes.equals(file.bytes.subarray(0, bytes.length))).toBe(true);
    expect(repairs).toEqual([file.id]);
  });

  test('nobody is sent back to us, under whatever address we were known', async () => {
    const world = webseedWorld();
    const torrent = world.runTorrent();
    const former = ['http://seed.example.org/webseed/', 'https://old.example.net/x/webseed/'];
    for (const root of [...former, 'https://seed.example.org/dumps/'])
      world.db.sqlite
        .prepare(
          "INSERT INTO torrent_webseeds (torrent_id, url, state, checked_at, since, failed_looks) VALUES (?, ?, 'working', 1, 1, 0)",
        )
        .run(torrent.id, root);
    const outside = { dumpsBaseUrl: 'https://dumps.wikimedia.org', order: ['self'] as const };
    const path = `enwiki/20261120/${SMALL}`;
    const { get } = await serve(world, {
      config: { ...outside, publicBaseUrl: 'https://seed.example.org:8443' },
    });
    expect((await get(path)).status).toBe(200);
    world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1').run();
    expect((await get(path)).status).toBe(404);
    // A mirror may be what we are.
    const mirrors = ['https://old.example.net/x/webseed'];
    const mirrored = await serve(world, {
      config: { ...outside, mirrors, publicBaseUrl: 'https://seed.example.org' },
    });
    expect((await mirrored.get(path)).headers.get('location')).toBe(`${former[1]}${path}`);
    const closed = await serve(world, { config: { ...outside, publicBaseUrl: null } });
    expect((await closed.get(path)).headers.get('location')).toBe(`https://seed.example.org/dumps/${path}`);
  });

  test('who has them is told, the best place first', async () => {
    const world = webseedWorld();
    const torrent = world.runTorrent();
    const cycle = world.cycleTorrent().torrent;
    const mirror = await startMirror({ root: world.layout.dumps, name: 'mirror-1' });
    onTestFinished(() => mirror.stop());
    const own = {
      publicBaseUrl: 'http://127.0.0.1:1',
      mirrors: [mirror.baseUrl],
      order: ['self', 'mirrors'] as const,
      dumpsBaseUrl: 'http://127.0.0.1:2',
    };
    const { get, check } = await serve(world, { config: own });
    await check(torrent.id);
    const file = world.files.get(SMALL) as { id: never; bytes: Buffer; path: string };
    const path = `enwiki/20261120/${SMALL}`;
    const iaUrl = `https://archive.org/download/item/${path}`;
    world.catalog.recordUploaded(file.id, { iaIdentifier: 'item', iaUrl });
    expect((await get(path)).status).toBe(200);
    world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(file.id);
    // The run's torrent knows more roots than the cycle's, which has only us.
    const where = async (): Promise<[number, string | null]> => {
      const answers = [await get(path), await get(`${cycle.infoName}/compressed/en/wikipedia/${SMALL}`)].map(
        ({ status, headers }): [number, string | null] => [status, headers.get('location')],
      );
      expect(answers[1]).toEqual(answers[0]);
      return answers[0] as [number, string | null];
    };
    expect(await where()).toEqual([302, iaUrl]);
    await world.clock.advance(8 * 86_400_000);
    expect(await where()).toEqual([302, `${mirror.baseUrl}/${path}`]);
    const followed = await fetch((await where())[1] ?? '');
    expect(Buffer.from(await followed.arrayBuffer()).equals(file.bytes)).toBe(true);
    // Retired, it says so all the same.
    world.db.sqlite.prepare('UPDATE torrents SET retired_at = 1').run();
    expect(await where()).toEqual([302, `${mirror.baseUrl}/${path}`]);
    // An old proof is better than none: whoever fetches it proves it.
    world.db.sqlite
      .prepare("UPDATE torrent_webseeds SET state = 'dead' WHERE url LIKE ?")
      .run(`${mirror.baseUrl}%`);
    expect(await where()).toEqual([302, iaUrl]);
    world.catalog.recordRemoteLie(file.id, 'it has other bytes');
    // Nobody proved that the dump site has it; it may, for some months.
    expect(await where()).toEqual([302, `${own.dumpsBaseUrl}/${path}`]);
    world.db.sqlite.prepare("UPDATE dumps SET run_date = '20260820'").run();
    expect(await where()).toEqual([404, null]);
  });

  test('a mirror that gave us the file comes before the dump site, and bytes that upstream changed are asked of neither', async () => {
    const world = webseedWorld();
    world.runTorrent();
    const mirrors = ['http://127.0.0.1:3/a', 'http://127.0.0.1:4/b'];
    const { get } = await serve(world, { config: { mirrors, dumpsBaseUrl: 'http://127.0.0.1:2' } });
    const { id } = world.files.get(SMALL) as { id: number };
    const path = `enwiki/20261120/${SMALL}`;
    const where = async (): Promise<string | null> => (await get(path)).headers.get('location');
    world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(id);
    expect(await where()).toBe(`http://127.0.0.1:2/${path}`);
    world.db.sqlite
      .prepare('UPDATE dumps SET fetched_from_url = ? WHERE id = ?')
      .run(`${mirrors[1]}/${path}`, id);
    expect(await where()).toBe(`${mirrors[1]}/${path}`);
    world.db.sqlite
      .prepare("INSERT INTO dump_replacements (dump_id, kind, found_at) VALUES (?, 'replaced', 1)")
      .run(id);
    expect(await where()).toBeNull();
  });

  test('nobody outside is sent to an address in the house', async () => {
    const world = webseedWorld();
    world.runTorrent();
    const { get } = await serve(world, {
      config: { mirrors: ['https://192.168.1.5/dumps'], dumpsBaseUrl: 'https://dumps.wikimedia.org' },
    });
    const { id } = world.files.get(SMALL) as { id: never; bytes: Buffer; path: string };
    const path = `enwiki/20261120/${SMALL}`;
    world.catalog.recordUploaded(id, {
      iaIdentifier: 'item',
      iaUrl: `http://archive.lan/download/item/${path}`,
    });
    world.db.sqlite
      .prepare('UPDATE dumps SET damaged_at = 1, fetched_from_url = ? WHERE id = ?')
      .run(`https://192.168.1.5/dumps/${path}`, id);
    expect((await get(path)).headers.get('location')).toBe(`https://dumps.wikimedia.org/${path}`);
  });
});

describe('clients', () => {
  /** Reads the beginning of the answer and then nothing more. */
  const openAndWait = (url: string, path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; leave: () => void }>((resolve, reject) => {
      const asked = httpRequest(`${url}webseed/${path}`, { headers, agent: false }, (response) => {
        response.pause();
        resolve({ status: response.statusCode ?? 0, leave: () => asked.destroy() });
        response.on('error', () => {});
      });
      asked.on('error', reject);
      asked.end();
    });
  const BIG: [string, number][] = [
    [LARGE, 40_000_000],
    [SMALL, 5],
  ];

  test('that leave in the middle leave no file open and no place taken', async () => {
    const world = webseedWorld(BIG);
    world.runTorrent();
    const { url, get } = await serve(world, { limits: { maxRequestsPerClient: 10 } });
    for (let round = 0; round < 5; round += 1) {
      const clients = await Promise.all(
        Array.from({ length: 10 }, () => openAndWait(url, `enwiki/20261120/${LARGE}`)),
      );
      expect(clients.map(({ status }) => status)).toEqual(Array<number>(10).fill(200));
      expect(openBelow(world.dataDir).length).toBe(10);
      for (const { leave } of clients) leave();
      await expect.poll(() => openBelow(world.dataDir)).toEqual([]);
    }
    expect((await (await get(`enwiki/20261120/${LARGE}`)).arrayBuffer()).byteLength).toBe(40_000_000);
    expect(openBelow(world.dataDir)).toEqual([]);
  });

  test('that take nothing for two minutes are sent away', async () => {
    const world = webseedWorld(BIG);
    world.runTorrent();
    const { url } = await serve(world);
    await openAndWait(url, `enwiki/20261120/${LARGE}`);
    expect(openBelow(world.dataDir).length).toBe(1);
    await expect
      .poll(async () => {
        await world.clock.advance(30_000);
        return openBelow(world.dataDir);
      })
      .toEqual([]);
  });

  test('of a file that becomes shorter meanwhile see the connection break, not an end', async () => {
    const world = webseedWorld(BIG);
    world.runTorrent();
    const { url } = await serve(world);
    const file = world.files.get(LARGE)?.path ?? '';
    const got = await new Promise<{ bytes: number; isWhole: boolean }>((resolve, reject) => {
      const asked = httpRequest(`${url}webseed/enwiki/20261120/${LARGE}`, { agent: false }, (response) => {
        let bytes = 0;
        response.once('data', () => truncateSync(file, 1_000_000));
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on('error', () => {});
        response.on('close', () => resolve({ bytes, isWhole: response.complete }));
      });
      asked.on('error', reject);
      asked.end();
    });
    expect(got.isWhole).toBe(false);
    expect(got.bytes).toBeLessThan(40_000_000);
    expect(openBelow(world.dataDir)).toEqual([]);
  });

  test('that want too many files at once are told so, and others are not', async () => {
    const world = webseedWorld(BIG);
    world.runTorrent();
    const { url, get } = await serve(world, {
      limits: { maxRequestsPerClient: 2, maxRequests: 3 },
      trustedProxies: ['127.0.0.1'],
    });
    const path = `enwiki/20261120/${LARGE}`;
    const asking = (client: string) => ({ 'X-Forwarded-For': client });
    const [first] = [
      await openAndWait(url, path, asking('192.0.2.1')),
      await openAndWait(url, path, asking('192.0.2.1')),
    ];
    const third = await get(path, asking('192.0.2.1'), 'HEAD');
    expect([third.status, third.headers.get('retry-after')]).toEqual([429, '5']);
    // What a client writes in front of its own address does not make it another one.
    expect((await get(path, asking('198.51.100.7, 192.0.2.1'), 'HEAD')).status).toBe(429);
    expect((await openAndWait(url, path, asking('192.0.2.2'))).status).toBe(200);
    expect((await get(path, asking('192.0.2.3'), 'HEAD')).status).toBe(503);
    first?.leave();
    await expect.poll(async () => (await get(path, asking('192.0.2.3'), 'HEAD')).status).toBe(200);
  });

  test('are served no faster than the limit', async () => {
    const world = webseedWorld([[LARGE, 1_048_576]]);
    world.runTorrent();
    const { get } = await serve(world, { limits: { bandwidthLimitPerClientBytesPerSecond: 262_144 } });
    const started = world.clock.monotonicMs();
    let isOver = false;
    const answer = get(`enwiki/20261120/${LARGE}`)
      .then((response) => response.arrayBuffer())
      .finally(() => {
        isOver = true;
      });
    while (!isOver) await world.clock.advance(50);
    expect((await answer).byteLength).toBe(1_048_576);
    // Four chunks: the first two pass with what may be made up for, each later one waits a second.
    expect(world.clock.monotonicMs() - started).toBeGreaterThanOrEqual(2_500);
  });
});
