import { join } from 'node:path';
import { createCatalog } from '../../src/catalog/index.ts';
import { createSystemState, type Db, isDatabaseTrouble, migrateDb, openDb } from '../../src/db/index.ts';
import { createDiscovery, discoverWikis } from '../../src/discovery/index.ts';
import { createBus } from '../../src/events/index.ts';
import { wirePipeline } from '../../src/pipeline.ts';
import { limitConnectionsPerHost, silentLog } from '../../src/ports/index.ts';
import { createQueue, type JobRequest, type Queue } from '../../src/queue/index.ts';
import { createScheduling } from '../../src/scheduling/index.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import type { Asked } from './answers.ts';
import { fakeDownload, fakeOutlets, fakeTorrents, type Line } from './fakes.ts';
import { LeapingClock, type ProcessClock } from './leaping-clock.ts';
import { MINUTE } from './moments.ts';
import { BASE_URL, createUpstream, MATRIX_URL, type SimUpstream, type UpstreamOptions } from './upstream.ts';

/** What the operator of the simulated installation wants. */
export const REGULAR_TYPES = ['pages-articles', 'pages-meta-current'] as const;
export const HISTORY_MONTHS = [1, 4, 7, 10] as const;
export const HISTORY_TYPES = ['pages-meta-history'] as const;

/** A simulated installation and the world around it. */
export interface World {
  readonly upstream: SimUpstream;
  readonly clock: LeapingClock;
  /** The running process's database. */
  db(): Db;
  /** A process begins on the database. */
  start(): Promise<void>;
  /** It ends as a daemon should. */
  stop(): Promise<void>;
  /** It works until then; false: it was killed on the way. */
  runUntil(epochMs: number): Promise<boolean>;
  /** The next request of this kind kills the process: nothing of it ever goes on. */
  killAt(asked: Asked): void;
  /** Turns the clock while no process runs. */
  leaveAlone(untilMs: number): void;
  close(): void;
}

/** The longest leap: what is due is done so late at most. */
const LEAP_MS = 60 * MINUTE;

/**
 * So many turns of the event loop without any news are a standstill: the longest work between two pieces of news, a look at
 * thousands of wikis that asks for all their files, takes a few thousand.
 */
const STILL_TURNS = 1_000_000;

/** While the database cannot be used, time goes on in such steps: the queue tries it again after ten seconds. */
const TRY_MS = 10_000;
/** Whoever holds the database of a test lets go of it soon; a full disk does not heal. */
const TROUBLED_MS = 60 * MINUTE;

/** What a world may differ in from the usual one. */
export interface WorldOptions extends Omit<UpstreamOptions, 'now' | 'asker' | 'isFatal'> {
  dataDir: string;
  startsAt: number;
  line: Pick<Line, 'bytesPerSecond' | 'perFileMs'>;
  sources: ('classic' | 'content_current')[];
  /** How often it looks: a word of the configuration, or a cron expression. */
  dumpCheck: string;
  /** Downloads run in the order in which they were asked for. */
  isFirstInFirstOut?: boolean;
}

/** Where the audit of moves is kept: beside the program's tables, written by triggers. */
const AUDIT = `
  CREATE TABLE IF NOT EXISTS sim_clock (now INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS sim_moves (cycle_date TEXT NOT NULL, was TEXT, is_now TEXT NOT NULL, at INTEGER NOT NULL);
  CREATE TRIGGER IF NOT EXISTS sim_opened AFTER INSERT ON cycles
    BEGIN INSERT INTO sim_moves SELECT new.cycle_date, NULL, new.status, now FROM sim_clock; END;
  CREATE TRIGGER IF NOT EXISTS sim_moved AFTER UPDATE OF status ON cycles
    BEGIN INSERT INTO sim_moves SELECT new.cycle_date, old.status, new.status, now FROM sim_clock; END;
  CREATE TABLE IF NOT EXISTS sim_carried (torrent_id INTEGER NOT NULL, dump_id INTEGER NOT NULL, at INTEGER NOT NULL);
  CREATE TRIGGER IF NOT EXISTS sim_carries AFTER INSERT ON torrent_files
    BEGIN INSERT INTO sim_carried SELECT new.torrent_id, new.dump_id, now FROM sim_clock; END;`;

