// Goal: a whole WikiSeed repairs a rotten file from other seeders of its torrent when upstream has lost it, while it seeds that torrent itself.
// Method: a small cycle in the sandbox until it is seeded; another client with a copy of the torrent; then upstream forgets the file.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import type { DumpFile } from '../../src/catalog/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { startStranger } from '../helpers/swarm-bundle.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';
const PIECE = 16 * 1024;

test('a rotten file that upstream has no more comes from the swarm, piece by piece', async () => {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 900_000 });
  const base = sandboxConfig(sandbox);
  const { dataDir } = base.config.wikiseed;
  const config = {
    ...base.config,
    torrents: { ...base.config.torrents, pieceLengthBytes: PIECE },
    download: { ...base.config.download, mirrors: [] },
    ia: { ...base.config.ia, enabled: false },
  };
  const app = await createApp({
    ...{ ...base, config, log: silentLog },
    clock: shiftedClock('2026-11-23T12:00:00Z'),
  });
  onTestFinished(() => app.stop());
  await app.start();
  await app.whenIdle();
  const [file] = app.catalog.dumpFiles(CYCLE).sort((a, b) => b.sizeBytes - a.sizeBytes) as [DumpFile];
  const carrier = app.catalog.torrentsWith(file.id)[0];
  if (carrier === undefined) throw new Error('no torrent carries the file');
  expect((await app.seeding()).torrents.map(({ infoHash }) => infoHash)).toContain(carrier.infoHash);

  const folder = temporaryFolder();
  cpSync(join(dataDir, 'torrents'), folder, { recursive: true });
  expect(readdirSync(folder)).toContain(carrier.torrent);
  const stranger = await startStranger({ torrentFile: join(dataDir, carrier.torrentFilePath), path: folder });

  const path = join(dataDir, file.localPath as string);
  const { ino, atimeMs, mtimeMs } = statSync(path);
  const sound = readFileSync(path);
  chmodSync(path, 0o644);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([(sound[2 * PIECE + 5] as number) ^ 1]), 0, 1, 2 * PIECE + 5);
  closeSync(fd);
  chmodSync(path, 0o444);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
  expect(readFileSync(path).equals(sound)).toBe(false);
  const gone = sandbox.faults.add({ server: 'dumps', match: file.filename, kind: 'vanish', times: 1000 });

  app.operator.repairFiles([file.id]);
  await app.whenIdle();
  expect(gone.fired).toBeGreaterThan(0);
  expect(createHash('sha1').update(readFileSync(path)).digest('hex')).toBe(file.sha1);
  expect(statSync(path).ino).toBe(ino);
  expect(app.catalog.dumpFile(file.id)).toMatchObject({ ourStatus: 'included', damagedAt: null });
  // The file does not begin on a piece of its torrent.
  expect(stranger.asked.length).toBeGreaterThan(0);
  expect(stranger.asked.length).toBeLessThanOrEqual(2);
});
