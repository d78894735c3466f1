import { isDatabaseTrouble } from '../db/index.ts';
import { assert, describeError } from '../lib/index.ts';
import { createCareStore } from './care-store.ts';
import { createCommitter } from './committer.ts';
import { createQueueControl } from './control.ts';
import { createControls } from './controls.ts';
import { createExecutor } from './executor.ts';
import { createHeartbeat } from './heartbeat.ts';
import { createIdleWatch } from './idle.ts';
import type { JobRequest } from './job-type.ts';
import { createJobOperator } from './operator.ts';
import { createOutcomes } from './outcomes.ts';
import type { Barrier, Follow, FollowFailure, Pool } from './pool.ts';
import { createPools, runningIds } from './pools.ts';
import { createRates } from './rates.ts';
import { createRescuer } from './rescue.ts';
import { createJobStore } from './store.ts';
import { createTargets } from './targets.ts';
import { createDatabaseTrouble } from './trouble.ts';
import type { Queue, QueueDeps } from './types.ts';
import { createWaker } from './wake.ts';

const BUG_HINT = 'This is a bug; please report it with the log.';
/** While the queue stops, results that could not be written are tried again this often. */
const STOP_RETRY_MS = 1000;

/** SQLite is the truth: a process that starts with an empty memory loses nothing. */
export function createQueue(deps: QueueDeps): Queue {
  const { clock, bus, db } = deps;
  const log = deps.log.child({ room: 'queue' });
  const owner = deps.random.hex(8);
  const store = createJobStore(db);
  const care = createCareStore(db);
  const targets = createTargets(deps);
  const controls = createControls(deps);
  const rates = createRates(deps);
  const pools = createPools({
    store,
    targets,
    controls,
    clock,
    owner,
  });
  const trouble = createDatabaseTrouble({ targets, bus, log });
  const barriers: Barrier[] = [];
  let life: 'new' | 'working' | 'stopping' | 'stopped' = 'new';
  let isTakenOver = false;
  const isStopping = (): boolean => life === 'stopping' || life === 'stopped';

  function insert(requests: readonly JobRequest[], parentJobId: number | null): number {
    let added = 0;
    const now = clock.now();
    const fresh = new Map<string, { count: number; dueAt: number }>();
    for (const request of requests) {
      if (!store.insert(request, { now, parentJobId })) continue;
      added += 1;
      const seen = fresh.get(request.type) ?? { count: 0, dueAt: Number.POSITIVE_INFINITY };
      fresh.set(request.type, { count: seen.count + 1, dueAt: Math.min(seen.dueAt, now + request.delayMs) });
    }
    if (added > 0)
      db.afterCommit(() => {
        for (const [jobType, facts] of fresh) {
          bus.emit('job:enqueued', { jobType, ...facts });
          waker.nudge(jobType);
        }
      });
    return added;
  }

  const outcomes = createOutcomes({
    ...deps,
    log,
    store,
    targets,
    owner,
    barriers,
    enqueue: (requests, parentJobId) => void insert(requests, parentJobId),
  });
  const committer = createCommitter({
    outcomes,
    isStopped: () => life === 'stopped',
    onTrouble: (error) => {
      trouble.note(error);
      waker.arm();
    },
    onBroken(attempt, error) {
      attempt.context.log.error(
        { err: error },
        'how a job ended cannot be recorded at all; its lease will run out',
      );
      const message = `how job ${attempt.job.id} (${attempt.job.jobType}) ended cannot be recorded: ${describeError(error)}`;
      bus.emit('alert:raised', {
        key: `broken:${attempt.job.jobType}`,
        severity: 'error',
        message,
        hint: BUG_HINT,
      });
    },
    onCommitted: (batch) => {
      trouble.clear();
      for (const { attempt } of batch) {
        if (!attempt.isReleased) executor.finish(attempt);
        waker.nudge(attempt.pool.handler.jobType.type);
      }
      if (targets.list().length > 0) waker.nudgeAll();
      idle.settle();
    },
  });
  const heartbeat = createHeartbeat({
    clock,
    renew(attempts) {
      const kept = new Map<(typeof attempts)[number], boolean>();
      guarded(
        () =>
          db.transaction(() => {
            for (const attempt of attempts) {
              const expiresAt = clock.now() + attempt.pool.handler.jobType.leaseMs;
              kept.set(attempt, store.renew(attempt.job, { owner, expiresAt, state: attempt.state }));
            }
          }),
        () => kept.clear(),
      );
      return kept;
    },
    onLost: (attempt) =>
      attempt.context.log.warn({}, 'the lease of a running job was lost, its result will be dropped'),
    onStuck: (attempt, waitedMs) => executor.release(attempt, waitedMs),
  });
  const executor = createExecutor({
    clock,
    log,
    bus,
    heartbeat,
    committer,
    isStopping,
    onBytes: (pool) =>
      guarded(() => {
        if (targets.noteWorking(pool.handler.jobType.targets)) waker.nudgeAll();
      }),
    onFree: (pool) => {
      waker.nudge(pool.handler.jobType.type);
      idle.settle();
    },
  });
  const rescuer = createRescuer({ db, state: deps.state, store, care, outcomes, pools, clock, log, owner });
  const operator = createJobOperator({
    db,
    state: deps.state,
    store,
    care,
    outcomes,
    pools,
    clock,
    owner,
    running: () => heartbeat.running(),
  });

  /** A database that cannot be used now must not end the process: it is tried again a little later. */
  function guarded(work: () => void, undo: () => void = () => {}): void {
    try {
      work();
    } catch (error) {
      if (!isDatabaseTrouble(error)) throw error;
      undo();
      trouble.note(error);
    }
  }

  /** What an earlier process left: read, and put right. Tried again until the database can be written. */
  function takeOver(): void {
    if (isTakenOver) return;
    guarded(() => {
      controls.load();
      targets.load('lasting');
      waker.checkClock();
      care.releaseHalted({
        target: null,
        except: targets.list().map(({ target }) => target),
        now: clock.now(),
      });
      rescue();
      isTakenOver = true;
    });
  }

  /** When its rest is over, one small write says whether the database works again, even if no job waits to find out. */
  function tryDatabase(): void {
    const now = clock.now();
    if (!targets.list().some(({ target, until }) => target === 'database' && until <= now)) return;
    guarded(() => {
      deps.state.set('queue:database_tried', String(now), now);
      trouble.clear();
    });
  }

  /** Claimed by a pump that is still letting its handlers begin. */
  const starting = new Set<number>();

  /** Claims for these pools in one transaction, then lets the handlers begin. */
  function pump(some: Iterable<Pool>): void {
    if (life !== 'working') return;
    const claims: [Pool, ReturnType<typeof pools.claim>][] = [];
    guarded(
      () =>
        db.transaction(() => {
          for (const pool of some) {
            const jobs = pools.claim(pool);
            if (jobs.length > 0) claims.push([pool, jobs]);
            // Counted at once: the next pool may share a target with this one.
            for (const job of jobs) pool.claimed.add(job.id);
          }
        }),
      () => {
        claims.length = 0;
      },
    );
    for (const pool of pools.all()) pool.claimed.clear();
    if (claims.length > 0) trouble.clear();
    // A handler begins at once, up to its first await: one that takes back leases must not take those that are claimed with it.
    for (const [, jobs] of claims) for (const job of jobs) starting.add(job.id);
    for (const [pool, jobs] of claims)
      for (const job of jobs) {
        executor.run(pool, job);
        starting.delete(job.id);
      }
  }

  function rescue(): number {
    const count = rescuer.rescue([...runningIds(heartbeat.running()), ...starting]);
    if (count > 0) {
      log.info({ count }, 'jobs whose lease nobody held were taken back');
      waker.nudgeAll();
    }
    return count;
  }

  const waker = createWaker({
    clock,
    state: deps.state,
    pump: (types) => pump(types === 'all' ? pools.all() : types.flatMap((type) => pools.get(type) ?? [])),
    nextLookAt() {
      if (committer.waiting() > 0 || targets.list().some(({ target }) => target === 'database'))
        return targets.databaseTryAt();
      let next: number | null = null;
      for (const pool of pools.all()) {
        const at = pools.nextLookAt(pool);
        if (at !== null && (next === null || at < next)) next = at;
      }
      return next;
    },
    onTimer: () => {
      committer.flush();
      tryDatabase();
      takeOver();
      guarded(() => void rescue());
    },
    onClockSetBack(byMs) {
      const count = care.shift(byMs);
      targets.shift(byMs);
      log.warn({ byMs, count }, 'the clock was set back; waiting jobs keep their waits');
    },
    transaction: (work) => outcomes.transaction(work),
    guarded,
    afterPump: () => idle.settle(),
  });
  const idle = createIdleWatch({
    care,
    targets,
    controls,
    pools,
    guarded,
    isBusy: () => waker.isNudged() || committer.waiting() > 0 || heartbeat.running().length > 0,
  });

  function poolOf(jobType: string): Pool {
    const pool = pools.get(jobType);
    assert(pool !== undefined, `job type ${jobType} has no handler`);
    return pool;
  }

  const control = createQueueControl({
    controls,
    targets,
    rates,
    care,
    pools,
    operator,
    waker,
    clock,
    log,
    isStarted: () => life !== 'new',
    onHeld: () => idle.settle(),
  });

  return {
    register(handlers) {
      for (const handler of handlers) {
        const { type } = handler.jobType;
        assert(pools.get(type) === undefined, `job type ${type} has two handlers`);
        pools.add({
          handler,
          concurrency: deps.concurrency[type] ?? 1,
          follows: [],
          failureFollows: [],
          running: new Set(),
          claimed: new Set(),
          stuck: new Set(),
        });
      }
    },
    follow: (jobType, follow) => void poolOf(jobType.type).follows.push(follow as Follow),
    followFailure: (jobType, follow) =>
      void poolOf(jobType.type).failureFollows.push(follow as FollowFailure),
    whenSettled(jobTypes, onSettled) {
      for (const type of jobTypes) poolOf(type);
      barriers.push({ jobTypes, onSettled });
    },
    enqueue: (requests) => db.transaction(() => insert(requests, null)),
    cancelPending(jobType) {
      let count = 0;
      outcomes.transaction(() => {
        const cycles = care.cancelPending({ jobType, now: clock.now() });
        count = cycles.length;
        for (const cycleDate of cycles) outcomes.noteEnd({ jobType, cycleDate });
      });
      if (count > 0) log.info({ jobType, count }, 'cancelled waiting jobs of a type that is switched off');
    },
    hurry(cycleDate, jobType) {
      if (care.hurry({ cycleDate, jobType, now: clock.now() }) > 0)
        db.afterCommit(() => waker.nudge(jobType));
    },
    hasUnfinished: (cycleDate, jobTypes) => store.hasUnfinished(cycleDate, jobTypes),
    unfinishedDumps: (jobType) => store.unfinishedDumps(jobType),
    rescue,
    halt({ scope = 'all', code, message, hint = null, pauseMs }) {
      const facts = { target: scope, kind: 'halted', code, message, hint, pauseMs } as const;
      const wasStopped = targets.door([scope]).state === 'halted';
      // A full disk may refuse the row as well; then the halt is known to this process alone.
      guarded(
        () => targets.keep(targets.plan(facts)),
        () => void targets.haltInMemory(facts),
      );
      const until = targets.list().find(({ target }) => target === scope)?.until ?? clock.now();
      if (!wasStopped)
        bus.emit('target:halted', { target: scope, kind: 'halted', code, message, hint, until });
    },
    ...control,
    start() {
      if (life !== 'new') return;
      life = 'working';
      takeOver();
      pump(pools.all());
      waker.arm();
    },
    async stop(timeoutMs = 30_000) {
      if (life === 'new') {
        // Changes by hand may have set a timer.
        life = 'stopped';
        waker.stop();
      }
      if (life !== 'working') return;
      life = 'stopping';
      waker.stop();
      for (const attempt of heartbeat.running()) attempt.abort('shutdown');
      const isDone = (): boolean => heartbeat.running().length === 0;
      // A result that the database refused once is tried again until the last moment.
      let cancelRetry = (): void => {};
      const retry = (): void => {
        committer.flush();
        cancelRetry = clock.after(STOP_RETRY_MS, retry);
      };
      cancelRetry = clock.after(STOP_RETRY_MS, retry);
      if (timeoutMs > 0) await idle.until(isDone, (wake) => clock.after(timeoutMs, wake));
      cancelRetry();
      life = 'stopped';
      heartbeat.stop();
      const left = heartbeat.running().length;
      if (left > 0)
        log.warn(
          { count: left },
          'handlers did not stop in time; their leases will be taken back at the next start',
        );
    },
    whenIdle: () => {
      const report = idle.wait();
      // Deferred, so that a caller that has just enqueued sees its job claimed first.
      queueMicrotask(() => {
        idle.settle();
        if (life === 'working') waker.arm();
      });
      return report;
    },
  };
}
