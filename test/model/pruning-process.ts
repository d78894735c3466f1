import { createBus } from '../../src/events/index.ts';
import { RetryableError, UnavailableError } from '../../src/lib/index.ts';
import { type Log, silentLog } from '../../src/ports/index.ts';
import { createDirectPlanner, createPruning, type PruningRoom } from '../../src/pruning/index.ts';
import { bytesToFree, type PruneUsage } from '../../src/storage/index.ts';
import type { Telling, Trouble } from './pruning-commands.ts';
import { type Judge, Verdict } from './pruning-judge.ts';
import { DAY_MS, layout, type World } from './pruning-world.ts';

/** What the operator set; a process reads it once. */
export interface Settings {
  maxAgeDays: number;
  minSeeders: number;
  isOldestFirst: boolean;
  isUploading: boolean;
}

/** Nobody but the history throws these. */
class Death extends Error {}

/** How work may end early here: the troubles of a history, and a disk that is not mounted. Everything else is a fault. */
const FORESEEN =
  /the process died|it is dead|EIO: |the disk does not answer|holds nothing, so nothing is deleted/;

const CALM: Trouble = { dies: null, fails: null, meanwhile: null };

/** A process with the room that is tried, whose every act may be its last. */
export interface MortalRoom {
  /** @returns how it ended; `died`: only another process may go on */
  start(trouble: Trouble): Promise<'whole' | 'broken off' | 'died'>;
  prune(usage: PruneUsage | null, trouble: Trouble): Promise<'whole' | 'broken off' | 'died'>;
}

