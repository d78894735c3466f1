import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { calendarOf } from '../../src/app-settings.ts';
import { outcomeOf } from '../../src/cli/idle-outcome.ts';
import { defaultConfig } from '../../src/config/index.ts';
import { dueCycles } from '../../src/scheduling/index.ts';
import { filesBelow, loseDatabase, NOW, rebuild, tablesOf, untouched } from '../helpers/rebuild-bundle.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withApp, withSandbox } from '../helpers/with-app.ts';
import { startWikiseed, writeConfig } from '../helpers/with-process.ts';

/** For processes of their own, which know only the real time. */
const RUN_DATE = (dueCycles(calendarOf(defaultConfig()), Date.now(), null)[0]?.cycleDate ?? '').replaceAll(
  '-',
  '',
);

/** The same options with one download at a time. */
function oneByOne({ config, secrets }: ReturnType<typeof sandboxConfig>): ReturnType<typeof sandboxConfig> {
  return { config: { ...config, download: { ...config.download, concurrency: 1 } }, secrets };
}

/**
 * Goal: with the database gone, the data directory gives the same catalog again, and going on moves no byte.
 * Method: one whole cycle against the sandbox; the tables are read, the database is deleted and rebuilt, the tables are
 * compared column by column; then the daemon runs again until it is idle while the sandbox counts.
 */
test('a published cycle: the same catalog, and not one byte moves', async () => {
  const sandbox = await withSandbox();
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  expect(first.app.catalog.cycles()).toMatchObject([{ status: 'published' }]);
  const served = (await first.app.seeding()).torrents.map(({ infoHash }) => infoHash).sort();
  expect(served.length).toBeGreaterThan(0);
  await first.app.stop();
  const before = tablesOf(dataDir);
  for (const table of [
    'wikis',
    'cycles',
    'dump_runs',
    'dumps',
    'dump_piece_hashes',
    'torrents',
    'torrent_files',
    'shares',
  ])
    expect(before[table]?.length, table).toBeGreaterThan(0);
  expect(before.dumps?.every((row) => row.ia_verified_at !== null)).toBe(true);

  loseDatabase(dataDir);
  const files = untouched(dataDir, ['dumps', 'torrents', 'publish', 'records']);
  const report = await rebuild(dataDir, { verify: true });
  expect(report).toMatchObject({
    isWhole: true,
    problems: [],
    missing: [],
    damaged: [],
    foreign: [],
    unproved: [],
    notes: [],
    filesVerified: before.dumps?.length,
  });
  // No column is left out: every fact of the catalog is in the records.
  expect(tablesOf(dataDir)).toEqual(before);
  expect(untouched(dataDir, ['dumps', 'torrents', 'publish', 'records'])).toEqual(files);

  const counted = sandbox.counters();
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome).toMatchObject({ exitCode: 0 });
  const now = sandbox.counters();
  expect(now.dumps.fileRequests).toBe(counted.dumps.fileRequests);
  expect(now.archive).toEqual(counted.archive);
  expect(now.r2).toEqual(counted.r2);
  const after = (await second.app.seeding()).torrents;
  expect(after.map(({ infoHash }) => infoHash).sort()).toEqual(served);
  expect(after.every(({ isReady }) => isReady)).toBe(true);
  expect(second.app.queries.cycles(10)).toMatchObject([{ status: 'published' }]);
  await second.app.stop();
  expect(untouched(dataDir, ['dumps', 'torrents', 'publish'])).toEqual(
    Object.fromEntries(Object.entries(files).filter(([path]) => !path.startsWith('records/'))),
  );
});

test('an open cycle with half its files: nothing is fetched twice, nothing is in the tables twice', async () => {
  const sandbox = await withSandbox();
  // One file at a time, so that the others are behind the one that stalls.
  const options = oneByOne(sandboxConfig(sandbox));
  const { dataDir } = options.config.wikiseed;
  const stall = sandbox.faults.add({
    server: 'dumps',
    match: /\.(bz2|gz|7z)$/,
    kind: 'stall',
    atByte: 3000,
    after: 12,
  });
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await stall.whenFired();
  await first.app.stop();
  expect(stall.fired).toBe(1);
  stall.release();
  stall.remove();
  const before = tablesOf(dataDir);
  const statuses = new Set(before.dumps?.map((row) => row.our_status));
  expect(statuses).toContain('pending');
  const held = before.dumps?.filter((row) => row.local_path !== null) ?? [];
  expect(held.length).toBeGreaterThan(5);
  expect(held.length).toBeLessThan(before.dumps?.length ?? 0);

  loseDatabase(dataDir);
  const report = await rebuild(dataDir);
  expect(report).toMatchObject({ isWhole: true, filesHeld: held.length, cycles: [{ status: 'open' }] });
  expect(tablesOf(dataDir)).toEqual(before);

  const { fileRequests } = sandbox.counters().dumps;
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome).toMatchObject({ exitCode: 0 });
  // The stalled one goes on from its part file, which is one more request and no byte twice.
  expect(sandbox.counters().dumps.fileRequests - fileRequests).toBe(
    (before.dumps?.length ?? 0) - held.length,
  );
  expect(sandbox.counters().archive.puts).toBe(before.dumps?.length);
  await second.app.stop();
  const after = tablesOf(dataDir);
  expect(after.dumps?.length).toBe(before.dumps?.length);
  expect(after.cycles).toMatchObject([{ status: 'published' }]);
});

