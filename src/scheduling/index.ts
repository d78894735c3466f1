import type { Catalog } from '../catalog/index.ts';
import type { Db, SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { describeError, errorCode } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Clock, Log, Random } from '../ports/index.ts';
import type { JobRequest, Queue } from '../queue/index.ts';
import { type CycleCalendar, cyclesToOpen, LATE_CYCLE_MS } from './calendar.ts';
import { longestStep, nextRun } from './next-run.ts';

export { type CycleCalendar, cyclesToOpen, dueCycles, type PlannedCycle } from './calendar.ts';
export { everyMs } from './next-run.ts';

/** A thing that happens regularly. `cron` is a cron expression in UTC. */
export interface Schedule {
  name: string;
  cron: string;
  run: () => void;
  /** On a first start, when it has no last time yet. */
  startsAtOnce: boolean;
  /** Asks upstream, so each installation does it at a minute of its own. */
  isSpread: boolean;
}

/** A job that is asked for regularly. `cron` is a cron expression in UTC, one of the words of the configuration, or what `everyMs` makes. */
export interface ScheduledJob {
  name: string;
  cron: string;
  request: () => JobRequest;
}

/** Opens cycles, looks for dumps, ends cycles at their deadline; makes up what was missed while the daemon was down. */
export interface Scheduling {
  /** Runs what is overdue at once, then waits for the next times. */
  start(): void;
  stop(): void;
}

/** What the room is given; the jobs come as requests, because rooms do not know one another. */
export interface SchedulingDeps {
  db: Db;
  catalog: Catalog;
  queue: Queue;
  state: SystemState;
  bus: Bus;
  clock: Clock;
  log: Log;
  random: Random;
  config: CycleCalendar & { wikiDiscovery: string; dumpCheck: string };
  /** Other jobs that are asked for regularly; a time that was missed is made up once. */
  jobs?: readonly ScheduledJob[];
  requests: {
    discoverWikis: () => JobRequest;
    /** Epoch ms of the last whole look at a cycle; 0 = never. */
    lastLookAt: (cycle: { cycleDate: string; includesHistory: boolean }) => number;
    /** Called in the transaction that seals a cycle at its deadline, before it does. */
    beforeDeadlineSeal: (cycle: { cycleDate: string; includesHistory: boolean }) => void;
    /** False: no source has a run for such a cycle, so there is nothing to open. */
    hasRuns: (cycle: { cycleDate: string; includesHistory: boolean }) => boolean;
    /** Looks at every run that may still bring files. */
    looks: () => readonly JobRequest[];
    /** Follow-ups of a cycle that was sealed at its deadline. */
    sealedAtDeadline: (cycleDate: string) => readonly JobRequest[];
    /** Whatever else is due with every look for dumps. */
    daily: () => readonly JobRequest[];
  };
}

/** Three days, where looks are daily; where they are rarer, two of them have to be missing. */
const UNSEEN_MS = 3 * 24 * 60 * 60_000;
const SPREAD_KEY = 'scheduling:spread_ms';
/** An hour, less than the shortest word. */
const SPREAD_MAX_MS = 59 * 60_000;
/** Longest wait without a look at the wall clock: ten minutes. */
const STEP_MS = 10 * 60_000;
/** After a failed tick: one minute. */
const TROUBLE_MS = 60_000;

