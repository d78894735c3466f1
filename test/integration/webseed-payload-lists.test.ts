// Goal: whoever asks for paths that no torrent has makes nobody else wait: a .torrent is read once, one at a time, and too many of them
// are refused. Method: real .torrent files on a disk that counts how often they are opened, and holds them back when told to.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createNodeDisk, type Disk } from '../../src/ports/index.ts';
import {
  createPayloadLists,
  type ListedTorrent,
  type PayloadListLimits,
} from '../../src/webseeds/serve/payload-lists.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { makeTorrentFile } from '../helpers/webseed-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/** What a disk says that has nothing against the file. */
const TROUBLE = ['EMFILE', 'EIO', 'ENFILE'].map((code) => Object.assign(new Error(code), { code }));

function setup(limits?: PayloadListLimits) {
  const folder = temporaryFolder();
  mkdirSync(folder, { recursive: true });
  const opened: string[] = [];
  let atOnce = 0;
  const seen = { atOnceMax: 0 };
  let hold: Promise<void> = Promise.resolve();
  const troubles: Error[] = [];
  const node = createNodeDisk();
  const disk: Disk = {
    ...node,
    async open(path, mode) {
      opened.push(path);
      atOnce += 1;
      seen.atOnceMax = Math.max(seen.atOnceMax, atOnce);
      await hold;
      const trouble = troubles.shift();
      if (trouble !== undefined) {
        atOnce -= 1;
        throw trouble;
      }
      const file = await node.open(path, mode);
      return {
        ...file,
        close: async () => {
          atOnce -= 1;
          await file.close();
        },
      };
    },
  };
  const clock = new FakeClock('2026-11-23T12:00:00Z');
  const lists = createPayloadLists({ disk, clock }, limits);
  const make = (name: string): ListedTorrent => {
    const { bytes, infoHash } = makeTorrentFile(name, [
      { path: 'compressed/en/dump.gz', bytes: Buffer.alloc(60) },
      { path: '.pad/40', bytes: Buffer.alloc(40), isPadding: true },
      { path: 'README.txt', bytes: Buffer.from(name) },
    ]);
    const torrentFile = join(folder, `${name}.torrent`);
    writeFileSync(torrentFile, bytes);
    return { name, infoHash, torrentFile };
  };
  /** Nothing is opened until the returned function is called. */
  const holdBack = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    hold = promise;
    return resolve;
  };
  return { lists, make, opened, seen, holdBack, clock, troubles };
}

test('texts and padding are found, and nothing else', async () => {
  const { lists, make } = setup();
  const torrent = make('tree');
  const find = (path: string) => lists.find(torrent, path);
  expect(await find('README.txt')).toEqual({ sizeBytes: 4, isPadding: false });
  expect(await find('.pad/40')).toEqual({ sizeBytes: 40, isPadding: true });
  for (const path of ['.pad/41', '.pad/040', '.pad/4e1', '.pad/', 'compressed/en/dump.gz', 'x', '__proto__'])
    expect([path, await find(path)]).toEqual([path, null]);
});

test('a .torrent is read once for all who ask, one at a time, and too many are refused', async () => {
  const { lists, make, opened, seen, holdBack } = setup();
  const torrents = Array.from({ length: 8 }, (_, at) => make(`tree-${at}`));
  const release = holdBack();
  const asked = torrents.flatMap((torrent) =>
    Array.from({ length: 20 }, (_, at) => lists.find(torrent, `nothing-${at}`)),
  );
  release();
  const answers = await Promise.all(asked);
  // One is read, four wait.
  expect(answers.filter((answer) => answer === null).length).toBe(5 * 20);
  expect(answers.filter((answer) => answer === 'busy').length).toBe(3 * 20);
  expect(opened.length).toBe(5);
  expect(seen.atOnceMax).toBe(1);
  for (const torrent of torrents) await lists.find(torrent, 'README.txt');
  expect(opened.length).toBe(8);
  for (const torrent of torrents.toReversed())
    expect(await lists.find(torrent, 'README.txt')).toEqual({ sizeBytes: 6, isPadding: false });
  expect(opened.length).toBe(8);
});

test.each<[string, PayloadListLimits]>([
  ['torrents', { kept: 2, keptEntries: 1000, waiting: 4 }],
  ['entries', { kept: 1000, keptEntries: 6, waiting: 4 }],
])('those asked for last are kept, within so many %s', async (_what, limits) => {
  const { lists, make, opened } = setup(limits);
  const [a, b, c] = [make('a'), make('b'), make('c')];
  for (const torrent of [a, b, a, c, a]) await lists.find(torrent, 'README.txt');
  expect(opened.length).toBe(3);
  await lists.find(b, 'README.txt');
  expect(opened.length).toBe(4);
});

test('one that cannot be read is not tried at once again, and after a while it is', async () => {
  const { lists, make, opened, clock } = setup();
  const torrent = make('tree');
  rmSync(torrent.torrentFile);
  writeFileSync(torrent.torrentFile, 'd4:infoe');
  for (let round = 0; round < 10; round += 1) expect(await lists.find(torrent, 'README.txt')).toBe('busy');
  expect(opened.length).toBe(1);
  make('tree');
  await clock.advance(31_000);
  expect(await lists.find(torrent, 'README.txt')).toEqual({ sizeBytes: 4, isPadding: false });
});

test('one that a disk in trouble does not give for a moment may have the path; it is tried again as soon as clients come back', async () => {
  const { lists, make, opened, clock, troubles } = setup();
  const torrent = make('tree');
  troubles.push(...TROUBLE);
  for (let round = 1; round <= TROUBLE.length; round += 1) {
    for (const path of ['README.txt', '.pad/40', 'x'])
      expect([path, await lists.find(torrent, path)]).toEqual([path, 'busy']);
    // What lies in a folder is no text, whatever the .torrent says.
    expect(await lists.find(torrent, 'compressed/x')).toBeNull();
    expect(opened.length).toBe(round);
    await clock.advance(5_000);
  }
  expect(troubles).toEqual([]);
  expect(await lists.find(torrent, 'README.txt')).toEqual({ sizeBytes: 4, isPadding: false });
  expect(await lists.find(torrent, 'x')).toBeNull();
});
