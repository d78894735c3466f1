import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import type { EventMap, EventName } from '../../src/events/index.ts';
import { type Clock, createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { CLOSED_LOOK_MS, IDLE_LOOK_MS } from '../../src/storage/watch.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';

/**
 * Goal: a disk that fills makes a running WikiSeed delete the older cycle by itself, its torrents are seeded no more and the manifest
 * says so; a deletion that is taken back leaves its torrents seeded.
 * Method: the whole app over the sandbox through two cycles; how full the disk is, and which name cannot be removed, the test decides.
 */

const OLD = '2026-11-01';
const NEW = '2026-11-20';

/** The disk is looked at more often than every 10 s: there is nothing else to wait for. */
function hastyClock(at: string): Clock {
  const clock = shiftedClock(at);
  const isLook = (ms: number): boolean => ms === IDLE_LOOK_MS || ms === CLOSED_LOOK_MS;
  return { ...clock, after: (ms, fn) => clock.after(isLook(ms) ? 100 : ms, fn) };
}

async function setup({ isUploading = true } = {}) {
  const sandbox = await withSandbox({ wikis: 2, sizeBytes: 1_000_000, runDates: ['20261101', '20261120'] });
  const { config: demo, secrets } = sandboxConfig(sandbox);
  // The demo never deletes.
  const storage = { ...demo.storage, cleanupThresholdPercent: 85, pauseThresholdPercent: 90 };
  const config = { ...demo, storage, ia: { ...demo.ia, enabled: isUploading } };
  const node = createNodeDisk();
  const world = { freeBytes: 50e9, stuck: null as RegExp | null, stuckCount: 0 };
  const disk: Disk = {
    ...node,
    space: async () => ({ freeBytes: world.freeBytes, totalBytes: 100e9 }),
    async remove(path) {
      if (world.stuck?.test(path) === true) {
        world.stuckCount += 1;
        throw Object.assign(new Error(`EIO: i/o error, unlink '${path}'`), { code: 'EIO' });
      }
      await node.remove(path);
    },
  };
  const day = async (at: string): Promise<{ app: App; url: string }> => {
    const app = await createApp({ config, secrets, clock: hastyClock(at), log: silentLog, disk });
    onTestFinished(() => app.stop());
    const { url } = await app.start();
    await app.whenIdle();
    return { app, url };
  };
  const { app: first } = await day('2026-11-05T12:00:00Z');
  expect(first.catalog.cycle(OLD)?.status).toBe('published');
  await first.stop();
  const { app, url } = await day('2026-11-24T12:00:00Z');
  expect(app.catalog.cycle(NEW)?.status).toBe('published');
  return { app, url, world, day, layout: app.layout };
}

function next<K extends EventName>(app: App, name: K, isIt: (event: EventMap[K]) => boolean = () => true) {
  return new Promise<EventMap[K]>((resolve) => {
    const forget = app.bus.on(name, (event) => {
      if (!isIt(event)) return;
      forget();
      resolve(event);
    });
  });
}

const isPrune = ({ jobType }: { jobType: string }): boolean => jobType === 'prune_storage';
const openAlerts = (app: App): string[] => app.queries.alerts(50).map(({ key }) => key);
const seeded = async (app: App): Promise<string[]> =>
  (await app.seeding()).torrents.map(({ infoHash }) => infoHash).sort();
const hashesOf = (app: App, cycleDate: string): string[] =>
  app.catalog.torrentsOfCycle(cycleDate).map(({ infoHash }) => infoHash);
const held = (app: App, cycleDate: string) =>
  app.catalog.dumpFiles(cycleDate).filter(({ localPath }) => localPath !== null);

/** Every held file of a cycle has its name in the folder of a torrent, and each name there is such a file. */
function expectFoldersComplete(app: App, cycleDate: string): void {
  const own = held(app, cycleDate).map(({ localPath }) => statSync(app.layout.absolute(localPath ?? '')).ino);
  const linked = app.catalog.torrentsOfCycle(cycleDate).flatMap(({ name }) => {
    const folder = join(app.layout.torrents, name, 'compressed');
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((path) => statSync(join(folder, path)))
      .filter((facts) => facts.isFile())
      .map(({ ino }) => ino);
  });
  expect(own.length).toBeGreaterThan(5);
  expect(new Set(linked)).toEqual(new Set(own));
}

test('a disk that fills costs the older cycle, and nothing of the newest', async () => {
  const { app, url, world, layout } = await setup();
  const before = held(app, OLD);
  const kept = held(app, NEW).map(({ id }) => id);
  expect(before.length).toBeGreaterThan(5);
  expect(await seeded(app)).toEqual([...hashesOf(app, OLD), ...hashesOf(app, NEW)].sort());
  const pruned = next(app, 'job:completed', isPrune);
  // Far more must go than is held: all that may go goes.
  world.freeBytes = 14e9;
  await pruned;
  await app.whenIdle();
  expect(held(app, NEW).map(({ id }) => id)).toEqual(kept);
  for (const { localPath } of held(app, NEW)) expect(existsSync(layout.absolute(localPath ?? ''))).toBe(true);
  const tombstones = app.catalog.deletions({ limit: 1000 });
  expect(tombstones.length).toBeGreaterThan(5);
  for (const { removedAt, path, reason } of tombstones) {
    expect(removedAt).not.toBeNull();
    expect(existsSync(layout.absolute(path)), path).toBe(false);
    expect(reason).toMatch(/the newer run 20261120 is (held whole|whole and verified)/);
  }
  const gone = new Set(tombstones.map(({ path }) => path));
  for (const { localPath, filename, ourStatus } of before)
    if (gone.has(localPath ?? '')) {
      const now = app.catalog.dumpFiles(OLD).find((file) => file.filename === filename);
      expect(now).toMatchObject({ ourStatus: 'deleted', localPath: null });
    } else expect(ourStatus).toBe('included');
  const lost = app.catalog.torrentsOfCycle(OLD).filter(({ retiredAt }) => retiredAt !== null);
  expect(lost.length).toBeGreaterThan(0);
  for (const { name } of lost) {
    const texts = readdirSync(join(layout.torrents, name));
    expect(texts).toContain('HASH.json');
    expect(texts).not.toContain('compressed');
  }
  for (const { infoHash } of lost) expect(await seeded(app)).not.toContain(infoHash);
  expect(await seeded(app)).toEqual(expect.arrayContaining(hashesOf(app, NEW)));
  const manifest = (await (await fetch(new URL('/manifest.json', url))).json()) as {
    torrents: { infohash: string; retired_at?: string }[];
  };
  const retired = manifest.torrents.filter((torrent) => torrent.retired_at !== undefined);
  expect(retired.map(({ infohash }) => infohash).sort()).toEqual(lost.map(({ infoHash }) => infoHash).sort());
  // Not enough, so somebody is told; with room it is over.
  expect(openAlerts(app)).toContain('prune_not_enough');
  const normal = next(app, 'storage:modeChanged', ({ mode }) => mode === 'normal');
  world.freeBytes = 50e9;
  await normal;
  expect(openAlerts(app)).not.toContain('prune_not_enough');
}, 120_000);

/** Begins a deletion whose last name cannot be removed; then what should stay turns out damaged. */
async function breakOff({ app, world }: Awaited<ReturnType<typeof setup>>): Promise<void> {
  world.stuck = /\/dumps\/.*\/20261101\//;
  // One set is enough.
  const usage = async () => ({ ...(await app.storage()), mode: 'cleaning' as const, countedBytes: 84e9 + 1 });
  const report = await app.prune(new AbortController().signal, { usage });
  expect(report).toMatchObject({ removedFiles: 0, stuck: 1, summary: expect.stringContaining('EIO') });
  expect(world.stuckCount).toBe(1);
  expect(app.catalog.openDeletions()).toHaveLength(1);
  const retired = app.catalog.torrentsOfCycle(OLD).filter(({ retiredAt }) => retiredAt !== null);
  expect(retired.length).toBeGreaterThan(0);
  expect(await seeded(app)).not.toContain(retired[0]?.infoHash);
  // Every other whole text of either run, on which the golden rule could rest.
  const texts = [OLD, NEW]
    .flatMap((cycleDate) => app.catalog.dumpFiles(cycleDate))
    .filter(({ dumpType }) => dumpType.startsWith('pages-'));
  const damaged = texts.filter(({ id, sha1 }) => app.catalog.recordDamaged(id, { sha1: sha1 ?? '' }));
  expect(damaged.length).toBeGreaterThan(0);
  world.stuck = null;
}

async function expectTakenBack(app: App): Promise<void> {
  expect(app.catalog.openDeletions()).toEqual([]);
  expect(app.catalog.deletions({ limit: 10 })).toEqual([]);
  expect(app.catalog.torrentsOfCycle(OLD).map(({ retiredAt }) => retiredAt)).not.toContainEqual(
    expect.any(Number),
  );
  expectFoldersComplete(app, OLD);
  expect(await seeded(app)).toEqual(expect.arrayContaining(hashesOf(app, OLD)));
  expect((await app.seeding()).torrents.map(({ isReady }) => isReady)).not.toContain(false);
}

test('a deletion that a running WikiSeed takes back leaves its torrent seeded', async () => {
  // Else the archive's copies would be enough for the golden rule.
  const t = await setup({ isUploading: false });
  await breakOff(t);
  const again = next(t.app, 'job:completed', ({ jobType }) => jobType === 'start_seeding');
  const { removedFiles } = await t.app.prune(new AbortController().signal);
  expect(removedFiles).toBe(0);
  await again;
  await expectTakenBack(t.app);
}, 120_000);

test('a torrent that lost other names, too, is made whole when it is seeded again', async () => {
  const t = await setup({ isUploading: false });
  await breakOff(t);
  const { app } = t;
  const [torrent] = app.catalog.torrentsOfCycle(OLD);
  const other = app.catalog
    .torrentFiles(torrent?.id as never)
    .find(({ dump }) => dump.ourStatus !== 'deleted' && !dump.dumpType.startsWith('pages-'));
  rmSync(join(app.layout.torrents, torrent?.name ?? '', other?.pathInTorrent ?? ''));
  const whole = next(app, 'job:completed', ({ jobType }) => jobType === 'create_torrent');
  await app.prune(new AbortController().signal);
  await whole;
  expectFoldersComplete(app, OLD);
  await app.whenIdle();
  await expectTakenBack(app);
}, 120_000);

test('a deletion that the next start takes back leaves its torrent seeded', async () => {
  // Else the archive's copies would be enough for the golden rule.
  const t = await setup({ isUploading: false });
  await breakOff(t);
  await t.app.stop();
  const { app } = await t.day('2026-11-24T18:00:00Z');
  await expectTakenBack(app);
}, 120_000);
