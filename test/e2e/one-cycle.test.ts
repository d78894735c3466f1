import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { has } from '../helpers/needs.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/** A cycle of the 20th: no history. */
const NOW = '2026-11-23T12:00:00Z';

/** The raw info dictionary of a .torrent file: found by walking the bencoding, sharing no code with what made it. */
function infoBytes(torrent: Buffer): Buffer {
  const skip = (at: number): number => {
    const type = String.fromCharCode(torrent[at] as number);
    if (type === 'i') return torrent.indexOf('e', at) + 1;
    if (type === 'l' || type === 'd') {
      let next = at + 1;
      while (torrent[next] !== 0x65) next = skip(next);
      return next + 1;
    }
    const colon = torrent.indexOf(':', at);
    return colon + 1 + Number(torrent.toString('latin1', at, colon));
  };
  let at = 1;
  while (torrent[at] !== 0x65) {
    const keyEnd = skip(at);
    const key = torrent.toString('latin1', torrent.indexOf(':', at) + 1, keyEnd);
    const valueEnd = skip(keyEnd);
    if (key === 'info') return torrent.subarray(keyEnd, valueEnd);
    at = valueEnd;
  }
  throw new Error('no info dictionary');
}

const digest = (algorithm: string, path: string): string =>
  createHash(algorithm).update(readFileSync(path)).digest('hex');

function filesBelow(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(root, path)).isFile())
    .sort();
}

