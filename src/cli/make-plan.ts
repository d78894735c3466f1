import { existsSync, readdirSync } from 'node:fs';
import { calendarOf, createAppHttp, discoveryConfigOf } from '../app-settings.ts';
import { type Catalog, type Cycle, createCatalog } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import {
  createSystemState,
  type Db,
  knownMigrations,
  migrateDb,
  openMemoryDb,
  schemaOf,
} from '../db/index.ts';
import { type CyclePlan, createDiscovery, type DiscoveryRoom } from '../discovery/index.ts';
import { formatDuration, UsageError } from '../lib/index.ts';
import { type Clock, createSystemClock, silentLog } from '../ports/index.ts';
import { cyclesToOpen, type PlannedCycle } from '../scheduling/index.ts';
import { createLayout } from '../storage/index.ts';
import { openForReading } from './load.ts';
import { counted } from './words.ts';

/** What is to be planned. */
export interface PlanRequest {
  config: Config;
  signal: AbortSignal;
  /** `YYYY-MM-DD`; undefined: the newest one that is open or due. */
  cycleDate?: string | undefined;
  /** Ask upstream even when what was stored would do. */
  ask?: boolean | undefined;
  /** Wikis that had to be asked for singly. */
  onProgress?: (done: number, total: number) => void;
}

/** A plan, and of which cycle. */
export interface Plan extends CyclePlan {
  /** `due`: it would be opened now; `not_due`: it would not be opened by itself. */
  state: Cycle['status'] | 'due' | 'not_due';
  includesHistory: boolean;
}

const DAY_MS = 24 * 60 * 60_000;

/**
 * Plans a cycle: from what is stored when the database knows it, else from what upstream says now, which is then written to a
 * database in memory by the code that acts. Nothing on disk changes; a daemon may run meanwhile.
 * @throws UsageError the date is no cycle's; RetryableError and others when upstream does not answer
 */
export async function makePlan(request: PlanRequest): Promise<Plan> {
  const clock = createSystemClock();
  const stored = openStored(request.config.wikiseed.dataDir, clock);
  try {
    const known = stored === null ? [] : createCatalog({ db: stored, clock }).cycles();
    const chosen = chooseCycle(request, known, clock.now());
    const needsAsking =
      request.ask === true || stored === null || chosen.cycle === null || !hasRuns(stored, chosen.cycle);
    if (!needsAsking) return planStored(request, stored, chosen, clock);
    const scratch = openMemoryDb('');
    try {
      migrateDb(scratch, { dataDir: null, now: new Date(clock.now()) });
      if (stored !== null) copyCycle(stored, scratch, chosen.planned.cycleDate);
      return await planAsking(request, scratch, chosen, clock);
    } finally {
      scratch.close();
    }
  } finally {
    stored?.close();
  }
}

/** A cycle to plan; `cycle` is null when the database does not know it. */
interface Chosen {
  planned: PlannedCycle;
  cycle: Cycle | null;
  state: Plan['state'];
  notices: string[];
}

function chooseCycle(request: PlanRequest, known: readonly Cycle[], nowMs: number): Chosen {
  const { config, cycleDate: asked } = request;
  const calendar = calendarOf(config);
  const due = cyclesToOpen(calendar, nowMs, known);
  const open = known.filter(({ status }) => status === 'open');
  const candidates = [...open, ...due].map(({ cycleDate }) => cycleDate).sort();
  const wanted = asked ?? candidates.at(-1) ?? known[0]?.cycleDate;
  const notices: string[] = [];
  const others = candidates.filter((date) => date !== wanted);
  if (others.length > 0)
    notices.push(
      `also open or due: ${others.join(', ')}; "wikiseed plan --cycle ${others.at(-1)}" plans that one`,
    );
  const cycle = known.find((each) => each.cycleDate === wanted);
  if (cycle !== undefined) {
    if (asked === undefined && candidates.length === 0)
      notices.push(
        `no cycle is open or due; ${cycle.cycleDate} is the newest one, and it is ${cycle.status}`,
      );
    return { planned: cycle, cycle, state: cycle.status, notices };
  }
  const opened = due.find((each) => each.cycleDate === wanted);
  if (opened !== undefined) return { planned: opened, cycle: null, state: 'due', notices };
  // One that upstream can still serve, although it would not be opened any more.
  const before =
    wanted === undefined ? null : new Date(Date.parse(wanted) - DAY_MS).toISOString().slice(0, 10);
  const past =
    before === null
      ? undefined
      : cyclesToOpen(calendar, nowMs, [{ cycleDate: before }]).find((each) => each.cycleDate === wanted);
  if (past !== undefined) {
    notices.push(`${past.cycleDate} is not open, and would not be opened by itself`);
    return { planned: past, cycle: null, state: 'not_due', notices };
  }
  throw new UsageError(
    `${wanted ?? 'today'} is no cycle that can be planned`,
    `Cycles begin on ${config.scheduling.cycleDays.map((day) => `day ${day}`).join(' and ')} of a month, are taken ${counted(config.scheduling.embargoDays, 'day')} later, and upstream keeps them for about half a year. "wikiseed cycles" lists those we know.`,
  );
}

