import type { Catalog } from './catalog/index.ts';
import type { Config } from './config/index.ts';
import { isDatabaseTrouble, STATE_KEYS, type SystemState } from './db/index.ts';
import type { Bus } from './events/index.ts';
import { isAbort } from './lib/index.ts';
import type { Clock, Disk, Log } from './ports/index.ts';
import type { Queue } from './queue/index.ts';
import {
  cleanPartials,
  createSpaceGuard,
  createStorageDoor,
  createStorageUsage,
  createStorageWatch,
  type DiskUsage,
  type Layout,
  type PartialRun,
  parseSavedStorage,
  type SavedStorage,
  type SpaceGuard,
  STORAGE_ALERT,
  type StorageState,
} from './storage/index.ts';

/* How the room that knows the disk is tied to those that fill it. */

/** What the wiring needs. */
export interface AppStorageDeps {
  config: Config['storage'];
  state: SystemState;
  catalog: Catalog;
  queue: Queue;
  bus: Bus;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** The type of the jobs that write part files. */
  downloadType: string;
}

/** The disk of a whole WikiSeed. */
export interface AppStorage {
  readonly space: SpaceGuard;
  /** How full it is now, without reading the tree. @throws WikiSeedError `storage_unknown` */
  usage(): Promise<DiskUsage>;
  /** The first look, before the queue takes its first job: on a full disk none begins. */
  prepare(): Promise<void>;
  /** After the queue began, and after what the catalog wants was asked for: part files that nobody wants are removed. */
  start(): void;
  /** Resolves when nothing of it touches database or disk any more. */
  stop(): Promise<void>;
}

/** Part files are cleaned at the start and then daily. */
const CLEAN_EVERY_MS = 24 * 60 * 60_000;
/** Reservations come and go with every file; commands beside the daemon need not know each. */
const SAVE_EVERY_MS = 30_000;

/** Builds it; nothing looks at the disk before `prepare`. */
export function createAppStorage(deps: AppStorageDeps): AppStorage {
  const { config, state, catalog, queue, bus, disk, layout, clock } = deps;
  const log = deps.log.child({ room: 'storage' });
  const saved = parseSavedStorage(state.get(STATE_KEYS.storage));
  const stopping = new AbortController();
  let cancelClean = (): void => {};
  let cleaning: Promise<void> = Promise.resolve();
  let isStarted = false;
  let savedMs = Number.NEGATIVE_INFINITY;
  let savedReservedBytes = saved?.reservedBytes ?? 0;

  const measured = createStorageUsage({
    ...{ disk, layout, clock, log },
    heldSlice: (afterId, count) => catalog.heldSlice(afterId, count),
    otherBytesBefore: saved?.otherBytes ?? null,
    onMeasured: () => save(watch.state()),
  });
  const space = createSpaceGuard({
    ...{ disk, dataDir: layout.dataDir },
    safetyMarginBytes: config.safetyMarginBytes,
    maxSizeBytes: config.maxSizeBytes,
    heldBytes: () => measured.ownBytes(),
  });

  /** A database that cannot be written has a halt of its own; the disk is watched all the same. */
  function tried<T>(work: () => T, otherwise: T): T {
    try {
      return work();
    } catch (error) {
      if (!isDatabaseTrouble(error)) throw error;
      return otherwise;
    }
  }

  function save({ verdict, isOnlyPromised, since, reservedBytes }: StorageState): void {
    savedMs = clock.monotonicMs();
    const { otherBytes } = measured.parts();
    const facts: SavedStorage = { mode: verdict.mode, isOnlyPromised, since, reservedBytes, otherBytes };
    tried(() => {
      state.set(STATE_KEYS.storage, JSON.stringify(facts), clock.now());
      savedReservedBytes = reservedBytes;
    }, undefined);
  }

  const door = createStorageDoor({
    ...{ clock, log, space },
    dataDir: layout.dataDir,
    limits: config,
    effects: {
      hold: (target, isHeld) => queue.hold(target, isHeld),
      halt: (halt) => queue.halt(halt),
      lift: (target) =>
        tried(() => {
          queue.lift(target);
          return true;
        }, false),
      haltCode: (target) => queue.halts().find((halt) => halt.target === target)?.code ?? null,
      raise: (alert) => bus.emit('alert:raised', { key: STORAGE_ALERT, ...alert }),
      resolve: () => bus.emit('alert:resolved', { key: STORAGE_ALERT }),
      changed(now, before) {
        const { verdict, isOnlyPromised, reservedBytes } = now;
        const { mode, countedBytes, usableBytes } = verdict;
        const freeBytes = now.space?.freeBytes ?? null;
        bus.emit('storage:modeChanged', {
          ...{ mode, before, isOnlyPromised, countedBytes, reservedBytes, usableBytes, freeBytes },
        });
        if (isStarted) save(now);
      },
    },
  });
  const watch = createStorageWatch({
    ...{ clock, disk, space, measured },
    dataDir: layout.dataDir,
    limits: config,
    onState(now) {
      // A handler that did not stop in time may still give its promise back.
      if (stopping.signal.aborted) return;
      door.apply(now);
      const isDue = clock.monotonicMs() - savedMs >= SAVE_EVERY_MS;
      if (isStarted && isDue && now.reservedBytes !== savedReservedBytes) save(now);
    },
  });

  const forgets = [
    bus.on('dumpFile:downloaded', ({ dumpId, heldDeltaBytes }) =>
      measured.noteHeld({ dumpId, deltaBytes: heldDeltaBytes }),
    ),
    bus.on('dumpFile:deleted', ({ dumpId, sizeBytes }) =>
      measured.noteHeld({ dumpId, deltaBytes: -sizeBytes }),
    ),
    bus.on('storage:othersChanged', ({ deltaBytes }) => {
      measured.noteOthers(deltaBytes);
      // A command's process ends before it measures anything.
      const kept = tried(() => parseSavedStorage(state.get(STATE_KEYS.storage)), null);
      const { otherBytes } = measured.parts();
      if (kept !== null)
        tried(
          () => state.set(STATE_KEYS.storage, JSON.stringify({ ...kept, otherBytes }), clock.now()),
          undefined,
        );
    }),
    // Somebody else found no room: the checkpoint, a torrent, a backup.
    bus.on('target:halted', ({ code }) => {
      if (code === 'disk_full' && isStarted) void watch.look();
    }),
  ];

  function clean(): void {
    cancelClean = clock.after(CLEAN_EVERY_MS, clean);
    // A job that waits for its next attempt; one that runs is known to the catalog, too.
    const atWork = tried(() => new Set(queue.unfinishedDumps(deps.downloadType)), null);
    if (atWork === null) return;
    const liveNames = (run: PartialRun): ReadonlySet<string> =>
      new Set(
        catalog
          .partsOfRun(run)
          .filter(({ id, isToCome }) => isToCome || atWork.has(id))
          .map(({ filename }) => filename),
      );
    cleaning = cleanPartials({ disk, layout, clock, log, liveNames, signal: stopping.signal }).then(
      () => {},
      (error: unknown) => {
        if (!isAbort(error))
          log.warn({ err: error }, 'part files could not be cleaned; tried again tomorrow');
      },
    );
  }

  return {
    space,
    async usage() {
      if (watch.state().space === null) await watch.look();
      return watch.usage();
    },
    prepare: () => watch.start(),
    start() {
      isStarted = true;
      door.open();
      measured.start();
      clean();
    },
    async stop() {
      stopping.abort();
      for (const forget of forgets) forget();
      cancelClean();
      measured.stop();
      watch.stop();
      await cleaning;
    },
  };
}
