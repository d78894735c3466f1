import type { Row } from './audited-db.ts';
import { type How, KINDS, type Kind, type KindName, STUCK_MS, type Wish } from './kinds.ts';

/** A process as the model knows it. */
export interface Process {
  name: string;
  owner: string;
  life: 'working' | 'stopping' | 'dead';
}

/** One claim and what the handler made of it. Times are monotonic ms. */
export interface Run {
  process: Process;
  jobId: number;
  type: KindName;
  seq: number;
  claimedMs: number;
  renewedMs: number;
  /** The handler was called. */
  hasBegun: boolean;
  endedMs: number | null;
  /** How the handler ended; null while it goes on. */
  how: How | null;
  cursor: string | null;
  abortedMs: number | null;
  /** Why it was told to stop, as the model sees it. */
  reason: 'shutdown' | 'timeout' | 'lease_lost' | 'cancelled' | null;
  /** Its renewals came so late that the queue may have given the lease up. */
  isLate: boolean;
  /** It returned after the queue had given it up. */
  isDropped: boolean;
  /** Its end is in the table, or never will be. */
  isOver: boolean;
  /** Claimed while an earlier handler of the job had not returned. */
  isStuckBefore: boolean;
}

export interface Halted {
  kind: 'unavailable' | 'halted';
  until: number;
  failures: number;
}

/** Everything the model knows. It shares no code with the queue: it hears of commands, of handlers and of committed rows. */
export interface Ledger {
  rows: Map<number, Row>;
  runs: Run[];
  halts: Map<string, Halted>;
  pauses: Set<string>;
  limits: Map<string, number>;
  /** Running jobs that an operator cancelled; whoever takes them over ends them. */
  cancelAsked: Set<number>;
  halted: Map<number, number>;
  /** Wall time of the first of them. */
  firstHaltedAt: Map<number, number>;
  /** When a target that was halted got through again, wall time. */
  workedAt: Map<string, number>;
  losses: Map<number, number>;
  /** The last word about each job in `job_attempts`. */
  lastWord: Map<number, string>;
  /** Stored input that fits no contract. */
  spoiled: Set<number>;
  /** Requests whose rows must be the next to appear, in order. */
  awaited: (Wish & { parent: number | null })[];
  /** What the command that runs now allows. */
  allows: {
    due?: (row: Row) => boolean;
    cancelId?: number;
    reviveId?: number;
    cancelType?: string;
    harness?: boolean;
  };
  /** A process started on a full disk: it takes over what it found as soon as it can write. */
  takesOver: boolean;
  /** How far the wall clock was set since the queue last looked at it. */
  jumpMs: number;
  /** For so long the event loop stood still since then. */
  blindMs: number;
  /** When it last did, monotonic ms. */
  stalledAtMs: number;
  /** When it was set last, monotonic ms. Timers know nothing of it: the queue sees it at its next poll. */
  jumpedAtMs: number;
  /** Violations; the first one is the failure. */
  wrong: string[];
  counts: Record<string, number>;
  wallMs(): number;
  nowMs(): number;
  fail(text: string): void;
  count(what: string): void;
}

export function createLedger(
  time: { wallMs: number; monotonicMs: number },
  counts: Record<string, number>,
): Ledger {
  const wrong: string[] = [];
  return {
    rows: new Map(),
    runs: [],
    halts: new Map(),
    pauses: new Set(),
    limits: new Map(),
    cancelAsked: new Set(),
    halted: new Map(),
    firstHaltedAt: new Map(),
    workedAt: new Map(),
    losses: new Map(),
    lastWord: new Map(),
    spoiled: new Set(),
    awaited: [],
    allows: {},
    takesOver: false,
    jumpMs: 0,
    blindMs: 0,
    stalledAtMs: 0,
    jumpedAtMs: Number.NEGATIVE_INFINITY,
    wrong,
    counts,
    wallMs: () => time.wallMs,
    nowMs: () => time.monotonicMs,
    fail: (text) => void wrong.push(text),
    count: (what) => {
      counts[what] = (counts[what] ?? 0) + 1;
    },
  };
}

export const kindOf = (type: string): Kind => KINDS[type as KindName];

export const isUnfinished = (row: Row): boolean => row.status === 'pending' || row.status === 'in_progress';

/** Due now, by its time or because it was before. */
export const isDue = (row: Row, now: number): boolean => row.isDue === 1 || row.dueAt <= now;

/** Lower is better: priority, due time, id. */
export function compare(a: Row, b: Row): number {
  return a.priority - b.priority || a.dueAt - b.dueAt || a.id - b.id;
}

export const holder = (ledger: Ledger, key: string): Row | undefined =>
  [...ledger.rows.values()].find((row) => row.key === key && isUnfinished(row));

export const isPaused = (ledger: Ledger, type: string): boolean =>
  ledger.pauses.has('all') ||
  ledger.pauses.has(`type:${type}`) ||
  kindOf(type).targets.some((target) => ledger.pauses.has(`target:${target}`));

/** The lease this run was given is still in the table. */
export function holdsLease(ledger: Ledger, run: Run): boolean {
  const row = ledger.rows.get(run.jobId);
  return row?.status === 'in_progress' && row.owner === run.process.owner && row.seq === run.seq;
}

/** The handler went on for too long after its abort: the queue does not wait for it any more. */
export function isGivenUp(ledger: Ledger, run: Run): boolean {
  if (run.how !== null || run.abortedMs === null || run.reason === 'shutdown') return false;
  return ledger.nowMs() - run.abortedMs >= STUCK_MS;
}

/** What takes a slot: handlers that go on, and results that wait to be written. */
export function takesSlot(ledger: Ledger, run: Run): boolean {
  if (run.isOver || isGivenUp(ledger, run)) return false;
  return run.how === null || (holdsLease(ledger, run) && run.reason !== 'lease_lost');
}

export function slots(ledger: Ledger, process: Process, fits: (run: Run) => boolean): number {
  return ledger.runs.filter((run) => run.process === process && fits(run) && takesSlot(ledger, run)).length;
}

export const typeLimit = (ledger: Ledger, type: string): number =>
  ledger.limits.get(`type:${type}`) ?? kindOf(type).concurrency;

export const targetLimit = (ledger: Ledger, target: string): number =>
  ledger.limits.get(`target:${target}`) ?? Number.POSITIVE_INFINITY;

/** Halts a job of that type stands behind. */
export const haltsOf = (ledger: Ledger, type: string): [string, Halted][] =>
  [...kindOf(type).targets, 'all'].flatMap((target): [string, Halted][] => {
    const halt = ledger.halts.get(target);
    return halt === undefined ? [] : [[target, halt]];
  });

/** A target answered: what was being tried works again. */
export function worked(ledger: Ledger, targets: readonly string[]): void {
  for (const target of targets)
    if ((ledger.halts.get(target)?.until ?? Number.POSITIVE_INFINITY) <= ledger.wallMs()) {
      ledger.halts.delete(target);
      ledger.workedAt.set(target, ledger.wallMs());
    }
}