/** Builds the world; nothing runs yet. */
export function createWorld(options: WorldOptions): World {
  const clock = new LeapingClock(options.startsAt);
  const path = join(options.dataDir, 'db', 'jobs.db');
  const line: Line = { ...options.line, takenUntil: 0 };
  let process: Process | null = null;
  let fatal: Asked | null = null;
  let isKilled = false;
  const upstream = createUpstream({
    ...options,
    now: () => clock.now(),
    asker: () => process?.asker() ?? null,
    isFatal: (asked) => {
      if (asked !== fatal) return false;
      fatal = null;
      isKilled = true;
      return true;
    },
  });

  /** @throws when nothing begins, ends or is asked for any more, and yet something is said to go on that is no fetch */
  async function settle(): Promise<void> {
    let news = -1;
    let idleTurns = 0;
    for (let calm = 0; calm < 4; ) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isKilled || process === null) return;
      calm = process.isCalm() ? calm + 1 : 0;
      const seen = process.newsSoFar() + upstream.requests.length;
      idleTurns = seen === news ? idleTurns + 1 : 0;
      news = seen;
      if (idleTurns > STILL_TURNS)
        throw new Error(
          `the world stands still at ${new Date(clock.now()).toISOString()}: ${process.report()}`,
        );
    }
  }

  function noteTime(epochMs: number): void {
    try {
      process?.noteTime.run(epochMs);
    } catch (error) {
      // Somebody else holds it: the program meets that, too, and tries again.
      if (!isDatabaseTrouble(error)) throw error;
    }
  }

  /** When the database began to be unusable. */
  let troubledSince: number | null = null;

  /** How far time goes at once. @throws when the database stays unusable */
  function leap(): number {
    const trouble = process?.trouble() ?? null;
    if (trouble === null) {
      troubledSince = null;
      return LEAP_MS;
    }
    troubledSince ??= clock.now();
    if (clock.now() - troubledSince > TROUBLED_MS)
      throw new Error(`since ${new Date(troubledSince).toISOString()}: ${trouble}`);
    return TRY_MS;
  }

  return {
    upstream,
    clock,
    db() {
      if (process === null) throw new Error('no process runs');
      return process.db;
    },
    async start() {
      isKilled = false;
      process = startProcess({ ...options, path, clock: clock.forProcess(), upstream, line });
      // Only now: a job that the last process left under way asks at once, and has to be known as the asker.
      await process.begin();
      await settle();
    },
    async stop() {
      await process?.stop();
      process?.db.close();
      process = null;
    },
    async runUntil(epochMs) {
      for (;;) {
        await settle();
        if (isKilled && process !== null) {
          // Whatever it was writing at that moment is written; nothing wakes it again.
          process.clock.kill();
          for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
          process.db.close();
          process = null;
          return false;
        }
        if (clock.now() >= epochMs) return true;
        const next = Math.min(epochMs, clock.nextEnd(), clock.now() + leap());
        noteTime(next);
        clock.leapTo(next);
      }
    },
    killAt(asked) {
      fatal = asked;
    },
    leaveAlone: (untilMs) => clock.leapTo(untilMs),
    close: () => process?.db.close(),
  };
}

interface Process {
  db: Db;
  clock: ProcessClock;
  begin(): Promise<void>;
  /** Nothing goes on but fetches. */
  isCalm(): boolean;
  /** Grows with everything that begins or ends. */
  newsSoFar(): number;
  /** What goes on, for whoever has to find out why it does not end. */
  report(): string;
  /** The database cannot be used, and is tried again when time has gone on; null: it can. */
  trouble(): string | null;
  /** Unique key of the job that looks at upstream. */
  asker(): string | null;
  noteTime: { run(epochMs: number): unknown };
  stop(): Promise<void>;
}

let processes = 0;

