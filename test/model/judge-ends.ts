import type { Row } from './audited-db.ts';
import { ASKED_MAX_MS, followUps, type How, STUCK_MS, STUCK_REST_MS, WAITS_MS } from './kinds.ts';
import { type Halted, holder, kindOf, type Ledger, type Process, type Run, worked } from './ledger.ts';

/** What a lease that ends must leave in its row, and which words in `job_attempts`. */
interface Verdict {
  status: string;
  /** +0 the attempt counts, -1 it is given back. */
  attempt: 0 | -1;
  due?: [number, number];
  cursor?: string | null;
  behind?: number;
  outcome: string | null;
}

const PRIORITY_BEHIND = 1000;
const HALTS_ALLOWED = 3;
const LOSSES_ALLOWED = 10;

function backoff(attempt: number, askedMs = 0): [number, number] {
  const base = WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)] as number;
  const asked = Math.min(askedMs, ASKED_MAX_MS);
  return [Math.max(base, asked), Math.max(Math.ceil(base * 1.1), asked) + 1];
}

function retry(old: Row, now: number, how: How | null, cursor: string | null): Verdict {
  if (old.attempt >= old.maxAttempts) {
    const status = how?.end === 'corrupt' ? 'quarantined' : 'failed';
    return { status, attempt: 0, outcome: 'retryable' };
  }
  const asked = how?.end === 'retryable' || how?.end === 'unavailable' ? how.retryAfterMs : undefined;
  const [least, most] = backoff(old.attempt, asked);
  return { status: 'pending', attempt: 0, due: [now + least, now + most], cursor, outcome: 'retryable' };
}

function halt(
  ledger: Ledger,
  old: Row,
  how: How & { end: 'halt' | 'unavailable' },
  run: Run,
  dueAt: number,
): Verdict {
  const now = ledger.wallMs();
  const target = (how.end === 'halt' ? how.scope : undefined) ?? (kindOf(old.type).targets[0] as string);
  const before = ledger.halts.get(target);
  const isStopped = before !== undefined && before.until > now;
  const failures = isStopped ? before.failures : (before?.failures ?? 0) + 1;
  const asked = how.end === 'unavailable' ? (how.retryAfterMs ?? 0) : 0;
  const counted = isStopped ? 1 : failures;
  const [least, most]: [number, number] =
    how.pauseMs === undefined
      ? backoff(asked > 0 ? counted - 1 : counted, asked)
      : [how.pauseMs, how.pauseMs];
  let due: [number, number] = [now + least, now + most];
  if (isStopped) {
    const isLonger = how.pauseMs !== undefined || asked > 0;
    due = isLonger
      ? [Math.max(before.until, due[0]), Math.max(before.until, due[1])]
      : [before.until, before.until];
  }
  const kind: Halted['kind'] = how.end === 'halt' ? 'halted' : 'unavailable';
  ledger.halts.set(target, { kind, failures, until: dueAt });
  if (!isStopped) {
    ledger.halted.set(old.id, (ledger.halted.get(old.id) ?? 0) + 1);
    if (!ledger.firstHaltedAt.has(old.id)) ledger.firstHaltedAt.set(old.id, ledger.wallMs());
  }
  ledger.count(isStopped ? 'halts met' : 'halts');
  return {
    status: 'pending',
    attempt: -1,
    due,
    cursor: run.cursor,
    behind: isStopped ? 0 : PRIORITY_BEHIND,
    outcome: isStopped ? 'interrupted' : 'halted',
  };
}

/** An outage speaks against a job only when the target got through for somebody after the job's first one. */
function hasWorkedSince(ledger: Ledger, job: Row): boolean {
  const firstAt = ledger.firstHaltedAt.get(job.id);
  const workedAt = ledger.workedAt.get(kindOf(job.type).targets[0] as string);
  return firstAt !== undefined && workedAt !== undefined && workedAt > firstAt;
}

/** The table of meanings once more, from docs/state-machine.md. null = this run may not have ended the job. */
function verdict(ledger: Ledger, process: Process, old: Row, run: Run, row: Row): Verdict | null {
  const now = ledger.wallMs();
  const how = run.isDropped ? null : run.how;
  const { dueAt } = row;
  const isFailed = row.status === 'failed';
  if (ledger.spoiled.has(old.id) && !run.hasBegun && isFailed)
    return { status: 'failed', attempt: 0, outcome: 'permanent' };
  if (run.isStuckBefore && !run.hasBegun) {
    const dueAt = now + STUCK_REST_MS;
    return { status: 'pending', attempt: -1, due: [dueAt, dueAt], cursor: run.cursor, outcome: null };
  }
  if (run.reason === 'lease_lost') return null;
  if (how === null) {
    const isStuck = run.abortedMs !== null && ledger.nowMs() - run.abortedMs >= STUCK_MS;
    if (!isStuck || run.reason === 'shutdown') return null;
    ledger.count('stuck');
  }
  if (how?.end === 'complete') return { status: 'completed', attempt: 0, cursor: null, outcome: null };
  if (run.reason === 'cancelled') return { status: 'cancelled', attempt: 0, outcome: 'permanent' };
  if (run.reason === 'timeout') return retry(old, now, null, run.cursor);
  if (how === null) return retry(old, now, null, run.cursor);
  const halts = ledger.halted.get(old.id) ?? 0;
  // Whatever a handler makes of being stopped is not its fault, unless it says something of the job itself.
  const givenBack = ['interrupted', 'retryable', 'unknown', 'unavailable', 'hookThrows'].includes(how.end);
  if (process.life !== 'working' && givenBack)
    return { status: 'pending', attempt: -1, due: [now, now], cursor: run.cursor, outcome: 'interrupted' };
  switch (how.end) {
    case 'interrupted':
      return retry(old, now, how, run.cursor);
    case 'snooze': {
      const cursor = how.cursor === undefined ? run.cursor : JSON.stringify({ at: how.cursor });
      return {
        status: 'pending',
        attempt: -1,
        due: [now + how.delayMs, now + how.delayMs],
        cursor,
        outcome: null,
      };
    }
    case 'permanent':
      return { status: 'failed', attempt: 0, outcome: 'permanent' };
    case 'halt':
      if (halts >= HALTS_ALLOWED && !how.isNeverOwnFault)
        return { status: 'quarantined', attempt: 0, outcome: 'permanent' };
      return halt(ledger, old, how, run, dueAt);
    case 'unavailable':
      return halts >= HALTS_ALLOWED && hasWorkedSince(ledger, old)
        ? retry(old, now, how, run.cursor)
        : halt(ledger, old, how, run, dueAt);
    default:
      return retry(old, now, how, run.cursor);
  }
}

