// Goal: a whole cycle ends with torrents whose webseeds work, and what is published says so. Method: the app in the sandbox, reached at
// its own public address; a look that never ends must not keep anybody from seeding.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readMetainfo } from '../../src/lib/metainfo.ts';
import { webseedAddress } from '../../src/webseeds/address.ts';
import { choosePieces } from '../../src/webseeds/sample.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('the torrents of a cycle name our own address, and it gives their very pieces', {
  timeout: 120_000,
}, async () => {
  const sandbox = await withSandbox({ mirrors: 1 });
  const { config, secrets } = sandboxConfig(sandbox);
  const port = await freePort();
  const own = `http://127.0.0.1:${port}`;
  const { app } = await withApp(
    {
      secrets,
      config: {
        ...config,
        wikiseed: { ...config.wikiseed, publicBaseUrl: own },
        monitoring: { ...config.monitoring, port },
        torrents: { ...config.torrents, wikiRunMinSizeBytes: 1 },
        download: { ...config.download, mirrors: sandbox.mirrors.map(({ baseUrl }) => baseUrl) },
      },
    },
    { clock: shiftedClock('2026-11-23T12:00:00Z') },
  );
  await app.whenIdle();
  const torrents = app.catalog.torrents();
  expect(new Set(torrents.map(({ grouping }) => grouping))).toEqual(new Set(['cycle', 'wiki_run']));
  const published = join(app.layout.publish, 'torrents');
  expect(readdirSync(published).length).toBe(torrents.length);
  for (const torrent of torrents) {
    const facts = await readMetainfo(readFileSync(join(published, `${torrent.infoHash}.torrent`)));
    expect([facts.infoHash, facts.webseeds]).toEqual([torrent.infoHash, torrent.webseeds]);
    expect(facts.webseeds).toContain(`${own}/webseed/`);
    const isUpstream = torrent.grouping === 'wiki_run' && torrent.source === 'classic';
    const upstream = [...sandbox.mirrors.map(({ baseUrl }) => baseUrl), sandbox.dumpsBaseUrl];
    for (const base of upstream) expect(facts.webseeds.includes(`${base}/`)).toBe(isUpstream);
    expect(new URL(torrent.magnetLink).searchParams.getAll('ws')).toEqual(facts.webseeds);
    expect(torrent.seedingSince).not.toBeNull();
    for (const root of facts.webseeds)
      for (const piece of choosePieces(facts, { seed: 'e2e', count: 5 })) {
        const hash = createHash('sha1');
        for (const { file, from, sizeBytes } of piece.parts) {
          const answer = await fetch(webseedAddress(root, facts.name, file.path), {
            headers: {
              range: `bytes=${from}-${from + sizeBytes - 1}`,
              'user-agent': 'test (mailto:x@example.org)',
            },
          });
          expect([root, file.path, answer.status]).toEqual([root, file.path, 206]);
          hash.update(Buffer.from(await answer.arrayBuffer()));
        }
        expect(hash.digest().equals(facts.pieces.subarray(20 * piece.index, 20 * piece.index + 20))).toBe(
          true,
        );
      }
  }
});
