// Goal: what no server has any more comes from other seeders of the torrent: only the pieces that are needed, only right ones, in bounded
// time, and never from ourselves.
// Method: the real catalog, repair, seeder and swarm threads; other webtorrents and aria2c on loopback behind a real tracker. All
// servers answer 404. The seeders write down which pieces they were asked for.
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TorrentId } from '../../src/lib/index.ts';
import { createNodeDisk, createSystemClock, type Disk, silentLog } from '../../src/ports/index.ts';
import { CONTENT, NAME, PIECE } from '../helpers/held-bundle.ts';
import { has } from '../helpers/needs.ts';
import { recordingLog } from '../helpers/seeding-bundle.ts';
import { BEFORE, startNewcomer, startStranger, swarmBundle } from '../helpers/swarm-bundle.ts';

type World = Awaited<ReturnType<typeof swarmBundle>>;
/** Handshakes at most: less than one block. */
const GAVE_NOTHING = [{ isReady: true, uploadedBytes: expect.toSatisfy((bytes: number) => bytes < 16_384) }];
const task = (signal = new AbortController().signal) => ({ signal });
const writingNothing = (): Disk => {
  const disk = createNodeDisk();
  const write = () => Promise.reject(new Error('nothing may be written'));
  return { ...disk, open: async (path, mode) => ({ ...(await disk.open(path, mode)), write }) };
};

function expectSound({ bundle }: World, inode: number): void {
  const { path, tree } = bundle.place();
  for (const name of [path, tree]) {
    expect(readFileSync(name).equals(CONTENT)).toBe(true);
    expect(statSync(name)).toMatchObject({ ino: inode, mode: 0o100444 });
  }
  expect(bundle.row()).toMatchObject({ ourStatus: 'included', damagedAt: null });
}

async function ownSeeder({ bundle }: World, seeding: ReturnType<World['room']>): Promise<void> {
  await seeding.start();
  const [torrent] = bundle.catalog.torrents();
  await seeding.handlers[0]?.run(
    { torrentId: TorrentId.parse(torrent?.id) },
    {
      ...{ jobId: 1 as never, attempt: 1, signal: task().signal, clock: createSystemClock() },
      ...{ log: silentLog, cursor: null, progress: () => {} },
    },
  );
}

describe('somebody else seeds the torrent', () => {
  test('only the pieces over the damage travel, once; every name heals; our own seeder goes on and is not asked', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    const { id, path } = bundle.place();
    const { ino } = statSync(path);
    const stranger = await startStranger({ torrentFile: world.torrentFile, path: world.copy() });
    const seeding = world.room();
    await ownSeeder(world, seeding);
    bundle.rot(3 * PIECE + 77);
    bundle.rot(4 * PIECE + 1);
    bundle.rot(CONTENT.length - 1);
    const { repair } = bundle.begin({ moreSources: seeding.pieceSources });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 3 });
    expectSound(world, ino);
    // A file of which nothing begins on a piece of the torrent: two for each, and the common one of neighbours once.
    expect(BEFORE).toBeGreaterThan(0);
    expect(stranger.asked).toEqual([3, 4, 5, 10]);
    // Servers first, for every piece.
    expect(new Set(bundle.asked.map(({ site }) => site))).toEqual(new Set(['mirror', 'origin']));
    expect((await seeding.snapshot()).torrents).toMatchObject(GAVE_NOTHING);
  });

  test('a retired torrent still has a swarm, also before our own seeder starts', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    const { id, path } = bundle.place();
    const { ino } = statSync(path);
    await startStranger({ torrentFile: world.torrentFile, path: world.copy() });
    bundle.db.sqlite.prepare('UPDATE torrents SET retired_at = 1').run();
    bundle.rot(5);
    const { repair } = bundle.begin({ moreSources: world.room().pieceSources });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 1 });
    expectSound(world, ino);
  });

  test('a file that is gone altogether comes back piece by piece', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    const { id, path, tree } = bundle.place();
    const stranger = await startStranger({ torrentFile: world.torrentFile, path: world.copy() });
    rmSync(path);
    rmSync(tree);
    const { repair } = bundle.begin({ moreSources: world.room().pieceSources });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired' });
    expectSound(world, statSync(path).ino);
    expect(stranger.asked).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test.skipIf(!has('aria2c'))('who is aria2c', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    const { id, path } = bundle.place();
    const { ino } = statSync(path);
    const folder = world.copy();
    chmodSync(`${folder}/wikiseed-2026-11-20/compressed/${NAME}`, 0o644);
    const child = spawn('aria2c', [
      ...[`--dir=${folder}`, '--check-integrity=true', '--seed-ratio=0.0', '--enable-dht=false'],
      ...['--enable-dht6=false', '--bt-enable-lpd=false', '--enable-peer-exchange=false', '--no-conf=true'],
      ...['--file-allocation=none', '--disable-ipv6=true', '--bt-tracker-interval=1', world.torrentFile],
    ]);
    onTestFinished(() => void child.kill('SIGKILL'));
    bundle.rot(2 * PIECE);
    const limits = {
      findPeersMs: 20_000,
      afterTrackersMs: 20_000,
      stallMs: 20_000,
      pieceMs: 30_000,
      idleMs: 60_000,
    };
    const { repair } = bundle.begin({ moreSources: world.room({ swarm: limits }).pieceSources });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 1 });
    expectSound(world, ino);
  });
});

