// Goal: a bit that flips in a stored file, with its size and time as they were, is never given to anybody: it is found when a stranger
// asks for it, told, recorded and repaired, and the stranger ends with the right bytes, all without a restart.
// Method: a small cycle in the sandbox until it is seeded; a real aria2c that knows only our seeder; a dump site that has not the file for a while.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import type { DumpFile } from '../../src/catalog/index.ts';
import { openDb } from '../../src/db/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import { openAlerts, resolvedAlerts } from '../helpers/alerts.ts';
import { createLifetime } from '../helpers/clients/lifetime.ts';
import { has } from '../helpers/needs.ts';
import { rot } from '../helpers/rot.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const CYCLE = '2026-11-20';
const PIECE = 16 * 1024;
const AT = 2 * PIECE + 5;

const sha1Of = (path: string): string => createHash('sha1').update(readFileSync(path)).digest('hex');

/** A stranger with an own log, in which aria2 tells of every wrong piece that it was given. */
function stranger(torrentFile: string) {
  const lifetime = createLifetime();
  onTestFinished(() => lifetime.end());
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'files'));
  const log = join(folder, 'log');
  const { ended, output } = lifetime.program('aria2c', [
    ...[`--dir=${join(folder, 'files')}`, `--log=${log}`, '--log-level=info', '--no-conf=true'],
    ...['--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--enable-peer-exchange=false'],
    ...['--seed-time=0', '--file-allocation=none', '--disable-ipv6=true', '--bt-tracker-interval=1'],
    ...['--bt-stop-timeout=60', '--console-log-level=warn', '--summary-interval=0', torrentFile],
  ]);
  return {
    ...{ ended, output, files: join(folder, 'files') },
    wrongPieces: () => (readFileSync(log, 'utf8').match(/wrong piece|bad piece/gi) ?? []).length,
  };
}

test.skipIf(!has('aria2c'))(
  'a flipped bit is given to nobody, told, repaired, and what is right is served again',
  { timeout: 60_000 },
  async () => {
    const sandbox = await withSandbox({ wikis: 2, sizeBytes: 900_000 });
    const base = sandboxConfig(sandbox);
    const { dataDir } = base.config.wikiseed;
    const config = {
      ...base.config,
      torrents: { ...base.config.torrents, pieceLengthBytes: PIECE },
      ia: { ...base.config.ia, enabled: false },
    };
    const app = await createApp({
      ...{ ...base, config, log: silentLog },
      clock: shiftedClock('2026-11-23T12:00:00Z'),
    });
    onTestFinished(() => app.stop());
    await app.start();
    await app.whenIdle();
    const db = openDb(join(dataDir, 'db', 'jobs.db'), 'readonly');
    onTestFinished(() => db.close());
    const [file] = app.catalog.dumpFiles(CYCLE).sort((a, b) => b.sizeBytes - a.sizeBytes) as [DumpFile];
    const torrent = app.catalog
      .torrents()
      .find(({ grouping, isHistory }) => grouping === 'cycle' && isHistory === file.isHistory)!;
    // The stranger has nobody else to ask.
    expect(torrent.webseeds).toEqual([]);
    const { pathInTorrent } = app.catalog.torrentFiles(torrent.id).find(({ dump }) => dump.id === file.id)!;
    const path = join(dataDir, file.localPath!);
    const before = statSync(path);
    const gone = sandbox.faults.add({ server: 'dumps', match: file.filename, kind: 'vanish', times: 1000 });
    const damaged = new Promise<void>((resolve) => {
      app.bus.on('alert:raised', ({ key }) => key === 'damaged_files' && resolve());
    });

    rot(path, AT);
    expect(sha1Of(path)).not.toBe(file.sha1);
    expect(statSync(path)).toMatchObject({ size: before.size, ino: before.ino });
    const aria2 = stranger(join(dataDir, torrent.torrentFilePath));
    await damaged;
    // Other seeders are looked for, too: ten seconds.
    await app.whenIdle();
    expect(gone.fired).toBeGreaterThan(0);
    expect(app.catalog.dumpFile(file.id)?.damagedAt).not.toBeNull();
    const keys = [`seeding:${torrent.infoHash}`, 'damaged_files'];
    expect(openAlerts(db).map(({ key }) => key)).toEqual(expect.arrayContaining(keys));
    // Still as it rotted, and nobody has a byte of that piece.
    expect(sha1Of(path)).not.toBe(file.sha1);
    expect(aria2.wrongPieces()).toBe(0);

    gone.remove();
    app.operator.repairFiles([file.id]);
    await app.whenIdle();
    expect(app.catalog.dumpFile(file.id)).toMatchObject({ ourStatus: 'included', damagedAt: null });
    expect(sha1Of(path)).toBe(file.sha1);
    expect(statSync(path).ino).toBe(before.ino);
    expect(await aria2.ended, aria2.output()).toBe(0);
    expect(sha1Of(join(aria2.files, torrent.infoName, pathInTorrent))).toBe(file.sha1);
    expect(aria2.wrongPieces()).toBe(0);
    await expect.poll(() => openAlerts(db).map(({ key }) => key)).toEqual([]);
    expect(resolvedAlerts(db).map(({ key }) => key)).toEqual(expect.arrayContaining(keys));
    expect(
      (await app.seeding()).torrents.find(({ infoHash }) => infoHash === torrent.infoHash),
    ).toMatchObject({ state: 'seeding', problem: null });
  },
);
