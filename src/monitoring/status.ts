import { describeError } from '../lib/index.ts';
import type { Clock, EpochMs } from '../ports/index.ts';
import type { Limit, Pause, Rate } from '../queue/index.ts';
import { STORAGE_HALT_CODES } from '../storage/index.ts';
import {
  alertSentences,
  alertsBesideHalts,
  everythingStopped,
  haltSentence,
  resumeCommand,
  scopeWords,
  sentenceCase,
} from './operator-words.ts';
import type { StatusQueries } from './status-queries.ts';
import { storageVerdict } from './storage-words.ts';
import type {
  Alert,
  CycleState,
  Halt,
  JobCount,
  JobFailure,
  LastBackup,
  MirrorState,
  Movement,
  RunningJob,
  SeedingFact,
  StorageFacts,
  TorrentState,
  WakeUp,
} from './types.ts';

/** One glance: `good` needs nobody, `attention` should be looked at this week, `stopped` now. */
export interface Verdict {
  level: 'good' | 'attention' | 'stopped';
  /** Whole sentences, most urgent first; empty when all is well. */
  reasons: string[];
}

/** Everything one screen shows; also the JSON of `/api/v1/status` and of `wikiseed status --json`. */
export interface StatusReport {
  at: EpochMs;
  version: string;
  verdict: Verdict;
  /** Newest first, at most 6. */
  cycles: CycleState[];
  jobs: JobCount[];
  running: RunningJob[];
  /** Since when the longest waiting job is due; null = nothing is. */
  dueSince: EpochMs | null;
  /** Newest first, at most 10. */
  failures: JobFailure[];
  halts: Halt[];
  /** What is held by hand. */
  pauses: Pause[];
  /** Limits set by hand. */
  limits: Limit[];
  /** Bandwidths set by hand. */
  rates: Rate[];
  /** Open, worst first, at most 10, without those that only repeat a halt; `alertCount` says how many there are. */
  alerts: Alert[];
  alertCount: number;
  /** null = none was made by a job yet. */
  lastBackup: LastBackup | null;
  wakeUps: WakeUp[];
  /** Where files come from beside the origin. */
  mirrors: MirrorState[];
  /** null when it could not be read; the verdict says why. */
  storage: StorageFacts | null;
  /** Newest, at most 8; `torrentCount` says how many there are. */
  torrents: TorrentState[];
  torrentCount: number;
  /** null when the seeder was not asked (the command line) or did not answer. */
  seeding: SeedingFact[] | null;
}

/** Where the report gets its facts. */
export interface StatusSources {
  queries: StatusQueries;
  clock: Clock;
  version: string;
  storage: () => Promise<StorageFacts>;
  seeding?: () => Promise<SeedingFact[]>;
  /** What the queue itself holds: a database that cannot be written cannot say so. */
  halts?: () => readonly Halt[];
  /** When this process began to work; null when another process does the work (the command line). */
  startedAt: EpochMs | null;
}

/** A lease that ended this long ago should have been rescued. */
export const LEASE_GRACE_MS = 60_000;
/** Due work that nobody took for this long means that the pools stand still. */
export const STILL_MS = 10 * 60_000;
/** Jobs that failed longer ago than this no longer colour the page; they stay in the lists. */
export const FAILURE_MEMORY_MS = 7 * 24 * 60 * 60_000;

const CYCLES_SHOWN = 6;

/** Alerts looked at and shown. */
const ALERTS_READ = 200;
const ALERTS_SHOWN = 10;

/** The verdict counts failures up to here; the report shows the newest ten. */
const FAILURES_COUNTED = 100;

/** Gathers the report. Never throws for missing facts; a database that cannot be read does throw. */
export async function readStatus(sources: StatusSources): Promise<StatusReport> {
  const { queries, clock } = sources;
  const [storage, seeding] = await Promise.all([
    sources.storage().catch((error: unknown) => describeError(error)),
    sources.seeding?.().catch(() => null) ?? null,
  ]);
  await queries.freshen({ cycles: CYCLES_SHOWN });
  const at = clock.now();
  const halts = currentHalts(sources);
  const alerts = alertsBesideHalts(queries.alerts(ALERTS_READ), halts);
  const facts = {
    cycles: queries.cycles(CYCLES_SHOWN),
    jobs: queries.jobCounts(),
    running: queries.runningJobs(),
    failures: queries.failures(FAILURES_COUNTED),
    halts,
    pauses: queries.pauses(),
    limits: queries.limits(),
    rates: queries.rates(),
    mirrors: queries.mirrors(),
    lastBackup: queries.lastBackup(),
    wakeUps: queries.nextWakeUps(8),
    torrents: queries.torrents({ limit: 8 }),
    torrentCount: queries.torrentCount(),
  };
  const movement = queries.movement();
  const standstill = standstillReason({ ...facts, movement, at, startedAt: sources.startedAt });
  const verdict = judge({ ...facts, alerts, at, standstill, storage });
  return {
    at,
    version: sources.version,
    verdict,
    ...facts,
    alerts: alerts.slice(0, ALERTS_SHOWN),
    // Those that only repeat a halt are not counted either.
    alertCount: alerts.length < ALERTS_READ ? alerts.length : queries.alertCount(),
    dueSince: movement.oldestDueAt,
    failures: facts.failures.slice(0, 10),
    storage: typeof storage === 'string' ? null : storage,
    seeding,
  };
}

