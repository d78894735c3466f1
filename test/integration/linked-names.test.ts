import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createNodeDisk, silentLog, writeAtomically } from '../../src/ports/index.ts';
import { createTorrentRetirement } from '../../src/pruning/retire-torrent.ts';
import { webseedWorld } from '../helpers/webseed-bundle.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

/*
 * Goal: where a name that we would remove or write was made a link by somebody, what it leads to stays as it is.
 * Method: real links on the real file system.
 */

test.each([
  [
    'a folder of the tree leads to the stored files',
    (folder: string, stored: ReadonlyMap<string, string>) => {
      mkdirSync(dirname(folder), { recursive: true });
      symlinkSync(dirname([...stored.values()][0]!), folder);
    },
  ],
  [
    'each name leads to its stored file',
    (folder: string, stored: ReadonlyMap<string, string>) => {
      mkdirSync(folder, { recursive: true });
      for (const [name, path] of stored) symlinkSync(path, join(folder, name));
    },
  ],
])('a retired torrent takes no stored file with it: %s', async (_what, arrange) => {
  const { catalog, db, layout, files, cycleTorrent } = webseedWorld();
  const { torrent } = cycleTorrent();
  const stored = new Map([...files].map(([name, { path }]) => [name, path]));
  arrange(join(layout.torrents, torrent.infoName, 'compressed', 'en', 'wikipedia'), stored);
  db.sqlite.prepare('UPDATE torrents SET retired_at = 1 WHERE id = ?').run(torrent.id);
  const retirement = createTorrentRetirement({
    ...{ db, catalog, layout, disk: createNodeDisk(), log: silentLog },
    ended: { of: async () => true },
    stuck: { note: () => {}, over: () => {} },
    onUnpackedRemoved: () => {},
  });
  await retirement.removeFolder(torrent.id);
  expect(stored.size).toBeGreaterThan(0);
  for (const path of stored.values()) expect(existsSync(path)).toBe(true);
});

test.each([
  ['symbolic', symlinkSync],
  ['hard', linkSync],
])('writing a file whose temporary name is a %s link leaves what it led to alone', async (_kind, link) => {
  const folder = temporaryFolder();
  const stored = join(folder, 'stored');
  writeFileSync(stored, 'the only copy');
  link(stored, join(folder, 'new.torrent.tmp'));
  await writeAtomically(createNodeDisk(), join(folder, 'new.torrent'), 'other bytes');
  expect(readFileSync(stored, 'utf8')).toBe('the only copy');
  expect(readFileSync(join(folder, 'new.torrent'), 'utf8')).toBe('other bytes');
});
