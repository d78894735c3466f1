import { existsSync, linkSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { hours, minutes, TorrentId } from '../../src/lib/index.ts';
import { NOW, namesBelow, type World, withPruning } from '../helpers/pruning-bundle.ts';

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
  expect(await world.prune()).toMatchObject({
    removedFiles: 1,
    removedBytes: 1000,
    waitingFiles: 1,
    waitingBytes: 1000,
  });
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
  expect(await world.prune()).toMatchObject({ removedFiles: 0, refusedSets: 0, waitingFiles: 2 });
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

/** Wikis of their own, each with an old run that may go, in a torrent of its own. @returns ids of the files and torrents */
function wikisWith(world: World, languages: string[]): { files: number[]; torrents: number[] } {
  const [files, torrents]: [number[], number[]] = [[], []];
  for (const language of languages) {
    const wiki = `${language}wiki`;
    world.wiki(wiki, { language });
    const [old] = world.run('20260901', [{ language }], { wiki }) as [number];
    for (const runDate of ['20260920', '20261001']) world.run(runDate, [{ language }], { wiki });
    files.push(old);
    torrents.push(world.torrent('2026-09-01', [old], { language }));
  }
  return { files, torrents };
}

test('while the program does not answer, no prune decides on more than is needed', async () => {
  const world = withPruning();
  const { files } = wikisWith(world, ['bb', 'cc', 'dd', 'ee']);
  world.mayBeSeeded = true;
  world.need(1000);
  const first = await world.prune();
  expect(first).toMatchObject({ neededBytes: 1000, removedBytes: 0, waitingFiles: 1, waitingBytes: 1000 });
  expect(first.summary).toContain('1 file waits for the seeding program to let go of it (1 kB)');
  expect(world.alerts.at(-1)).toMatchObject({
    key: 'prune_not_enough',
    // Which torrent, and what was said of it.
    message:
      '1 kB should be freed; 1 file waits for the seeding program to let go of it (1 kB): the torrent wikimedia-dumps-language-bb-2026-09-01 may still be seeded: the program does not answer: nobody listens there',
  });
  for (let again = 0; again < 4; again += 1) {
    await world.clock.advance(minutes(2));
    expect(await world.prune()).toMatchObject({ waitingFiles: 1, refusedSets: 0 });
    expect(world.catalog.openDeletions()).toHaveLength(1);
  }
  // A new process knows it, too, and twice the need is one more file.
  world.room = world.restart();
  world.need(2000);
  expect(await world.prune()).toMatchObject({ waitingFiles: 2, waitingBytes: 2000 });
  world.mayBeSeeded = false;
  await world.clock.advance(minutes(2));
  expect(await world.room.start()).toEqual({ removed: 2, takenBack: 0 });
  expect(files.filter((id) => world.isThere(id))).toHaveLength(2);
});

test('what waits and would free nothing is not taken for room', async () => {
  const world = withPruning();
  const { files } = wikisWith(world, ['bb', 'cc']);
  world.mayBeSeeded = true;
  world.need(1000);
  await world.prune();
  const [waiting] = files.filter((id) => world.statusOf(id) === 'deleted') as [number];
  linkSync(world.pathOf(waiting), `${world.layout.dataDir}/somebody-links-it`);
  await world.clock.advance(minutes(2));
  expect(await world.prune()).toMatchObject({ waitingFiles: 1 });
  expect(world.catalog.openDeletions()).toHaveLength(2);
});

test('no dump file goes while unpacked ones only wait', async () => {
  const world = withPruning();
  const [old] = world.run('20260901', [{}]) as [number];
  for (const runDate of ['20260920', '20261001']) world.run(runDate, [{}]);
  const { folder } = world.unpackedTorrent('2026-09-01', [old], 5000);
  world.mayBeSeeded = true;
  world.need(1000);
  for (let again = 0; again < 3; again += 1) {
    expect(await world.prune()).toMatchObject({ removedBytes: 0, waitingFiles: 1, waitingBytes: 5000 });
    expect(world.statusOf(old)).toBe('included');
    await world.clock.advance(minutes(2));
  }
  world.mayBeSeeded = false;
  await world.clock.advance(minutes(2));
  await world.restart().start();
  expect(existsSync(folder)).toBe(false);
  expect(world.isThere(old)).toBe(true);
});

test('a torrent that is seeded again has all its files, also those that were never to go', async () => {
  const world = withPruning();
  const [old] = world.run('20260901', [{}]) as [number];
  const newer = [...world.run('20260920', [{}]), ...world.run('20261001', [{}])];
  world.wiki('bbwiki', { language: 'bb' });
  const [other] = world.run('20260901', [{ language: 'bb' }], { wiki: 'bbwiki' }) as [number];
  const letGo = world.torrent('2026-09-01', [old, other]);
  const kept = world.torrent('2026-09-01', [old], { language: 'aa' });
  const folder = `${world.layout.torrents}/wikimedia-dumps-2026-09-01`;
  const before = namesBelow(folder);
  world.kept.add(kept);
  world.need(1000);
  expect(await world.prune()).toMatchObject({ waitingFiles: 1 });
  expect(world.asked).toEqual([letGo, kept]);
  expect(namesBelow(folder)).toEqual(before);
  // What stood in for it is damaged: the golden rule takes it back.
  for (const id of newer) world.db.sqlite.prepare('UPDATE dumps SET damaged_at = 1 WHERE id = ?').run(id);
  world.kept.clear();
  const reinstated: number[] = [];
  world.bus.on('torrent:reinstated', ({ torrentId }) => reinstated.push(torrentId));
  expect(await world.restart().start()).toEqual({ removed: 0, takenBack: 1 });
  expect(reinstated.sort()).toEqual([letGo, kept].sort());
  expect(namesBelow(folder)).toEqual(before);
});

test('the folder of a torrent goes when the last of its deletions is done', async () => {
  const world = withPruning();
  const [old] = world.run('20260901', [{}]) as [number];
  for (const runDate of ['20260920', '20261001']) world.run(runDate, [{}]);
  world.wiki('bbwiki', { language: 'bb' });
  const [other] = world.run('20260901', [{ language: 'bb' }], { wiki: 'bbwiki' }) as [number];
  world.torrent('2026-09-01', [old, other]);
  world.kept.add(world.torrent('2026-09-01', [old], { language: 'aa' }));
  world.need(1000);
  await world.prune();
  world.kept.clear();
  await world.clock.advance(minutes(1));
  expect(await world.room.start()).toEqual({ removed: 1, takenBack: 0 });
  expect(namesBelow(`${world.layout.torrents}/wikimedia-dumps-2026-09-01`)).toEqual(['README.txt']);
  expect(world.isThere(other)).toBe(true);
});

test('one torrent that the program never lets go of holds up no other', async () => {
  const world = withPruning();
  const { files, torrents } = wikisWith(world, ['bb', 'cc', 'dd']);
  world.kept.add(torrents[0] as number);
  world.need(3000);
  expect(await world.prune()).toMatchObject({ removedFiles: 2, waitingFiles: 1 });
  expect(files.map((id) => world.isThere(id))).toEqual([true, false, false]);
  expect(world.catalog.torrent(TorrentId.parse(torrents[1] as number))?.retiredAt).toBe(NOW);
});

test('three torrents that the program never lets go of put off nothing that is decided on later', async () => {
  const world = withPruning();
  const { files, torrents } = wikisWith(world, ['bb', 'cc', 'dd', 'ee', 'ff']);
  for (const id of torrents.slice(0, 3)) world.kept.add(id);
  world.need(3000);
  expect(await world.prune()).toMatchObject({ removedFiles: 0, waitingFiles: 3 });
  await world.clock.advance(hours(24));
  world.need(4000);
  expect(await world.prune()).toMatchObject({ removedFiles: 1, waitingFiles: 3 });
  expect(files.map((id) => world.isThere(id))).toEqual([true, true, true, false, true]);
});

test('while nobody answers no file that waits is looked at, whether it may go; the index of deletions is read once', async () => {
  const looked: string[] = [];
  const world = withPruning({
    disk: (disk) => ({
      ...disk,
      async stat(path) {
        looked.push(path);
        return disk.stat(path);
      },
    }),
  });
  const { files } = wikisWith(world, ['bb', 'cc', 'dd', 'ee']);
  world.mayBeSeeded = true;
  world.need(4000);
  const openDeletions = vi.spyOn(world.catalog, 'openDeletions');
  expect(await world.prune()).toMatchObject({ waitingFiles: 4 });
  // To take up what is open, and to see what waits; not for each set.
  expect(openDeletions).toHaveBeenCalledTimes(2);
  const room = world.restart();
  looked.length = 0;
  expect(await room.start()).toEqual({ removed: 0, takenBack: 0 });
  const paths = files.map((id) => world.pathOf(id));
  expect(new Set(looked.filter((path) => paths.includes(path)))).toEqual(new Set([paths[0]]));
  // What they rest on is damaged by the time somebody answers: asked again before anything is removed.
  world.db.sqlite.exec(`UPDATE dumps SET damaged_at = 1 WHERE run_date <> '20260901'`);
  world.mayBeSeeded = false;
  await world.clock.advance(minutes(1));
  expect(await room.start()).toEqual({ removed: 0, takenBack: 4 });
  for (const id of files) expect(world.isThere(id)).toBe(true);
});

test('what a torrent that is taken back needs is asked for in the transaction that takes it back', async () => {
  const world = withPruning();
  wikisWith(world, ['bb']);
  world.mayBeSeeded = true;
  world.need(1000);
  await world.prune();
  world.db.sqlite.exec(`UPDATE dumps SET damaged_at = 1 WHERE run_date <> '20260901'`);
  world.mayBeSeeded = false;
  const inTransaction: boolean[] = [];
  world.bus.on('torrent:reinstated', () => void inTransaction.push(world.db.sqlite.inTransaction));
  expect(await world.restart().start()).toEqual({ removed: 0, takenBack: 1 });
  expect(inTransaction).toEqual([true]);
});
