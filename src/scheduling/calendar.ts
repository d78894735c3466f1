/** Which days cycles begin on and when they end; days are UTC. */
export interface CycleCalendar {
  /** Days of the month, ascending: [1, 20]. */
  cycleDays: readonly number[];
  embargoDays: number;
  /** Day of the month on which a cycle is sealed at the latest; -1 = last day. */
  deadlines: { firstCycle: number; secondCycle: number };
  includeHistory: boolean;
  /** Months (1-12) whose first cycle takes the full history. */
  historyMonths: readonly number[];
}

/** A cycle as the calendar knows it; times in epoch ms. */
export interface PlannedCycle {
  cycleDate: string;
  includesHistory: boolean;
  deadlineAt: number;
}

const DAY_MS = 24 * 60 * 60_000;

/** Epoch ms of midnight UTC for a year, month (1-12) and day. */
function utc(year: number, month: number, day: number): number {
  return Date.UTC(year, month - 1, day);
}

function monthNumber(date: Date): number {
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

function describe(calendar: CycleCalendar, year: number, month: number, index: number): PlannedCycle {
  const day = calendar.cycleDays[index] as number;
  const isFirst = index === 0;
  const deadline = isFirst ? calendar.deadlines.firstCycle : calendar.deadlines.secondCycle;
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const sameMonth = deadline === -1 ? lastDay : Math.min(deadline, lastDay);
  // A deadline before the cycle itself can only mean the next month.
  const deadlineAt = sameMonth > day ? utc(year, month, sameMonth + 1) : utc(year, month + 1, sameMonth + 1);
  return {
    cycleDate: new Date(utc(year, month, day)).toISOString().slice(0, 10),
    includesHistory: isFirst && calendar.includeHistory && calendar.historyMonths.includes(month),
    deadlineAt,
  };
}

/**
 * Cycles that may be opened now, oldest first. Pure.
 * @param after the newest cycle that is known, whose successors are wanted; null on a first start: only the newest one
 */
export function dueCycles(calendar: CycleCalendar, nowMs: number, after: string | null): PlannedCycle[] {
  const due: PlannedCycle[] = [];
  const from = new Date(after === null ? nowMs - 62 * DAY_MS : Date.parse(`${after}T00:00:00Z`));
  // Months are counted through from year 0, so that a new year needs no case of its own.
  const lastMonth = monthNumber(new Date(nowMs));
  for (let number = monthNumber(from); number <= lastMonth; number += 1) {
    for (let index = 0; index < calendar.cycleDays.length; index += 1) {
      const cycle = describe(calendar, Math.floor(number / 12), (number % 12) + 1, index);
      const opensAt = Date.parse(`${cycle.cycleDate}T00:00:00Z`) + calendar.embargoDays * DAY_MS;
      if (opensAt <= nowMs && (after === null || cycle.cycleDate > after)) due.push(cycle);
    }
  }
  return after === null ? due.slice(-1) : due;
}

/** Upstream keeps runs for three to five months; what is older than 6 months cannot be served any more. */
const CATCH_UP_MS = 183 * DAY_MS;
/** A cycle that is opened with less time than this left is late, and gets the next one instead. */
const SHORT_MS = 2 * DAY_MS;
/** What a cycle gets that is opened late, or was not looked at when its deadline came. */
export const LATE_CYCLE_MS = 14 * DAY_MS;

/**
 * Cycles to open now, oldest first, with the deadlines they get: the calendar's, or 14 days for one that is opened late,
 * since upstream still has it. Pure.
 * @param known cycles we have, in any order
 */
export function cyclesToOpen(
  calendar: CycleCalendar,
  nowMs: number,
  known: readonly { cycleDate: string }[],
): PlannedCycle[] {
  // A known cycle of the future can only come from a clock that was wrong.
  const dates = known.map((cycle) => cycle.cycleDate).filter((date) => Date.parse(date) <= nowMs);
  const newest = dates.sort().at(-1) ?? null;
  const oldest = new Date(nowMs - CATCH_UP_MS).toISOString().slice(0, 10);
  const after = newest !== null && newest < oldest ? oldest : newest;
  return dueCycles(calendar, nowMs, after).map((cycle) =>
    cycle.deadlineAt >= nowMs + SHORT_MS ? cycle : { ...cycle, deadlineAt: nowMs + LATE_CYCLE_MS },
  );
}
