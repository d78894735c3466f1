import type { Catalog } from '../catalog/index.ts';
import type { DumpFileId } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout } from '../storage/index.ts';
import { type ChangedFilesDeps, createChangedFiles } from './changed-files.ts';
import { seedSpec, startSeedingHandler } from './jobs/start-seeding.ts';
import type { SeederSettings, TorrentActivity } from './protocol.ts';
import { createSeeder } from './seeder.ts';
import { createSwarm, SWARM_LIMITS } from './swarm.ts';
import { createSwarmPieces, type SwarmPieces } from './swarm-pieces.ts';
import type { SwarmLimits } from './swarm-protocol.ts';

/** Settings of the embedded client; see `SeederSettings`. */
export interface SeedingConfig
  extends Pick<SeederSettings, 'port' | 'maxConnections' | 'dht' | 'uploadLimitBytesPerSecond'>,
    Partial<Pick<SeederSettings, 'host' | 'lsd' | 'utPex' | 'userAgent'>> {
  /** False: no thread, no port; `start_seeding` completes and says so. */
  enabled: boolean;
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
  config: SeedingConfig;
}

/** What the swarm sees of us now; never stored, so numbers begin at 0 with each start. */
export interface SeedingFacts {
  isEnabled: boolean;
  /** null while nothing listens. */
  port: number | null;
  /** How often the thread had to be replaced since the start. */
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
  /** Resolved when the threads are gone, at most about 5 s later. Idempotent. */
  stop(): Promise<void>;
  /** Serves a torrent no more: it was retired. One that is not served is no error. */
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
  const { enabled, swarm: limits, ...chosen } = config;
  const settings: SeederSettings = { ...DEFAULTS, ...chosen };
  const changed = createChangedFiles(deps);
  const seeder = enabled ? createSeeder({ settings, clock, log, onChanged: changed.found }) : null;
  const swarm =
    seeder === null
      ? null
      : createSwarm({
          settings: { ...settings, limits: { ...SWARM_LIMITS, ...limits } },
          ...{ clock, log, ownPeerId: seeder.peerId },
        });
  return {
    pieceSources: swarm === null ? [] : [createSwarmPieces({ catalog, layout, swarm })],
    handlers: [startSeedingHandler({ catalog, layout, seeder })],
    async start() {
      const seeded = catalog
        .torrents()
        .filter(({ seedingSince, retiredAt }) => seedingSince !== null && retiredAt === null);
      await seeder?.start(seeded.map((torrent) => seedSpec(torrent, layout)));
    },
    async stop() {
      await Promise.all([seeder?.stop(), swarm?.stop()]);
    },
    retire: async (infoHash) => seeder?.remove(infoHash),
    lookAgain: async (id) => (seeder === null ? undefined : changed.settled(id, seeder)),
    snapshot: async () => ({
      isEnabled: enabled,
      port: seeder?.port() ?? null,
      restarts: seeder?.restarts() ?? 0,
      torrents: (await seeder?.snapshot()) ?? [],
    }),
    port: () => seeder?.port() ?? null,
  };
}
