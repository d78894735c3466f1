import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { App } from '../../src/app.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';

const CYCLE = '2026-11-20';
const RUN = '20261120';
const small = { wikis: 3, sizeBytes: 600_000 };

/**
 * Goal: whatever upstream does to a run while and after we take it, the cycle ends once, nothing proved is lost, and every
 * gap is named. Method: the whole app over the sandbox, whose upstream is changed between two starts on later days.
 */
async function world() {
  const sandbox = await withSandbox(small);
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  /** Works on that day until nothing more is due. */
  const day = async (at: string, config = options.config): Promise<App> => {
    const { app } = await withApp({ ...options, config }, { clock: shiftedClock(at) });
    await app.whenIdle();
    return app;
  };
  const read = (path: string): string => readFileSync(join(dataDir, path), 'utf8');
  return { sandbox, options, dataDir, day, read };
}

const stateOf = (app: App, wiki: string, rest: string): string | undefined =>
  app.catalog.dumpFiles(CYCLE).find((file) => file.filename === `${wiki}-${RUN}-${rest}`)?.ourStatus;

test('a job that becomes done after the deadline travels in a supplement; the first torrent stays', async () => {
  const { sandbox, day, read } = await world();
  const run = sandbox.upstream.run('aawiki', RUN);
  await run.setJob('redirecttable', 'in-progress');
  const first = await day('2026-11-23T12:00:00Z');
  expect(first.catalog.cycle(CYCLE)?.status).toBe('open');
  expect(stateOf(first, 'aawiki', 'redirect.sql.gz')).toBeUndefined();
  await first.stop();

  // Looked at shortly before the deadline; else it would be given more time.
  await (await day('2026-11-30T12:00:00Z')).stop();
  const second = await day('2026-12-02T12:00:00Z');
  expect(second.catalog.cycle(CYCLE)?.status).toBe('published');
  const [main] = second.catalog.torrentsOfCycle(CYCLE);
  expect(second.catalog.torrentsOfCycle(CYCLE)).toHaveLength(1);
  const status = read(`torrents/wikimedia-dumps-${CYCLE}/STATUS.txt`);
  expect(status).toMatch(/aawiki.*redirect/);
  await second.stop();

  await run.setJob('redirecttable', 'done');
  const third = await day('2026-12-05T12:00:00Z');
  const torrents = third.catalog.torrentsOfCycle(CYCLE);
  expect(torrents.map(({ name, supplement }) => [name, supplement])).toEqual([
    [`wikimedia-dumps-${CYCLE}`, 0],
    [`wikimedia-dumps-${CYCLE}-supplement-1`, 1],
  ]);
  expect(torrents[0]?.infoHash).toBe(main?.infoHash);
  expect(read(`torrents/wikimedia-dumps-${CYCLE}/STATUS.txt`)).toBe(status);
  expect(stateOf(third, 'aawiki', 'redirect.sql.gz')).toBe('included');
  expect(third.catalog.torrentFiles(torrents[1]?.id as never).map(({ dump }) => dump.filename)).toEqual([
    `aawiki-${RUN}-redirect.sql.gz`,
  ]);
  expect(read('publish/manifest.json')).toContain(`wikimedia-dumps-${CYCLE}-supplement-1`);
  expect(torrents.every((torrent) => torrent.seedingSince !== null)).toBe(true);
});

test('a job that failed and is run again on the old date, after the next run began, travels in a supplement', async () => {
  const { sandbox, day, read } = await world();
  const run = sandbox.upstream.run('aawiki', RUN);
  await run.setJob('redirecttable', 'failed');
  const first = await day('2026-11-23T12:00:00Z');
  // A failed job holds up nothing, and is named.
  expect(first.catalog.cycle(CYCLE)?.status).toBe('published');
  expect(read(`torrents/wikimedia-dumps-${CYCLE}/STATUS.txt`)).toMatch(/aawiki.*redirect.*failed/);
  await first.stop();

  const next = await sandbox.upstream.beginRun({ dbname: 'aawiki', date: '20261201' });
  await next.finish();
  sandbox.resetDumpCounters();
  const second = await day('2026-11-25T12:00:00Z');
  await second.stop();
  // It is asked for on its own now, and only for news.
  expect(sandbox.counters().dumps.byKind.status).toBe(1);
  sandbox.resetDumpCounters();
  await (await day('2026-11-26T12:00:00Z')).stop();
  expect(sandbox.counters().dumps).toMatchObject({ notModified: 2, requests: 2 });

  await run.setJob('redirecttable', 'done');
  const third = await day('2026-11-28T12:00:00Z');
  const names = third.catalog.torrentsOfCycle(CYCLE).map(({ name }) => name);
  expect(names).toEqual([`wikimedia-dumps-${CYCLE}`, `wikimedia-dumps-${CYCLE}-supplement-1`]);
  expect(stateOf(third, 'aawiki', 'redirect.sql.gz')).toBe('included');
});