/** What the queue holds in memory, and what else is stored; sorted by name. */
export function currentHalts(sources: Pick<StatusSources, 'queries' | 'halts'>): Halt[] {
  const halts = new Map(sources.queries.halts().map((halt) => [halt.target, halt]));
  for (const halt of sources.halts?.() ?? []) halts.set(halt.target, halt);
  return [...halts.values()].sort((a, b) => (a.target < b.target ? -1 : 1));
}

/**
 * Does work move? Pure.
 * @returns a sentence that says why not; null when it does, or when there is nothing to do
 */
export function standstillReason(facts: {
  movement: Movement;
  halts: readonly Halt[];
  /** What is held by hand does not move, and should not. */
  pauses: readonly Pause[];
  at: EpochMs;
  startedAt: EpochMs | null;
}): string | null {
  const { movement, at } = facts;
  const stopped = everythingStopped(facts.halts);
  if (stopped !== null) return stopped;
  const lease = movement.oldestLeaseExpiresAt;
  // After a start every old lease is given back at once, but a page may be asked before that.
  const isSettled = facts.startedAt === null || at - facts.startedAt > LEASE_GRACE_MS;
  if (lease !== null && at - lease > LEASE_GRACE_MS && isSettled)
    return `Job ${movement.oldestLeaseJobId} says it is running, but its lease ended more than a minute ago.`;
  if (facts.startedAt === null || movement.oldestDueAt === null) return null;
  // One whose time has passed is being tried: its jobs should move.
  const isHalted = facts.halts.some(({ until }) => until === null || until > at);
  if (movement.runningCount > 0 || isHalted || facts.pauses.length > 0) return null;
  const waitingSince = Math.max(movement.oldestDueAt, movement.lastEndedAt ?? 0, facts.startedAt);
  if (at - waitingSince <= STILL_MS) return null;
  return 'Jobs are due, but none has been taken for more than ten minutes.';
}

/** Boils the facts down to one level and its reasons. Pure. `storage` is the reason when it could not be read. */
export function judge(facts: {
  at: EpochMs;
  standstill: string | null;
  halts: readonly Halt[];
  pauses: readonly Pause[];
  alerts: readonly Alert[];
  failures: readonly JobFailure[];
  cycles: readonly CycleState[];
  storage: StorageFacts | string;
}): Verdict {
  const stopped: string[] = [];
  const attention: string[] = [];
  if (facts.standstill !== null) stopped.push(facts.standstill);
  const { storage } = facts;
  const full = typeof storage === 'string' ? null : storageVerdict(storage);
  if (typeof storage === 'string') attention.push(`Storage could not be measured: ${storage}.`);
  else if (full !== null) (full.level === 'stopped' ? stopped : attention).push(full.reason);
  const isStopped = everythingStopped(facts.halts) !== null;
  for (const { scope, reason } of facts.pauses)
    attention.push(
      `${sentenceCase(scopeWords(scope))} is paused${reason === null ? '' : ` (${reason})`}: "${resumeCommand(scope)}" lets it go on.`,
    );
  // When everything stands still the single targets are no news.
  if (!isStopped)
    for (const halt of facts.halts)
      if (full === null || !STORAGE_HALT_CODES.includes(halt.code))
        attention.push(haltSentence(halt, facts.at));
  attention.push(...alertSentences(facts.alerts));
  const failed = facts.failures.filter(
    (f) => f.nextAttemptAt === null && facts.at - f.at < FAILURE_MEMORY_MS,
  );
  if (failed.length > 0)
    attention.push(
      failed.length === 1
        ? 'One job failed for good in the last seven days.'
        : `${failed.length === FAILURES_COUNTED ? 'At least ' : ''}${failed.length} jobs failed for good in the last seven days.`,
    );
  for (const cycle of facts.cycles)
    if (cycle.status === 'open' && cycle.deadlineAt < facts.at)
      attention.push(`Cycle ${cycle.cycleDate} is past its deadline and not sealed yet.`);
  const reasons = [...stopped, ...attention];
  return { level: stopped.length > 0 ? 'stopped' : reasons.length > 0 ? 'attention' : 'good', reasons };
}
