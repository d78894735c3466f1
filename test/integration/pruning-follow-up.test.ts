import { expect, test } from 'vitest';
import { minutes, seconds } from '../../src/lib/index.ts';
import { type World, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: files that wait for a program go soon after it let go of them, without a hand and without a day of waiting; when the program was
 * changed meanwhile, somebody is told.
 * Method: a real data directory and database, and a clock that is turned by hand; what the room asks the queue for is only written down.
 */

function setup(engine = 'qbittorrent'): { world: World; old: number } {
  const world = withPruning({ engine });
  const [old] = world.run('20260901', [{}]) as [number];
  for (const runDate of ['20260920', '20261001']) world.run(runDate, [{}]);
  world.torrent('2026-09-01', [old]);
  world.mayBeSeeded = true;
  world.need(1000);
  return { world, old };
}

test('while files wait it asks for a prune again, less and less often, and no more when nothing waits', async () => {
  const { world, old } = setup();
  await world.room.start();
  const waits: number[] = [];
  for (let again = 0; again < 5; again += 1) {
    expect(await world.prune()).toMatchObject({ waitingFiles: 1 });
    let waited = 0;
    for (const before = world.requested.length; world.requested.length === before; waited += 1)
      await world.clock.advance(minutes(1));
    waits.push(waited);
  }
  expect(waits).toEqual([2, 4, 8, 10, 10]);
  expect(new Set(world.requested)).toEqual(new Set(['prune_storage']));
  world.mayBeSeeded = false;
  expect(await world.prune()).toMatchObject({ waitingFiles: 0 });
  expect(world.isThere(old)).toBe(false);
  expect(world.clock.waiting).toBe(0);
});

test('a start that finds files waiting asks for a prune; one that is stopped asks no more', async () => {
  const { world } = setup();
  await world.prune();
  // A command asks once.
  expect(world.clock.waiting).toBe(0);
  const room = world.restart();
  await room.start();
  await world.clock.advance(minutes(2));
  expect(world.requested).toEqual(['prune_storage']);
  await room.prune(new AbortController().signal);
  expect(world.clock.waiting).toBe(1);
  room.stop();
  expect(world.clock.waiting).toBe(0);
});

test('a prune that fails while files wait is followed, too', async () => {
  const { world } = setup();
  await world.prune();
  const room = world.restart();
  await room.start();
  await world.clock.advance(minutes(2));
  const usage = async () => Promise.reject(new Error('the disk says nothing'));
  await expect(room.prune(new AbortController().signal, { usage })).rejects.toThrow('the disk says nothing');
  await world.clock.advance(minutes(4));
  expect(world.requested).toEqual(['prune_storage', 'prune_storage']);
});

test('a program that is back is asked at once, within the minute that a silent one is left alone', async () => {
  const { world, old } = setup();
  await world.room.start();
  await world.prune();
  await world.clock.advance(seconds(10));
  world.mayBeSeeded = false;
  // One torrent's trouble is another matter.
  world.bus.emit('seeding:problemOver', { infoHash: 'a'.repeat(40) });
  expect(world.requested).toEqual([]);
  world.bus.emit('seeding:problemOver', { infoHash: null });
  expect(world.requested).toEqual(['prune_storage']);
  await world.prune();
  expect(world.isThere(old)).toBe(false);
  world.bus.emit('seeding:problemOver', { infoHash: null });
  expect(world.requested).toHaveLength(1);
});

test('room that is needed is asked for', () => {
  const { world } = setup();
  const facts = { before: 'normal', reservedBytes: 0, isOnlyPromised: false } as const;
  const sizes = { countedBytes: null, usableBytes: null, freeBytes: null };
  world.bus.emit('storage:modeChanged', { ...facts, ...sizes, mode: 'cleaning' });
  world.bus.emit('storage:modeChanged', { ...facts, ...sizes, mode: 'normal' });
  expect(world.requested).toEqual(['prune_storage']);
});

test('what waited for a program that is configured no more goes, and its operator is told', async () => {
  const { world, old } = setup();
  await world.prune();
  // The same one again: nothing to tell.
  await world.restart().start();
  expect([...world.openAlerts]).toEqual(['prune_not_enough']);
  world.mayBeSeeded = false;
  await world.restart('none').start();
  expect(world.isThere(old)).toBe(false);
  expect(world.alerts.at(-1)).toMatchObject({
    key: 'prune_engine_changed',
    message: expect.stringContaining('waited for qBittorrent'),
    hint: expect.stringContaining("Take WikiSeed's torrents out of qBittorrent"),
  });
  await world.restart('none').start();
  expect([...world.openAlerts]).toEqual(['prune_not_enough']);
});

test('a command that finds another engine says so', async () => {
  const { world } = setup();
  await world.prune();
  world.mayBeSeeded = false;
  const { summary } = await world.restart('none').prune(new AbortController().signal);
  expect(summary).toContain(
    'files that waited for qBittorrent to let go of them are deleted without its word',
  );
});

test('what waited for the seeding thread is not told of', async () => {
  const { world } = setup('webtorrent');
  await world.prune();
  await world.restart('qbittorrent').start();
  expect([...world.openAlerts]).toEqual(['prune_not_enough']);
});
