import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { createAlerts } from '../../src/alerts/index.ts';
import { type AppStorage, createAppStorage } from '../../src/app-storage.ts';
import { type Catalog, createCatalog } from '../../src/catalog/index.ts';
import { createSystemState, type Db } from '../../src/db/index.ts';
import { type Bus, createBus, type EventMap, type EventName } from '../../src/events/index.ts';
import type { HaltPipelineError } from '../../src/lib/index.ts';
import { createNodeDisk, type Disk, silentLog } from '../../src/ports/index.ts';
import { createQueue, defineJob, handleJob, type Queue } from '../../src/queue/index.ts';
import { createLayout, diskFull, type StorageLimits } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';
import { temporaryFolder, withDb } from './with-db.ts';

/** Stands for a download: promises room, writes as the test says, stops when it is told to. */
export const storeJob = defineJob({
  type: 'store',
  input: z.object({ name: z.string(), sizeBytes: z.number() }),
  output: z.object({}),
  uniqueKey: ({ name }) => name,
  target: ['web', 'storage', 'disk'],
});

/** A running `store` job in the hands of the test. */
export interface Running {
  written(sizeBytes: number): void;
  finish(): void;
  refuseWrite(code: string): void;
}

/** The disk, the queue and everything between them; the file system is two numbers. */
export interface StorageBundle {
  clock: FakeClock;
  db: Db;
  bus: Bus;
  queue: Queue;
  catalog: Catalog;
  storage: AppStorage;
  dataDir: string;
  /** What the file system says; a function may throw or never return. */
  disk: {
    freeBytes: number;
    totalBytes: number;
    answer: (() => Promise<never>) | null;
    looks: number;
    /** Folders and files are not answered about for as long as it is not settled. */
    hangs: Promise<void> | null;
    /** Questions about folders and files. */
    asked: number;
    /** Those of them that are being answered. */
    open: number;
    /** Those of them that did not get an answer yet. */
    unanswered: number;
  };
  running: Map<string, Running>;
  store(name: string, sizeBytes: number): void;
  seen<K extends EventName>(name: K): EventMap[K][];
  row(name: string): Record<string, unknown>;
  /** Open alerts as the table has them. */
  alerts(): { key: string; severity: string; message: string; hint: string | null }[];
}

const WATCHED: readonly EventName[] = [
  'storage:modeChanged',
  'job:started',
  'job:givenBack',
  'job:completed',
  'target:halted',
  'target:resumed',
  'alert:resolved',
];

/** Everything started, on a disk of 1000 MB with 900 free unless said otherwise. */
export async function storageBundle(
  options: {
    limits?: Partial<StorageLimits>;
    freeBytes?: number;
    concurrency?: number;
    /** Before the start. */
    prepare?: (bundle: Pick<StorageBundle, 'db' | 'catalog' | 'dataDir' | 'disk'>) => void;
  } = {},
): Promise<StorageBundle> {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock();
  const bus = createBus({ log: silentLog });
  const events = new Map<EventName, unknown[]>(WATCHED.map((name) => [name, []]));
  for (const name of WATCHED) bus.on(name, (event) => void events.get(name)?.push(event));
  const state = createSystemState(db);
  const catalog = createCatalog({ db, clock });
  const alerts = createAlerts({
    ...{ db, bus, clock, log: silentLog, isOwner: true },
    haltsTold: ['storage_paused', 'storage_hard_stop'],
  });
  const queue = createQueue({
    ...{ db, clock, bus, log: silentLog, state, random: seededRandom(1) },
    concurrency: { store: options.concurrency ?? 3 },
  });
  const disk: StorageBundle['disk'] = {
    freeBytes: options.freeBytes ?? 900e6,
    totalBytes: 1000e6,
    answer: null,
    looks: 0,
    hangs: null,
    asked: 0,
    open: 0,
    unanswered: 0,
  };
  const node = createNodeDisk();
  const answered = async <T>(ask: () => Promise<T>): Promise<T> => {
    disk.asked += 1;
    if (disk.hangs === null) {
      disk.open += 1;
      return await ask().finally(() => {
        disk.open -= 1;
      });
    }
    disk.unanswered += 1;
    await disk.hangs;
    disk.unanswered -= 1;
    return await ask();
  };
  const port: Disk = {
    ...node,
    stat: (path) => answered(() => node.stat(path)),
    list: (path) => answered(() => node.list(path)),
    // As quick as a file system that is well: within the turn of the clock that asks.
    space: async () => {
      disk.looks += 1;
      if (disk.answer !== null) return await disk.answer();
      return { freeBytes: disk.freeBytes, totalBytes: disk.totalBytes };
    },
  };
  options.prepare?.({ db, catalog, dataDir, disk });
  const storage = createAppStorage({
    ...{ state, catalog, queue, bus, disk: port, layout: createLayout(dataDir), clock, log: silentLog },
    config: {
      cleanupThresholdPercent: 85,
      pauseThresholdPercent: 90,
      safetyMarginBytes: 10e6,
      maxSizeBytes: null,
      ...options.limits,
    } as never,
    downloadType: storeJob.type,
  });
  const running = new Map<string, Running>();
  queue.register([
    handleJob(storeJob, {
      async run({ name, sizeBytes }) {
        const promise = await storage.space.reserve(sizeBytes);
        try {
          await new Promise<void>((resolve, reject) => {
            const forget = storage.space.onHardStop((reason: HaltPipelineError) => {
              forget();
              reject(reason);
            });
            running.set(name, {
              written: (bytes) => promise.written(bytes),
              finish: () => {
                forget();
                resolve();
              },
              refuseWrite(code) {
                forget();
                const error = Object.assign(new Error(`${code}: no space left on device, write`), { code });
                storage.space.noteFull(error);
                reject(diskFull('The disk was full.', 'Free some space.', error));
              },
            });
          });
        } finally {
          running.delete(name);
          promise.release();
        }
        return {};
      },
    }),
  ]);
  onTestFinished(async () => {
    for (const job of running.values()) job.finish();
    await queue.stop(0);
    await storage.stop();
    alerts.stop();
  });
  alerts.start();
  await storage.prepare();
  queue.start();
  storage.start();
  await clock.advance(0);
  return {
    ...{ clock, db, bus, queue, catalog, storage, dataDir, disk, running },
    store: (name, sizeBytes) => void queue.enqueue([storeJob.request({ name, sizeBytes })]),
    seen: <K extends EventName>(name: K) => (events.get(name) ?? []) as EventMap[K][],
    row: (name) =>
      db.sqlite.prepare('SELECT * FROM jobs WHERE unique_key = ?').get(`store:${name}`) as Record<
        string,
        unknown
      >,
    alerts: () =>
      db.sqlite
        .prepare('SELECT alert_key AS key, severity, message, hint FROM alerts WHERE resolved_at IS NULL')
        .all() as never,
  };
}

/** Path of a part file below a data directory. */
export const partPath = (dataDir: string, ...parts: string[]): string =>
  join(dataDir, 'dumps', '.partial', ...parts);
