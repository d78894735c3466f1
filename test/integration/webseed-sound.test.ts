// Goal: bytes that are not sound are never given by `/webseed/`; who asks is told who has them. Method: the real server and room on a
// free port, torrents made by hand, files that are spoiled before and while they are sent.
import { createHash } from 'node:crypto';
import { closeSync, openSync, rmSync, statSync, truncateSync, utimesSync, writeSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startMirror } from '../../src/sandbox/index.ts';
import { rot } from '../helpers/rot.ts';
import { type WebseedWorld, webseedWorld } from '../helpers/webseed-bundle.ts';

import { ALONE, LARGE, SMALL, serve, setup } from '../helpers/webseed-server.ts';

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
