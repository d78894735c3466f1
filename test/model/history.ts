import type { JobContext, Queue, Scope } from '../../src/queue/index.ts';
import { parseScope } from '../../src/queue/index.ts';
import { openAuditedDb } from './audited-db.ts';
import { checkRest } from './check.ts';
import type { Command } from './commands.ts';
import { judgeCommit } from './judge.ts';
import { HOUR_MS, type How, MINUTE_MS, type Wish } from './kinds.ts';
import {
  createLedger,
  holder,
  holdsLease,
  isGivenUp,
  isUnfinished,
  kindOf,
  type Ledger,
  type Run,
  worked,
} from './ledger.ts';
import { SimClock } from './sim-clock.ts';
import { bury, createProcess, errorOf, type Handlers, type Living, requestOf } from './world.ts';

/** A handler that was called and has not ended, in whatever process. */
interface Open {
  run: Run;
  context: JobContext;
  end(how: How): void;
}

/** Everything one history needs. */
export interface History {
  ledger: Ledger;
  do(command: Command): Promise<void>;
  /** Heals everything, lets every handler complete, and sees every job reach its end. */
  heal(): Promise<void>;
  close(): void;
}

/** Rounds of a few hours within which a healed queue has done everything. */
const HEAL_ROUNDS = 40;

