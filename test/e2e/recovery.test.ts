import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { outcomeOf } from '../../src/cli/idle-outcome.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';

const NOW = '2026-11-23T12:00:00Z';
const small = { wikis: 2, sizeBytes: 500_000 };

test('a dump site that answers 404 to everything ends nothing; the next start takes the cycle', async () => {
  const sandbox = await withSandbox(small);
  const options = sandboxConfig(sandbox);
  const outage = sandbox.faults.add({
    server: 'dumps',
    match: /^GET \/(?!w\/)/,
    kind: 'status',
    status: 404,
    times: 1000,
  });
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  const idle = await first.app.whenIdle();
  expect(outage.fired).toBeGreaterThan(3);
  expect(first.app.catalog.cycles()).toMatchObject([{ status: 'open' }]);
  expect((await outcomeOf(first.app, idle)).exitCode).toBe(3);
  await first.app.stop();
  outage.remove();
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome).toMatchObject({ exitCode: 0 });
});

test('the Internet Archive can be switched on later: everything held goes there, and the manifest says so', async () => {
  const sandbox = await withSandbox(small);
  const options = sandboxConfig(sandbox);
  const without = { ...options, config: { ...options.config, ia: { ...options.config.ia, enabled: false } } };
  const first = await withApp(without, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  expect(sandbox.counters().archive.puts).toBe(0);
  await first.app.stop();
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  await second.app.whenIdle();
  const files = second.app.catalog.dumpFiles('2026-11-20');
  expect(files.every((file) => file.iaVerifiedAt !== null && file.ourStatus === 'included')).toBe(true);
  const manifest = readFileSync(join(options.config.wikiseed.dataDir, 'publish', 'manifest.json'), 'utf8');
  expect(manifest).not.toContain('"ia_url": null');
});

test('uploads that are switched off are not sent, also when they were asked for before', async () => {
  const sandbox = await withSandbox(small);
  const options = sandboxConfig(sandbox);
  const slow = sandbox.faults.add({ server: 'ia', match: /^PUT /, kind: 'slow-down', times: 1000 });
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await slow.whenFired();
  await first.app.stop();
  slow.remove();
  const off = { ...options, config: { ...options.config, ia: { ...options.config.ia, enabled: false } } };
  const second = await withApp(off, { clock: shiftedClock(NOW) });
  await second.app.whenIdle();
  expect(sandbox.counters().archive.puts).toBe(0);
  expect(second.app.catalog.cycles()).toMatchObject([{ status: 'published' }]);
});

test('a deleted torrent folder is made again with the same infohash, and a deleted dump file is fetched again', async () => {
  const sandbox = await withSandbox(small);
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  const [before] = first.app.catalog.torrents();
  const [file] = first.app.catalog.dumpFiles('2026-11-20');
  await first.app.stop();

  rmSync(join(dataDir, 'torrents'), { recursive: true });
  rmSync(join(dataDir, file?.localPath ?? ''));
  const requests = sandbox.counters().dumps.fileRequests;
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome.sentence).toMatch(/published and whole/);
  expect(second.app.catalog.torrents()[0]?.infoHash).toBe(before?.infoHash);
  expect(sandbox.counters().dumps.fileRequests).toBe(requests + 1);
  expect((await second.app.seeding()).torrents).toMatchObject([
    { infoHash: before?.infoHash, isReady: true },
  ]);
});
