import type { Config } from './config/index.ts';
import { scrubFiles } from './download/index.ts';
import { backupDb, rehearseRestore } from './maintenance/index.ts';
import { pruneStorage } from './pruning/index.ts';
import type { Queue } from './queue/index.ts';
import { everyMs, type ScheduledJob } from './scheduling/index.ts';
import { collectStats } from './seeding/index.ts';
import { watchWebseeds } from './webseeds/index.ts';

/* What runs by the clock, the calendar of the cycles apart. */

/** @param ofMaintenance the database's own care */
export function schedulesOf(config: Config, ofMaintenance: readonly ScheduledJob[]): ScheduledJob[] {
  const { maintenance, seeding } = config;
  return [
    {
      name: backupDb.type,
      cron: dailyAt(maintenance.backupMinuteOfDay),
      request: () => backupDb.request({ reason: 'scheduled' }),
    },
    {
      name: rehearseRestore.type,
      cron: maintenance.restoreRehearsal,
      request: () => rehearseRestore.request({}),
    },
    ...ofMaintenance,
    {
      name: collectStats.type,
      cron: everyMs(seeding.statsIntervalMs),
      request: () => collectStats.request({}),
    },
    { name: watchWebseeds.type, cron: 'hourly', request: () => watchWebseeds.request({}) },
    { name: pruneStorage.type, cron: 'daily', request: () => pruneStorage.request({}) },
    ...(maintenance.scrub.enabled
      ? [{ name: scrubFiles.type, cron: 'daily', request: () => scrubFiles.request({}) }]
      : []),
  ];
}

/** Asks for the counting of swarms before its time. */
export function firstLookOf(config: Config, queue: Pick<Queue, 'enqueue'>) {
  return {
    intervalMs: config.seeding.statsIntervalMs,
    ask: (delayMs: number) => void queue.enqueue([collectStats.request({}, { delayMs })]),
  };
}

/** Cron expression for a minute of the day, UTC. */
function dailyAt(minuteOfDay: number): string {
  return `${minuteOfDay % 60} ${Math.floor(minuteOfDay / 60)} * * *`;
}
