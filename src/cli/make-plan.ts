import { calendarOf, createAppHttp, discoveryConfigOf } from '../app-settings.ts';
import { type Catalog, type Cycle, createCatalog } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import { createSystemState, type Db, knownMigrations, migrateDb, openMemoryDb } from '../db/index.ts';
import { type CyclePlan, createDiscovery, type DiscoveryRoom } from '../discovery/index.ts';
import { formatDuration, UsageError } from '../lib/index.ts';
import { type Clock, createSystemClock, silentLog } from '../ports/index.ts';
import { cyclesToOpen, type PlannedCycle } from '../scheduling/index.ts';
import { openStored, type StoredReader } from './stored-reader.ts';
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
  const { db, chosen } = loadStored(request, clock);
  try {
    const needsAsking = request.ask === true || chosen.cycle === null || !hasRuns(db, chosen.cycle);
    return needsAsking
      ? await planAsking(request, db, chosen, clock)
      : planStored(request, db, chosen, clock);
  } finally {
    db.close();
  }
}

/** What is stored of the cycle to plan, in memory. */
function loadStored(request: PlanRequest, clock: Clock): { db: Db; chosen: Chosen } {
  // A second time when a daemon started just then.
  for (let mayRepeat = true; ; mayRepeat = false) {
    const reader = openStored(request.config.wikiseed.dataDir);
    const isOlder = reader !== null && reader.schema > 0 && reader.schema !== knownMigrations();
    // One of another version is copied whole, and migrated in memory.
    const db = openMemoryDb(isOlder ? reader.path : '');
    try {
      migrateDb(db, { dataDir: null, now: new Date(clock.now()) });
      const isCopied = reader === null || reader.schema === 0 || isOlder;
      if (!isCopied) copyTables(reader, db, EVERY_CYCLE);
      const chosen = chooseCycle(request, createCatalog({ db, clock }).cycles(), clock.now());
      if (!isCopied) copyTables(reader, db, ONE_CYCLE, chosen.planned.cycleDate);
      if (reader?.isTrue() === false && mayRepeat) db.close();
      else return { db, chosen };
    } catch (error) {
      db.close();
      throw error;
    } finally {
      reader?.close();
    }
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
  const catalog = createCatalog({ db: stored, clock });
  const looked = catalog.runs(chosen.planned.cycleDate).map(({ checkedAt }) => checkedAt);
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

const hasRuns = (db: Db, { cycleDate }: Cycle): boolean =>
  db.sqlite.prepare('SELECT 1 FROM dump_runs WHERE cycle_date = ? LIMIT 1').get(cycleDate) !== undefined;

/** What a plan and a look build on: tables, and which of their rows. */
const EVERY_CYCLE = { wikis: '', cycles: '' };
const OF_CYCLE = 'WHERE cycle_date = ?';
const ONE_CYCLE = {
  dump_runs: OF_CYCLE,
  run_documents: `WHERE run_id IN (SELECT id FROM dump_runs ${OF_CYCLE})`,
  dumps: OF_CYCLE,
  dump_replacements: `WHERE dump_id IN (SELECT id FROM dumps ${OF_CYCLE})`,
  system_state: `WHERE key LIKE 'scan:' || ? || ':%'`,
};

function copyTables(from: StoredReader, to: Db, tables: Record<string, string>, cycleDate?: string): void {
  to.transaction(() => {
    for (const [table, condition] of Object.entries(tables)) {
      const names = to.sqlite
        .prepare<[string], string>('SELECT name FROM pragma_table_info(?)')
        .pluck()
        .all(table);
      const write = to.sqlite.prepare<[Record<string, unknown>]>(
        `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`,
      );
      for (const row of from.rows(`SELECT ${names.join(', ')} FROM ${table} ${condition}`, cycleDate))
        write.run({ ...row });
    }
  });
}
