import { Cron } from 'croner';

/** Words accepted beside cron expressions. What asks upstream is moved on by up to an hour, see `spreadMs`. */
const WORDS: Readonly<Record<string, string>> = {
  hourly: '17 * * * *',
  daily: '17 5 * * *',
  weekly: '17 4 * * 1',
  monthly: '17 4 2 * *',
};

const EVERY = /^every (\d+) ms$/;

/** A schedule that comes again after so many ms, whatever the hour. */
export function everyMs(ms: number): string {
  return `every ${ms} ms`;
}

/** Next time after `fromMs`, epoch ms. A word is moved on by `delayMs`; a cron expression is meant as it is written. */
export function nextRun(cron: string, fromMs: number, delayMs: number): number {
  const every = EVERY.exec(cron)?.[1];
  if (every !== undefined) return fromMs + Number(every);
  const word = WORDS[cron];
  const lateMs = word === undefined ? 0 : delayMs;
  // Not `timezone: 'UTC'`, which means the same: the tables of all time zones take 30 ms to load, in the turn that starts everything.
  const next = new Cron(word ?? cron, { utcOffset: 0, paused: true }).nextRun(new Date(fromMs - lateMs));
  return next === null ? Number.POSITIVE_INFINITY : next.getTime() + lateMs;
}

/** Longest of the next few waits, ms: some expressions have a short one at the end of a month. */
export function longestStep(cron: string, fromMs: number): number {
  let longestMs = 0;
  let from = fromMs;
  for (let step = 0; step < 3; step += 1) {
    const next = nextRun(cron, from, 0);
    if (!Number.isFinite(next)) break;
    longestMs = Math.max(longestMs, next - from);
    from = next;
  }
  return longestMs;
}