function planStored(request: PlanRequest, stored: Db, chosen: Chosen, clock: Clock): Plan {
  // One moment of a database that a daemon may be writing to.
  stored.sqlite.exec('BEGIN');
  try {
    const catalog = createCatalog({ db: stored, clock });
    const runs = catalog.runs(chosen.planned.cycleDate);
    const looked = runs.map(({ checkedAt }) => checkedAt);
    const age = (at: number): string => formatDuration(Math.max(1000, clock.now() - at));
    const newest = Math.max(...looked);
    const oldest = Math.min(...looked);
    const span =
      newest - oldest < 60_000 ? `${age(oldest)} ago` : `between ${age(oldest)} and ${age(newest)} ago`;
    const notices = [
      `planned from the last looks at upstream, ${span}; --ask looks again`,
      ...(chosen.cycle?.scannedAt === null ? ['not every wiki was looked at yet'] : []),
    ];
    return finish(roomOf(request, stored, catalog, clock), chosen, notices);
  } finally {
    stored.sqlite.exec('ROLLBACK');
  }
}

async function planAsking(request: PlanRequest, scratch: Db, chosen: Chosen, clock: Clock): Promise<Plan> {
  const { signal, onProgress } = request;
  const catalog = createCatalog({ db: scratch, clock });
  const room = roomOf(request, scratch, catalog, clock);
  const { cycleDate, includesHistory, deadlineAt } = chosen.planned;
  catalog.openCycle({ cycleDate, includesHistory, deadlineAt });
  if (request.ask === true || catalog.wikis().length === 0) await room.lookForWikis(signal);
  await room.lookNow({ cycleDate, signal, ...(onProgress === undefined ? {} : { onProgress }) });
  return finish(room, chosen, ['planned from what upstream says now; nothing was stored']);
}

function finish(room: DiscoveryRoom, chosen: Chosen, notices: readonly string[]): Plan {
  const { cycleDate, includesHistory } = chosen.planned;
  const status = chosen.cycle?.status ?? 'open';
  const plan = room.plan({ cycleDate, includesHistory, status });
  return {
    ...plan,
    state: chosen.state,
    includesHistory,
    notices: [...chosen.notices, ...notices, ...plan.notices],
  };
}

/** The room that acts. A daemon on this machine has its own connections: one more is within the limit of three. */
function roomOf(request: PlanRequest, db: Db, catalog: Catalog, clock: Clock): DiscoveryRoom {
  const { config } = request;
  const http = createAppHttp({ ...config, download: { ...config.download, perHostConnections: 1 } }, clock);
  const state = createSystemState(db);
  return createDiscovery({ catalog, state, http, clock, log: silentLog, config: discoveryConfigOf(config) });
}

/** The database as it is, for reading; null when there is none yet. One of another version is migrated in memory. */
function openStored(dataDir: string, clock: Clock): Db | null {
  const { database, records, backups } = createLayout(dataDir);
  const schema = schemaOf(database) ?? 0;
  const wasThereBefore = [records, backups].some(
    (folder) => existsSync(folder) && readdirSync(folder).length > 0,
  );
  if (schema === 0 && !wasThereBefore) return null;
  if (schema === 0 || schema === knownMigrations()) return openForReading(dataDir);
  const copy = openMemoryDb(database);
  try {
    migrateDb(copy, { dataDir: null, now: new Date(clock.now()) });
    return copy;
  } catch (error) {
    copy.close();
    throw error;
  }
}

const hasRuns = (db: Db, { cycleDate }: Cycle): boolean =>
  db.sqlite.prepare('SELECT 1 FROM dump_runs WHERE cycle_date = ? LIMIT 1').get(cycleDate) !== undefined;

/** Copies what a look at a cycle builds on: wikis, cycles, its runs with their descriptions, and its files. */
function copyCycle(from: Db, to: Db, cycleDate: string): void {
  const ofRuns = 'IN (SELECT id FROM dump_runs WHERE cycle_date = @cycleDate)';
  const ofFiles = 'IN (SELECT id FROM dumps WHERE cycle_date = @cycleDate)';
  const parts: [string, string][] = [
    ['wikis', '1'],
    ['cycles', '1'],
    ['dump_runs', 'cycle_date = @cycleDate'],
    ['run_documents', `run_id ${ofRuns}`],
    ['dumps', 'cycle_date = @cycleDate'],
    ['dump_replacements', `dump_id ${ofFiles}`],
    ['system_state', `key LIKE 'scan:' || @cycleDate || ':%'`],
  ];
  from.sqlite.exec('BEGIN');
  try {
    to.transaction(() => {
      for (const [table, condition] of parts) {
        const read = from.sqlite.prepare<[{ cycleDate: string }], Record<string, unknown>>(
          `SELECT * FROM ${table} WHERE @cycleDate IS NOT NULL AND ${condition}`,
        );
        const names = read.columns().map(({ name }) => name);
        const write = to.sqlite.prepare<[Record<string, unknown>]>(
          `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`,
        );
        for (const row of read.iterate({ cycleDate })) write.run(row);
      }
    });
  } finally {
    from.sqlite.exec('ROLLBACK');
  }
}
