import type { Change, Row } from './audited-db.ts';
import { judgeEnd } from './judge-ends.ts';
import { GROUPS, type KindName, MINUTE_MS } from './kinds.ts';
import {
  compare,
  haltsOf,
  holder,
  isDue,
  isGivenUp,
  isPaused,
  isUnfinished,
  kindOf,
  type Ledger,
  type Process,
  slots,
  targetLimit,
  typeLimit,
} from './ledger.ts';

/** Judges what one transaction changed, statement by statement, and takes it over. */
export function judgeCommit(ledger: Ledger, process: Process, changes: readonly Change[]): void {
  const ended = new Set<string>();
  const claimed: Row[] = [];
  const barriers: Row[] = [];
  const { rows } = ledger;
  /** A job ends at most once in a transaction, so all words about it belong to that. */
  const notedFor = (jobId: number): string[] =>
    changes.flatMap((change) =>
      change.what === 'attempt' && change.jobId === jobId ? [change.outcome] : [],
    );
  for (const change of changes) {
    if (change.what === 'attempt') {
      ledger.lastWord.set(change.jobId, change.outcome);
      continue;
    }
    const { row } = change;
    const old = rows.get(row.id);
    if (change.what === 'insert') {
      if (row.type === 'settled') barriers.push(row);
      else judgeInsert(ledger, row);
      if (holder(ledger, row.key) !== undefined) ledger.fail(`two unfinished jobs have the key ${row.key}`);
    } else if (old === undefined) ledger.fail(`job ${row.id} was changed, but never was there`);
    else if (!ledger.allows.harness) {
      if (ledger.awaited.length > 0)
        ledger.fail(
          `job ${row.id} changes while ${JSON.stringify(ledger.awaited[0])} should have been added`,
        );
      judgeUpdate(ledger, process, old, row, notedFor(row.id), claimed);
    }
    rows.set(row.id, row);
    if (old !== undefined && isUnfinished(old) && !isUnfinished(row) && row.cycle !== null)
      ended.add(`${row.type} ${row.cycle}`);
  }
  if (ledger.awaited.length > 0)
    ledger.fail(`${process.name} committed without ${JSON.stringify(ledger.awaited.splice(0))}`);
  judgeOrder(ledger, claimed);
  judgeBarriers(ledger, ended, barriers);
}

function judgeInsert(ledger: Ledger, row: Row): void {
  const wish = ledger.awaited.shift();
  const is = { type: row.type, key: row.key, cycle: row.cycle, priority: row.priority, parent: row.parent };
  if (wish === undefined) {
    ledger.fail(`nobody asked for ${JSON.stringify(is)}`);
    return;
  }
  const { delayMs, ...wanted } = wish;
  const dueAt = ledger.wallMs() + delayMs;
  const isSame = Object.entries(wanted).every(([name, value]) => is[name as 'type'] === value);
  if (!isSame || row.dueAt !== dueAt || row.status !== 'pending' || row.attempt !== 0 || row.seq !== 0)
    ledger.fail(`added ${JSON.stringify(row)} instead of ${JSON.stringify(wish)}`);
}

