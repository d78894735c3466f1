import PQueue from 'p-queue';
import type { Db, SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { assert, describeError, errorCode } from '../lib/index.ts';
import type { Clock, Log, Random } from '../ports/index.ts';
import { createExecutor, DATABASE_HINT, type Follow, type FollowFailure, type Pool } from './executor.ts';
import { createHalts, type Halt } from './halts.ts';
import type { AnyJobHandler, JobRequest, JobType } from './job-type.ts';
import { createJobStore } from './store.ts';

export type { Halt } from './halts.ts';
export * from './job-type.ts';

/** What is left when nothing more can be done for now. */
export interface IdleReport {
  /** Targets that still have pending jobs but are halted. */
  halted: Halt[];
}

/** What follow-ups may know of the job itself. */
export interface FinishedJob {
  /** The cycle it worked for, as asked for; null when for none. */
  cycleDate: string | null;
}

/** The durable queue with its pools. */
export interface Queue {
  /** Adds handlers; before `start`. A type with two handlers is a programmer error. */
  register(handlers: readonly AnyJobHandler[]): void;
  /** Says which jobs follow a completed one; runs inside the completing transaction, so it may only read and write rows. */
  follow<I, O, R = unknown>(
    jobType: JobType<I, O>,
    follow: (input: I, output: O, recorded: R, job: FinishedJob) => readonly JobRequest[],
  ): void;
  /** The same for a job that failed for good. */
  followFailure<I, O>(
    jobType: JobType<I, O>,
    follow: (input: I, job: FinishedJob) => readonly JobRequest[],
  ): void;
  /** Stores requests and wakes the pools; joins a running transaction. Returns how many are new. */
  enqueue(requests: readonly JobRequest[]): number;
  /** Cancels what waits of a type that is switched off. */
  cancelPending(jobType: string): void;
  /** What waits for its time, of that type and cycle, becomes due now: what it waited for has happened. */
  hurry(cycleDate: string, jobType: string): void;
  /** True while a job of one of these types is pending or running for the cycle. */
  hasUnfinished(cycleDate: string, jobTypes: readonly string[]): boolean;
  halts(): Halt[];
  /** Takes back the leases of an earlier process, then works until `stop`. */
  start(): void;
  /** Stops claiming, aborts what runs, and resolves when every handler returned or `timeoutMs` passed. */
  stop(timeoutMs?: number): Promise<void>;
  /** Resolves as soon as nothing runs and nothing is pending that could still run without new work. */
  whenIdle(): Promise<IdleReport>;
}

/** What the queue is given; `concurrency` is jobs at once by type, 1 for types not named. */
export interface QueueDeps {
  db: Db;
  state: SystemState;
  clock: Clock;
  random: Random;
  log: Log;
  bus: Bus;
  concurrency: Readonly<Record<string, number>>;
}

/** Polling is only the fallback for a lost wake-up: 30 s. */
const FALLBACK_POLL_MS = 30_000;

/** SQLite is the truth; p-queue only bounds how many jobs of a type run at once. */
export function createQueue(deps: QueueDeps): Queue {
  const { clock, bus, db } = deps;
  const log = deps.log.child({ room: 'queue' });
  const owner = deps.random.hex(8);
  const store = createJobStore(db);
  const halts = createHalts(deps);
  const pools = new Map<string, Pool>();
  const waiting = new Set<(report: IdleReport) => void>();
  const nudged = new Set<string>();
  let isWorking = false;
  let isWakeArmed = false;
  let isTroubled = false;
  let cancelWake = (): void => {};

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
    for (const [jobType, facts] of fresh) {
      bus.emit('job:enqueued', { jobType, ...facts });
      nudge(jobType);
    }
    return added;
  }

  const executor = createExecutor({
    ...deps,
    store,
    halts,
    owner,
    enqueue: (requests, parentJobId) => insert(requests, parentJobId),
  });

  /** Wakes a pool in the next microtask: after the transaction that is running now, and once for many calls. */
  function nudge(jobType: string): void {
    if (!isWorking) return;
    nudged.add(jobType);
    if (nudged.size === 1) queueMicrotask(pumpNudged);
  }

  function pumpNudged(): void {
    const types = [...nudged];
    nudged.clear();
    guarded(() => {
      for (const jobType of types) pump(jobType);
    });
    armWake();
    settleIdle();
  }

  function pump(jobType: string): void {
    const pool = pools.get(jobType);
    if (!isWorking || pool === undefined) return;
    if (halts.active(pool.handler.jobType.target) !== null) return;
    const free = pool.lane.concurrency - pool.lane.size - pool.lane.pending;
    if (free <= 0) return;
    const claimed = store.claim({
      jobType,
      limit: free,
      owner,
      now: clock.now(),
      leaseMs: pool.handler.jobType.leaseMs,
    });
    for (const job of claimed) {
      // After the lane has given the slot back: a wake-up from inside the task would still find it taken.
      void pool.lane
        .add(() => executor.run(pool, job))
        .then(() => {
          nudge(jobType);
          settleIdle();
        });
    }
  }

  /** Sleeps until the next due job of any pool, the end of a halt, or the fallback poll. */
  function armWake(): void {
    cancelWake();
    if (!isWorking) return;
    const now = clock.now();
    let wakeAt = now + FALLBACK_POLL_MS;
    if (isTroubled) {
      // No look at due times: they would wake us at once, into the same trouble.
      isTroubled = false;
      wakeAtLatest(wakeAt);
      return;
    }
    for (const [jobType, pool] of pools) {
      if (pool.lane.pending >= pool.lane.concurrency) continue;
      const until = halts.active(pool.handler.jobType.target)?.until ?? 0;
      const dueAt = store.nextDueAt(jobType);
      if (dueAt !== null) wakeAt = Math.min(wakeAt, Math.max(dueAt, until));
    }
    wakeAtLatest(wakeAt);
  }

  function wakeAtLatest(wakeAt: number): void {
    isWakeArmed = true;
    cancelWake = clock.after(Math.max(0, wakeAt - clock.now()), () => {
      isWakeArmed = false;
      guarded(() => {
        const running = executor.running().map(({ job }) => job.id);
        store.rescue({ owner, now: clock.now(), running });
        for (const jobType of pools.keys()) pump(jobType);
      });
      armWake();
      settleIdle();
    });
  }

  /** A database that cannot be written now must not end the process: the next wake-up tries again. */
  function guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      isTroubled = true;
      log.error(
        { err: { code: errorCode(error), message: describeError(error) }, hint: DATABASE_HINT },
        'the database could not be used',
      );
    }
  }

  function settleIdle(): void {
    if (waiting.size === 0 || nudged.size > 0) return;
    if (executor.running().length > 0 || [...pools.values()].some((p) => p.lane.pending + p.lane.size > 0))
      return;
    const pending = store.countUnfinished();
    const blocked = new Map<string, Halt>();
    for (const { jobType, n } of pending) {
      const target = pools.get(jobType)?.handler.jobType.target;
      const halt = target === undefined ? null : halts.active(target);
      if (n > 0 && halt === null && pools.has(jobType)) return;
      if (halt !== null) blocked.set(halt.target, halt);
    }
    for (const resolve of waiting) resolve({ halted: [...blocked.values()] });
    waiting.clear();
  }

  return {
    register(handlers) {
      for (const handler of handlers) {
        const { type } = handler.jobType;
        assert(!pools.has(type), `job type ${type} has two handlers`);
        const lane = new PQueue({ concurrency: deps.concurrency[type] ?? 1 });
        pools.set(type, { handler, lane, follows: [], failureFollows: [] });
      }
    },
    follow(jobType, follow) {
      const pool = pools.get(jobType.type);
      assert(pool !== undefined, `job type ${jobType.type} has no handler`);
      pool.follows.push(follow as Follow);
    },
    followFailure(jobType, follow) {
      const pool = pools.get(jobType.type);
      assert(pool !== undefined, `job type ${jobType.type} has no handler`);
      pool.failureFollows.push(follow as FollowFailure);
    },
    enqueue: (requests) => db.transaction(() => insert(requests, null)),
    cancelPending(jobType) {
      const count = store.cancelPending({ jobType, now: clock.now() });
      if (count > 0) log.info({ jobType, count }, 'cancelled waiting jobs of a type that is switched off');
    },
    hurry(cycleDate, jobType) {
      if (store.hurry({ cycleDate, jobType, now: clock.now() }) > 0) nudge(jobType);
    },
    hasUnfinished: (cycleDate, jobTypes) => store.hasUnfinished(cycleDate, jobTypes),
    halts: () => halts.list(),
    start() {
      if (isWorking) return;
      isWorking = true;
      halts.clear();
      store.releaseHalted(clock.now());
      const rescued = store.rescue({ owner, now: clock.now(), running: [] });
      if (rescued > 0) log.info({ count: rescued }, 'jobs of an earlier process were taken back');
      for (const jobType of pools.keys()) pump(jobType);
      armWake();
    },
    async stop(timeoutMs = 30_000) {
      if (!isWorking) return;
      isWorking = false;
      cancelWake();
      executor.setStopping();
      for (const attempt of executor.running()) attempt.abort();
      const ended = Promise.all([...pools.values()].map((pool) => pool.lane.onIdle()));
      let cancel = (): void => {};
      const deadline = new Promise<void>((resolve) => {
        cancel = clock.after(timeoutMs, resolve);
      });
      await Promise.race([ended, deadline]);
      cancel();
      const left = executor.running().length;
      if (left > 0)
        log.warn(
          { count: left },
          'handlers did not stop in time; their leases will be taken back at the next start',
        );
    },
    whenIdle: () =>
      new Promise((resolve) => {
        waiting.add(resolve);
        // Deferred, so that a caller that has just enqueued sees its job claimed first.
        queueMicrotask(() => {
          settleIdle();
          if (isWorking && !isWakeArmed) armWake();
        });
      }),
  };
}
