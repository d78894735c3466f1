import { calendarOf, createAppHttp, discoveryConfigOf } from '../app-settings.ts';
import { type Catalog, type Cycle, createCatalog } from '../catalog/index.ts';
import type { Config } from '../config/index.ts';
import {
  createSystemState,
  type Db,
  isDataDirectoryInUse,
  knownMigrations,
  migrateDb,
  openMemoryDb,
} from '../db/index.ts';
import { type CyclePlan, createDiscovery, type DiscoveryRoom } from '../discovery/index.ts';
import { formatDuration, UsageError } from '../lib/index.ts';
import { type Clock, createSystemClock, silentLog } from '../ports/index.ts';
import { cyclesToOpen, type PlannedCycle } from '../scheduling/index.ts';
import { copyTables, EVERY_CYCLE, ONE_CYCLE, openStored } from './stored-reader.ts';
import { counted } from './words.ts';

/** What is to be planned. */
export interface PlanRequest {
  config: Config;
  signal: AbortSignal;
  /** `YYYY-MM-DD`; undefined: the newest one that is open or due. */
  cycleDate?: string | undefined;
  /** Ask upstream even when what was stored would do. */
  ask?: boolean | undefined;
  /** Default: the system's. */
  clock?: Clock;
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
/** See design: the hard maximum for one address. */
const CONNECTIONS_MAX = 3;

/**
 * Plans a cycle: from what is stored when the database knows it, else from what upstream says now, which is then written to a
 * database in memory by the code that acts. Nothing on disk changes; a daemon may run meanwhile.
 * @throws UsageError the date is no cycle's; RetryableError and others when upstream does not answer
 */
export async function makePlan(request: PlanRequest): Promise<Plan> {
  const { clock = createSystemClock() } = request;
  const { db, chosen } = loadStored(request, clock);
  try {
    const needsAsking = request.ask === true || chosen.cycle === null || !hasRuns(db, chosen.cycle);
    return needsAsking && isLookedAt(chosen.cycle, createCatalog({ db, clock }))
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
    `Cycles begin on ${config.scheduling.cycleDays.map((day) => `day ${day}`).join(' and ')} of a month and are taken ${counted(config.scheduling.embargoDays, 'day')} later. Those of the last six months can be planned; upstream keeps most runs for three to five months only. "wikiseed cycles" lists the cycles we know.`,
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
  const isOver = !isLookedAt(chosen.cycle, catalog);
  const over = 'a run does not look at this cycle again';
  const again = !isOver ? '--ask looks again' : request.ask === true ? `not asked: ${over}` : over;
  const notices = [
    looked.length === 0
      ? `nothing is known of its runs; ${again}`
      : `planned from the last looks at upstream, ${span}; ${again}`,
    ...(chosen.cycle?.scannedAt === null ? ['not every wiki was looked at yet'] : []),
  ];
  const room = roomOf(request, stored, catalog, clock);
  return finish({ room, catalog }, chosen, clock.now(), notices);
}

async function planAsking(request: PlanRequest, scratch: Db, chosen: Chosen, clock: Clock): Promise<Plan> {
  const { signal, onProgress } = request;
  refuseFourth(request.config);
  const catalog = createCatalog({ db: scratch, clock });
  const room = roomOf(request, scratch, catalog, clock);
  const { cycleDate, includesHistory, deadlineAt } = chosen.planned;
  catalog.openCycle({ cycleDate, includesHistory, deadlineAt });
  if (request.ask === true || catalog.wikis().length === 0) await room.lookForWikis(signal);
  await room.lookNow({ cycleDate, signal, ...(onProgress === undefined ? {} : { onProgress }) });
  return finish({ room, catalog }, chosen, clock.now(), [
    'planned from what upstream says now; nothing was stored',
  ]);
}

function finish(
  { room, catalog }: { room: DiscoveryRoom; catalog: Catalog },
  chosen: Chosen,
  nowMs: number,
  notices: readonly string[],
): Plan {
  const { cycleDate, includesHistory } = chosen.planned;
  const status = chosen.cycle?.status ?? 'open';
  const plan = room.plan({ cycleDate, includesHistory, status });
  return {
    ...plan,
    state: chosen.state,
    includesHistory,
    notices: [...chosen.notices, ...notices, ...lateNotices(chosen.cycle, catalog, nowMs), ...plan.notices],
  };
}

/** What sealing means for what is planned. */
function lateNotices(cycle: Cycle | null, catalog: Catalog, nowMs: number): string[] {
  if (cycle === null || cycle.sealedAt === null) return [];
  const sealed = `the cycle was sealed ${formatDuration(Math.max(1000, nowMs - cycle.sealedAt))} ago`;
  if (!catalog.takesFiles(cycle.cycleDate))
    return [`${sealed} and takes no late files any more, whatever upstream offers`];
  return catalog.mayBringMore(cycle.cycleDate)
    ? [`${sealed}: what comes now goes into a supplement`]
    : [`${sealed} and nothing more of it is awaited`];
}

/**
 * Upstream blocks whoever opens a fourth connection, and a daemon has its own ones.
 * @throws UsageError
 */
function refuseFourth({ wikiseed: { dataDir }, download: { perHostConnections } }: Config): void {
  if (perHostConnections + 1 <= CONNECTIONS_MAX || !isDataDirectoryInUse(dataDir)) return;
  throw new UsageError(
    `upstream cannot be asked now: the running daemon may have all ${CONNECTIONS_MAX} connections that upstream allows`,
    'Stop the daemon first, or set download.per_host_connections to 2 and restart it. A cycle that it has looked at is planned without --ask.',
  );
}

/** The room that acts, with one connection; see `refuseFourth`. */
function roomOf(request: PlanRequest, db: Db, catalog: Catalog, clock: Clock): DiscoveryRoom {
  const { config } = request;
  const http = createAppHttp({ ...config, download: { ...config.download, perHostConnections: 1 } }, clock);
  const state = createSystemState(db);
  return createDiscovery({ catalog, state, http, clock, log: silentLog, config: discoveryConfigOf(config) });
}

/** Whether a run would look at it, as the pipeline decides: what only we asked for would be a promise that nobody keeps. */
const isLookedAt = (cycle: Cycle | null, catalog: Catalog): boolean =>
  cycle === null ||
  cycle.status === 'open' ||
  (catalog.takesFiles(cycle.cycleDate) && catalog.mayBringMore(cycle.cycleDate));

const hasRuns = (db: Db, { cycleDate }: Cycle): boolean =>
  db.sqlite.prepare('SELECT 1 FROM dump_runs WHERE cycle_date = ? LIMIT 1').get(cycleDate) !== undefined;
