import type { Catalog } from '../catalog/index.ts';
import { createSystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { assert, type DumpFileId } from '../lib/index.ts';
import type { Clock, Disk, Http, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout } from '../storage/index.ts';
import { type ChangedFilesDeps, createChangedFiles } from './changed-files.ts';
import { createProgram, type ExternalEngineConfig, withWatchFolder } from './choose-engine.ts';
import type { EngineEvents, TorrentEngine } from './engine.ts';
import { collectStatsHandler } from './jobs/collect-stats.ts';
import { seedSpec, startSeedingHandler } from './jobs/start-seeding.ts';
import type { SeederSettings, TorrentActivity } from './protocol.ts';
import { createSeeder } from './seeder.ts';
import { createSwarmStatistics, type SwarmStatisticsDeps } from './statistics/index.ts';
import { createSwarm, SWARM_LIMITS } from './swarm.ts';
import { createSwarmPieces, type SwarmPieces } from './swarm-pieces.ts';
import type { SwarmLimits } from './swarm-protocol.ts';
import { createTurnBook } from './turn-book.ts';
import { createWatchFolder, type WatchFolder } from './watch-folder.ts';

/** Settings of the embedded client; see `SeederSettings`. */
export interface SeedingConfig
  extends Pick<SeederSettings, 'port' | 'maxConnections' | 'dht' | 'uploadLimitBytesPerSecond'>,
    Partial<Pick<SeederSettings, 'host' | 'lsd' | 'utPex' | 'userAgent' | 'utp' | 'webrtc'>> {
  /** False: no thread, no port; `start_seeding` completes and says so. */
  enabled: boolean;
  /** More than these are served in turn; default: all at once. */
  maxActiveTorrents?: number;
  /** A program beside us seeds instead of the embedded client. */
  program?: ExternalEngineConfig | null;
  /** Folder where the .torrent of everything that is served lies for another client, absolute. */
  watchFolder?: string | null;
  /** How long other seeders are waited for when bytes are lacking. */
  swarm?: Partial<SwarmLimits>;
}

/** All interfaces, no shouting into the local network, peers may introduce peers. */
const DEFAULTS = { host: null, lsd: false, utPex: true, userAgent: 'WikiSeed' };

/** What the room needs. */
export interface SeedingDeps {
  catalog: Pick<Catalog, 'torrent' | 'torrents' | 'markSeeding' | 'torrentsWith'> &
    ChangedFilesDeps['catalog'];
  layout: Layout;
  clock: Clock;
  log: Log;
  askForRepair: ChangedFilesDeps['askForRepair'];
  /** Without it, unpacked files that rot stay so until somebody removes them. */
  rebuild?: NonNullable<ChangedFilesDeps['rebuild']>;
  /** Hears of what an operator should know. */
  bus?: Pick<Bus, 'emit'>;
  /** Needed by a program beside us, and for a watch folder. */
  disk?: Disk;
  /** Needed by a program beside us. */
  http?: Http;
  /** With it, swarms are counted. */
  statistics?: SwarmStatisticsDeps;
  config: SeedingConfig;
}

/** What the swarm sees of us now; never stored, so numbers begin at 0 with each start. */
export interface SeedingFacts {
  isEnabled: boolean;
  /** null while nothing listens. */
  port: number | null;
  /** How often the thread or process had to be replaced since the start. */
  restarts: number;
  torrents: TorrentActivity[];
}

/** Serves finished torrents. */
export interface SeedingRoom {
  handlers: AnyJobHandler[];
  /** Where pieces of damaged files may come from: other seeders. Empty when seeding is switched off. Works before `start`, too. */
  pieceSources: readonly SwarmPieces[];
  /** Opens the port and serves again whatever was seeded before; never fails because of one torrent. Idempotent. */
  start(): Promise<void>;
  /** Resolved when the threads and processes are gone, or do not go: at most about 10 s later. Idempotent. */
  stop(): Promise<void>;
  /**
   * Serves a torrent no more: it was retired. One that is not served is no error. Works before `start`, too.
   * @throws WikiSeedError when it is not known that it is served no more: its files must not go yet
   */
  retire(infoHash: string): Promise<void>;
  /** A held file was read again, and repaired where it was damaged: it is served again when it is sound. Never fails. */
  lookAgain(id: DumpFileId): Promise<void>;
  snapshot(): Promise<SeedingFacts>;
  /** The port that listens for peers; null while none does. */
  port(): number | null;
}

/** Creates the room; nothing starts before `start`. */
export function createSeeding(deps: SeedingDeps): SeedingRoom {
  const { catalog, layout, clock, log, config } = deps;
  const { enabled, swarm: limits, program = null, watchFolder = null, ...chosen } = config;
  const settings: SeederSettings = { ...DEFAULTS, ...chosen };
  const changed = createChangedFiles(deps);
  const events: EngineEvents = {
    onDamaged: (infoHash, path) => {
      if (path !== null) changed.found(infoHash, path);
    },
    onProblem: (infoHash, problem) => tell(deps, infoHash, problem),
  };

  function engineOf(): TorrentEngine {
    if (program === null) {
      const { maxActiveTorrents } = config;
      return createSeeder({
        ...{ settings, clock, log, ...events },
        ...(maxActiveTorrents === undefined ? {} : { maxActiveTorrents }),
        ...(deps.statistics === undefined
          ? {}
          : { turns: createTurnBook(createSystemState(deps.statistics.db)) }),
      });
    }
    const { http, disk } = deps;
    assert(http !== undefined && disk !== undefined, 'a program beside us needs http and disk');
    return createProgram({ config: program, http, disk, clock, log, ...events, dataDir: layout.dataDir });
  }

  function watchOf(folder: string): WatchFolder {
    assert(deps.disk !== undefined, 'a watch folder needs a disk');
    const contentRoots = [layout.torrents, layout.dumps];
    return createWatchFolder({ folder, contentRoots, disk: deps.disk, log });
  }

  const watch = watchFolder === null ? null : watchOf(watchFolder);
  const engine = enabled ? engineOf() : null;
  const seeder = engine !== null && watch !== null ? withWatchFolder(engine, watch) : engine;
  const swarm =
    seeder === null
      ? null
      : createSwarm({
          settings: { ...settings, limits: { ...SWARM_LIMITS, ...limits } },
          ...{ clock, log, ownPeerId: seeder.peerId },
        });
  const statistics =
    deps.statistics === undefined
      ? null
      : createSwarmStatistics({
          ...{ ...deps.statistics, clock, log },
          engine: seeder,
        });
  return {
    pieceSources: swarm === null ? [] : [createSwarmPieces({ catalog, layout, swarm })],
    handlers: [
      startSeedingHandler({
        ...{ catalog, layout, seeder, watch, takeRemade: changed.takeRemade },
        onServed: () => statistics?.served(),
      }),
      ...(statistics === null ? [] : [collectStatsHandler(statistics)]),
    ],
    async start() {
      const torrents = catalog.torrents();
      const kept = torrents.filter(({ retiredAt }) => retiredAt === null);
      const retired = torrents.filter(({ retiredAt }) => retiredAt !== null).map(({ infoHash }) => infoHash);
      // Without an engine, whoever watches the folder serves whatever there is.
      if (seeder === null)
        await watch?.fill(
          kept.map((torrent) => seedSpec(torrent, layout)),
          retired,
        );
      const seeded = kept.filter(({ seedingSince }) => seedingSince !== null);
      await seeder?.start(
        seeded.map((torrent) => ({
          ...seedSpec(torrent, layout),
          // Who is needed most has a place from the beginning.
          seeders: statistics?.lastSeeders(torrent.id) ?? null,
        })),
        retired,
      );
      if (seeder !== null && seeded.length > 0) statistics?.served();
    },
    async stop() {
      await statistics?.keep();
      await Promise.all([seeder?.stop(), swarm?.stop()]);
    },
    retire: async (infoHash) => (seeder === null ? watch?.remove(infoHash) : seeder.remove(infoHash)),
    lookAgain: async (id) => (seeder === null ? undefined : changed.settled(id, seeder)),
    async snapshot() {
      const torrents = (await seeder?.snapshot()) ?? [];
      statistics?.note(torrents);
      return {
        isEnabled: enabled,
        port: seeder?.port() ?? null,
        restarts: seeder?.restarts() ?? 0,
        torrents,
      };
    },
    port: () => seeder?.port() ?? null,
  };
}

/** A torrent's own trouble, or that of the engine as a whole. */
function tell(
  { bus, catalog }: Pick<SeedingDeps, 'bus' | 'catalog'>,
  infoHash: string | null,
  problem: { code: string; message: string; hint?: string } | null,
): void {
  if (problem === null) {
    bus?.emit('seeding:problemOver', { infoHash });
    return;
  }
  const torrent = infoHash === null ? null : catalog.torrentByInfoHash(infoHash);
  const { code, message, hint = null } = problem;
  bus?.emit('seeding:problem', { infoHash, name: torrent?.name ?? null, code, message, hint });
}