describe('one cycle from discovery to a published torrent', () => {
  test('every stage leaves its evidence, and the manifest names everything', async () => {
    const sandbox = await withSandbox();
    const options = sandboxConfig(sandbox);
    const { app, url } = await withApp(options, { clock: shiftedClock(NOW) });
    expect((await app.whenIdle()).halted).toEqual([]);
    const { dataDir } = options.config.wikiseed;

    expect(app.catalog.cycles()).toMatchObject([{ cycleDate: '2026-11-20', status: 'published' }]);
    const files = app.catalog.dumpFiles('2026-11-20');
    expect(files.length).toBeGreaterThan(30);
    for (const file of files) {
      expect(file).toMatchObject({ ourStatus: 'included', verification: 'sha1' });
      expect(file.iaVerifiedAt, file.filename).not.toBeNull();
      const path = join(dataDir, file.localPath ?? '');
      expect([digest('md5', path), digest('sha1', path), digest('sha256', path)]).toEqual([
        file.md5,
        file.sha1,
        file.sha256,
      ]);
      expect(statSync(path).nlink, 'one copy, two names').toBe(2);
    }
    expect(sandbox.counters().dumps.maxConcurrent).toBeLessThanOrEqual(2);

    const manifest = (await (await fetch(new URL('/manifest.json', url))).json()) as {
      version: string;
      last_updated: string;
      torrents: { infohash: string; url: string; files: Record<string, unknown>[] }[];
    };
    expect(manifest.torrents).toHaveLength(1);
    const [torrent] = manifest.torrents;
    expect(torrent?.files.map((f) => f.filename)).toHaveLength(files.length);
    for (const entry of torrent?.files ?? [])
      expect(Object.keys(entry).sort()).toEqual(
        [
          'project',
          'language',
          'dump_type',
          'filename',
          'path_in_torrent',
          'size_bytes',
          'md5',
          'sha1',
          'sha256',
          'wikimedia_url',
          'ia_url',
        ].sort(),
      );
    const ia = await fetch(String(torrent?.files[0]?.ia_url));
    expect(
      createHash('sha1')
        .update(Buffer.from(await ia.arrayBuffer()))
        .digest('hex'),
    ).toBe(torrent?.files[0]?.sha1);

    const published = Buffer.from(await (await fetch(String(torrent?.url))).arrayBuffer());
    expect(createHash('sha1').update(infoBytes(published)).digest('hex')).toBe(torrent?.infohash);
    const served = await fetch(new URL(`/torrents/${torrent?.infohash}.torrent`, url));
    expect(Buffer.from(await served.arrayBuffer()).equals(published)).toBe(true);
    expect((await fetch(new URL('/healthz', url))).status).toBe(200);
  });

  test('starting again with the same data directory moves no byte', async () => {
    const sandbox = await withSandbox();
    const options = sandboxConfig(sandbox);
    const first = await withApp(options, { clock: shiftedClock(NOW) });
    await first.app.whenIdle();
    const torrents = first.app.catalog.torrents().map((t) => t.infoHash);
    await first.app.stop();
    const before = sandbox.counters();
    const second = await withApp(options, { clock: shiftedClock(NOW) });
    await second.app.whenIdle();
    const after = sandbox.counters();
    expect(after.dumps.fileRequests).toBe(before.dumps.fileRequests);
    expect(after.archive.puts).toBe(before.archive.puts);
    expect(after.r2.puts).toBe(before.r2.puts);
    expect(second.app.catalog.torrents().map((t) => t.infoHash)).toEqual(torrents);
    expect((await second.app.seeding()).torrents.map((t) => t.infoHash)).toEqual(torrents);
  });

  test('two operators get the same infohashes, and a history cycle gives a second torrent', async () => {
    const made = [];
    for (const seedPorts of [1, 2]) {
      const sandbox = await withSandbox({ runDates: ['20261101'] });
      const options = sandboxConfig(sandbox);
      const { app } = await withApp(options, {
        clock: shiftedClock(`2026-11-0${seedPorts + 3}T0${seedPorts}:00:00Z`),
      });
      await app.whenIdle();
      made.push(app.catalog.torrents().map((t) => `${t.name} ${t.infoHash}`));
    }
    expect(made[0]).toHaveLength(2);
    expect(made[0]?.[1]).toMatch(/^wikimedia-dumps-history-2026-11-01 /);
    expect(made[1]).toEqual(made[0]);
  });

  test.skipIf(!has('aria2c'))('aria2c fetches every byte through the tracker', async () => {
    const sandbox = await withSandbox();
    const options = sandboxConfig(sandbox);
    const { app } = await withApp(options, { clock: shiftedClock(NOW) });
    await app.whenIdle();
    const [torrent] = app.catalog.torrents();
    const torrentPath = join(options.config.wikiseed.dataDir, torrent?.torrentFilePath ?? '');
    expect(
      createHash('sha1')
        .update(infoBytes(readFileSync(torrentPath)))
        .digest('hex'),
    ).toBe(torrent?.infoHash);

    const target = temporaryFolder();
    const settings = [
      '--seed-time=0',
      '--enable-dht=false',
      '--bt-enable-lpd=false',
      '--enable-peer-exchange=false',
    ];
    const child = spawn(
      'aria2c',
      [
        ...settings,
        '--no-conf',
        '--console-log-level=warn',
        '--bt-stop-timeout=40',
        `--dir=${target}`,
        torrentPath,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'close');
    expect(code, output).toBe(0);

    const fetched = join(target, torrent?.name ?? '');
    const source = join(options.config.wikiseed.dataDir, 'torrents', torrent?.name ?? '');
    expect(filesBelow(fetched)).toEqual(filesBelow(source));
    const hashes = JSON.parse(readFileSync(join(fetched, 'HASH.json'), 'utf8')) as {
      files: { path: string; md5: string; sha1: string; sha256: string }[];
    };
    const payload = filesBelow(fetched).filter((path) => path.startsWith('compressed/'));
    expect(hashes.files.map((file) => file.path).sort()).toEqual(payload);
    for (const file of hashes.files) {
      const path = join(fetched, file.path);
      expect([digest('md5', path), digest('sha1', path), digest('sha256', path)], file.path).toEqual([
        file.md5,
        file.sha1,
        file.sha256,
      ]);
    }
    expect((await app.seeding()).torrents[0]?.uploadedBytes).toBeGreaterThan(0);
  });
});
