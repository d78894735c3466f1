import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createWatchFolder } from '../../src/seeding/watch-folder.ts';
import { createLifetime, until } from '../helpers/clients/lifetime.ts';
import { freePort } from '../helpers/clients/ports.ts';
import { startTracker, type Tracker } from '../helpers/clients/tracker.ts';
import { qbittorrentProgram } from '../helpers/engine-programs.ts';
import { has } from '../helpers/needs.ts';
import { makePlainTorrent, type PlainTorrent } from '../helpers/plain-torrent.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: a client that knows nothing of us and only watches our folders seeds every torrent, whichever place its content has, from the stored
 * files, and writes none.
 * Method: the real programs with one place of content for each folder, as the operator's guide says; aria2c as the stranger. What we drop is
 * a torrent below `torrents/` and one whose files are the tree below `dumps/` itself.
 */

const lifetime = createLifetime();
let tracker: Tracker;
beforeAll(async () => {
  tracker = await startTracker(lifetime, '127.0.0.1');
});
afterAll(() => lifetime.end());

const FILES = [
  { path: '20261120/pages-articles.xml.bz2', sizeBytes: 400_001 },
  { path: '20261120/page.sql.gz', sizeBytes: 77 },
];

function stored(contentRoot: string, name: string): PlainTorrent {
  for (const { path, sizeBytes } of FILES) {
    const file = join(contentRoot, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, randomBytes(sizeBytes));
    chmodSync(file, 0o444);
  }
  return makePlainTorrent({
    ...{ contentRoot, name, files: FILES, pieceLength: 16_384 },
    trackers: [tracker.url],
  });
}

function treeOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const path = join(folder, name);
      const { mtimeMs, mode } = statSync(path);
      const isFolder = statSync(path).isDirectory();
      return [name, `${mtimeMs} ${mode} ${isFolder ? '' : readFileSync(path).toString('base64')}`];
    }),
  );
}

async function expectFetched({ torrentFile, contentRoot, name }: PlainTorrent): Promise<void> {
  const target = temporaryFolder();
  const stranger = lifetime.program('aria2c', [
    ...[`--dir=${target}`, '--seed-time=0', '--enable-dht=false', '--enable-dht6=false', '--no-conf=true'],
    ...['--bt-enable-lpd=false', '--enable-peer-exchange=false', '--disable-ipv6=true'],
    ...['--bt-tracker-interval=1', '--bt-stop-timeout=45', '--summary-interval=0', torrentFile],
  ]);
  expect(await stranger.ended, stranger.output()).toBe(0);
  for (const { path } of FILES)
    expect(readFileSync(join(target, name, path)).equals(readFileSync(join(contentRoot, name, path)))).toBe(
      true,
    );
}

/** rtorrent, which watches by a line of its settings for each folder. */
async function watchingRtorrent(watched: Readonly<Record<string, string>>): Promise<void> {
  const folder = lifetime.folder();
  const port = await freePort();
  const lines = Object.entries(watched).map(
    ([from, to], index) =>
      `schedule2 = watch_${index}, 1, 1, "load.start=${from}/*.torrent,d.directory.set=${to}"`,
  );
  writeFileSync(
    join(folder, 'rc'),
    [
      ...['system.daemon.set = true', `session.path.set = ${folder}`, 'dht.mode.set = disable'],
      ...[`network.port_range.set = ${port}-${port}`, 'protocol.pex.set = no', 'trackers.use_udp.set = no'],
      ...lines,
    ].join('\n'),
  );
  lifetime.program('rtorrent', ['-n', '-o', `import=${join(folder, 'rc')}`]);
}

describe.each([
  {
    name: 'qbittorrent-nox',
    isFetched: true,
    begin: async (watched: Readonly<Record<string, string>>) =>
      void (await qbittorrentProgram(lifetime, { isRoot: false, watched })),
  },
  // With its habit of giving a stranger little at a time, fetching all from it takes minutes.
  { name: 'rtorrent', isFetched: false, begin: watchingRtorrent },
])('$name over our watch folders', ({ name, isFetched, begin }) => {
  const isHere = has(name) && has('aria2c');

  it.skipIf(!isHere)(
    'has everything from both places without fetching a byte, gives it on as it is, and writes nothing',
    async () => {
      const dataDir = temporaryFolder();
      chmodSync(dataDir, 0o755);
      const contentRoots = [join(dataDir, 'torrents'), join(dataDir, 'dumps')];
      const torrents = contentRoots.map((root, index) => stored(root, `wiki${index}`));
      const before = contentRoots.map(treeOf);
      const folder = join(dataDir, 'seeder', 'watch');
      const watch = createWatchFolder({ folder, contentRoots, disk: createNodeDisk(), log: silentLog });
      await watch.fill([], []);
      const folders = ['torrents', 'dumps'].map((each) => join(folder, each));
      // A client takes away or renames what it has read.
      for (const each of folders) chmodSync(each, 0o777);
      await begin(Object.fromEntries(folders.map((each, index) => [each, contentRoots[index]!])));
      for (const torrent of torrents) await watch.put(torrent);
      for (const { infoHash } of torrents)
        await until('it is announced whole', () => tracker.peers(infoHash).seeders.length > 0);
      if (isFetched) for (const torrent of torrents) await expectFetched(torrent);
      expect(contentRoots.map(treeOf)).toEqual(before);
    },
  );
});
