import { type Catalog, HELD_STATUSES } from '../catalog/index.ts';
import { createSystemState, type Db } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { describeError, errorCode, type TorrentId } from '../lib/index.ts';
import type { Clock, Disk, Log } from '../ports/index.ts';
import type { AnyJobHandler, JobRequest } from '../queue/index.ts';
import type { Layout, PrunePolicy, PruneUsage } from '../storage/index.ts';
import { createEndedSeeding } from './ended-seeding.ts';
import { createEngineChange } from './engine-change.ts';
import { createFollowUp } from './follow-up.ts';
import { pruneStorage, pruneStorageHandler } from './jobs/prune-storage.ts';
import { createThreadPlanner, type Planner } from './planner.ts';
import { createProofWaits } from './proof-waits.ts';
import { ALERT_KEY, createPrune, type Prune } from './prune.ts';
import { createSetRemover, type RemoveDeps } from './remove-set.ts';
import { createTorrentRetirement } from './retire-torrent.ts';
import { createStuck } from './stuck.ts';
import { type TakenUp, takeUpDeletions } from './take-up.ts';
import { lookForWaiting, seedingProgramOf } from './waiting.ts';

/** What the room needs. */
export interface PruningDeps {
  db: Db;
  catalog: RemoveDeps['catalog'] &
    Pick<Catalog, 'openDeletions' | 'takeBackDeletion' | 'torrent' | 'torrents' | 'retireUnpacked'>;
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
  /** Asks for jobs: when room is needed, and when somebody whom deletions wait for may have let go. Default: nobody asks. */
  enqueue?: (requests: JobRequest[]) => void;
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
  /** Nothing is asked for any more. */
  stop(): void;
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
  const state = createSystemState(db);
  const ask = (): void => deps.enqueue?.([pruneStorage.request({})]);
  const ended = createEndedSeeding({ db, clock, log, stopSeeding: deps.stopSeeding });
  const stuck = createStuck({ bus, log });
  const followUp = createFollowUp({ clock, ask });
  const change =
    deps.engine === undefined ? null : createEngineChange({ state, clock, bus, log, engine: deps.engine });
  const retirement = createTorrentRetirement({
    ...{ db, catalog, disk, layout, log, ended, stuck },
    onUnpackedRemoved: (freedBytes) => bus.emit('storage:othersChanged', { deltaBytes: -freedBytes }),
  });
  // In one transaction with what its torrents need to be whole again: a process that dies after it has asked for that.
  const takeBack = (deletionId: number): void =>
    db.transaction(() => {
      for (const torrentId of catalog.takeBackDeletion(deletionId)) {
        ended.forget(torrentId);
        bus.emit('torrent:reinstated', { torrentId });
      }
    });
  const onRemoved = (file: { dumpId: number; sizeBytes: number }): void => bus.emit('dumpFile:deleted', file);
  const remover = createSetRemover({
    ...{ db, catalog, disk, layout, clock, log, retirement, ended, stuck, policy, onRemoved, takeBack },
  });
  const takeUp = (): Promise<TakenUp> =>
    takeUpDeletions({
      ...{ catalog, disk, layout, log, remover, retirement, ended, stuck, onRemoved, takeBack },
    });
  // One look into the index for each state.
  const anyHeld = db.sqlite.prepare(
    `SELECT 1 FROM dumps WHERE our_status IN (${HELD_STATUSES.map((status) => `'${status}'`).join(', ')}) LIMIT 1`,
  );
  const waits = createProofWaits({
    ...{ state, clock },
    remoteProofMaxAgeMs: policy.remoteProofMaxAgeMs,
  });
  const pruneOnce = createPrune({
    ...{ disk, layout, clock, bus, log, remover, retirement, stuck, takeUp, policy, waits },
    planner: deps.planner ?? createThreadPlanner({ databasePath: db.path, dataDir: layout.dataDir }),
    usage: deps.usage,
    async waiting() {
      const isStuck = ({ id }: { id: number }): boolean => stuck.has(`deletion:${id}`);
      const isEnded = ({ id }: { id: TorrentId }): boolean => ended.has(id);
      const look = await lookForWaiting({ sqlite: db.sqlite, catalog, disk, layout, isStuck, isEnded });
      return { ...look, reason: look.files > 0 ? ended.why() : null };
    },
    seedingProgram: deps.engine === undefined ? 'the seeding program' : seedingProgramOf(deps.engine),
    isAnythingHeld: () => anyHeld.get() !== undefined,
  });
  const prune: Prune = async (signal, options) => {
    const changed = change?.look() ?? null;
    const report = await pruneOnce(signal, options).catch((error: unknown) => {
      // Whoever is waited for may let go all the same; a disk that refuses everything gets no more to refuse.
      followUp.note(errorCode(error) !== 'prune_refused' && ended.why() !== null);
      throw error;
    });
    // A command has no alerts.
    if (changed !== null) report.summary += `; ${changed}`;
    change?.note(ended.why() !== null);
    followUp.note(report.waitingFiles > 0 || report.stuck > 0);
    return report;
  };
  bus.on('storage:modeChanged', ({ mode, isOnlyPromised }) => {
    if (mode !== 'normal') ask();
    // Room came from elsewhere. What is only promised to downloads is not there yet.
    else if (!isOnlyPromised) bus.emit('alert:resolved', { key: ALERT_KEY });
  });
  bus.on('seeding:problemOver', ({ infoHash }) => {
    if (infoHash !== null || ended.why() === null) return;
    ended.heard();
    followUp.hurry();
  });
  return {
    handlers: [pruneStorageHandler(prune, waits)],
    async start() {
      followUp.begin();
      try {
        change?.look();
        const taken = await takeUp();
        stuck.tell();
        change?.note(ended.why() !== null);
        followUp.note(ended.why() !== null || stuck.count() > 0);
        return taken;
      } catch (error) {
        log.error({ err: describeError(error) }, 'deletions that were begun could not be ended; tried again');
        return null;
      }
    },
    stop: () => followUp.stop(),
    prune,
    proofEnded: (identifier, end) => (waits.noteEnd(identifier, end) ? [pruneStorage.request({})] : []),
  };
}
