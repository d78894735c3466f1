import { expect, test } from 'vitest';
import { createLayout } from './layout.ts';
import { fileOfTorrent, isStoredTree, torrentFolder } from './torrent-place.ts';

const layout = createLayout('/data');

test('a torrent of a run lies where its files are stored, any other below torrents/', () => {
  const run = { contentPath: 'dumps', infoName: 'enwiki' };
  const cycle = { contentPath: 'torrents', infoName: 'wikimedia-dumps-2026-11-20' };
  expect(torrentFolder(layout, run)).toBe('/data/dumps/enwiki');
  expect(fileOfTorrent(layout, run, '20261120/x.bz2')).toBe(
    layout.dumpFile({ source: 'classic', wikiDbName: 'enwiki', runDate: '20261120', filename: 'x.bz2' }),
  );
  expect(torrentFolder(layout, cycle)).toBe('/data/torrents/wikimedia-dumps-2026-11-20');
  expect([run, cycle].map(isStoredTree)).toEqual([true, false]);
});

test.each([
  [{ contentPath: '..', infoName: 'a' }, 'x'],
  [{ contentPath: 'dumps', infoName: '..' }, 'x'],
  [{ contentPath: 'dumps', infoName: 'a/b' }, 'x'],
  [{ contentPath: 'dumps', infoName: 'a' }, '../x'],
  [{ contentPath: 'dumps', infoName: 'a' }, '.partial/x'],
])('refuses %o with %s', (place, path) => {
  expect(() => fileOfTorrent(layout, place, path)).toThrow(/refusing/);
});
