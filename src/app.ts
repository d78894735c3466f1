import { setImmediate as nextTurn } from 'node:timers/promises';
import { createAlerts } from './alerts/index.ts';
import { firstLookOf, schedulesOf } from './app-schedules.ts';
import {
  calendarOf,
  createAppHttp,
  discoveryConfigOf,
  downloadConfigOf,
  downloadRatesOf,
  objectStoreOf,
  publishConfigOf,
  seedingConfigOf,
  torrentConfigOf,
  torrentsWantedConfigOf,
  uploadConfigOf,
  webseedConfigOf,
} from './app-settings.ts';
import { createAppStorage } from './app-storage.ts';
import { type Catalog, createCatalog } from './catalog/index.ts';
import type { Config, Secrets } from './config/index.ts';
import { explainStartError, openDataDirectory } from './data-directory.ts';
import { createSystemState, type DataDirectoryLock, type Db } from './db/index.ts';
import { createDiscovery, discoverWikis } from './discovery/index.ts';
import { createDownload, downloadDump, type HeldFiles, repairFile, scrubFiles } from './download/index.ts';
import { type Bus, createBus } from './events/index.ts';
import { DumpFileId, describeError } from './lib/index.ts';
import {
  backupHandlers,
  createMaintenance,
  createRecordKeeper,
  TELL_THEMSELVES,
} from './maintenance/index.ts';
import {
  createMonitoring,
  createOperatorActions,
  createStatusQueries,
  type OperatorActions,
  type StatusQueries,
} from './monitoring/index.ts';
import { wirePipeline } from './pipeline.ts';
import {
  type Clock,
  createDatagrams,
  createNodeDisk,
  createSystemClock,
  createSystemRandom,
  type Disk,
  type Log,
  type Random,
} from './ports/index.ts';
import { createPruning, type PruningRoom, pruneStorage } from './pruning/index.ts';
import { createPublishing } from './publishing/index.ts';
import { createQueue, type IdleReport, type Queue } from './queue/index.ts';
import { createScheduling } from './scheduling/index.ts';
import { createSeeding, ENGINE_HALT_CODES, type SeedingFacts } from './seeding/index.ts';
import {
  createLayout,
  type DiskUsage,
  type Layout,
  STORAGE_HALT_CODES,
  seedersMaxAgeMs,
} from './storage/index.ts';
import {
  createThreadPlanner,
  createTorrent,
  createTorrenting,
  findMissingTorrents,
} from './torrenting/index.ts';
import { createUpload } from './upload/index.ts';
import { VERSION } from './version.ts';
import { createWebseeds } from './webseeds/index.ts';

/** What a WikiSeed is made from; the ports default to the real ones. */
export interface AppOptions {
  config: Config;
  secrets: Secrets;
  log: Log;
  clock?: Clock;
  random?: Random;
  disk?: Disk;
  /** Named in the commands that error messages give; null = none was named. */
  configPath?: string | null;
}

/** A whole WikiSeed. */
export interface App {
  readonly bus: Bus;
  readonly catalog: Catalog;
  readonly queries: StatusQueries;
  readonly queue: Queue;
  /** What an operator may change, also before `start`. */
  readonly operator: OperatorActions;
  readonly layout: Layout;
  /** Deletes by plan when there is need: for commands, where no daemon runs. */
  readonly prune: PruningRoom['prune'];
  /** Reads a held file again and repairs it: for commands, where no daemon runs. */
  readonly repairHeld: HeldFiles['repair'];
  /** True when held files go to the Internet Archive. */
  readonly uploadsEnabled: boolean;
  /** Begins to work. @returns the address of the status page */
  start(): Promise<{ url: string }>;
  whenIdle(): Promise<IdleReport>;
  storage(): Promise<DiskUsage>;
  seeding(): Promise<SeedingFacts>;
  /** Stops in reverse order; idempotent; resolves when everything truly stopped. */
  stop(): Promise<void>;
}

/**
 * Builds a WikiSeed: takes the lock, opens and migrates the database, wires the rooms. The only place that knows them all.
 * @throws AlreadyRunningError, UsageError (newer database), WikiSeedError `data_dir_not_writable`, `database_corrupt`
 */
export async function createApp(options: AppOptions): Promise<App> {
  const { config, secrets, log } = options;
  const clock = options.clock ?? createSystemClock();
  const random = options.random ?? createSystemRandom();
  const disk = options.disk ?? createNodeDisk();
  const layout = createLayout(config.wikiseed.dataDir);
  const { db, lock } = await openDataDirectory({
    ...{ disk, layout, clock, log },
    configPath: options.configPath ?? null,
  });
  try {
    return wire({
      configPath: null,
      ...options,
      clock,
      random,
      disk,
      layout,
      db,
      lock,
      config,
      secrets,
      log,
    });
  } catch (error) {
    db.close();
    lock.release();
    throw error;
  }
}