test('an empty database is never begun where a catalog was recorded', async () => {
  const sandbox = await withSandbox({ wikis: 1, sizeBytes: 200_000 });
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  await first.app.stop();
  loseDatabase(dataDir);
  const records = untouched(dataDir, ['records']);
  await expect(withApp(options, { clock: shiftedClock(NOW) })).rejects.toMatchObject({
    code: 'database_missing',
    hint: expect.stringContaining('wikiseed rebuild'),
  });
  expect(existsSync(join(dataDir, 'db', 'jobs.db'))).toBe(false);
  expect(untouched(dataDir, ['records'])).toEqual(records);
});

test('a lost and a damaged file come back: fetched once each, in the same torrent, with the right bytes in its folder', async () => {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  await first.app.stop();
  const before = tablesOf(dataDir);
  const torrents = before.torrents?.map(({ name, info_hash }) => [name, info_hash]);
  const [lost, damaged] = [before.dumps?.[0], before.dumps?.[1]].map((row) => ({
    filename: String(row?.filename),
    place: String(row?.local_path),
    sha1: row?.sha1,
  }));
  if (lost === undefined || damaged === undefined) throw new Error('two files were expected');
  loseDatabase(dataDir);
  for (const path of filesBelow(dataDir)) if (path.endsWith(lost.filename)) rmSync(join(dataDir, path));
  chmodSync(join(dataDir, damaged.place), 0o644);
  const bytes = readFileSync(join(dataDir, damaged.place));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
  writeFileSync(join(dataDir, damaged.place), bytes);

  const report = await rebuild(dataDir, { verify: true });
  expect(report.missing).toMatchObject([{ what: lost.place }]);
  expect(report.damaged).toMatchObject([{ what: damaged.place }]);

  const counted = sandbox.counters();
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome, JSON.stringify(outcome)).toMatchObject({ exitCode: 0 });
  expect(sandbox.counters().dumps.fileRequests).toBe(counted.dumps.fileRequests + 2);
  expect(sandbox.counters().archive.puts).toBe(counted.archive.puts);
  const seeded = (await second.app.seeding()).torrents;
  expect(seeded.map(({ infoHash, isReady }) => [infoHash, isReady]).sort()).toEqual(
    torrents?.map(([, infoHash]) => [infoHash, true]).sort(),
  );
  await second.app.stop();
  const after = tablesOf(dataDir);
  expect(after.torrents?.map(({ name, info_hash }) => [name, info_hash])).toEqual(torrents);
  expect(after.dumps?.map(({ filename, sha1, our_status }) => [filename, sha1, our_status])).toEqual(
    before.dumps?.map(({ filename, sha1, our_status }) => [filename, sha1, our_status]),
  );
  for (const { filename, sha1 } of [lost, damaged]) {
    const names = filesBelow(dataDir).filter((path) => path.endsWith(filename) && !path.includes('.damaged'));
    expect(names.length).toBeGreaterThan(1);
    for (const name of names)
      expect(
        createHash('sha1')
          .update(readFileSync(join(dataDir, name)))
          .digest('hex'),
        name,
      ).toBe(sha1);
  }
});

/** Resolves when the first records of files are there: they come up to two seconds after what they tell. */
async function firstRecords(dataDir: string): Promise<void> {
  const hasSome = (): boolean => existsSync(join(dataDir, 'records', 'files'));
  const changes = watch(dataDir, { recursive: true });
  while (!hasSome()) await once(changes, 'change');
  changes.close();
}