/** The rooms, wired as `app.ts` does; what moves bytes is faked. */
function startProcess(
  deps: WorldOptions & { path: string; clock: ProcessClock; upstream: SimUpstream; line: Line },
): Process {
  const { clock, upstream } = deps;
  const db = openDb(deps.path);
  db.sqlite.pragma('synchronous = OFF');
  migrateDb(db, { dataDir: null, now: new Date(clock.now()) });
  db.sqlite.exec(AUDIT);
  if (db.sqlite.prepare('SELECT 1 FROM sim_clock').get() === undefined)
    db.sqlite.prepare('INSERT INTO sim_clock VALUES (?)').run(clock.now());
  db.sqlite.prepare('UPDATE sim_clock SET now = ?').run(clock.now());
  processes += 1;
  const random = seededRandom(deps.seed + processes);
  const log = silentLog;
  const bus = createBus({ log });
  const state = createSystemState(db);
  const catalog = createCatalog({ db, clock });
  const running = new Map<number, string>();
  let news = 0;
  bus.on('job:started', ({ jobId, jobType }) => {
    running.set(jobId, jobType);
    news += 1;
  });
  for (const end of ['job:completed', 'job:attemptFailed', 'job:givenBack'] as const)
    bus.on(end, ({ jobId }) => {
      running.delete(jobId);
      news += 1;
    });
  let trouble: string | null = null;
  const alerts: string[] = [];
  bus.on('alert:raised', ({ key, message }) => {
    alerts.push(message);
    if (key === 'database') trouble = message;
  });
  bus.on('alert:resolved', ({ key }) => {
    if (key === 'database') trouble = null;
  });
  const real = createQueue({
    ...{ db, state, clock, random, log, bus },
    concurrency: { download_dump: 6, find_dumps: 1 },
  });
  const queue: Queue = deps.isFirstInFirstOut === true ? withoutPriorities(real) : real;
  const discovery = createDiscovery({
    ...{ catalog, clock, log, state },
    http: limitConnectionsPerHost(upstream.http, 2),
    config: {
      ...{ regularTypes: REGULAR_TYPES, historyTypes: HISTORY_TYPES },
      ...{ historyFormat: '7z', splitFiles: 'prefer_whole', wikistatsUrl: null },
      ...{ dumpsBaseUrl: BASE_URL, sitematrixUrl: MATRIX_URL, sources: deps.sources, cycleDays: [1, 20] },
      wikis: {
        include: ['*'],
        exclude: upstream.wikis.filter(({ part }) => part === 'excluded').map(({ wikiDbName }) => wikiDbName),
        maxSizeBytes: null,
      },
    },
    askForDownloads: (run) => pipeline.askForDownloads(run),
  });
  const types = { regularTypes: REGULAR_TYPES, historyTypes: HISTORY_TYPES };
  queue.register([
    ...discovery.handlers,
    fakeDownload({ catalog, clock, upstream, line: deps.line }),
    fakeTorrents({ catalog, ...types }),
    ...fakeOutlets({ catalog }),
  ]);
  const pipeline = wirePipeline({
    ...{ queue, catalog, bus, clock, uploadsEnabled: false, seedingEnabled: true },
    torrents: { groupings: ['cycle'], wikiRunMinSizeBytes: 1, historyTypes: HISTORY_TYPES },
    afterCommit: db.afterCommit,
    proofEnded: () => [],
    ...{ sourcesOf: discovery.sourcesOf, isLookedAt: discovery.isLookedAt },
  });
  const scheduling = createScheduling({
    ...{ db, catalog, queue, state, bus, clock, log, random },
    config: {
      ...{ cycleDays: [1, 20], embargoDays: 1, deadlines: { firstCycle: 19, secondCycle: -1 } },
      ...{ includeHistory: true, historyMonths: [...HISTORY_MONTHS] },
      ...{ wikiDiscovery: 'weekly', dumpCheck: deps.dumpCheck },
    },
    requests: {
      discoverWikis: () => discoverWikis.request({}),
      lastLookAt: (cycle) => discovery.lastLookAt(cycle),
      beforeDeadlineSeal: (cycle) => discovery.noteUnseen(cycle),
      hasRuns: () => true,
      looks: () => pipeline.looks(),
      sealedAtDeadline: (cycleDate) => pipeline.missingTorrents(cycleDate),
      daily: () => pipeline.daily(),
    },
  });
  const asker = db.sqlite
    .prepare<[], string>(
      `SELECT unique_key FROM jobs WHERE status = 'in_progress' AND job_type IN ('find_dumps', 'discover_wikis') ORDER BY job_type DESC LIMIT 1`,
    )
    .pluck();
  return {
    db,
    clock,
    async begin() {
      await discovery.releaseSwitchedOff();
      await pipeline.reconcile();
      queue.start();
      scheduling.start();
    },
    // Results that cannot be written wait for a later time, and their jobs with them.
    isCalm: () => trouble !== null || running.size === clock.fetching,
    trouble: () => trouble,
    newsSoFar: () => news,
    report() {
      const row = db.sqlite.prepare('SELECT * FROM jobs WHERE id = ?');
      const jobs = [...running.keys()].map((jobId) => row.get(jobId));
      return `${clock.fetching} fetches, ${running.size} jobs: ${JSON.stringify(jobs, null, 1)}; alerts: ${alerts.slice(-5).join('; ')}`;
    },
    noteTime: db.sqlite.prepare<[number]>('UPDATE sim_clock SET now = ?'),
    asker: () => asker.get() ?? null,
    async stop() {
      scheduling.stop();
      await queue.stop(30_000);
      clock.kill();
    },
  };
}

/** The same queue, for which every download is as important as any other. */
function withoutPriorities(queue: Queue): Queue {
  const flatten = (requests: readonly JobRequest[]): JobRequest[] =>
    requests.map((request) => (request.type === 'download_dump' ? { ...request, priority: 100 } : request));
  return {
    ...queue,
    enqueue: (requests) => queue.enqueue(flatten(requests)),
    follow: (type, follow) =>
      queue.follow(type, (input, output, recorded, job) =>
        flatten(follow(input, output, recorded as Parameters<typeof follow>[2], job)),
      ),
    followFailure: (type, follow) => queue.followFailure(type, (...facts) => flatten(follow(...facts))),
    whenSettled: (types, onSettled) => queue.whenSettled(types, (cycle) => flatten(onSettled(cycle))),
  };
}
