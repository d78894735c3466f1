import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createNodeDisk, type Log, silentLog } from '../../src/ports/index.ts';
import { withWatchFolder } from '../../src/seeding/choose-engine.ts';
import type { TorrentEngine } from '../../src/seeding/engine.ts';
import { createWatchFolder } from '../../src/seeding/watch-folder.ts';
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
  const torrentFile = join(dataDir, 'enwiki-20261120.torrent');
  writeFileSync(torrentFile, 'first');
  const watch = createWatchFolder({ folder, disk: createNodeDisk(), log: silentLog });
  const spec = { infoHash: INFO_HASH, torrentFile, contentRoot: dataDir };
  return {
    dataDir,
    folder,
    torrentFile,
    watch,
    spec,
    path: join(folder, `enwiki-20261120.${INFO_HASH}.torrent`),
  };
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

it('has the .torrent of what is served, under a name that says whose it is', async () => {
  const { folder, path, watch, spec } = setup();
  const both = withWatchFolder(engine(), watch);
  await both.start([]);
  await both.add(spec, never);
  expect(readdirSync(folder)).toEqual([`enwiki-20261120.${INFO_HASH}.torrent`]);
  expect(readFileSync(path, 'utf8')).toBe('first');
  await both.remove(INFO_HASH);
  expect(readdirSync(folder)).toEqual([]);
});

it('has what was served before as soon as the engine begins', async () => {
  const { path, watch, spec } = setup();
  await withWatchFolder(engine(), watch).start([spec]);
  expect(readFileSync(path, 'utf8')).toBe('first');
});

it('is given a changed .torrent, and an unchanged one is not written again', async () => {
  const { path, torrentFile, watch, spec } = setup();
  await watch.put(spec);
  const { ino } = statSync(path);
  await watch.put(spec);
  expect(statSync(path).ino).toBe(ino);
  writeFileSync(torrentFile, 'with a webseed');
  await watch.put(spec);
  expect(readFileSync(path, 'utf8')).toBe('with a webseed');
});

it('keeps what others put there', async () => {
  const { folder, watch, spec } = setup();
  mkdirSync(folder, { recursive: true });
  const others = ['mine.torrent', `${'ef'.repeat(20)}.torrent`, `${INFO_HASH}.torrent.added`];
  for (const name of others) writeFileSync(join(folder, name), 'x');
  await watch.put(spec);
  await watch.remove(INFO_HASH);
  expect(readdirSync(folder)).toEqual(others.toSorted());
});

it('that cannot be written is a line in the log, and no trouble of the seeding', async () => {
  const { dataDir, spec, torrentFile } = setup();
  const lines: string[] = [];
  const log: Log = { ...silentLog, error: (_fields, message) => void lines.push(message) };
  writeFileSync(join(dataDir, 'file'), '');
  const watch = createWatchFolder({ folder: join(dataDir, 'file', 'watch'), disk: createNodeDisk(), log });
  await watch.put(spec);
  expect(lines).toEqual(['the watch folder could not be written']);
  rmSync(torrentFile);
  await watch.put(spec);
  expect(lines).toHaveLength(1);
});
