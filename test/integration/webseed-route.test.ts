import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { webseedWorld } from '../helpers/webseed-bundle.ts';

import { ALONE, LARGE, SMALL, serve, setup } from '../helpers/webseed-server.ts';

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

test('texts and padding of a tree whose .torrent cannot be read are asked for again, not said to be gone', async () => {
  const world = webseedWorld();
  const { files, torrent } = world.cycleTorrent();
  const { get } = await serve(world);
  const path = world.torrentFile(torrent);
  renameSync(path, `${path}.away`);
  const ours = files.map((file) => file.path).filter((name) => !name.startsWith('compressed/'));
  const statuses = async () =>
    await Promise.all(
      ours.map(async (name) => {
        const { status, headers } = await get(`${torrent.infoName}/${name}`);
        return [status, headers.get('retry-after')];
      }),
    );
  expect(await statuses()).toEqual(ours.map(() => [503, '5']));
  renameSync(`${path}.away`, path);
  await world.clock.advance(31_000);
  expect(await statuses()).toEqual(ours.map(() => [200, null]));
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