describe('nobody, or nobody honest', () => {
  test('without other peers it says no in bounded time, asks for no second piece, and not ourselves', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    // The tracker answers, and there is no other way to find peers.
    const seeding = world.room({ swarm: { findPeersMs: 50_000, afterTrackersMs: 3000 } });
    await ownSeeder(world, seeding);
    for (const piece of [1, 4, 7]) bundle.rot(piece * PIECE);
    const rotten = bundle.read();
    const { repair } = bundle.begin({ moreSources: seeding.pieceSources, disk: writingNothing() });
    const startedMs = performance.now();
    expect(await repair(bundle.place().id, task())).toMatchObject({ state: 'damaged', healedPieces: 0 });
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(3000);
    // Three pieces, one wait.
    expect(tookMs).toBeLessThan(40_000);
    expect(bundle.read().equals(rotten)).toBe(true);
    expect((await seeding.snapshot()).torrents).toMatchObject(GAVE_NOTHING);
  });

  test('a liar alone: nothing is written', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    bundle.rot(4 * PIECE + 5000);
    const rotten = bundle.read();
    const liar = await startStranger({ torrentFile: world.torrentFile, path: world.copy(), isLiar: true });
    const recorded = recordingLog();
    const { pieceSources } = world.room({ swarm: { findPeersMs: 3000 } }, recorded.log);
    const { repair } = bundle.begin({ moreSources: pieceSources, disk: writingNothing() });
    expect(await repair(bundle.place().id, task())).toMatchObject({ state: 'damaged', healedPieces: 0 });
    expect(bundle.read().equals(rotten)).toBe(true);
    // Once, and not again and again.
    expect(liar.asked).toEqual([4]);
    expect(recorded.entries).toMatchObject([
      { level: 'warn', fields: { reason: 'it sent wrong bytes', infohash: world.infoHash } },
    ]);
  });

  test('a liar and one who gives nothing beside an honest one: it is the honest one whose bytes are taken', async () => {
    const world = await swarmBundle();
    const { bundle } = world;
    const { id, path } = bundle.place();
    const { ino } = statSync(path);
    const { torrentFile } = world;
    const sound = world.copy();
    // All four pieces of the torrent over the two of the file.
    for (const at of [4 * PIECE + 5000, 5 * PIECE - 500, 8 * PIECE + 5000, 9 * PIECE - 500]) bundle.rot(at);
    const liar = await startStranger({ torrentFile, path: world.copy(), isLiar: true });
    const mean = await startStranger({ torrentFile, path: sound, isMean: true });
    const { pieceSources } = world.room();
    const honest = await startStranger({ torrentFile, path: sound });
    const { repair } = bundle.begin({ moreSources: pieceSources });
    expect(await repair(id, task())).toMatchObject({ state: 'repaired', healedPieces: 2 });
    expectSound(world, ino);
    // Who is met first is chance; nobody who failed is asked for a second piece.
    expect(honest.asked).toEqual([4, 5, 8, 9]);
    for (const { asked } of [liar, mean]) expect(asked.length).toBeLessThanOrEqual(1);
  });
});

test('who has nothing is given nothing: no bytes, and nothing that passes for the torrent file', async () => {
  const world = await swarmBundle();
  const { bundle } = world;
  bundle.rot(3 * PIECE);
  const newcomer = await startNewcomer(world);
  const { repair } = bundle.begin({ moreSources: world.room({ swarm: { findPeersMs: 3000 } }).pieceSources });
  expect(await repair(bundle.place().id, task())).toMatchObject({ state: 'damaged' });
  const said = await newcomer.met;
  expect(said).toHaveProperty('m');
  expect(said).not.toHaveProperty('metadata_size');
  expect(newcomer.isUnchoked()).toBe(false);
  expect(newcomer.downloaded()).toBe(0);
});

test('told to stop, it stops, and the next one is answered', async () => {
  const world = await swarmBundle();
  const { bundle } = world;
  const { id, path } = bundle.place();
  const { ino } = statSync(path);
  bundle.rot(1);
  const { pieceSources } = world.room({ swarm: { findPeersMs: 30_000 } });
  const { repair } = bundle.begin({ moreSources: pieceSources });
  const stop = new AbortController();
  const stopped = repair(id, task(stop.signal));
  await expect.poll(() => bundle.asked.length).toBeGreaterThan(1);
  stop.abort();
  await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
  await startStranger({ torrentFile: world.torrentFile, path: world.copy(), isLiar: true });
  const sound = bundle.read();
  expect(sound.equals(CONTENT)).toBe(false);
  bundle.rot(1);
  bundle.rot(9 * PIECE);
  expect(await repair(id, task())).toMatchObject({ state: 'repaired' });
  expectSound(world, ino);
});

test('a torrent file that is gone or names another torrent: the source has nothing, and the log says why', async () => {
  const world = await swarmBundle();
  const { bundle } = world;
  bundle.db.sqlite.prepare('UPDATE torrents SET info_hash = ?').run('b'.repeat(40));
  bundle.rot(1);
  const recorded = recordingLog();
  const { pieceSources } = world.room({}, recorded.log);
  const { repair } = bundle.begin({ moreSources: pieceSources });
  expect(await repair(bundle.place().id, task())).toMatchObject({ state: 'damaged' });
  rmSync(world.torrentFile);
  expect(await repair(bundle.place().id, task())).toMatchObject({ state: 'damaged' });
  expect(recorded.entries).toMatchObject([
    { level: 'warn', fields: { reason: expect.stringContaining(world.infoHash) } },
    { level: 'warn', fields: { reason: expect.stringContaining('ENOENT') } },
  ]);
});

test('with seeding switched off there is no such source', async () => {
  const world = await swarmBundle();
  expect(world.room({ enabled: false }).pieceSources).toEqual([]);
});
