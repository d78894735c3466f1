// Goal: whatever a client writes as a path, it gets a file of a recorded torrent or nothing. Method: random paths, made of the pieces
// that break servers, against the real server over a tree with secrets beside it; every answer is compared with what torrents carry.

import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries } from '../../src/monitoring/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { webseedRoom, webseedWorld } from '../helpers/webseed-bundle.ts';

const SECRET = 'this is no part of any torrent';

test('no path leads out of the torrents', { timeout: 120_000 }, async () => {
  const world = webseedWorld();
  const { db, clock, layout, dataDir } = world;
  const run = world.runTorrent();
  const { torrent, files } = world.cycleTorrent();
  for (const path of [
    'secret',
    'dumps/secret',
    'dumps/enwiki/secret',
    'dumps/enwiki/20261120/secret',
    `torrents/${torrent.infoName}/secret`,
  ]) {
    mkdirSync(join(dataDir, path, '..'), { recursive: true });
    writeFileSync(join(dataDir, path), SECRET);
  }
  const monitoring = createMonitoring({
    ...{ db, clock, layout, disk: createNodeDisk(), log: silentLog, bus: createBus({ log: silentLog }) },
    queries: createStatusQueries({ db, clock }),
    storage: async () => ({ usedBytes: 1, freeBytes: 1, totalBytes: 2 }),
    webseed: {
      open: webseedRoom(world, {}).room.serving.open,
      limits: {
        ...{ maxRequests: 100, maxRequestsPerClient: 100 },
        ...{ bandwidthLimitBytesPerSecond: null, bandwidthLimitPerClientBytesPerSecond: null },
      },
      trustedProxies: [],
    },
    ...{ config: { host: '127.0.0.1', port: 0 }, version: '1' },
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const { port } = new URL(url);

  const ask = (path: string): Promise<{ status: number; body: Buffer }> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path: `/webseed/${path}` }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        response.on('error', reject);
      });
      asked.on('error', reject);
      asked.end();
    });

  const carried = new Map<string, Buffer>([
    ...[...world.files].map(([name, { bytes }]) => [`${run.infoName}/20261120/${name}`, bytes] as const),
    ...files.map(({ path, bytes }) => [`${torrent.infoName}/${path}`, bytes] as const),
  ]);
  const word = fc.constantFrom(
    ...[
      '..',
      '.',
      '',
      '%2e%2e',
      '%2e',
      '%2f',
      '%5c',
      '%00',
      '..%2f',
      '%252e%252e',
      'secret',
      'db',
      'jobs.db',
      'dumps',
      'torrents',
    ],
    ...[
      'enwiki',
      'enwiki-20261120',
      torrent.infoName,
      `${torrent.infoName}.torrent`,
      '20261120',
      '.partial',
      '.pad',
      '.pad%2f7',
      'README.txt',
    ],
    ...[
      'compressed',
      'en',
      'wikipedia',
      ...world.files.keys(),
      encodeURIComponent(dataDir),
      'etc',
      'passwd',
      '~',
      '*',
      '?',
      '%E0%A4%A',
    ],
  );
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        { weight: 8, arbitrary: fc.array(word, { maxLength: 7 }).map((words) => words.join('/')) },
        { weight: 1, arbitrary: fc.constantFrom(...carried.keys()) },
      ),
      async (path) => {
        const { status, body } = await ask(path);
        expect(body.includes(SECRET)).toBe(false);
        expect(body.includes('SQLite format')).toBe(false);
        if (status !== 200) return void expect(status).toBeOneOf([400, 404]);
        // Whatever spelling led there; `..` is resolved before anybody sees it, as the standard of addresses has it.
        const plain = new URL(path, 'http://x/webseed/').pathname.slice('/webseed/'.length);
        const isPage = !new URL(`/webseed/${path}`, 'http://x').pathname.startsWith('/webseed/');
        if (isPage) return;
        expect(carried.get(decodeURIComponent(plain))?.equals(body) ?? `nothing carries ${path}`).toBe(true);
        found += 1;
      },
    ),
    { numRuns: 1500, seed: 6 },
  );
  expect(found).toBeGreaterThan(50);
});