export function createMortalRoom(deps: {
  world: World;
  judge: Judge;
  settings: Settings;
  count: (what: string) => void;
  tell: (what: Telling) => Promise<void>;
}): MortalRoom {
  const { world, judge, settings, count } = deps;
  const { db, catalog, clock } = world;
  let trouble = CALM;
  let changes = 0;
  let calls = 0;
  let pauses = 0;
  let isDead = false;
  let isDisturbed = false;
  let uptimeMs = 0;
  /** The first thing that was wrong: whoever catches it, it is told. */
  let verdict: Verdict | undefined;

  const judged = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      if (error instanceof Verdict) verdict ??= error;
      throw error;
    }
  };
  function die(): never {
    isDead = true;
    throw new Death('the process died');
  }
  const assertAlive = (): void => {
    if (isDead) throw new Death('it is dead');
  };
  /** One change of the disk or of the catalog. */
  function change<T>(act: () => T): T {
    assertAlive();
    const { dies } = trouble;
    const isLast = dies !== null && changes === dies.at;
    changes += 1;
    if (isLast && !dies.isAfter) die();
    const result = act();
    if (isLast) die();
    return result;
  }
  /** What stopped work that was begun in another life is told to the log alone. */
  let fault: Error | undefined;
  const log: Log = {
    ...silentLog,
    child: () => log,
    error({ err }: { err?: string }) {
      if (err !== undefined && !FORESEEN.test(err)) fault ??= new Error(`nobody foresaw: ${err}`);
    },
  };
  let isInTransaction = false;
  async function pause(): Promise<void> {
    assertAlive();
    const { meanwhile } = trouble;
    pauses += 1;
    if (meanwhile === null || pauses - 1 !== meanwhile.at) return;
    count('told meanwhile');
    await deps.tell(meanwhile.what);
    judge.told();
  }

  const disk = world.disk.forProcess({
    before(kind, path) {
      assertAlive();
      calls += 1;
      if (trouble.fails === calls - 1) {
        count('input/output errors');
        isDisturbed = true;
        throw Object.assign(new Error(`EIO: ${path}`), { code: 'EIO' });
      }
      if (kind === 'read') return;
      const { dies } = trouble;
      if (dies !== null && !dies.isAfter && changes === dies.at) die();
    },
    after(kind) {
      if (kind === 'read') return;
      changes += 1;
      const { dies } = trouble;
      if (dies?.isAfter === true && changes - 1 === dies.at) die();
    },
    pause,
    removing: (path, inode) => judged(() => judge.removing(path, inode)),
    removed: (path) => judged(() => judge.removed(path)),
  });
  const room: PruningRoom = createPruning({
    db: {
      ...db,
      transaction: (work) => {
        if (isInTransaction) return db.transaction(work);
        return change(() => {
          isInTransaction = true;
          try {
            return db.transaction(work);
          } finally {
            isInTransaction = false;
          }
        });
      },
    },
    catalog: {
      ...catalog,
      finishDeletion: (id) => change(() => catalog.finishDeletion(id)),
      takeBackDeletion: (id) => change(() => catalog.takeBackDeletion(id)),
    },
    ...{ disk, layout, bus: createBus({ log }), log },
    clock: Object.assign(Object.create(clock) as typeof clock, { monotonicMs: () => uptimeMs }),
    usage: async () => Promise.reject(new Error('asked without being told')),
    stopSeeding: async (infoHash) => {
      await pause();
      const { isAway, kept } = world.program;
      if (isAway)
        throw new RetryableError('seeding_not_ended', 'it does not answer', {
          cause: new UnavailableError('engine_down', 'nobody listens'),
        });
      if (kept.has(infoHash)) throw new RetryableError('seeding_not_ended', 'it does not let go');
      change(() => {});
    },
    config: {
      remoteProofMaxAgeMs: settings.maxAgeDays * DAY_MS,
      minSeedersBeforePrune: settings.minSeeders,
      seedersMaxAgeMs: settings.maxAgeDays * 86_400_000,
      pruneOldestFirst: settings.isOldestFirst,
      uploadsEnabled: settings.isUploading,
    },
    planner: {
      async plan(input, options) {
        const plan = await createDirectPlanner({
          ...{ sqlite: db.sqlite, layout },
          stat: (path) => world.disk.statSync(path),
        }).plan(input, options);
        judged(() => judge.planned(plan.removed));
        await pause();
        return plan;
      },
    },
  });

  /** Whoever seeds did not confirm that it let go of that torrent. */
  const mayWait = (infoHash: string): boolean => world.program.isAway || world.program.kept.has(infoHash);

  /** The room swallows what `start` throws, and a command's error is told to people: what counts is what the judge saw. */
  async function act(
    given: Trouble,
    work: () => Promise<unknown>,
    neededBytes: number | null = null,
  ): Promise<'whole' | 'broken off' | 'died'> {
    trouble = given;
    [changes, calls, pauses] = [0, 0, 0];
    isDisturbed = false;
    // What was not confirmed the last time is asked again.
    uptimeMs += 2 * 60_000;
    judge.begin();
    let isWhole = false;
    try {
      isWhole = (await work()) !== null;
    } catch (error) {
      if (!FORESEEN.test(String(error)) && verdict === undefined) throw error;
    }
    trouble = CALM;
    if (verdict !== undefined) throw verdict;
    if (fault !== undefined) throw fault;
    if (isDead) {
      count('deaths');
      const { dies } = given;
      if (dies?.power == null) world.disk.settle();
      else if (world.disk.cutPower(dies.power) > 0) count('changes lost with the power');
    } else world.disk.settle();
    const isMounted = world.disk.hidden === 'no';
    if (neededBytes !== null) judge.pruned(neededBytes);
    judge.end(isWhole && !isDead && !isDisturbed && isMounted ? 'whole' : 'broken off', mayWait);
    return isDead ? 'died' : isWhole ? 'whole' : 'broken off';
  }

  return {
    start: (given) => act(given, () => room.start()),
    prune: (usage, given) =>
      act(
        given,
        async () => {
          const signal = new AbortController().signal;
          const report = await room.prune(signal, {
            async usage() {
              if (usage === null) throw new Error('the disk does not answer');
              return usage;
            },
          });
          if (report.removedSets > 0) count('prunes that removed');
          if (report.refusedSets > 0) count('sets kept after a second look');
          if (report.waitingFiles > 0) count('prunes that wait for who seeds');
          return report;
        },
        usage === null ? 0 : bytesToFree(usage),
      ),
  };
}
