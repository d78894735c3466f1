import type { Row } from './audited-db.ts';
import { STUCK_MS } from './kinds.ts';
import {
  haltsOf,
  holdsLease,
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

/** What is compared beside the rows. */
export interface Facts {
  rows: readonly Row[];
  process: Process;
  halts: readonly { target: string; until: number; failures: number }[];
  storedHalts: readonly { target: string; until: number }[];
  /** Nothing was in trouble for so long that everything must be as it should be. */
  isCalm: boolean;
}

/** Nothing that is due is seen later than so. */
const POLL_MS = 31_000;

/** What must hold whenever nothing moves. */
export function checkRest(ledger: Ledger, facts: Facts): void {
  checkRows(ledger, facts.rows);
  checkRuns(ledger, facts);
  const isJumpSeen = ledger.jumpMs === 0 && ledger.nowMs() > ledger.jumpedAtMs + POLL_MS;
  if (!facts.isCalm || !isJumpSeen) return;
  checkHalts(ledger, facts);
  checkWaiting(ledger, facts.process);
}

/** The table is what the model says, to the last column: nothing was lost, doubled or changed behind its back. */
function checkRows(ledger: Ledger, rows: readonly Row[]): void {
  if (rows.length !== ledger.rows.size) ledger.fail(`${rows.length} jobs instead of ${ledger.rows.size}`);
  const keys = new Set<string>();
  for (const row of rows) {
    const known = JSON.stringify(ledger.rows.get(row.id));
    if (JSON.stringify(row) !== known)
      ledger.fail(`the table says ${JSON.stringify(row)}, the model ${known}`);
    if (!isUnfinished(row)) continue;
    if (keys.has(row.key)) ledger.fail(`two unfinished jobs have the key ${row.key}`);
    keys.add(row.key);
  }
}

function checkRuns(ledger: Ledger, { process, isCalm }: Facts): void {
  for (const run of ledger.runs) {
    if (run.process !== process || run.isOver) continue;
    const job = `job ${run.jobId} (${run.type})`;
    const { leaseMs, timeoutMs } = kindOf(run.type);
    const sinceRenewalMs = ledger.nowMs() - run.renewedMs;
    const isHeld = holdsLease(ledger, run);
    if (run.how !== null || (run.isStuckBefore && !run.hasBegun && isHeld)) {
      if (isHeld && isCalm && run.reason !== 'lease_lost' && !run.isLate)
        ledger.fail(`${job}: its result was not written`);
      if (!isHeld) run.isOver = true;
    } else if (!run.hasBegun && isHeld && isCalm) {
      ledger.fail(`${job} was claimed, and its handler never began`);
    } else if (!run.hasBegun && ledger.spoiled.has(run.jobId)) {
      // Its handler is never called: what waits is the word that its input cannot be read.
    } else if (run.abortedMs === null) {
      if (sinceRenewalMs > leaseMs * 0.9 + 1000)
        ledger.fail(`${job} works on ${sinceRenewalMs} ms after its last renewal`);
      if (isCalm && ledger.nowMs() - run.claimedMs >= timeoutMs)
        ledger.fail(`${job} works on after its time is over`);
      if (isCalm && !isHeld && sinceRenewalMs > leaseMs / 3) ledger.fail(`${job} works on without a lease`);
    } else if (isGivenUp(ledger, run) && isHeld && isCalm && run.reason !== 'lease_lost' && !run.isLate)
      ledger.fail(`${job} ignores its signal, and was not given up`);
  }
  if (!isCalm) return;
  for (const row of ledger.rows.values()) {
    if (row.status !== 'in_progress') continue;
    const run = ledger.runs.find(
      (one) => one.jobId === row.id && one.seq === row.seq && one.process.owner === row.owner,
    );
    const isAlone =
      run === undefined || run.process !== process || run.how !== null || isGivenUp(ledger, run);
    if (!isAlone) continue;
    const holder = ledger.runs.some(
      (one) => one.process === process && one.jobId === row.id && one.how === null && !isGivenUp(ledger, one),
    );
    if (holder) continue;
    // Three polls of half a minute after the lease ran out and the handler was gone.
    if (run?.process !== process) continue;
    const goneMs = run.endedMs ?? (run.abortedMs ?? 0) + STUCK_MS;
    const orphanMs =
      ledger.nowMs() - Math.max(goneMs, ledger.stalledAtMs, run.renewedMs + kindOf(row.type).leaseMs);
    if (orphanMs > 90_000) ledger.fail(`job ${row.id} has nobody who works at it for ${orphanMs} ms`);
  }
}

/** What is halted, and until when: by the model, in memory and in the table. */
function checkHalts(ledger: Ledger, { halts, storedHalts }: Facts): void {
  const text = (list: Iterable<{ target: string; until: number }>): string =>
    [...list]
      .filter(({ target }) => target !== 'database')
      .map(({ target, until }) => `${target} until ${until - ledger.wallMs()}`)
      .sort()
      .join(', ');
  const model = text([...ledger.halts].map(([target, { until }]) => ({ target, until })));
  if (text(halts) !== model) ledger.fail(`halted in memory: [${text(halts)}], and in the model: [${model}]`);
  if (text(storedHalts) !== model)
    ledger.fail(`halted in the table: [${text(storedHalts)}], in the model: [${model}]`);
}

/** No slot is free while a job could take it: no wake-up was missed. */
function checkWaiting(ledger: Ledger, process: Process): void {
  if (process.life !== 'working') return;
  for (const row of ledger.rows.values()) {
    if (row.status !== 'pending' || !isDue(row, ledger.wallMs()) || isPaused(ledger, row.type)) continue;
    const kind = kindOf(row.type);
    const halts = haltsOf(ledger, row.type);
    const at = (target: string): number =>
      slots(ledger, process, (run) => target === 'all' || kindOf(run.type).targets.includes(target));
    if (halts.some(([target, { until }]) => until > ledger.wallMs() || at(target) > 0)) continue;
    const limit = typeLimit(ledger, row.type);
    if (slots(ledger, process, (run) => run.type === row.type) >= limit) continue;
    const stuck = ledger.runs.filter(
      (run) => run.process === process && run.type === row.type && run.how === null && isGivenUp(ledger, run),
    );
    if (stuck.length >= limit) continue;
    if (kind.targets.some((target) => at(target) >= targetLimit(ledger, target))) continue;
    ledger.fail(`job ${row.id} (${row.type}) is due, and nothing keeps it, but it does not begin`);
  }
}