function wire(deps: Required<AppOptions> & { layout: Layout; db: Db; lock: DataDirectoryLock }): App {
  const { config, secrets, log, clock, random, disk, layout, db } = deps;
  const bus = createBus({ log });
  const state = createSystemState(db);
  const catalog = createCatalog({ db, clock });
  const http = createAppHttp(config, clock);
  const uploadsEnabled = config.ia.enabled && secrets.iaAccessKey !== null && secrets.iaSecretKey !== null;
  const queue = createQueue({
    db,
    state,
    clock,
    random,
    log,
    bus,
    concurrency: {
      download_dump: config.download.concurrency,
      upload_ia: config.ia.concurrency,
      // One listing at a time leaves the second connection to the files.
      find_dumps: 1,
    },
  });
  const { scrub } = config.maintenance;
  const storage = createAppStorage({
    ...{ state, catalog, queue, bus, disk, layout, clock, log },
    config: config.storage,
    downloadType: downloadDump.type,
  });
  /** What every pipeline room stands on. */
  const askForRepair = (ids: readonly DumpFileId[]): void => pipeline.askForRepair(ids);
  const shared = { catalog, disk, layout, clock, log, askForRepair };
  const discovery = createDiscovery({
    ...shared,
    ...{ http, state },
    config: discoveryConfigOf(config),
    askForDownloads: (run) => pipeline.askForDownloads(run),
  });
  const seeding = createSeeding({
    ...shared,
    ...{ http, bus },
    rebuild: (torrent) => pipeline.rebuild(torrent),
    statistics: { db, http, random, datagrams: createDatagrams(), firstLook: firstLookOf(config, queue) },
    config: seedingConfigOf(config, secrets),
  });
  const download = createDownload({
    ...shared,
    ...{ db, random, http, bus, space: storage.space },
    ratesByHand: downloadRatesOf(queue, bus),
    config: downloadConfigOf(config),
    held: {
      moreSources: seeding.pieceSources,
      ...(scrub.enabled ? { scrub } : {}),
      // A torrent that is being made reads as fast as the disk can.
      yieldTo: [createTorrent.type],
      askForRepair,
    },
  });
  const upload = createUpload({ ...shared, http, bus, config: uploadConfigOf(config, secrets) });
  const torrenting = createTorrenting({
    ...{ ...shared, space: storage.space, config: torrentConfigOf(config) },
    planner: createThreadPlanner({ databasePath: db.path }),
  });
  bus.on('job:completed', ({ jobType, dumpId }) => {
    if (jobType === repairFile.type && dumpId !== null) void seeding.lookAgain(DumpFileId.parse(dumpId));
  });
  const pruning = createPruning({
    ...{ ...shared, db, bus, usage: () => storage.usage(), engine: config.seeding.engine },
    enqueue: (requests) => void queue.enqueue(requests),
    stopSeeding: (infoHash) => seeding.retire(infoHash),
    config: {
      ...config.storage,
      ...{ uploadsEnabled, seedersMaxAgeMs: seedersMaxAgeMs(config.seeding.statsIntervalMs) },
    },
  });
  const publishing = createPublishing({
    ...shared,
    db,
    objectStore: objectStoreOf(config, secrets, clock),
    config: publishConfigOf(config),
  });
  const webseeds = createWebseeds({
    ...{ ...shared, db, http, bus },
    isHalted: (target) => queue.halts().some((halt) => halt.target === target || halt.target === 'all'),
    remoteProofMaxAgeMs: config.storage.remoteProofMaxAgeMs,
    config: webseedConfigOf(config),
  });
  const maintenance = createMaintenance({
    db,
    dataDir: layout.dataDir,
    configPath: deps.configPath,
    state,
    disk,
    clock,
    bus,
    log,
    config: {
      ...config.maintenance,
      safetyMarginBytes: config.storage.safetyMarginBytes,
    },
    sweepLeases: () => queue.rescue(),
    onHalt: (halt) => queue.halt(halt),
  });
  const records = createRecordKeeper({ db, disk, layout, clock, log });
  const alerts = createAlerts({
    ...{ db, bus, clock, log, isOwner: true, tellThemselves: TELL_THEMSELVES },
    haltsTold: [...STORAGE_HALT_CODES, ...ENGINE_HALT_CODES],
  });
  queue.register([
    ...maintenance.handlers,
    ...backupHandlers({
      ...{ disk, clock, log, bus, state, configPath: deps.configPath },
      dataDir: layout.dataDir,
      version: VERSION,
      keep: config.maintenance.keep,
    }),
    ...discovery.handlers,
    ...download.handlers,
    ...upload.handlers,
    ...torrenting.handlers,
    ...seeding.handlers,
    ...pruning.handlers,
    ...publishing.handlers,
    ...webseeds.handlers,
  ]);
  const pipeline = wirePipeline({
    ...{ queue, catalog, bus, clock, uploadsEnabled, proofEnded: pruning.proofEnded },
    seedingEnabled: config.seeding.engine !== 'none',
    afterCommit: db.afterCommit,
    ...{ sourcesOf: discovery.sourcesOf, isLookedAt: discovery.isLookedAt },
    torrents: torrentsWantedConfigOf(config),
  });
  const scheduling = createScheduling({
    ...{ db, catalog, queue, state, bus, clock, log, random },
    config: {
      ...calendarOf(config),
      wikiDiscovery: config.scheduling.wikiDiscovery,
      dumpCheck: config.scheduling.dumpCheck,
    },
    jobs: schedulesOf(config, maintenance.schedules()),
    requests: {
      discoverWikis: () => discoverWikis.request({}),
      lastLookAt: (cycle) => discovery.lastLookAt(cycle),
      beforeDeadlineSeal: (cycle) => discovery.noteUnseen(cycle),
      hasRuns: (cycle) => discovery.sourcesOf(cycle).length > 0,
      looks: () => pipeline.looks(),
      sealedAtDeadline: (cycleDate) => pipeline.missingTorrents(cycleDate),
      daily: () => pipeline.daily(),
    },
  });
  const queries = createStatusQueries({ db, clock });
  /** Else nobody would hear of a damage, or that it is over, where no daemon runs. */
  const heldTold = () => {
    alerts.start();
    return download.held;
  };
  const operator = createOperatorActions({
    ...{ db, queue, queries },
    pruneRequest: () => pruneStorage.request({}),
    repairRequest: (id) => pipeline.repairRequest(id),
    noteDamage: (found) => heldTold().noteDamage(found),
  });
  const monitoring = createMonitoring({
    db,
    clock,
    disk,
    log,
    bus,
    layout,
    queries,
    storage: () => storage.usage(),
    judgeWiki: (wiki) => discovery.judgeWiki(wiki),
    seeding: async () => (await seeding.snapshot()).torrents,
    halts: () => queue.halts(),
    control: {
      actions: operator,
      token: random.hex(32),
      tokenByHand: secrets.wikiseedAdminToken,
      announce: deps.lock.announce,
    },
    webseed: {
      open: webseeds.serving.open,
      limits: config.monitoring.webseed,
      trustedProxies: config.monitoring.trustedProxies,
    },
    config: config.monitoring,
    version: VERSION,
  });

  async function restoreTorrents(): Promise<void> {
    for (const torrent of await findMissingTorrents(shared)) {
      const facts = { infohash: torrent.infoHash, name: torrent.name };
      log.warn(facts, 'a torrent is missing on disk and will be made again');
      pipeline.rebuild(torrent);
    }
  }

  let stopping: Promise<void> | null = null;
  async function stop(): Promise<void> {
    scheduling.stop();
    pruning.stop();
    await queue.stop(config.wikiseed.shutdownTimeoutMs);
    for (const room of [monitoring, seeding, torrenting, upload, download, storage, records, maintenance])
      await room
        .stop()
        .catch((error: unknown) => log.error({ err: describeError(error) }, 'a room did not stop cleanly'));
    alerts.stop();
    db.close();
    deps.lock.clearMark();
    deps.lock.release();
  }
  return {
    bus,
    catalog,
    queries,
    queue,
    operator,
    layout,
    prune: pruning.prune,
    repairHeld: (id, task) => heldTold().repair(id, task),
    uploadsEnabled,
    async start() {
      // The page first: when its port is taken nothing has begun yet.
      const page = await monitoring.start();
      try {
        alerts.start();
        maintenance.start();
        records.start();
        await pruning.start();
        await seeding.start();
        await restoreTorrents();
        // Each reads a whole cycle: in one turn the page would wait for all of them.
        await nextTurn();
        await discovery.releaseSwitchedOff();
        await nextTurn();
        await pipeline.reconcile();
        await storage.prepare();
        if (!scrub.enabled) queue.cancelPending(scrubFiles.type);
        await nextTurn();
        queue.start();
        await nextTurn();
        storage.start();
        await nextTurn();
        scheduling.start();
      } catch (error) {
        throw explainStartError(error, layout.dataDir);
      }
      return page;
    },
    whenIdle: () => queue.whenIdle(),
    storage: () => storage.usage(),
    seeding: () => seeding.snapshot(),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
