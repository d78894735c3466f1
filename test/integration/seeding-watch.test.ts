import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { createNodeDisk, type Log, silentLog } from '../../src/ports/index.ts';
import { withWatchFolder } from '../../src/seeding/choose-engine.ts';
import type { TorrentEngine } from '../../src/seeding/engine.ts';
import { createWatchFolder } from '../../src/seeding/watch-folder.ts';
import { setup as room } from '../helpers/seeding-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: another client finds the .torrent of everything that is served, and nothing in its folder but our own files is touched.
 * Method: the real disk.
 */

const never = new AbortController().signal;
const INFO_HASH = 'cd'.repeat(20);

function setup() {
  const dataDir = temporaryFolder();
  const folder = join(dataDir, 'seeder', 'watch');
  const contentRoots = [join(dataDir, 'torrents'), join(dataDir, 'dumps')];
  const watch = createWatchFolder({ folder, contentRoots, disk: createNodeDisk(), log: silentLog });
  const torrent = (name: string, infoHash: string, contentRoot: string) => {
    const torrentFile = join(dataDir, `${name}.torrent`);
    writeFileSync(torrentFile, `first ${name}`);
    const path = join(folder, basename(contentRoot), `${name}.${infoHash}.torrent`);
    return { infoHash, torrentFile, contentRoot, path };
  };
  const spec = torrent('enwiki-20261120', INFO_HASH, contentRoots[1]!);
  const cycle = torrent('cycle', 'ab'.repeat(20), contentRoots[0]!);
  /** Files below it, by folder. */
  const names = () =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.torrent') || name.endsWith('.added'))
      .sort();
  return { dataDir, folder, contentRoots, watch, spec, cycle, names };
}

/** An engine that only remembers. */
function engine(): TorrentEngine & { served: Set<string> } {
  const served = new Set<string>();
  return {
    ...{ name: 'webtorrent', served },
    async start(wanted) {
      for (const { infoHash } of wanted) served.add(infoHash);
    },
    stop: async () => {},
    add: async ({ infoHash }) => void served.add(infoHash),
    remove: async (infoHash) => void served.delete(infoHash),
    renew: async () => {},
    snapshot: async () => [],
    ...{ port: () => null, peerId: () => null, restarts: () => 0 },
  };
}

it('has the .torrent of what is served in a folder for each place of content, under a name that says whose it is', async () => {
  const { names, watch, spec, cycle } = setup();
  const both = withWatchFolder(engine(), watch);
  await both.start([]);
  await both.add(spec, never);
  await both.add(cycle, never);
  expect(names()).toEqual([
    `dumps/enwiki-20261120.${INFO_HASH}.torrent`,
    `torrents/cycle.${cycle.infoHash}.torrent`,
  ]);
  expect(readFileSync(spec.path, 'utf8')).toBe('first enwiki-20261120');
  await both.remove(INFO_HASH);
  expect(names()).toEqual([`torrents/cycle.${cycle.infoHash}.torrent`]);
});

it('is made anew at each start: what was lost is there, what was retired meanwhile is not', async () => {
  const { folder, names, watch, spec, cycle } = setup();
  await withWatchFolder(engine(), watch).start([spec]);
  expect(readFileSync(spec.path, 'utf8')).toBe('first enwiki-20261120');
  // Programs refuse to watch what is not there.
  expect(readdirSync(folder)).toEqual(['dumps', 'torrents']);
  rmSync(folder, { recursive: true });
  await withWatchFolder(engine(), watch).start([spec, cycle]);
  expect(names()).toHaveLength(2);
  await withWatchFolder(engine(), watch).start([cycle], [INFO_HASH]);
  expect(names()).toEqual([`torrents/cycle.${cycle.infoHash}.torrent`]);
});

