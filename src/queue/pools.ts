import type { Clock } from '../ports/index.ts';
import type { Attempt } from './attempt.ts';
import type { Controls } from './controls.ts';
import type { Pool } from './pool.ts';
import type { ClaimedJob, JobStore } from './store.ts';
import type { Targets } from './targets.ts';

/** All pools, and the one answer to how many jobs of each may be claimed now. */
export interface Pools {
  add(pool: Pool): void;
  get(jobType: string): Pool | undefined;
  all(): Iterable<Pool>;
  /** Claims what fits; joins the caller's transaction. */
  claim(pool: Pool): ClaimedJob[];
  /** When this pool should be looked at again, epoch ms; null = when something happens. */
  nextLookAt(pool: Pool): number | null;
}

/** Largest claim at once. */
const CLAIM_MAX = 64;

/** See `Pools`. */
export function createPools(deps: {
  store: JobStore;
  targets: Targets;
  controls: Controls;
  clock: Clock;
  owner: string;
}): Pools {
  const { controls, targets, store, clock } = deps;
  const pools = new Map<string, Pool>();

  function runningAt(target: string): number {
    let count = 0;
    for (const pool of pools.values())
      if (target === 'all' || pool.handler.jobType.targets.includes(target))
        count += pool.running.size + pool.claimed.size;
    return count;
  }

  /** How many more jobs of the type fit beside what runs, whatever its targets say. */
  function room(pool: Pool): number {
    const { type, targets: names } = pool.handler.jobType;
    if (controls.isPaused(type, names) || controls.isHeld(names)) return 0;
    const limit = controls.limitOf('type', type) ?? pool.concurrency;
    // The slots of handlers that do not return are used again, but not without end.
    if (pool.stuck.size > limit) return 0;
    let free = limit - pool.running.size;
    for (const name of names) {
      const bound = controls.limitOf('target', name);
      if (bound !== undefined) free = Math.min(free, bound - runningAt(name));
    }
    return Math.min(free, CLAIM_MAX);
  }

  function free(pool: Pool): number {
    const places = room(pool);
    if (places <= 0) return 0;
    const door = targets.door(pool.handler.jobType.targets);
    if (door.state === 'free') return places;
    if (door.state === 'halted') return 0;
    return door.targets.some((target) => runningAt(target) > 0) ? 0 : 1;
  }

  return {
    add(pool) {
      pools.set(pool.handler.jobType.type, pool);
    },
    get: (jobType) => pools.get(jobType),
    all: () => pools.values(),
    claim(pool) {
      const limit = free(pool);
      if (limit <= 0) return [];
      const { type, leaseMs } = pool.handler.jobType;
      return store.claim({ jobType: type, limit, owner: deps.owner, now: clock.now(), leaseMs });
    },
    nextLookAt(pool) {
      if (room(pool) <= 0) return null;
      const door = targets.door(pool.handler.jobType.targets);
      if (door.state === 'probe' && free(pool) === 0) return null;
      const dueAt = store.nextDueAt(pool.handler.jobType.type);
      if (dueAt === null) return null;
      return door.state === 'halted' ? Math.max(dueAt, door.until) : dueAt;
    },
  };
}

/** Attempts of these pools that still hold their lease. */
export function runningIds(attempts: readonly Attempt[]): number[] {
  return attempts.flatMap((attempt) => (attempt.isReleased ? [] : [attempt.job.id]));
}
