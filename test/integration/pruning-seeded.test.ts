import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { minutes, TorrentId } from '../../src/lib/index.ts';
import { namesBelow, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: no file of a torrent goes while a program may still seed it; it goes as soon as the program is known to have let go.
 * Method: a real data directory and database; ending the seeding fails until the test says otherwise.
 */

test('files of a torrent that may still be seeded stay, what nobody seeds goes, and the rest goes later', async () => {
  const world = withPruning();
  const [seeded, free] = world.run('20260901', [{}, { dumpType: 'pagelinks' }]) as [number, number];
  world.run('20260920', [{}, { dumpType: 'pagelinks' }]);
  world.run('20261001', [{}, { dumpType: 'pagelinks' }]);
  const torrent = world.torrent('2026-09-01', [seeded]);
  const folder = `${world.layout.torrents}/wikimedia-dumps-2026-09-01`;
  world.mayBeSeeded = true;
  world.need(2000);
  const before = namesBelow(folder);
  expect(await world.prune()).toMatchObject({ removedFiles: 1, removedBytes: 1000, refusedSets: 1 });
  expect(world.isThere(free)).toBe(false);
  expect(world.isThere(seeded)).toBe(true);
  expect(namesBelow(folder)).toEqual(before);
  expect(world.catalog.torrent(TorrentId.parse(torrent))?.retiredAt).not.toBeNull();
  expect(world.catalog.openDeletions()).toHaveLength(1);

  // Neither the next prune nor the next start takes it for granted.
  await world.prune();
  await world.restart().start();
  expect(world.isThere(seeded)).toBe(true);
  expect(namesBelow(folder)).toEqual(before);

  world.mayBeSeeded = false;
  await world.clock.advance(minutes(1));
  await world.prune();
  expect(world.stopped).toHaveLength(1);
  expect(world.isThere(seeded)).toBe(false);
  expect(world.catalog.openDeletions()).toEqual([]);
  expect(namesBelow(folder)).toEqual(['README.txt']);
});

test('a program that does not answer is asked once, not for every torrent', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}, { dumpType: 'pagelinks' }]);
  world.run('20260920', [{}, { dumpType: 'pagelinks' }]);
  world.run('20261001', [{}, { dumpType: 'pagelinks' }]);
  for (const language of ['aa', 'bb', 'cc']) world.torrent('2026-09-01', old, { language });
  let asked = 0;
  Object.defineProperty(world, 'mayBeSeeded', {
    get() {
      asked += 1;
      return true;
    },
  });
  world.need(2000);
  expect(await world.prune()).toMatchObject({ removedFiles: 0, refusedSets: 2 });
  expect(asked).toBe(1);
});

test('unpacked files that may still be seeded stay, too, and are not counted as freed', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}]);
  const { folder } = world.unpackedTorrent('2026-09-01', old, 5000);
  world.mayBeSeeded = true;
  world.need(4000);
  const before = namesBelow(folder);
  expect(await world.prune()).toMatchObject({ removedBytes: 0, removedTorrents: 0 });
  expect(namesBelow(folder)).toEqual(before);
  await world.restart().start();
  expect(namesBelow(folder)).toEqual(before);
  world.mayBeSeeded = false;
  await world.restart().start();
  expect(existsSync(folder)).toBe(false);
});
