import { readdirSync, readlinkSync, truncateSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { webseedWorld } from '../helpers/webseed-bundle.ts';

import { LARGE, SMALL, serve } from '../helpers/webseed-server.ts';

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
