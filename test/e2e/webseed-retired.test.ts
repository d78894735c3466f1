// Goal: a torrent whose dump files were deleted to make room can still be fetched whole, with nothing but its .torrent and our address:
// we give its texts and say who has the rest. Method: the whole app through two cycles, a disk that fills, a proof at the archive that
// grew old; then aria2c, which may ask neither a tracker nor a peer.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import { type MetainfoFile, readMetainfo } from '../../src/lib/metainfo.ts';
import { type Clock, createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { CLOSED_LOOK_MS, IDLE_LOOK_MS } from '../../src/storage/watch.ts';
import { webseedAddress } from '../../src/webseeds/address.ts';
import { has } from '../helpers/needs.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const OLD = '2026-11-01';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The disk is looked at more often than every 10 s: there is nothing else to wait for. */
function hastyClock(at: string): Clock {
  const clock = shiftedClock(at);
  const isLook = (ms: number): boolean => ms === IDLE_LOOK_MS || ms === CLOSED_LOOK_MS;
  return { ...clock, after: (ms, fn) => clock.after(isLook(ms) ? 100 : ms, fn) };
}

async function setup() {
  const sandbox = await withSandbox({
    ...{ wikis: 2, sizeBytes: 1_000_000, runDates: ['20261101', '20261120'], mirrors: 1 },
  });
  const { config: demo, secrets } = sandboxConfig(sandbox);
  const port = await freePort();
  const config = {
    ...demo,
    wikiseed: { ...demo.wikiseed, publicBaseUrl: `http://127.0.0.1:${port}` },
    monitoring: { ...demo.monitoring, port },
    storage: { ...demo.storage, cleanupThresholdPercent: 85, pauseThresholdPercent: 90 },
    download: { ...demo.download, mirrors: sandbox.mirrors.map(({ baseUrl }) => baseUrl) },
  };
  const world = { freeBytes: 50e9 };
  const disk: Disk = {
    ...createNodeDisk(),
    space: async () => ({ freeBytes: world.freeBytes, totalBytes: 100e9 }),
  };
  const day = async (at: string): Promise<App> => {
    const app = await createApp({ config, secrets, clock: hastyClock(at), log: silentLog, disk });
    onTestFinished(() => app.stop());
    await app.start();
    await app.whenIdle();
    return app;
  };
  return { sandbox, world, day, root: `http://127.0.0.1:${port}/webseed/` };
}

/** Everything of a torrent, by its webseeds alone. */
function fetchWhole(torrentFile: string, target: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('aria2c', [
    ...[`--dir=${target}`, '--seed-time=0', '--bt-exclude-tracker=*', '--enable-dht=false'],
    ...['--enable-dht6=false', '--bt-enable-lpd=false', '--enable-peer-exchange=false', '--no-conf=true'],
    ...['--file-allocation=none', '--disable-ipv6=true', '--bt-stop-timeout=40', '--summary-interval=0'],
    ...['--console-log-level=notice', '--user-agent=test (mailto:x@example.org)', torrentFile],
  ]);
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Infohash of the bytes that lie there: pieces over all files, padding as zeros. */
function piecesOf(folder: string, files: readonly MetainfoFile[], pieceLength: number): Buffer {
  const all = Buffer.concat(
    files.map(({ path, sizeBytes, isPadding }) =>
      isPadding ? Buffer.alloc(sizeBytes) : readFileSync(join(folder, path)),
    ),
  );
  const pieces: Buffer[] = [];
  for (let at = 0; at < all.length; at += pieceLength)
    pieces.push(
      createHash('sha1')
        .update(all.subarray(at, at + pieceLength))
        .digest(),
    );
  return Buffer.concat(pieces);
}

test.skipIf(!has('aria2c'))(
  'a pruned cycle is fetched whole from our address alone',
  async () => {
    const { sandbox, world, day, root } = await setup();
    await (await day('2026-11-05T12:00:00Z')).stop();
    const pruning = await day('2026-11-24T12:00:00Z');
    const pruned = new Promise<void>((resolve) => {
      pruning.bus.on('job:completed', ({ jobType }) => jobType === 'prune_storage' && resolve());
    });
    world.freeBytes = 14e9;
    await pruned;
    await pruning.whenIdle();
    world.freeBytes = 50e9;
    const torrent = pruning.catalog.torrentsOfCycle(OLD).find(({ grouping }) => grouping === 'cycle');
    expect(torrent?.retiredAt).not.toBeNull();
    const gone = pruning.catalog.dumpFiles(OLD).filter(({ ourStatus }) => ourStatus === 'deleted');
    expect(gone.length).toBeGreaterThan(3);
    await pruning.stop();

    // Whatever was asked of the archive for the deletion is older than remote_proof_max_age now, and one copy turns out wrong.
    const app = await day('2026-12-03T12:00:00Z');
    const oldest = Date.parse('2026-12-03T12:00:00Z') - 8 * 86_400_000;
    for (const { id } of gone) expect(app.catalog.dumpFile(id)?.iaVerifiedAt).toBeLessThan(oldest);
    const [lied] = gone;
    expect(lied !== undefined && app.catalog.recordRemoteLie(lied.id, 'it has other bytes')).toBe(true);

    const torrentFile = join(app.layout.publish, 'torrents', `${torrent?.infoHash}.torrent`);
    const facts = await readMetainfo(readFileSync(torrentFile));
    expect(facts.webseeds).toEqual([root]);
    const target = temporaryFolder();
    const { code, output } = await fetchWhole(torrentFile, target);
    expect(code, output).toBe(0);
    const got = piecesOf(join(target, facts.name), facts.files, facts.pieceLength);
    expect(got.equals(facts.pieces)).toBe(true);

    const places = new Map<string, string>();
    for (const { path } of facts.files) {
      const answer = await fetch(webseedAddress(root, facts.name, path), {
        method: 'HEAD',
        redirect: 'manual',
      });
      const place = answer.headers.get('location');
      places.set(path.slice(path.lastIndexOf('/') + 1), place === null ? String(answer.status) : place);
    }
    expect([places.get('README.txt'), places.get('HASH.json')]).toEqual(['200', '200']);
    const upstream = [sandbox.dumpsBaseUrl, ...sandbox.mirrors.map(({ baseUrl }) => baseUrl)];
    for (const { id, filename, localPath } of gone) {
      expect(localPath === null || !existsSync(app.layout.absolute(localPath))).toBe(true);
      const place = places.get(filename) ?? '';
      if (id === lied?.id)
        expect(
          upstream.some((base) => place.startsWith(`${base}/`)),
          place,
        ).toBe(true);
      else expect(place).toBe(app.catalog.dumpFile(id)?.iaUrl);
    }
  },
  180_000,
);
