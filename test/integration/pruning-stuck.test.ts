import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { hours, minutes } from '../../src/lib/index.ts';
import { type World, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: what the disk refuses to remove is told, counts for nobody's waiting, and holds up nothing else; a disk that refuses everything
 * does not make one prune after the other decide on more.
 * Method: a real data directory and database; which name cannot be removed the test decides.
 */

function setup() {
  const world = {
    refused: null as RegExp | null,
    refusals: 0,
  };
  const refuse = (path: string): void => {
    if (world.refused?.test(path) !== true) return;
    world.refusals += 1;
    throw Object.assign(new Error(`EPERM: operation not permitted, unlink '${path}'`), { code: 'EPERM' });
  };
  return Object.assign(
    withPruning({
      disk: (disk) => ({
        ...disk,
        async remove(path) {
          refuse(path);
          await disk.remove(path);
        },
        async removeTree(path) {
          refuse(path);
          await disk.removeTree(path);
        },
      }),
    }),
    { trouble: world },
  );
}

/** Wikis of their own, each with an old run that may go. @returns ids of those files */
function wikisWith(world: World, languages: string): number[] {
  return [...languages].map((letter) => {
    const language = letter.repeat(2);
    const wiki = `${language}wiki`;
    world.wiki(wiki, { language });
    const [old] = world.run('20260901', [{ language }], { wiki }) as [number];
    for (const runDate of ['20260920', '20261001']) world.run(runDate, [{ language }], { wiki });
    return old;
  });
}

const stuckAlert = (world: World) => world.alerts.findLast(({ key }) => key === 'prune_stuck');

test('unpacked files that the disk refuses to remove do not keep a dump file from going', async () => {
  const world = setup();
  const [old] = wikisWith(world, 'b') as [number];
  const { folder } = world.unpackedTorrent('2026-09-01', [old], 5000);
  world.trouble.refused = /\/uncompressed\//;
  world.need(1000);
  // The plan counted on them.
  expect(await world.prune()).toMatchObject({ removedBytes: 0, waitingFiles: 0, stuck: 1 });
  await world.clock.advance(hours(24));
  const report = await world.prune();
  expect(report).toMatchObject({ removedFiles: 1, waitingFiles: 0, stuck: 1 });
  expect(report.summary).toContain(`the disk refuses to remove ${folder} (EPERM`);
  expect(world.trouble.refusals).toBe(2);
  expect(world.isThere(old)).toBe(false);
  expect(stuckAlert(world)?.message).toContain(folder);
  expect([...world.openAlerts]).toEqual(['prune_stuck']);
  world.trouble.refused = null;
  // Also when no room is needed any more.
  world.need(0);
  await world.prune();
  expect(existsSync(folder)).toBe(false);
  expect([...world.openAlerts]).toEqual([]);
});

test('one dump file that the disk refuses to remove holds up no other, today and tomorrow, and somebody is told', async () => {
  const world = setup();
  const files = wikisWith(world, 'bcd');
  world.trouble.refused = /bbwiki-20260901/;
  world.need(1000);
  await world.room.start();
  const first = await world.prune();
  expect(first).toMatchObject({ removedFiles: 0, waitingFiles: 0, refusedSets: 0, stuck: 1 });
  expect(first.summary).toMatch(/0 B of 1 kB needed; the disk refuses to remove .*bbwiki-20260901.*EPERM/);
  expect(stuckAlert(world)?.message).toContain('bbwiki-20260901');
  // What goes in its place does so soon.
  await world.clock.advance(minutes(2));
  expect(world.requested).toEqual(['prune_storage']);
  for (const left of [2, 1]) {
    expect(await world.prune()).toMatchObject({ removedFiles: 1, stuck: 1 });
    expect(files.filter(world.isThere)).toHaveLength(left);
    await world.clock.advance(hours(24));
  }
  expect(world.trouble.refusals).toBe(3);
  expect(world.catalog.openDeletions()).toHaveLength(1);
  // It goes as soon as it can, also after a restart.
  world.trouble.refused = null;
  expect(await world.restart().start()).toEqual({ removed: 1, takenBack: 0 });
  expect([...world.openAlerts]).toEqual([]);
});

test('a set of which one file is stuck is told with the others of it gone', async () => {
  const world = setup();
  const old = world.run('20260901', [{ part: 1 }, { part: 2 }]) as [number, number];
  for (const runDate of ['20260920', '20261001']) world.run(runDate, [{ part: 1 }, { part: 2 }]);
  world.trouble.refused = /20260901-pages-articles1/;
  world.need(1000);
  expect(await world.prune()).toMatchObject({ removedFiles: 1, removedBytes: 1000, stuck: 1 });
  expect(old.map(world.isThere)).toEqual([true, false]);
});

test('a disk that refuses everything ends the prune after three sets', async () => {
  const world = setup();
  const files = wikisWith(world, 'bcdefg');
  const torrents = files.map((id, index) =>
    world.torrent('2026-09-01', [id], { language: 'bcdefg'.charAt(index).repeat(2) }),
  );
  world.trouble.refused = /./;
  world.need(6000);
  await expect(world.prune()).rejects.toMatchObject({
    code: 'prune_refused',
    message: expect.stringMatching(
      /^nothing more is deleted: the disk refuses to remove .*EPERM.*and \d more$/,
    ),
  });
  expect(world.trouble.refusals).toBeGreaterThan(2);
  expect(world.catalog.openDeletions()).toHaveLength(3);
  expect(torrents.filter((id) => world.catalog.torrent(id as never)?.retiredAt === null)).toHaveLength(3);
  expect([...world.openAlerts]).toEqual(['prune_stuck']);
  // Each prune after that tries one more, not three; with a disk that is well again all goes on.
  await expect(world.prune()).rejects.toThrow('nothing more is deleted');
  expect(world.catalog.openDeletions()).toHaveLength(4);
  world.trouble.refused = null;
  expect(await world.prune()).toMatchObject({ stuck: 0 });
  expect(world.catalog.openDeletions()).toEqual([]);
});

test('a disk that refuses everything does not make one prune after the other decide on a little more', async () => {
  const world = setup();
  wikisWith(world, 'bcdefg');
  world.trouble.refused = /./;
  world.need(1000);
  for (const open of [1, 2]) {
    expect(await world.prune()).toMatchObject({ removedFiles: 0, stuck: open });
    expect(world.catalog.openDeletions()).toHaveLength(open);
  }
  await expect(world.prune()).rejects.toMatchObject({ code: 'prune_refused' });
});
