import { existsSync, linkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TorrentId } from '../../src/lib/index.ts';
import { NOW, namesBelow, type World, withPruning } from '../helpers/pruning-bundle.ts';

/**
 * Goal: a file is in several torrents, of a cycle, of its wiki's run, of a language and unpacked: all of them are retired when it goes, none of
 * their folders costs another file its bytes, and unpacked files make room before any dump.
 * Method: a real data directory with hard links, a real database, the real planning thread.
 */

const retiredAt = (world: World, id: number): number | null =>
  world.catalog.torrent(TorrentId.parse(id))?.retiredAt ?? null;

test('every torrent that carries a deleted file is retired, and the folder of its wiki stays', async () => {
  const world = withPruning();
  const [old = 0, kept = 0] = world.run('20260901', [{}, { dumpType: 'pagelinks' }]);
  const newer = world.run('20260920', [{}]);
  const newest = world.run('20261001', [{}]);
  const all = [old, kept];
  const torrents = [
    world.torrent('2026-09-01', all),
    world.torrent('2026-09-01', all, { language: 'aa' }),
    world.runTorrent('20260901', all),
  ];
  const others = [world.runTorrent('20260920', newer), world.runTorrent('20261001', newest)];
  expect(statSync(world.pathOf(old)).nlink).toBe(3);
  world.need(500);
  const freed: number[] = [];
  world.bus.on('dumpFile:deleted', ({ sizeBytes }) => freed.push(sizeBytes));
  expect(await world.prune()).toMatchObject({ removedBytes: 1000, removedFiles: 1, removedTorrents: 0 });
  expect(freed).toEqual([1000]);
  for (const id of torrents) expect(retiredAt(world, id)).toBe(NOW);
  for (const id of others) expect(retiredAt(world, id)).toBeNull();
  expect(world.stopped).toHaveLength(3);
  // Nothing but that file went from the folder of the wiki, which holds every run of it.
  expect(namesBelow(join(world.layout.dumps, 'aawiki')).sort()).toEqual([
    '20260901/aawiki-20260901-pagelinks1.xml.bz2',
    '20260920/aawiki-20260920-pages-articles1.xml.bz2',
    '20261001/aawiki-20261001-pages-articles1.xml.bz2',
  ]);
  expect(statSync(world.pathOf(kept)).nlink).toBe(1);
  const left = ['wikimedia-dumps-2026-09-01/README.txt', 'wikimedia-dumps-language-aa-2026-09-01/README.txt'];
  const below = (): string[] =>
    namesBelow(world.layout.torrents)
      .filter((name) => !name.endsWith('.torrent'))
      .sort();
  expect(below()).toEqual(left);
  // A start looks for what is left of retired torrents, once more.
  await world.restart().start();
  expect(world.isThere(kept)).toBe(true);
  expect(below()).toEqual(left);
});

test('the torrent of a run is no second name: a file of which only that is left is missing', async () => {
  const world = withPruning();
  const [old = 0] = world.run('20260901', [{}]);
  world.run('20261001', [{}]);
  world.runTorrent('20260901', [old]);
  linkSync(world.pathOf(old), join(world.layout.dataDir, 'mine.bz2'));
  world.need(500);
  // The name outside keeps the bytes, so nothing would be freed.
  expect(await world.prune()).toMatchObject({ removedFiles: 0 });
  expect(world.isThere(old)).toBe(true);
  rmSync(world.pathOf(old));
  expect(await world.prune()).toMatchObject({ removedFiles: 0 });
  expect(world.statusOf(old)).toBe('included');
});

test('unpacked files go before any dump, as many torrents as it takes, and no tombstone says that a dump went', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}]);
  const middle = world.run('20260920', [{}]);
  const newest = world.run('20261001', [{}]);
  const first = world.unpackedTorrent('2026-09-01', old, 5000);
  const second = world.unpackedTorrent('2026-10-01', newest, 7000);
  const changes: number[] = [];
  world.bus.on('storage:othersChanged', ({ deltaBytes }) => changes.push(deltaBytes));
  world.need(4000);
  expect(await world.prune()).toMatchObject({
    ...{ neededBytes: 4000, removedBytes: 5000, removedFiles: 0, removedSets: 0, removedTorrents: 1 },
    summary: '1 torrent of unpacked files and 0 files of 0 sets deleted, 5 kB of 4 kB needed',
  });
  expect(changes).toEqual([-5000]);
  expect(existsSync(first.folder)).toBe(false);
  expect(retiredAt(world, first.id)).toBe(NOW);
  expect(retiredAt(world, second.id)).toBeNull();
  expect(world.stopped).toHaveLength(1);
  expect(world.catalog.deletions({ limit: 10 })).toEqual([]);
  for (const id of [...old, ...middle, ...newest]) expect(world.isThere(id)).toBe(true);

  // The dumps go when that is not enough.
  world.need(7500);
  expect(await world.prune()).toMatchObject({ removedBytes: 8000, removedFiles: 1, removedTorrents: 1 });
  expect(existsSync(second.folder)).toBe(false);
  expect(world.isThere(old[0] ?? 0)).toBe(false);
});