it('takes away what lay in one folder for all, and only that', async () => {
  const { folder, names, watch, spec, cycle } = setup();
  mkdirSync(join(folder, 'torrents'), { recursive: true });
  const retired = 'ee'.repeat(20);
  for (const name of [
    ...[`enwiki-20261120.${INFO_HASH}.torrent`, `cycle.${cycle.infoHash}.torrent`, `old.${retired}.torrent`],
    ...['mine.torrent', `mine.${'ff'.repeat(20)}.torrent`, `torrents/enwiki-20261120.${INFO_HASH}.torrent`],
  ])
    writeFileSync(join(folder, name), 'x');
  await watch.fill([spec, cycle], [retired]);
  expect(names()).toEqual([
    `dumps/enwiki-20261120.${INFO_HASH}.torrent`,
    `mine.${'ff'.repeat(20)}.torrent`,
    'mine.torrent',
    `torrents/cycle.${cycle.infoHash}.torrent`,
  ]);
});

it('is cleared although the engine does not say that it has let go', async () => {
  const { names, watch, spec } = setup();
  const failing = { ...engine(), remove: () => Promise.reject(new Error('away')) };
  const both = withWatchFolder(failing, watch);
  await both.start([spec]);
  await expect(both.remove(INFO_HASH)).rejects.toThrow('away');
  expect(names()).toEqual([]);
});

it('is given a changed .torrent, and an unchanged one is not written again', async () => {
  const { watch, spec } = setup();
  await watch.put(spec);
  const { ino } = statSync(spec.path);
  await watch.put(spec);
  expect(statSync(spec.path).ino).toBe(ino);
  writeFileSync(spec.torrentFile, 'with a webseed');
  await watch.put(spec);
  expect(readFileSync(spec.path, 'utf8')).toBe('with a webseed');
});

it('has all of a .torrent from a disk that gives it in pieces', async () => {
  const { spec, folder, contentRoots } = setup();
  const disk = createNodeDisk();
  const open: typeof disk.open = async (path, mode) => {
    const file = await disk.open(path, mode);
    return mode === 'read' ? { ...file, read: (to, at) => file.read(to.subarray(0, 3), at) } : file;
  };
  await createWatchFolder({ folder, contentRoots, disk: { ...disk, open }, log: silentLog }).put(spec);
  expect(readFileSync(spec.path, 'utf8')).toBe('first enwiki-20261120');
});

it('keeps what others put there', async () => {
  const { folder, watch, spec } = setup();
  const place = join(folder, 'dumps');
  mkdirSync(place, { recursive: true });
  const others = ['mine.torrent', `${'ef'.repeat(20)}.torrent`, `${INFO_HASH}.torrent.added`];
  for (const name of others) writeFileSync(join(place, name), 'x');
  await watch.put(spec);
  await watch.remove(INFO_HASH);
  expect(readdirSync(place)).toEqual(others.toSorted());
});

it('that cannot be written is a line in the log, and no trouble of the seeding', async () => {
  const { dataDir, spec, contentRoots } = setup();
  const lines: string[] = [];
  const log: Log = { ...silentLog, error: (_fields, message) => void lines.push(message) };
  writeFileSync(join(dataDir, 'file'), '');
  const folder = join(dataDir, 'file', 'watch');
  const watch = createWatchFolder({ folder, contentRoots, disk: createNodeDisk(), log });
  await watch.put(spec);
  expect(lines).toEqual(['the watch folder could not be written']);
  rmSync(spec.torrentFile);
  await watch.put(spec);
  expect(lines).toHaveLength(1);
});

it.each([
  true,
  false,
])('without an engine (%s: with one) the room fills it at each start', async (enabled) => {
  const watchFolder = join(temporaryFolder(), 'watch');
  const { seeding, torrents } = await room({ config: { enabled, watchFolder } });
  const inside = () => readdirSync(join(watchFolder, 'torrents'));
  torrents[0]!.seedingSince = enabled ? 1 : null;
  await seeding.start();
  expect(inside()).toEqual([expect.stringContaining(`.${torrents[0]!.infoHash}.torrent`)]);
  await seeding.stop();
  torrents[0]!.retiredAt = 2;
  await seeding.start();
  expect(inside()).toEqual([]);
});
