import { type Catalog, HELD_STATUSES } from '../catalog/index.ts';
import { createSystemState, type Db } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { describeError, type TorrentId } from '../lib/index.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import type { AnyJobHandler, JobRequest } from '../queue/index.ts';
import type { Layout, PrunePolicy, PruneUsage, StorageMode } from '../storage/index.ts';
import { createEndedSeeding } from './ended-seeding.ts';
import { pruneStorage, pruneStorageHandler } from './jobs/prune-storage.ts';
import { createThreadPlanner, type Planner } from './planner.ts';
import { createProofWaits } from './proof-waits.ts';
import { ALERT_KEY, createPrune, type Prune } from './prune.ts';
import { createSetRemover, type RemoveDeps } from './remove-set.ts';
import { createTorrentRetirement } from './retire-torrent.ts';
import { type TakenUp, takeUpDeletions } from './take-up.ts';
import { lookForWaiting, seedingProgramOf } from './waiting.ts';

/** What the room needs. */
export interface PruningDeps {
  db: Db;
  catalog: RemoveDeps['catalog'] & Pick<Catalog, 'torrent' | 'torrents' | 'retireUnpacked'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  bus: Bus;
  log: Log;
  /** What counts as used and free, measured now; rejects when it cannot be measured. */
  usage: () => Promise<PruneUsage>;
  /** Ends the seeding of a torrent, by its infohash; no error when it is not seeded. Rejects when that is not sure: its files stay. */
  stopSeeding: (infoHash: string) => Promise<void>;
  /** `seeding.engine`: who is waited for, as people are told. */
  engine?: string;
  config: Omit<PrunePolicy, 'neededBytes'>;
  /** Default: a thread of its own. */
  planner?: Planner;
}

/** Makes room by plan, and never at the price of a last copy. */
export interface PruningRoom {
  readonly handlers: readonly AnyJobHandler[];
  /** Carries out or takes back what a dead process had begun; before anything is seeded or fetched. Never rejects. */
  start(): Promise<TakenUp | null>;
  /** For commands, where no daemon runs; a daemon has its job. */
  prune: Prune;
  /** What the storage mode asks for, and what a day does. */
  requestsFor(mode: StorageMode): JobRequest[];
  /** A question about an item at the archive is over, inside the transaction that ends its job. @returns what was waiting for it */
  proofEnded(identifier: string, end: { isAnswered: boolean }): JobRequest[];
}

/** Creates the room; nothing is deleted before `start`, its job or `prune`. */
export function createPruning(deps: PruningDeps): PruningRoom {
  const { db, catalog, disk, layout, clock, bus, config } = deps;
  const log = deps.log.child({ room: 'pruning' });
  const policy = {
    remoteProofMaxAgeMs: config.remoteProofMaxAgeMs,
    minSeedersBeforePrune: config.minSeedersBeforePrune,
    seedersMaxAgeMs: config.seedersMaxAgeMs,
    pruneOldestFirst: config.pruneOldestFirst,
    uploadsEnabled: config.uploadsEnabled,
  };
  const ended = createEndedSeeding({ db, clock, log, stopSeeding: deps.stopSeeding });
  const retirement = createTorrentRetirement({
    ...{ db, catalog, disk, layout, log, ended },
    onUnpackedRemoved: (freedBytes) => bus.emit('storage:othersChanged', { deltaBytes: -freedBytes }),
  });
  const onReinstated = (torrentId: TorrentId): void => {
    ended.forget(torrentId);
    bus.emit('torrent:reinstated', { torrentId });
  };
  const onRemoved = (file: { dumpId: number; sizeBytes: number }): void => bus.emit('dumpFile:deleted', file);
  const remover = createSetRemover({
    ...{ db, catalog, disk, layout, clock, log, retirement, ended, policy, onRemoved, onReinstated },
  });
  const takeUp = (): Promise<TakenUp> =>
    takeUpDeletions({ catalog, disk, layout, log, remover, retirement, onRemoved, onReinstated });
  // One look into the index for each state.
  const anyHeld = db.sqlite.prepare(
    `SELECT 1 FROM dumps WHERE our_status IN (${HELD_STATUSES.map((status) => `'${status}'`).join(', ')}) LIMIT 1`,
  );
  const waits = createProofWaits({
    ...{ state: createSystemState(db), clock },
    remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs,
  });
  const prune = createPrune({
    ...{ disk, layout, clock, bus, log, remover, retirement, takeUp, policy, waits },
    planner: deps.planner ?? createThreadPlanner({ databasePath: db.path, dataDir: layout.dataDir }),
    usage: deps.usage,
    waiting: () => lookForWaiting({ sqlite: db.sqlite, catalog, disk, layout }),
    seedingProgram: deps.engine === undefined ? 'the seeding program' : seedingProgramOf(deps.engine),
    isAnythingHeld: () => anyHeld.get() !== undefined,
  });
  // Room came from elsewhere. What is only promised to downloads is not there yet.
  bus.on('storage:modeChanged', ({ mode, isOnlyPromised }) => {
    if (mode === 'normal' && !isOnlyPromised) bus.emit('alert:resolved', { key: ALERT_KEY });
  });
  return {
    handlers: [pruneStorageHandler(prune, waits)],
    async start() {
      try {
        return await takeUp();
      } catch (error) {
        log.error({ err: describeError(error) }, 'deletions that were begun could not be ended; tried again');
        return null;
      }
    },
    prune,
    requestsFor: (mode) => (mode === 'normal' ? [] : [pruneStorage.request({})]),
    proofEnded: (identifier, end) => (waits.noteEnd(identifier, end) ? [pruneStorage.request({})] : []),
  };
}
