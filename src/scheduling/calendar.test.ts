import { expect, test } from 'vitest';
import { type CycleCalendar, cyclesToOpen, dueCycles } from './calendar.ts';

const calendar: CycleCalendar = {
  cycleDays: [1, 20],
  embargoDays: 1,
  deadlines: { firstCycle: 19, secondCycle: -1 },
  includeHistory: true,
  historyMonths: [1, 7],
};
const at = (text: string): number => Date.parse(`${text}Z`);
const dates = (now: string, after: string | null): string[] =>
  dueCycles(calendar, at(now), after).map((cycle) => cycle.cycleDate);

test('a first start takes only the newest cycle whose embargo has passed', () => {
  expect(dates('2026-11-23T00:00', null)).toEqual(['2026-11-20']);
  expect(dates('2026-11-20T23:59', null)).toEqual(['2026-11-01']);
  expect(dates('2026-11-21T00:00', null)).toEqual(['2026-11-20']);
  expect(dates('2026-01-01T12:00', null)).toEqual(['2025-12-20']);
});

test('after downtime every missed cycle is due, oldest first, across a new year', () => {
  expect(dates('2027-01-02T00:00', '2026-11-01')).toEqual([
    '2026-11-20',
    '2026-12-01',
    '2026-12-20',
    '2027-01-01',
  ]);
  expect(dates('2026-11-23T00:00', '2026-11-20')).toEqual([]);
});

test('a cycle ends when its last allowed day is over', () => {
  const [first] = dueCycles(calendar, at('2026-02-05T00:00'), '2026-01-20');
  expect(first).toMatchObject({ cycleDate: '2026-02-01', deadlineAt: at('2026-02-20T00:00') });
  const [second] = dueCycles(calendar, at('2026-02-25T00:00'), '2026-02-01');
  expect(second).toMatchObject({ cycleDate: '2026-02-20', deadlineAt: at('2026-03-01T00:00') });
});

test('history comes with the first cycle of the configured months only', () => {
  const found = dueCycles(calendar, at('2026-08-02T00:00'), '2026-06-20');
  expect(found.filter((cycle) => cycle.includesHistory).map((cycle) => cycle.cycleDate)).toEqual([
    '2026-07-01',
  ]);
});

test('a clock that was wrong at the first start costs no cycle', () => {
  const opened: { cycleDate: string }[] = [];
  const start = (now: string): string[] => {
    const due = cyclesToOpen(calendar, at(now), opened).map(({ cycleDate }) => ({ cycleDate }));
    opened.push(...due.filter(({ cycleDate }) => !opened.some((known) => known.cycleDate === cycleDate)));
    return due.map(({ cycleDate }) => cycleDate);
  };
  // Twenty-nine days ahead, then right.
  expect(start('2026-12-22T00:00')).toEqual(['2026-12-20']);
  expect(start('2026-11-23T00:00')).toEqual(['2026-11-20']);
  expect(start('2026-11-24T00:00')).toEqual([]);
  expect(start('2026-12-02T00:00')).toEqual(['2026-12-01']);
  expect(start('2026-12-21T00:00')).toEqual([]);
  expect(start('2027-01-02T00:00')).toEqual(['2027-01-01']);
});