test('files of a rerun are fetched again while the cycle is open, and the old bytes stay until then', async () => {
  const { sandbox, options, dataDir, day } = await world();
  await sandbox.upstream.run('commonswiki', RUN).setJob('sitestatstable', 'waiting');
  const first = await day('2026-11-23T12:00:00Z');
  /** The row of the file, whose bytes are on disk as the row says. */
  const proved = (app: App) => {
    const row = app.catalog.dumpFiles(CYCLE).find(({ filename }) => filename === `aawiki-${RUN}-page.sql.gz`);
    const bytes = readFileSync(join(dataDir, row?.localPath ?? ''));
    expect(createHash('sha1').update(bytes).digest('hex')).toBe(row?.sha1);
    return row;
  };
  const before = proved(first);
  expect(before?.sha1).toMatch(/^[0-9a-f]{40}$/);
  await first.stop();

  await sandbox.upstream.run('aawiki', RUN).rerun('pagetable');
  await sandbox.upstream.run('commonswiki', RUN).setJob('sitestatstable', 'done');
  // The new bytes arrive damaged: the old file must not suffer from it.
  const damage = sandbox.faults.add({
    server: 'dumps',
    match: /GET .*aawiki-\d+-page\.sql\.gz/,
    kind: 'corrupt',
    times: 1,
  });
  const { app: second } = await withApp(options, { clock: shiftedClock('2026-11-24T12:00:00Z') });
  await new Promise<void>((resolve) => {
    second.bus.on('job:attemptFailed', ({ code }) => {
      if (code === 'checksum_mismatch') resolve();
    });
  });
  expect(damage.fired).toBe(1);
  expect(proved(second)).toMatchObject({ sha1: before?.sha1 });
  expect(second.catalog.cycle(CYCLE)?.status).toBe('open');
  await second.stop();

  const third = await day('2026-11-25T12:00:00Z');
  expect(proved(third)?.sha1).not.toBe(before?.sha1);
  expect(proved(third)?.ourStatus).toBe('included');
});

test('an excluded wiki, and a source that is switched off, release the cycle; another choice judges anew without asking', async () => {
  const { sandbox, options, day } = await world();
  await sandbox.upstream.run('commonswiki', RUN).setJob('pagetable', 'waiting');
  const first = await day('2026-11-23T12:00:00Z');
  expect(first.catalog.cycle(CYCLE)?.status).toBe('open');
  await first.stop();
  const { config } = options;
  const discovery = { ...config.discovery, wikis: { ...config.discovery.wikis, exclude: ['commons*'] } };
  const dumps = { ...config.dumps, regularTypes: ['all-titles'] };
  const second = await day('2026-11-24T12:00:00Z', { ...config, discovery, dumps });
  expect(second.catalog.cycle(CYCLE)?.status).toBe('published');
  const run = second.catalog.run('commonswiki', RUN);
  expect(run).toMatchObject({
    status: 'absent',
    notices: expect.stringMatching(/excluded by the configuration/),
  });
});

test('a run that upstream removes while its files wait ends them with that reason', async () => {
  const { sandbox, day, read } = await world();
  // Listed and done, but not provable yet.
  await sandbox.upstream.run('aawiki', RUN).hideHashes({ files: ['pagelinks.sql.gz'] });
  const first = await day('2026-11-23T12:00:00Z');
  expect(stateOf(first, 'aawiki', 'pagelinks.sql.gz')).toBe('pending');
  await first.stop();
  await sandbox.upstream.beginRun({ dbname: 'aawiki', date: '20261201' });
  await sandbox.upstream.run('aawiki', RUN).remove();
  const second = await day('2026-11-24T12:00:00Z');
  expect(stateOf(second, 'aawiki', 'pagelinks.sql.gz')).toBe('failed');
  expect(second.catalog.cycle(CYCLE)?.status).toBe('published');
  expect(read(`torrents/wikimedia-dumps-${CYCLE}/STATUS.txt`)).toMatch(
    /pagelinks[\s\S]*upstream has removed the run/,
  );
});