test('a daemon that was killed, and its database lost with it: what it had fetched is not fetched again', async () => {
  const sandbox = await withSandbox({ runDates: [RUN_DATE], wikis: 4 });
  const options = oneByOne(sandboxConfig(sandbox));
  const { dataDir } = options.config.wikiseed;
  const { path, env } = writeConfig(options);
  const stall = sandbox.faults.add({
    server: 'dumps',
    match: /\.(bz2|gz|7z)$/,
    kind: 'stall',
    // Less than any file has: else all of its bytes may be there already.
    atByte: 200,
    after: 15,
  });
  const first = startWikiseed(['run', '--until-idle', '--config', path], { env });
  await stall.whenFired();
  await firstRecords(dataDir);
  first.child.kill('SIGKILL');
  expect((await first.ended).code).toBeNull();
  expect(stall.fired).toBe(1);
  stall.release();
  stall.remove();
  const before = tablesOf(dataDir);
  loseDatabase(dataDir);
  const rebuilt = await startWikiseed(['rebuild', '--json', '--config', path], { env }).ended;
  expect(rebuilt.code, rebuilt.stderr).toBe(0);
  const report = JSON.parse(rebuilt.stdout) as { filesHeld: number; unproved: string[]; foreign: string[] };
  // The records may lag two seconds behind, in which the sandbox gives much; what they lack lies on disk under its name.
  const onDisk = filesBelow(join(dataDir, 'dumps')).filter((name) => !name.startsWith('.')).length;
  expect(report.filesHeld + report.unproved.length + report.foreign.length).toBe(onDisk);
  expect(onDisk).toBeGreaterThan(10);
  const { fileRequests } = sandbox.counters().dumps;
  const last = await startWikiseed(['run', '--until-idle', '--config', path], { env }).ended;
  expect(last.code, last.stderr + last.stdout.slice(-2000)).toBe(0);
  const after = tablesOf(dataDir);
  expect(after.dumps?.length).toBe(before.dumps?.length);
  expect(sandbox.counters().dumps.fileRequests - fileRequests).toBe((after.dumps?.length ?? 0) - onDisk);
});

/**
 * Goal: what could not be read during a rebuild does not stand in the daemon's way either.
 * Method: records of several kinds, the manifest and a .torrent are replaced by things that cannot be read;
 * after the rebuild the daemon runs until it is idle, and a second rebuild finds everything whole.
 */
test('after a rebuild that could not read everything the daemon goes on, and writes anew what was unreadable', async () => {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 500_000 });
  const options = sandboxConfig(sandbox);
  const { dataDir } = options.config.wikiseed;
  const first = await withApp(options, { clock: shiftedClock(NOW) });
  await first.app.whenIdle();
  await first.app.stop();
  const before = tablesOf(dataDir);
  const torrent = before.torrents?.[0];
  loseDatabase(dataDir);
  const below = (folder: string): string =>
    join('records', folder, filesBelow(join(dataDir, 'records', folder))[0] as string);
  const harmed = {
    folder: [below('files'), join('publish', 'manifest.json'), String(torrent?.torrent_file_path)],
    circle: ['records/cycles.json'],
    pipe: ['records/wikis.json', below('torrents')],
    huge: [below('runs')],
  };
  const places = Object.values(harmed).flat();
  for (const place of places) rmSync(join(dataDir, place));
  for (const place of harmed.folder) mkdirSync(join(dataDir, place));
  for (const place of harmed.circle) symlinkSync(basename(place), join(dataDir, place));
  for (const place of harmed.pipe) expect(spawnSync('mkfifo', [join(dataDir, place)]).status).toBe(0);
  for (const place of harmed.huge) {
    writeFileSync(join(dataDir, place), '');
    truncateSync(join(dataDir, place), 700e6);
  }

  const report = await rebuild(dataDir);
  const told = report.problems.map(({ what }) => what);
  for (const place of places) expect(told).toContain(place);
  expect(report).toMatchObject({ missing: [], damaged: [], filesHeld: before.dumps?.length });

  const counted = sandbox.counters();
  const second = await withApp(options, { clock: shiftedClock(NOW) });
  const outcome = await outcomeOf(second.app, await second.app.whenIdle());
  expect(outcome, JSON.stringify(outcome)).toMatchObject({ exitCode: 0 });
  expect(sandbox.counters().dumps.fileRequests).toBe(counted.dumps.fileRequests);
  expect(sandbox.counters().archive.puts).toBe(counted.archive.puts);
  const seeded = (await second.app.seeding()).torrents;
  expect(seeded.map(({ infoHash, isReady }) => [infoHash, isReady]).sort()).toEqual(
    before.torrents?.map(({ info_hash }) => [info_hash, true]).sort(),
  );
  await second.app.stop();
  for (const place of places) {
    const facts = lstatSync(join(dataDir, place));
    expect([place, facts.isFile()]).toEqual([place, true]);
    expect(facts.size).toBeLessThan(64e6);
  }
  const after = tablesOf(dataDir);
  loseDatabase(dataDir);
  expect(await rebuild(dataDir, { verify: true })).toMatchObject({ isWhole: true, problems: [] });
  expect(tablesOf(dataDir)).toEqual(after);
});
