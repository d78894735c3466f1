import { type Db, STATE_KEYS, type SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { backoffMs, RETRY_AFTER_CAP_MS } from '../lib/index.ts';
import type { Clock, Random } from '../ports/index.ts';

/** Every job type stands behind these two: a job may halt `all`, and the queue halts `database` when it cannot be written. */
export const EVERY_JOB = ['all', 'database'] as const;

/** One target that stopped for all its jobs: a circuit breaker that is open. Times in epoch ms. */
export interface Halt {
  target: string;
  /** `unavailable`: overloaded or out of reach, heals by itself. `halted`: refused us, or full: somebody may have to act. */
  kind: 'unavailable' | 'halted';
  code: string;
  message: string;
  hint: string | null;
  since: number;
  /** From then on one job at a time tries whether the target works again. */
  until: number;
  /** How often it stopped since it last worked. */
  failures: number;
}

/** May a job go through? `probe`: one at a time for each of these targets, until one of them shows that it works. */
export type Door =
  | { state: 'free' }
  | { state: 'probe'; targets: readonly string[] }
  | { state: 'halted'; until: number };

/** What stops a target. `pauseMs` null = the backoff for so many failures in a row, and at least `askedMs`. */
export interface HaltFacts extends Omit<Halt, 'since' | 'until' | 'failures'> {
  pauseMs: number | null;
  askedMs?: number | null;
}

/** A server may name a time; from its second refusal on our own backoff counts as well. */
function pauseOf(facts: HaltFacts, failures: number, random: number): number {
  if (facts.pauseMs !== null) return facts.pauseMs;
  const askedMs = Math.min(facts.askedMs ?? 0, RETRY_AFTER_CAP_MS);
  const own = askedMs > 0 ? failures - 1 : failures;
  return Math.max(askedMs, backoffMs({ attempt: own, random }));
}

/** The circuit breakers, kept in `system_state` under `halt:<target>`, so that pages and commands see them. */
export interface Targets {
  /** What `keep` would stop, or stop again after a failed probe. A target that is stopped already stays so until the later time. */
  plan(facts: HaltFacts): Halt;
  /** Stops a target as planned; joins the running transaction. */
  keep(halt: Halt): void;
  /** `plan` and `keep` for a database that cannot be written: in memory only. */
  haltInMemory(facts: HaltFacts): Halt;
  door(targets: readonly string[]): Door;
  /** A job got an answer: whatever of these was being tried is free again. True when that was any. */
  noteWorking(targets: readonly string[]): boolean;
  /** Whether the target was stopped and got through again after that time. */
  workedSince(target: string, at: number): boolean;
  /** When the database is to be tried again; null = it is not in trouble. */
  databaseTryAt(): number | null;
  list(): Halt[];
  /** An operator says "try again now". Returns what was lifted. */
  lift(target: string | null): string[];
  /**
   * Reads what is stored. `lasting`: only outages stay; refusals are forgotten, because a restart is how an operator says
   * "try again". `all`: everything, for a look or a change without a start.
   */
  load(what: 'lasting' | 'all'): void;
  /** The wall clock was set back by so many ms: the waits keep their length. */
  shift(byMs: number): void;
  /** Returns what takes everything back that changed since: for a transaction that is rolled back. */
  snapshot(): () => void;
}

/** Breakers with a copy in memory, because pools ask before every claim. */
export function createTargets(deps: {
  state: SystemState;
  db: Db;
  clock: Clock;
  random: Random;
  bus: Bus;
}): Targets {
  const { clock, state } = deps;
  const halts = new Map<string, Halt>();
  const keyOf = (target: string): string => `${STATE_KEYS.halt}${target}`;
  const save = (halt: Halt): void => state.set(keyOf(halt.target), JSON.stringify(halt), clock.now());

  function plan(asked: HaltFacts): Halt {
    const { pauseMs: _, askedMs: __, ...facts } = asked;
    const now = clock.now();
    const before = halts.get(facts.target);
    const isStopped = before !== undefined && before.until > now;
    const failures = isStopped ? before.failures : (before?.failures ?? 0) + 1;
    // Met while it is stopped already: only what was asked for can make the rest longer.
    const isLonger = !isStopped || asked.pauseMs !== null || (asked.askedMs ?? 0) > 0;
    const pauseMs = pauseOf(asked, isStopped ? 1 : failures, deps.random.next());
    const until = Math.ceil(now + pauseMs);
    return {
      ...facts,
      since: before?.since ?? now,
      until: isStopped ? Math.max(before.until, isLonger ? until : 0) : until,
      failures,
    };
  }

  function remove(target: string): void {
    // The row first: should that throw, memory says what the row says. The database's own halt never has one.
    if (target !== 'database') state.delete(keyOf(target));
    halts.delete(target);
    deps.db.afterCommit(() => deps.bus.emit('target:resumed', { target }));
  }

  return {
    plan,
    keep(halt) {
      save(halt);
      halts.set(halt.target, halt);
    },
    haltInMemory(facts) {
      const halt = plan(facts);
      halts.set(halt.target, halt);
      return halt;
    },
    door(targets) {
      const now = clock.now();
      const tried: string[] = [];
      for (const target of [...targets, ...EVERY_JOB]) {
        const halt = halts.get(target);
        if (halt === undefined) continue;
        if (halt.until > now) return { state: 'halted', until: halt.until };
        tried.push(target);
      }
      return tried.length === 0 ? { state: 'free' } : { state: 'probe', targets: tried };
    },
    noteWorking(targets) {
      if (halts.size === 0) return false;
      const now = clock.now();
      let isAny = false;
      for (const target of targets) {
        const halt = halts.get(target);
        // While it is stopped an answer may be older than the trouble.
        if (halt === undefined || halt.until > now) continue;
        remove(target);
        if (target !== 'database') state.set(`worked:${target}`, String(now), now);
        isAny = true;
      }
      return isAny;
    },
    workedSince: (target, at) => Number(state.get(`worked:${target}`) ?? Number.NEGATIVE_INFINITY) > at,
    databaseTryAt: () => halts.get('database')?.until ?? null,
    list: () => [...halts.values()],
    lift(target) {
      const lifted = [...halts.keys()].filter((name) => target === null || name === target);
      for (const name of lifted) remove(name);
      return lifted;
    },
    load(what) {
      halts.clear();
      for (const { key, value } of state.list(STATE_KEYS.halt)) {
        const halt = parseHalt(value);
        // An outage whose time is over stays, too: one job tries, as if there had been no restart.
        if (halt !== null && (halt.kind === 'unavailable' || what === 'all')) halts.set(halt.target, halt);
        else {
          state.delete(key);
          deps.bus.emit('target:resumed', { target: key.slice(STATE_KEYS.halt.length) });
        }
      }
    },
    shift(byMs) {
      // New objects: a snapshot of before must stay what it was.
      for (const halt of [...halts.values()]) {
        const moved = { ...halt, until: halt.until + byMs, since: halt.since + byMs };
        if (halt.target !== 'database') save(moved);
        halts.set(halt.target, moved);
      }
    },
    snapshot() {
      const before = [...halts];
      return () => {
        halts.clear();
        for (const [target, halt] of before) halts.set(target, halt);
      };
    },
  };
}

function parseHalt(text: string): Halt | null {
  try {
    const halt = JSON.parse(text) as Halt;
    return typeof halt.target === 'string' && typeof halt.until === 'number' ? halt : null;
  } catch {
    return null;
  }
}
