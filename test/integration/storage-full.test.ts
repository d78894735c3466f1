import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type App, createApp } from '../../src/app.ts';
import type { EventMap, EventName } from '../../src/events/index.ts';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import type { SandboxOptions } from '../../src/sandbox/index.ts';
import { judgeHeldFiles } from '../helpers/held-files.ts';
import { canMountTmpfs } from '../helpers/needs.ts';
import { shiftedClock } from '../helpers/shifted-clock.ts';
import { sandboxConfig, withSandbox } from '../helpers/with-app.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const NOW = '2026-11-23T12:00:00Z';
const CYCLE = '2026-11-20';

/** A whole WikiSeed over real sockets and files, on a disk whose free bytes and refusals the test decides. */
async function setup(options: Partial<SandboxOptions> = {}) {
  const dir = temporaryFolder();
  const sandbox = await withSandbox({ dir, wikis: 2, sizeBytes: 2_000_000, ...options });
  const { config, secrets } = sandboxConfig(sandbox);
  const { dataDir } = config.wikiseed;
  const node = createNodeDisk();
  const world = { freeBytes: 50e9, refuses: false, refusals: 0 };
  const refuse = (): never => {
    world.refusals += 1;
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  const isPart = (path: string): boolean => path.includes('/.partial/');
  const disk: Disk = {
    ...node,
    space: async () => ({ freeBytes: world.freeBytes, totalBytes: 100e9 }),
    async open(path, mode) {
      const file = await node.open(path, mode);
      if (!isPart(path)) return file;
      const whenRoom =
        <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
        async (...args: A): Promise<R> =>
          world.refuses ? refuse() : await work(...args);
      return {
        ...file,
        write: whenRoom(file.write.bind(file)),
        writeAll: whenRoom(file.writeAll.bind(file)),
      };
    },
    allocate: async (path, sizeBytes) => (world.refuses ? refuse() : await node.allocate(path, sizeBytes)),
  };
  const app = await createApp({ config, secrets, clock: shiftedClock(NOW), log: silentLog, disk });
  onTestFinished(() => app.stop());
  const next = <K extends EventName>(name: K, isIt: (event: EventMap[K]) => boolean = () => true) =>
    new Promise<EventMap[K]>((resolve) => {
      const forget = app.bus.on(name, (event) => {
        if (!isIt(event)) return;
        forget();
        resolve(event);
      });
    });
  const judge = () => judgeHeldFiles(app, { dataDir, upstreamDir: join(dir, 'dumps'), cycleDate: CYCLE });
  return { sandbox, app, world, next, judge };
}

const isDownload = ({ jobType }: { jobType: string }): boolean => jobType === 'download_dump';
/** What pruning has to say of a world of a few files is another matter. */
const ownAlerts = (app: App) => app.queries.alerts(50).filter(({ key }) => !key.startsWith('prune'));
const attempts = (app: App) =>
  app.queries
    .jobs({ type: 'download_dump', page: 1, pageSize: 500 })
    .items.map(({ status, attempt }) => `${status} ${attempt}`);

test('a running download stops within a second when somebody else fills the disk, and goes on by itself', async () => {
  const t = await setup();
  const stall = t.sandbox.faults.add({
    server: 'dumps',
    match: /pages-articles\.xml\.bz2$/,
    kind: 'stall',
    atByte: 20_000,
  });
  const held = t.next('job:completed', isDownload);
  await t.app.start();
  await Promise.all([stall.whenFired(), held]);
  const stopped = t.next('storage:modeChanged', ({ mode }) => mode === 'hard_stop');
  const given = t.next('job:givenBack', isDownload);
  const fullMs = performance.now();
  t.world.freeBytes = 999_999;
  await stopped;
  expect(await given).toMatchObject({ reason: 'halt' });
  expect(performance.now() - fullMs).toBeLessThan(1000);
  stall.remove();
  stall.release();
  const idle = await t.app.whenIdle();
  expect(idle.halted).toMatchObject([{ target: 'storage', code: 'storage_hard_stop' }]);
  expect((await t.app.storage()).mode).toBe('hard_stop');
  const asked = t.sandbox.counters().dumps.fileRequests;

  const back = t.next('storage:modeChanged', ({ mode }) => mode === 'normal');
  t.world.freeBytes = 50e9;
  await back;
  expect((await t.app.whenIdle()).halted).toEqual([]);
  expect(t.sandbox.counters().dumps.fileRequests).toBeGreaterThan(asked);
  expect(t.judge()).toMatchObject({ wrong: [] });
  expect(new Set(attempts(t.app))).toEqual(new Set(['completed 1']));
  expect(t.app.catalog.cycles()).toMatchObject([{ cycleDate: CYCLE, status: 'published' }]);
  expect(ownAlerts(t.app)).toEqual([]);
}, 60_000);

test('a write refused for want of room corrupts nothing, costs no attempt and heals', async () => {
  const t = await setup();
  await t.app.start();
  const stopped = t.next('storage:modeChanged', ({ mode }) => mode === 'hard_stop');
  await t.next('job:completed', isDownload);
  t.world.refuses = true;
  await stopped;
  expect(t.world.refusals).toBeGreaterThan(0);
  const idle = await t.app.whenIdle();
  expect(idle.halted.map(({ target }) => target)).toContain('storage');
  expect((await t.app.storage()).mode).toBe('hard_stop');
  // What is held by now is whole; the rest is not there at all.
  expect(t.judge().wrong.filter((words) => words.includes('other bytes'))).toEqual([]);

  const back = t.next('storage:modeChanged', ({ mode }) => mode === 'normal');
  t.world.refuses = false;
  t.world.freeBytes += 5e6;
  await back;
  expect((await t.app.whenIdle()).halted).toEqual([]);
  expect(t.judge()).toMatchObject({ wrong: [] });
  expect(new Set(attempts(t.app))).toEqual(new Set(['completed 1']));
  expect(ownAlerts(t.app)).toEqual([]);
}, 60_000);

describe('on a small file system of its own', () => {
  const script = join(import.meta.dirname, '..', 'helpers', 'full-data-dir-child.ts');

  test.skipIf(!canMountTmpfs())(
    'every writer meets the full disk at once, and everything is whole afterwards',
    () => {
      const folder = temporaryFolder();
      const mount = `mount -t tmpfs -o size=60m tmpfs ${folder}`;
      const child = spawnSync(
        'unshare',
        ['-Urm', 'sh', '-c', `${mount} && exec ${process.execPath} ${script} ${folder} ${temporaryFolder()}`],
        { encoding: 'utf8', timeout: 110_000 },
      );
      expect(child.stderr).toBe('');
      const result = JSON.parse(child.stdout);
      expect(result.isFull).toBe(true);
      expect(result.stoppedAfterMs).toBeLessThan(1000);
      expect(result.haltedWhenFull).toContain('storage');
      expect(result.alertWhenFull).toMatch(/No room in .*, downloads are stopped/);
      expect(result.wrongWhenFull).toEqual([]);
      expect(result.halted).toEqual([]);
      expect(result.wrong).toEqual([]);
      expect(result.files).toBeGreaterThan(10);
      expect(result.attempts).toEqual(['completed 1']);
      expect(result.cycle).toBe('published');
      expect(result.integrity).toBe('ok');
    },
    120_000,
  );
});
