import { expect, test } from 'vitest';
import { setup, tree } from '../helpers/seeding-bundle.ts';

/** Goal: a retired torrent is not served any more, from the moment it is retired, and its files are left alone. Method: the real thread. */

test('a torrent that is retired is served no more, and not again at the next start', async () => {
  const { seeding, torrents, root, start } = await setup();
  await seeding.start();
  await expect(start()).resolves.toMatchObject({ isSeeding: true });
  const [torrent] = torrents;
  if (torrent === undefined) throw new Error('there is no torrent');
  const before = tree(root);
  expect((await seeding.snapshot()).torrents.map(({ infoHash }) => infoHash)).toEqual([torrent.infoHash]);
  torrent.seedingSince = 1;
  torrent.retiredAt = 2;
  await seeding.retire(torrent.infoHash);
  expect((await seeding.snapshot()).torrents).toEqual([]);
  expect(tree(root)).toEqual(before);
  // Asked for all the same: it says why not. Twice is as good as once.
  await expect(start()).resolves.toMatchObject({
    isSeeding: false,
    note: expect.stringContaining('retired'),
  });
  await seeding.retire(torrent.infoHash);
  await seeding.stop();
  await seeding.start();
  expect((await seeding.snapshot()).torrents).toEqual([]);
});