/** A lease that ended in the table: by its own result, by rescue, or by an operator. */
export function judgeEnd(ledger: Ledger, process: Process, old: Row, row: Row, outcomes: string[]): void {
  const job = `job ${row.id} (${row.type})`;
  const found = expected(ledger, process, old, row);
  if (typeof found === 'string') {
    ledger.fail(`${job}: ${found}`);
    return;
  }
  const { verdict: wanted, run } = found;
  const says = JSON.stringify({ wanted, how: run?.how, reason: run?.reason, is: row, was: old });
  if (row.status !== wanted.status) ledger.fail(`${job}: is ${row.status}, not ${wanted.status}: ${says}`);
  if (row.attempt !== old.attempt + wanted.attempt)
    ledger.fail(`${job}: counts attempt ${row.attempt}: ${says}`);
  if (wanted.due !== undefined && (row.dueAt < wanted.due[0] || row.dueAt > wanted.due[1]))
    ledger.fail(`${job}: is due in ${row.dueAt - ledger.wallMs()} ms: ${says}`);
  if (wanted.cursor !== undefined && row.cursor !== wanted.cursor)
    ledger.fail(`${job}: cursor ${row.cursor}: ${says}`);
  if (row.priority !== old.priority + (wanted.behind ?? 0))
    ledger.fail(`${job}: priority ${row.priority}: ${says}`);
  if (outcomes.join() !== (wanted.outcome ?? ''))
    ledger.fail(`${job}: attempt noted as "${outcomes}": ${says}`);
  if (run !== undefined) run.isOver = true;
  ledger.count(row.status === 'pending' ? 'given back or retried' : row.status);
  if (row.status === 'pending') return;
  const hasEndedWell = row.status === 'completed';
  if (hasEndedWell) worked(ledger, [...kindOf(row.type).targets, 'all']);
  else if (run?.how?.end === 'permanent' && run.reason === null) worked(ledger, kindOf(row.type).targets);
  // Without a readable input nobody can say what follows.
  if (!hasEndedWell && ledger.spoiled.has(row.id)) return;
  for (const wish of followUps(row.type as 'fetch', row.key, row.cycle, hasEndedWell))
    if (holder(ledger, wish.key) === undefined && !ledger.awaited.some(({ key }) => key === wish.key))
      ledger.awaited.push({ ...wish, parent: row.id });
}

function expected(
  ledger: Ledger,
  process: Process,
  old: Row,
  row: Row,
): { verdict: Verdict; run?: Run } | string {
  const now = ledger.wallMs();
  if (process.life === 'dead') return `changed by ${process.name}, which is dead`;
  if (ledger.allows.cancelId === row.id)
    return { verdict: { status: 'cancelled', attempt: 0, outcome: null } };
  const takenBack: Verdict = {
    status: 'pending',
    attempt: -1,
    due: [now, now],
    cursor: old.cursor,
    outcome: 'lease_lost',
  };
  const run = ledger.runs.find(
    (one) => one.jobId === row.id && one.seq === old.seq && one.process.owner === old.owner,
  );
  /** Whoever lost it: a lease that is lost again and again speaks against the job. */
  const lost = (): Verdict => {
    const losses = (ledger.losses.get(row.id) ?? 0) + 1;
    ledger.losses.set(row.id, losses);
    return losses >= LOSSES_ALLOWED
      ? { status: 'quarantined', attempt: 0, outcome: 'lease_lost' }
      : takenBack;
  };
  const cancelled: Verdict = { status: 'cancelled', attempt: 0, outcome: null };
  if (old.owner !== process.owner) {
    const isAtIt = (one: Run): boolean =>
      one.process === process &&
      one.jobId === row.id &&
      one.hasBegun &&
      one.how === null &&
      one.reason === null;
    if (ledger.runs.some(isAtIt)) return 'taken back although its handler goes on in this process';
    if (ledger.cancelAsked.has(row.id)) return { verdict: cancelled };
    ledger.count('rescued');
    return { verdict: lost() };
  }
  if (run === undefined) return `ended under lease ${old.seq}, which nobody was given`;
  if (run.isOver) return `ended a second time under lease ${old.seq}`;
  const mayExpire = run.reason === 'lease_lost' || run.isLate;
  const isTakenBack = row.isDue === 1 && row.status === 'pending' && row.attempt === old.attempt - 1;
  if (mayExpire && row.status === 'cancelled' && ledger.cancelAsked.has(row.id))
    return { verdict: cancelled, run };
  if (mayExpire && (isTakenBack || row.status === 'quarantined')) {
    ledger.count('expired');
    return { verdict: lost(), run };
  }
  const wanted = verdict(ledger, process, old, run, row);
  return wanted === null ? `ended (${row.status}) although its handler goes on` : { verdict: wanted, run };
}
