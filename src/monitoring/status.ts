import { describeError } from '../lib/index.ts';
import type { Clock, EpochMs } from '../ports/index.ts';
import type { StatusQueries } from './status-queries.ts';
import type {
  CycleState,
  Halt,
  JobCount,
  JobFailure,
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
  wakeUps: WakeUp[];
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
  /** When this process began to work; null when another process does the work (the command line). */
  startedAt: EpochMs | null;
}

/** A lease that ended this long ago should have been rescued. */
export const LEASE_GRACE_MS = 60_000;
/** Due work that nobody took for this long means that the pools stand still. */
export const STILL_MS = 10 * 60_000;
/** Jobs that failed longer ago than this no longer colour the page; they stay in the lists. */
export const FAILURE_MEMORY_MS = 7 * 24 * 60 * 60_000;

/** The verdict counts failures up to here; the report shows the newest ten. */
const FAILURES_COUNTED = 100;

/** Gathers the report. Never throws for missing facts; a database that cannot be read does throw. */
export async function readStatus(sources: StatusSources): Promise<StatusReport> {
  const { queries, clock } = sources;
  const [storage, seeding] = await Promise.all([
    sources.storage().catch((error: unknown) => describeError(error)),
    sources.seeding?.().catch(() => null) ?? null,
  ]);
  const at = clock.now();
  const facts = {
    cycles: queries.cycles(6),
    jobs: queries.jobCounts(),
    running: queries.runningJobs(),
    failures: queries.failures(FAILURES_COUNTED),
    halts: queries.halts(),
    wakeUps: queries.nextWakeUps(8),
    torrents: queries.torrents({ limit: 8 }),
    torrentCount: queries.torrentCount(),
  };
  const movement = queries.movement();
  const stuck = stuckReason({ movement, halts: facts.halts, at, startedAt: sources.startedAt });
  const verdict = judge({ ...facts, at, stuck, storage });
  return {
    at,
    version: sources.version,
    verdict,
    ...facts,
    dueSince: movement.oldestDueAt,
    failures: facts.failures.slice(0, 10),
    storage: typeof storage === 'string' ? null : storage,
    seeding,
  };
}

/**
 * Does work move? Pure.
 * @returns a sentence that says why not; null when it does, or when there is nothing to do
 */
export function stuckReason(facts: {
  movement: Movement;
  halts: readonly Halt[];
  at: EpochMs;
  startedAt: EpochMs | null;
}): string | null {
  const { movement, at } = facts;
  const lease = movement.oldestLeaseExpiresAt;
  // After a start every old lease is given back at once, but a page may be asked before that.
  const isSettled = facts.startedAt === null || at - facts.startedAt > LEASE_GRACE_MS;
  if (lease !== null && at - lease > LEASE_GRACE_MS && isSettled)
    return `Job ${movement.oldestLeaseJobId} says it is running, but its lease ended more than a minute ago.`;
  if (facts.startedAt === null || movement.oldestDueAt === null) return null;
  if (movement.runningCount > 0 || facts.halts.length > 0) return null;
  const waitingSince = Math.max(movement.oldestDueAt, movement.lastEndedAt ?? 0, facts.startedAt);
  if (at - waitingSince <= STILL_MS) return null;
  return 'Jobs are due, but none has been taken for more than ten minutes.';
}

/** Boils the facts down to one level and its reasons. Pure. `storage` is the reason when it could not be read. */
export function judge(facts: {
  at: EpochMs;
  stuck: string | null;
  halts: readonly Halt[];
  failures: readonly JobFailure[];
  cycles: readonly CycleState[];
  storage: StorageFacts | string;
}): Verdict {
  const stopped: string[] = [];
  const attention: string[] = [];
  if (facts.stuck !== null) stopped.push(facts.stuck);
  const { storage } = facts;
  if (typeof storage === 'string') attention.push(`Storage could not be measured: ${storage}.`);
  else if (storage.mode === 'hard_stop') stopped.push('The disk is full: downloads are stopped.');
  else if (storage.mode === 'paused') attention.push('The disk is nearly full: no new download starts.');
  for (const halt of facts.halts)
    attention.push(
      `${sentenceCase(wordsOf(halt.target))} is halted${halt.until === null ? ' until an operator resumes it' : ''}.`,
    );
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

const SPELLED: Readonly<Record<string, string>> = {
  internet: 'Internet',
  archive: 'Archive',
  ia: 'to the Internet Archive',
  db: 'database',
  r2: 'R2',
};

/** Stored names for people: `find_dumps` -> `find dumps`, `internet_archive` -> `Internet Archive`, `backup_db` -> `backup database`. */
export function wordsOf(name: string): string {
  if (name === 'archive_page') return 'archive page';
  return name
    .split('_')
    .map((word) => SPELLED[word] ?? word)
    .join(' ');
}

/** First letter large. */
export function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