function judgeUpdate(
  ledger: Ledger,
  process: Process,
  old: Row,
  row: Row,
  noted: string[],
  claimed: Row[],
): void {
  const { allows } = ledger;
  const job = `job ${row.id} (${row.type})`;
  if (process.life === 'dead') {
    ledger.fail(`${job} was changed by ${process.name}, which is dead`);
    return;
  }
  const move = `${old.status} -> ${row.status}`;
  switch (move) {
    case 'pending -> pending': {
      judgeWait(ledger, old, row);
      return;
    }
    case 'pending -> in_progress':
      if (allows.cancelId === row.id) return;
      claimed.push(old);
      {
        judgeClaim(ledger, process, old, row);
        return;
      }
    case 'in_progress -> in_progress': {
      const moved = (row.expiresAt as number) - (old.expiresAt as number);
      // A renewal right after the clock was set back moves a lease about as far as the shift does: its end tells them apart.
      const own = ledger.runs.find(
        (one) => one.jobId === row.id && one.seq === row.seq && one.process === process,
      );
      // Moved in the very moment of its claim, or after its process is gone, it can only be the shift.
      const isRenewal =
        own !== undefined && !own.isOver && row.expiresAt === ledger.wallMs() + kindOf(row.type).leaseMs;
      if (!isRenewal && isShift(ledger, moved)) {
        ledger.count('leases shifted');
        return;
      }
      const run = own;
      if (run === undefined || run.isOver || row.owner !== old.owner || row.seq !== old.seq) {
        ledger.fail(`${job}: ${process.name} renewed a lease that is not its own`);
        return;
      }
      if (run.reason === 'lease_lost') ledger.fail(`${job}: a lost lease was renewed`);
      if (row.attempt !== old.attempt || row.dueAt !== old.dueAt)
        ledger.fail(`${job}: a renewal changed more`);
      if (!isRenewal) ledger.fail(`${job}: renewed for the wrong time`);
      if (row.cursor !== run.cursor)
        ledger.fail(`${job}: renewed with cursor ${row.cursor}, not ${run.cursor}`);
      run.renewedMs = ledger.nowMs();
      ledger.count('renewals');
      return;
    }
    case 'pending -> cancelled':
      if (allows.cancelType !== row.type) ledger.fail(`${job} was cancelled, and nobody asked for it`);
      return;
    case 'failed -> pending':
    case 'quarantined -> pending':
    case 'cancelled -> pending': {
      if (allows.reviveId !== row.id) ledger.fail(`${job} came back, and nobody asked for it`);
      if (row.attempt !== 0 || row.dueAt !== ledger.wallMs() || row.isDue !== 1)
        ledger.fail(`${job} came back wrong`);
      if (holder(ledger, row.key) !== undefined)
        ledger.fail(`${job} came back beside another one with its key`);
      ledger.cancelAsked.delete(row.id);
      ledger.halted.delete(row.id);
      ledger.firstHaltedAt.delete(row.id);
      ledger.losses.delete(row.id);
      ledger.count('revived');
      return;
    }
    case 'in_progress -> pending':
    case 'in_progress -> completed':
    case 'in_progress -> failed':
    case 'in_progress -> quarantined':
    case 'in_progress -> cancelled': {
      judgeEnd(ledger, process, old, row, noted);
      return;
    }
    default:
      ledger.fail(`${job}: ${move} cannot be`);
  }
}

/** The clock was set back by so much. The time is noted every five minutes, and not during a stop or a stall. */
const isShift = (ledger: Ledger, movedMs: number): boolean =>
  ledger.jumpMs < 0 && movedMs >= ledger.jumpMs && movedMs <= ledger.jumpMs + ledger.blindMs + 9 * MINUTE_MS;

function judgeWait(ledger: Ledger, old: Row, row: Row): void {
  const job = `job ${row.id} (${row.type})`;
  const now = ledger.wallMs();
  if (row.attempt !== old.attempt || row.seq !== old.seq || row.cursor !== old.cursor) {
    ledger.fail(`${job} changed while it waited`);
    return;
  }
  if (row.priority !== old.priority) {
    if (row.priority !== old.priority + 1000 || ledger.losses.get(row.id) !== 3)
      ledger.fail(`${job}: priority ${row.priority} instead of ${old.priority}`);
    return;
  }
  if (row.dueAt === old.dueAt && row.isDue === 1 && old.dueAt <= now) return;
  if (row.isDue === 1 && row.dueAt === now && (ledger.takesOver || ledger.allows.due?.(old))) return;
  const moved = row.dueAt - old.dueAt;
  if (row.isDue === 0 && isShift(ledger, moved)) {
    ledger.count('shifted');
    return;
  }
  ledger.fail(
    `${job} is due at ${row.dueAt - now} instead of ${old.dueAt - now} ms from now, and nobody asked for it`,
  );
}