test('while a torrent of its cycle is made its unpacked files stay, and so do files of others in its folder', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}]);
  const { id, folder } = world.unpackedTorrent('2026-09-01', old, 5000);
  const job = world.db.sqlite.prepare(
    `INSERT INTO jobs (job_type, cycle_date, params, unique_key, max_attempts, next_retry_at, created_at)
     VALUES ('create_torrent', '2026-09-01', '{}', 'x', 5, 0, 0)`,
  );
  job.run();
  world.need(1000);
  expect(await world.prune()).toMatchObject({ removedBytes: 0, removedTorrents: 0 });
  expect(retiredAt(world, id)).toBeNull();
  world.db.sqlite.exec('DELETE FROM jobs');
  writeFileSync(join(folder, 'uncompressed', 'my-notes.txt'), 'mine');
  expect(await world.prune()).toMatchObject({ removedBytes: 5000, removedTorrents: 1 });
  expect(namesBelow(folder).sort()).toEqual(['README.txt', 'uncompressed/my-notes.txt']);
});

test('a retirement that a dead process began is ended at the next start', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{}]);
  const { id, folder } = world.unpackedTorrent('2026-09-01', old, 5000);
  expect(world.catalog.retireUnpacked(TorrentId.parse(id))).toBe(true);
  expect(world.catalog.retireUnpacked(TorrentId.parse(id))).toBe(false);
  await world.restart().start();
  expect(existsSync(folder)).toBe(false);
  expect(world.isThere(old[0] ?? 0)).toBe(true);
});

test('who seeds unpacked bytes seeds no dump', async () => {
  const world = withPruning();
  const old = world.run('20260901', [{ sizeBytes: 1000 }]);
  const { id } = world.unpackedTorrent('2026-09-01', old, 5000);
  expect(world.catalog.torrentsWith(old[0] as never)).toEqual([]);
  expect(world.catalog.namesInTorrents(old[0] as never)).toEqual([]);
  const run = world.runTorrent('20260901', old);
  expect(world.catalog.otherNames(old[0] as never)).toEqual([]);
  expect(world.catalog.namesInTorrents(old[0] as never)).toMatchObject([
    {
      torrent: 'aawiki-20260901',
      ...{ contentPath: 'dumps', infoName: 'aawiki' },
      pathInTorrent: '20260901/aawiki-20260901-pages-articles1.xml.bz2',
    },
  ]);
  const infoHash = (torrent: number): string =>
    world.catalog.torrent(TorrentId.parse(torrent))?.infoHash ?? '';
  const name = 'aawiki-20260901-pages-articles1.xml';
  expect(world.catalog.fileInTorrent(infoHash(run), `20260901/${name}.bz2`)).toBe(old[0]);
  expect(world.catalog.fileInTorrent(infoHash(id), `uncompressed/aa/wikipedia/${name}`)).toBeNull();
});

test('a folder of dumps that is gone holds up nothing: its file gets its place back, and pruning goes on', async () => {
  const stuck = { folder: '', count: 0 };
  const world = withPruning({
    disk: (disk) => ({
      ...disk,
      async link(from, to) {
        if (stuck.folder !== '' && to.startsWith(stuck.folder)) {
          stuck.count += 1;
          throw Object.assign(new Error('EIO: input/output error'), { code: 'EIO' });
        }
        return disk.link(from, to);
      },
    }),
  });
  const [old = 0] = world.run('20260901', [{}]);
  for (const runDate of ['20260920', '20261001']) world.run(runDate, [{}]);
  const other = (language: string): [string, number] => {
    const wiki = `${language}wiki`;
    world.wiki(wiki, { language });
    return [join(world.layout.dumps, wiki), world.run('20260901', [{ language }], { wiki })[0] ?? 0];
  };
  const [folder, lost] = other('bb');
  const [stays, stuckFile] = other('cc');
  world.torrent('2026-09-01', [old, lost, stuckFile]);
  rmSync(folder, { recursive: true });
  rmSync(stays, { recursive: true });
  stuck.folder = stays;
  world.need(1000);
  expect(await world.prune()).toMatchObject({ removedFiles: 1 });
  expect(stuck.count).toBe(1);
  expect(world.isThere(old)).toBe(false);
  expect(world.isThere(lost)).toBe(true);
  // The disk refuses one: neither the next prune nor a start fails for it, and its only name stays.
  world.need(1000);
  expect(await world.prune()).toMatchObject({ removedFiles: 1 });
  expect(await world.restart().start()).toEqual({ removed: 0, takenBack: 0 });
  expect(stuck.count).toBe(3);
  const tree = join(world.layout.torrents, 'wikimedia-dumps-2026-09-01');
  expect(namesBelow(tree).filter((name) => name.includes('ccwiki'))).toHaveLength(1);
  stuck.folder = '';
  await world.restart().start();
  expect(world.isThere(stuckFile)).toBe(true);
  expect(namesBelow(tree)).toEqual(['README.txt']);
});