/** @param counts what happened in all histories, for proof that it did */
export function createHistory(imagePath: string, counts: Record<string, number>): History {
  const clock = new SimClock(settle);
  const audited = openAuditedDb(imagePath);
  const { sqlite } = audited.db;
  const ledger = createLedger(clock, counts);
  const open: Open[] = [];
  let activity = 0;
  let isBroken = false;
  let healedMs = Number.NEGATIVE_INFINITY;
  let isHealing = false;
  let number = 0;
  let isStopping = false;
  let isStarting = false;
  let notedAt = 0;
  let living: Living;

  async function settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      const before = activity;
      await new Promise((resolve) => setImmediate(resolve));
      quiet = activity === before ? quiet + 1 : 0;
    }
  }

  function begin(): void {
    number += 1;
    const born = createProcess({
      db: audited.db,
      forProcess: audited.forProcess,
      clock: clock.processClock(),
      number,
      handlers: { begin: handle },
      onCommit: (process, changes) => {
        activity += 1;
        judgeCommit(ledger, process, changes);
      },
      onTimeNoted: () => {
        drain();
        // A new process knows only what was noted last.
        const backMs = isStarting ? clock.wallMs - notedAt : ledger.jumpMs;
        for (const halt of ledger.halts.values()) if (backMs <= -MINUTE_MS) halt.until += backMs;
        ledger.jumpMs = 0;
        ledger.blindMs = 0;
        notedAt = clock.wallMs;
      },
    });
    // A restart tries again, but for those who asked for a rest.
    for (const [target, halt] of [...ledger.halts]) if (halt.kind === 'halted') ledger.halts.delete(target);
    living = born;
    ledger.allows.due = (row) => row.dueAt > clock.wallMs;
    isStarting = true;
    ledger.takesOver = isBroken;
    born.queue.start();
    isStarting = false;
    drain();
    for (const row of isBroken ? [] : ledger.rows.values())
      if (row.status === 'pending' && row.dueAt > clock.wallMs && row.isDue === 0 && isPutOffInVain(row.id))
        ledger.fail(`job ${row.id} waits for a halt that a restart ended`);
    ledger.allows = {};
  }

  /** An outage that outlives the restart keeps those who met it waiting; a halt that is over must not. */
  function isPutOffInVain(id: number): boolean {
    const target = sqlite.prepare('SELECT put_off_by FROM jobs WHERE id = ?').pluck().get(id);
    return typeof target === 'string' && !ledger.halts.has(target);
  }

  /** Takes over what single statements changed. */
  function drain(): void {
    const changes = audited.take();
    if (changes.length > 0) judgeCommit(ledger, living.process, changes);
  }

  function handle(
    ...[process, , given, context]: Parameters<Handlers['begin']>
  ): ReturnType<Handlers['begin']> {
    activity += 1;
    const run = ledger.runs.findLast((one) => one.process === process && one.jobId === context.jobId);
    const row = ledger.rows.get(context.jobId);
    if (run === undefined || row === undefined || run.hasBegun || !holdsLease(ledger, run)) {
      ledger.fail(`the handler of job ${context.jobId} began without a lease of its own`);
      return Promise.reject(new Error('no lease'));
    }
    if (open.some((one) => one.run.process === process && one.run.jobId === row.id))
      ledger.fail(`two handlers of job ${row.id} at once`);
    if (context.attempt !== row.attempt) ledger.fail(`job ${row.id} was told attempt ${context.attempt}`);
    const cursor = context.cursor === null ? null : JSON.stringify(context.cursor);
    if (cursor !== row.cursor) ledger.fail(`job ${row.id} was given cursor ${cursor}, not ${row.cursor}`);
    run.hasBegun = true;
    ledger.count('handlers');
    return new Promise((resolve, reject) => {
      const one: Open = {
        run,
        context,
        end(how) {
          activity += 1;
          open.splice(open.indexOf(one), 1);
          noteLate(run);
          run.isDropped = isGivenUp(ledger, run);
          run.how = how;
          run.endedMs = clock.monotonicMs;
          if (process.life === 'dead') ledger.count('late results of the dead');
          if (how.end === 'complete' || how.end === 'hookThrows')
            resolve({ isBroken: how.end === 'hookThrows' });
          else reject(errorOf(how));
        },
      };
      open.push(one);
      if (isHealing || row.type === 'settled') return one.end({ end: 'complete' });
      context.signal.addEventListener('abort', () => {
        if (run.how !== null) return;
        run.abortedMs = clock.monotonicMs;
        noteLate(run);
        run.reason = reasonOf(run);
        ledger.count(`told to stop: ${run.reason}`);
        if (!given.isDeaf || isHealing) one.end({ end: 'interrupted' });
      });
    });
  }

  function noteLate(run: Run): void {
    if (clock.monotonicMs - run.renewedMs > kindOf(run.type).leaseMs * 0.9) run.isLate = true;
  }

  function reasonOf(run: Run): Run['reason'] {
    if (run.reason === 'cancelled') return 'cancelled';
    if (isStopping) return 'shutdown';
    if (run.isLate) return 'lease_lost';
    if (clock.monotonicMs - run.claimedMs >= kindOf(run.type).timeoutMs) return 'timeout';
    if (holdsLease(ledger, run)) ledger.fail(`job ${run.jobId} was told to stop for no reason`);
    return 'lease_lost';
  }

  function fix(): void {
    if (isBroken) healedMs = clock.monotonicMs;
    isBroken = false;
    audited.fillAfter(null);
    sqlite.pragma('query_only = OFF');
  }

  /** Calls into the queue; trouble of the database is the caller's to see, and then nothing changed. */
  function call(allows: Ledger['allows'], work: (queue: Queue) => void): boolean {
    ledger.allows = allows;
    let isDone = true;
    try {
      work(living.queue);
    } catch (error) {
      isDone = false;
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (code !== 'usage' && !(isBroken && code.startsWith('SQLITE_'))) throw error;
      ledger.awaited = [];
    }
    drain();
    ledger.allows = {};
    return isDone;
  }

  function enqueue(wish: Wish, isDeaf: boolean): void {
    const isNew = holder(ledger, wish.key) === undefined;
    if (isNew) ledger.awaited.push({ ...wish, parent: null });
    call({}, (queue) => {
      const added = queue.enqueue([requestOf(wish, isDeaf)]);
      if (added !== Number(isNew)) ledger.fail(`enqueue of ${wish.key} says ${added}`);
    });
  }

  /** Writes to the table without the queue. */
  function behindItsBack(sql: string): void {
    ledger.allows = { harness: true };
    sqlite.exec(sql);
    drain();
    ledger.allows = {};
  }

  const choose = <T>(list: readonly T[], pick: number): T | undefined =>
    list[pick % Math.max(1, list.length)];
  const jobs = (status?: string) =>
    [...ledger.rows.values()].filter(
      (row) => row.type !== 'settled' && (status === undefined || row.status === status),
    );

  function finish(pick: number, how: How): void {
    // A dead process that still holds its lease will be rescued first: then it can do no harm.
    const one = choose(
      open.filter(({ run }) => run.process.life !== 'dead' || !holdsLease(ledger, run)),
      pick,
    );
    one?.end(how);
  }

  function progress(pick: number, cursor: number, isWhole: boolean): void {
    const one = choose(open, pick);
    if (one === undefined) return;
    const { run, context } = one;
    const isHeard = run.reason !== 'lease_lost' && !isGivenBack(run);
    if (isHeard) run.cursor = JSON.stringify({ at: cursor });
    context.progress({ cursor: { at: cursor }, ...(isWhole ? { doneBytes: 5, totalBytes: 5 } : {}) });
    if (isWhole && isHeard && run.process.life !== 'dead') worked(ledger, kindOf(run.type).targets);
    ledger.count('progress');
  }

  const isGivenBack = (run: Run): boolean =>
    run.isOver ||
    (run.abortedMs !== null && clock.monotonicMs - run.abortedMs >= MINUTE_MS && run.reason !== 'shutdown');

  function crash(): void {
    bury(living);
    // What the dead of a broken database still hold would be theirs to write until their successor can write, too.
    if (isBroken) open.splice(0);
    begin();
    ledger.count('crashes');
  }

  async function stop(waitMs: number): Promise<void> {
    living.process.life = 'stopping';
    isStopping = true;
    let isStopped = false;
    const done = living.queue.stop(waitMs).then(() => {
      isStopped = true;
    });
    await clock.quiet();
    // Those who listen are gone at once; the deaf are waited for.
    if (!isStopped) await clock.advance(waitMs);
    if (!isStopped) ledger.fail('stop did not end in its time');
    await done;
    isStopping = false;
    drain();
    bury(living);
    if (isBroken) open.splice(0);
    begin();
    ledger.count('stops');
  }

  function pauseOrResume(command: Command & { do: 'pause' | 'resume' }): void {
    const scope: Scope = parseScope(command.scope);
    if (command.do === 'pause') {
      if (call({}, (queue) => queue.pause(scope, null))) ledger.pauses.add(command.scope);
      return;
    }
    // In one step only while it can be written.
    if (isBroken) return;
    call({ due: (row) => row.dueAt > clock.wallMs }, (queue) => {
      for (const text of [...ledger.pauses])
        if (scope.kind === 'all' || text === command.scope) ledger.pauses.delete(text);
      for (const target of [...ledger.halts.keys()])
        if (scope.kind === 'all' || (scope.kind === 'target' && scope.name === target))
          ledger.halts.delete(target);
      queue.resume(scope);
    });
  }

  function limit(text: string, count: number | null): void {
    if (!call({}, (queue) => queue.setLimit(parseScope(text), count))) return;
    if (count === null) ledger.limits.delete(text);
    else ledger.limits.set(text, count);
  }

  function cancelJob(pick: number): void {
    const row = choose(jobs(), pick);
    if (row === undefined) return;
    const one = open.find(
      ({ run }) => run.jobId === row.id && run.process === living.process && !isGivenBack(run),
    );
    const waits = ledger.runs.find(
      (run) => run.jobId === row.id && holdsLease(ledger, run) && run.how !== null,
    );
    // Before the call: the handler hears of it inside.
    const told = [one?.run, waits]
      .filter((run) => run !== undefined)
      .map((run) => ({ run, before: run.reason }));
    if (row.status === 'in_progress')
      for (const { run } of told) if (run.reason !== 'lease_lost') run.reason = 'cancelled';
    const isDone = call({ cancelId: row.status === 'pending' ? row.id : -1 }, (queue) =>
      queue.cancelJob(row.id),
    );
    if (row.status !== 'in_progress') return;
    if (isDone) ledger.cancelAsked.add(row.id);
    else for (const { run, before } of told) run.reason = before;
  }

  async function run(command: Command): Promise<void> {
    switch (command.do) {
      case 'enqueue': {
        const { type, page, cycle, priority, delayMs } = command;
        return enqueue({ type, key: `${type}:p${page}`, cycle, priority, delayMs }, command.isDeaf);
      }
      case 'finish':
        for (const { pick, how } of command.ends) finish(pick, how);
        return;
      case 'progress':
        return progress(command.pick, command.cursor, command.isWhole);
      case 'tick':
        return clock.advance(command.ms);
      case 'stall':
        ledger.blindMs += command.ms;
        ledger.stalledAtMs = clock.monotonicMs + command.ms;
        return clock.stall(command.ms);
      case 'setClock':
        if (isBroken || !isCalm()) return;
        await clock.quiet();
        clock.wallMs += command.ms;
        ledger.jumpMs += command.ms;
        ledger.jumpedAtMs = clock.monotonicMs;
        {
          ledger.count('clock set');
          return;
        }
      case 'crash':
        return crash();
      case 'stop':
        return stop(command.waitMs);
      case 'pause':
      case 'resume':
        return pauseOrResume(command);
      case 'limit':
        return limit(command.scope, command.jobs);
      case 'retryJob': {
        const row = choose(jobs(), command.pick);
        if (row !== undefined)
          call({ reviveId: row.id, due: ({ id }) => id === row.id }, (queue) => queue.retryJob(row.id));
        return;
      }
      case 'cancelJob':
        return cancelJob(command.pick);
      case 'spoil': {
        const row = choose(jobs('pending'), command.pick);
        if (row === undefined || isBroken) return;
        ledger.spoiled.add(row.id);
        return behindItsBack(`UPDATE jobs SET params = '{"page": 3}' WHERE id = ${row.id}`);
      }
      case 'steal': {
        const row = choose(jobs('in_progress'), command.pick);
        if (row === undefined || isBroken) return;
        ledger.count('stolen');
        return behindItsBack(
          `UPDATE jobs SET lease_owner = 'thief', lease_seq = lease_seq + 1 WHERE id = ${row.id}`,
        );
      }
      case 'hurry': {
        const { cycle, type } = command;
        const due = (row: { cycle: string | null; type: string }): boolean =>
          row.cycle === cycle && row.type === type;
        call({ due }, (queue) => queue.hurry(cycle, type));
        return;
      }
      case 'cancelPending':
        call({ cancelType: command.type }, (queue) => queue.cancelPending(command.type));
        return;
      case 'breakDb':
        if (isBroken || ledger.jumpMs !== 0) return;
        await clock.quiet();
        isBroken = true;
        if (command.after === null) sqlite.pragma('query_only = ON');
        else audited.fillAfter(command.after);
        return;
      case 'healDb':
        return fix();
    }
  }

  const isCalm = (): boolean => !isBroken && clock.monotonicMs > healedMs + 15_000;

  function check(): void {
    if (isCalm()) ledger.takesOver = false;
    const halts = living.queue.halts();
    const stored = sqlite
      .prepare(`SELECT value FROM system_state WHERE key LIKE 'halt:%'`)
      .pluck()
      .all() as string[];
    checkRest(ledger, {
      rows: audited.rows(),
      process: living.process,
      halts,
      storedHalts: stored.map((text) => JSON.parse(text) as { target: string; until: number }),
      isCalm: isCalm(),
    });
    const [first] = ledger.wrong;
    if (first !== undefined) throw new Error(first);
  }

  async function heal(): Promise<void> {
    fix();
    isHealing = true;
    for (const one of [...open]) if (one.run.process.life !== 'dead') one.end({ end: 'complete' });
    for (const scope of [...ledger.pauses]) pauseOrResume({ do: 'resume', scope });
    for (let round = 0; jobs().some(isUnfinished); round += 1) {
      if (round === HEAL_ROUNDS)
        throw new Error(
          `never ended: ${JSON.stringify(jobs().filter(isUnfinished))} ${JSON.stringify([...ledger.halts])}`,
        );
      await clock.advance(70_000);
      check();
      ledger.stalledAtMs = clock.monotonicMs + 2 * HOUR_MS;
      await clock.stall(2 * HOUR_MS);
      await clock.quiet();
      check();
    }
    await clock.quiet();
    ledger.count('histories');
  }

  begin();
  return {
    ledger,
    heal,
    async do(command) {
      await run(command);
      if (command.do === 'finish' && command.rush) return;
      await clock.quiet();
      drain();
      check();
    },
    close() {
      counts.refused = (counts.refused ?? 0) + audited.refused();
      bury(living);
      audited.db.close();
    },
  };
}