function judgeClaim(ledger: Ledger, process: Process, old: Row, row: Row): void {
  const job = `job ${row.id} (${row.type})`;
  const kind = kindOf(row.type);
  const now = ledger.wallMs();
  if (process.life !== 'working')
    ledger.fail(`${job} was claimed by ${process.name}, which is ${process.life}`);
  if (row.owner !== process.owner || row.seq !== old.seq + 1)
    ledger.fail(`${job} was claimed under a strange lease`);
  if (row.expiresAt !== now + kind.leaseMs) ledger.fail(`${job} was leased for the wrong time`);
  if (row.attempt !== old.attempt + 1 || row.attempt > row.maxAttempts)
    ledger.fail(`${job}: attempt ${row.attempt}`);
  if (!isDue(old, now)) ledger.fail(`${job} was claimed ${old.dueAt - now} ms before its time`);
  if (isPaused(ledger, row.type)) ledger.fail(`${job} was claimed while it is paused`);
  const ours = ledger.runs.filter((run) => run.process === process && run.jobId === row.id && run.hasBegun);
  // One that returned in this very turn may count as gone or not.
  const isStuckBefore = ours.some((run) => run.how === null || run.endedMs === ledger.nowMs());
  if (ours.some((run) => run.how === null && !isGivenUp(ledger, run)))
    ledger.fail(`${job} was claimed while its handler goes on in the same process`);
  if (slots(ledger, process, (run) => run.type === row.type) >= typeLimit(ledger, row.type))
    ledger.fail(`${job}: more than ${typeLimit(ledger, row.type)} at once`);
  const at = (target: string): number =>
    slots(ledger, process, (run) => target === 'all' || kindOf(run.type).targets.includes(target));
  for (const target of kind.targets)
    if (at(target) >= targetLimit(ledger, target))
      ledger.fail(`${job}: more than ${targetLimit(ledger, target)} at ${target}`);
  for (const [target, halt] of haltsOf(ledger, row.type)) {
    if (halt.until > now)
      ledger.fail(`${job} was claimed while ${target} is halted for ${halt.until - now} ms`);
    else if (at(target) > 0) ledger.fail(`${job} was claimed while another one tries ${target}`);
    else ledger.count('probes');
  }
  ledger.runs.push({
    process,
    jobId: row.id,
    type: row.type as KindName,
    seq: row.seq,
    claimedMs: ledger.nowMs(),
    renewedMs: ledger.nowMs(),
    hasBegun: false,
    how: null,
    endedMs: null,
    cursor: row.cursor,
    abortedMs: null,
    reason: null,
    isLate: false,
    isDropped: false,
    isOver: false,
    isStuckBefore,
  });
}

/** No due job of the type that is better than a claimed one was left. */
function judgeOrder(ledger: Ledger, claimed: readonly Row[]): void {
  for (const worse of claimed)
    for (const row of ledger.rows.values())
      if (
        row.type === worse.type &&
        row.status === 'pending' &&
        isDue(row, ledger.wallMs()) &&
        compare(row, worse) < 0
      )
        ledger.fail(`job ${worse.id} was claimed before job ${row.id}, which is better`);
}

/** Exactly one call for each group that this transaction emptied, none for others. */
function judgeBarriers(ledger: Ledger, ended: ReadonlySet<string>, fired: readonly Row[]): void {
  const wanted: string[] = [];
  GROUPS.forEach((types, group) => {
    const cycles = new Set([...ended].filter((one) => types.includes(one.split(' ')[0] as KindName)));
    for (const cycle of new Set([...cycles].map((one) => one.split(' ')[1] as string))) {
      const left = [...ledger.rows.values()].some(
        (row) => isUnfinished(row) && row.cycle === cycle && types.includes(row.type as KindName),
      );
      if (!left) wanted.push(`settled:${group}:${cycle}`);
    }
  });
  const is = fired.map((row) => row.key.split(':').slice(0, 3).join(':')).sort();
  if (is.join() !== wanted.sort().join())
    ledger.fail(`the barrier fired for [${is}], and should have fired for [${wanted}]`);
  for (const _ of fired) ledger.count('barriers');
}