/** Wires the room's schedules. */
export function createScheduling(deps: SchedulingDeps): Scheduling {
  const { catalog, queue, clock, state, config } = deps;
  const log = deps.log.child({ room: 'scheduling' });
  const cancels = new Map<string, () => void>();
  /** Chosen once for each installation: all of them together must not knock at upstream in the same minute. */
  const spreadMs = (): number => {
    const known = state.get(SPREAD_KEY);
    if (known !== null) return Number(known);
    const chosen = Math.floor(deps.random.next() * SPREAD_MAX_MS);
    state.set(SPREAD_KEY, String(chosen), clock.now());
    return chosen;
  };
  const nextOf = (schedule: Schedule, fromMs: number): number =>
    nextRun(schedule.cron, fromMs, schedule.isSpread ? spreadMs() : 0);

  function openCycles(): void {
    for (const cycle of cyclesToOpen(config, clock.now(), catalog.cycles())) {
      if (!deps.requests.hasRuns(cycle) || !catalog.openCycle(cycle)) continue;
      step('scheduling:opened');
      log.info({ cycle: cycle.cycleDate, includesHistory: cycle.includesHistory }, 'opened a cycle');
      deps.bus.emit('cycle:opened', { cycleDate: cycle.cycleDate });
    }
  }

  /** After days without a look nobody knows what there is: the cycle gets the time that one opened late gets, once. */
  function isUnseen(cycle: { cycleDate: string; includesHistory: boolean }): boolean {
    const now = clock.now();
    const unseenMs = Math.max(UNSEEN_MS, 2 * longestStep(config.dumpCheck, now));
    if (deps.requests.lastLookAt(cycle) > now - unseenMs) return false;
    if (!catalog.postponeDeadline(cycle.cycleDate, now + LATE_CYCLE_MS)) return false;
    log.warn(
      { cycle: cycle.cycleDate },
      'nobody had looked for days when the deadline of a cycle came; it was moved on',
    );
    return true;
  }

  function sealOverdue(): void {
    for (const cycle of catalog.cycles()) {
      if (cycle.status !== 'open' || cycle.deadlineAt > clock.now()) continue;
      if (isUnseen(cycle)) continue;
      const isSealed = deps.db.transaction(() => {
        if (cycle.scannedAt !== null) deps.requests.beforeDeadlineSeal(cycle);
        if (!catalog.sealIfSettled(cycle.cycleDate, { force: true })) return false;
        log.warn(
          { cycle: cycle.cycleDate },
          'sealed a cycle at its deadline, although not everything is settled',
        );
        queue.enqueue(deps.requests.sealedAtDeadline(cycle.cycleDate));
        return true;
      });
      if (isSealed) deps.bus.emit('cycle:sealed', { cycleDate: cycle.cycleDate });
    }
  }

  function lookForDumps(): void {
    const looks = dueLooks();
    // Judged before the looks are stored: a cycle whose look waits is not sealed.
    const rest = catalog.wikis().length === 0 ? [] : deps.requests.daily();
    queue.enqueue([...looks, ...rest]);
  }

  function dueLooks(): readonly JobRequest[] {
    openCycles();
    sealOverdue();
    return catalog.wikis().length === 0 ? [deps.requests.discoverWikis()] : deps.requests.looks();
  }

  const schedules: Schedule[] = [
    {
      name: 'discover_wikis',
      cron: config.wikiDiscovery,
      run: () => void queue.enqueue([deps.requests.discoverWikis()]),
      startsAtOnce: true,
      isSpread: true,
    },
    { name: 'find_dumps', cron: config.dumpCheck, run: lookForDumps, startsAtOnce: true, isSpread: true },
    ...(deps.jobs ?? []).map(({ name, cron, request }) => ({
      name,
      cron,
      run: () => void queue.enqueue([request()]),
      startsAtOnce: false,
      isSpread: false,
    })),
  ];

  function lastRun(name: string): number | null {
    const text = state.get(`schedule:${name}`);
    const lastAt = text === null ? null : (JSON.parse(text) as { lastAt: number | null }).lastAt;
    // Later than now can only be a clock that was wrong.
    return lastAt === null || lastAt > clock.now() ? null : lastAt;
  }

  /** Work on the dumps begins at once; what cares for something that is new waits for its regular time. */
  function firstRun(schedule: Schedule): number {
    const now = clock.now();
    if (schedule.startsAtOnce) return now;
    const nextAt = nextOf(schedule, now);
    note(schedule, now, nextAt);
    return nextAt;
  }

  function note({ name }: Schedule, lastAt: number, nextAt: number): void {
    state.set(`schedule:${name}`, JSON.stringify({ name, lastAt, nextAt }), clock.now());
  }

  /** Armed first and guarded: a database that cannot be written now must end neither the schedule nor the process. */
  function tick(schedule: Schedule): void {
    const now = clock.now();
    const nextAt = nextOf(schedule, now);
    arm(schedule, nextAt);
    try {
      // Together: a process that dies in between must neither skip a time nor forget it.
      deps.db.transaction(() => {
        schedule.run();
        note(schedule, now, nextAt);
        step('scheduling:noted');
      });
    } catch (error) {
      log.error(
        { schedule: schedule.name, err: { code: errorCode(error), message: describeError(error) } },
        'a schedule could not do its work and will be tried again in a minute',
      );
      arm(schedule, Math.min(nextAt, now + TROUBLE_MS));
    }
  }

  function arm(schedule: Schedule, nextAt: number): void {
    cancels.get(schedule.name)?.();
    if (!Number.isFinite(nextAt)) return;
    const waitMs = Math.max(0, nextAt - clock.now());
    // In steps, because the wall clock may be set meanwhile, forward or back.
    const wake = (): void => {
      const now = clock.now();
      if (now >= nextAt) tick(schedule);
      else arm(schedule, Math.min(nextAt, nextOf(schedule, now)));
    };
    cancels.set(schedule.name, clock.after(Math.min(waitMs, STEP_MS), wake));
  }

  return {
    start() {
      // Opening and sealing follow the calendar, so a restart between two checks must not wait for the next one.
      // What is left to do was just asked for by whoever starts everything: it reads a whole cycle, once is enough.
      queue.enqueue(dueLooks());
      for (const schedule of schedules) {
        const last = lastRun(schedule.name);
        const nextAt = last !== null ? nextOf(schedule, last) : firstRun(schedule);
        if (nextAt <= clock.now()) tick(schedule);
        else arm(schedule, nextAt);
      }
    },
    stop() {
      for (const cancel of cancels.values()) cancel();
      cancels.clear();
    },
  };
}
