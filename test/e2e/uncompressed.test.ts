// Goal: a cycle whose operator wants it ends with a torrent of unpacked files that is seeded, published and exactly what was packed.
// Method: the app in the sandbox; gzip, bzip2 and sha256sum are the judges.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { has } from '../helpers/needs.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';

test.skipIf(!has('bzip2'))('the torrent of unpacked files of a cycle', { timeout: 120_000 }, async () => {
  const sandbox = await withSandbox({});
  const { config, secrets } = sandboxConfig(sandbox);
  const { app } = await withApp(
    {
      secrets,
      config: {
        ...config,
        torrents: { ...config.torrents, uncompressed: { enabled: true, maxFileSizeBytes: 1e8, types: [] } },
      },
    },
    { clock: shiftedClock('2026-11-23T12:00:00Z') },
  );
  await app.whenIdle();
  const torrents = app.catalog.torrents();
  const unpacked = torrents.filter(({ isUncompressed }) => isUncompressed);
  const regular = torrents.filter(
    ({ grouping, isUncompressed, isHistory }) => grouping === 'cycle' && !isUncompressed && !isHistory,
  );
  expect(unpacked.map(({ cycleDate }) => cycleDate)).toEqual(regular.map(({ cycleDate }) => cycleDate));
  expect(unpacked.length).toBeGreaterThan(0);
  for (const torrent of unpacked) {
    expect(torrent.seedingSince).not.toBeNull();
    expect(readdirSync(join(app.layout.publish, 'torrents'))).toContain(`${torrent.infoHash}.torrent`);
    const root = join(app.layout.torrents, torrent.infoName);
    const files = app.catalog.torrentFiles(torrent.id);
    expect(files.length).toBeGreaterThan(5);
    for (const { dump, pathInTorrent } of files) {
      const program = dump.filename.endsWith('.gz') ? 'gzip' : 'bzip2';
      if (dump.filename.endsWith('.7z')) continue;
      const expected = execFileSync(program, ['-dc', app.layout.absolute(dump.localPath!)], {
        maxBuffer: 2 ** 28,
      });
      expect(readFileSync(join(root, pathInTorrent)).equals(expected), pathInTorrent).toBe(true);
    }
    const { status, stdout } = spawnSync('sha256sum', ['-c', 'HASH.txt'], { cwd: root, encoding: 'utf8' });
    expect([status, stdout.match(/: OK/g)?.length]).toEqual([0, files.length]);
  }
  expect(readdirSync(app.layout.torrents).filter((name) => name.startsWith('.'))).toEqual([]);
});
