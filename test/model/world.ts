import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createSystemState, type Db, migrateDb, openDb } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  CorruptError,
  HaltPipelineError,
  Interrupted,
  PermanentError,
  RetryableError,
  Snooze,
  UnavailableError,
} from '../../src/lib/index.ts';
import { silentLog } from '../../src/ports/index.ts';
import {
  createQueue,
  defineJob,
  handleJob,
  type JobContext,
  type JobRequest,
  type Queue,
} from '../../src/queue/index.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import type { Change } from './audited-db.ts';
import { followUps, GROUPS, type How, KINDS, type KindName, type Wish } from './kinds.ts';
import type { Process } from './ledger.ts';
import type { ProcessClock } from './sim-clock.ts';

const input = z.object({
  page: z.string(),
  isDeaf: z.boolean(),
  key: z.string(),
  cycle: z.string().nullable(),
});
const output = z.object({ isBroken: z.boolean() });
type Input = z.infer<typeof input>;

const jobTypes = Object.fromEntries(
  Object.entries(KINDS).map(([type, kind]) => [
    type,
    defineJob({
      type,
      input,
      output,
      uniqueKey: ({ page }) => page,
      target: kind.targets,
      maxAttempts: kind.maxAttempts,
      leaseMs: kind.leaseMs,
      timeoutMs: kind.timeoutMs,
    }),
  ]),
);

/** The wish in the form that the queue takes. */
export function requestOf(wish: Wish, isDeaf: boolean): JobRequest {
  const page = wish.key.slice(wish.key.indexOf(':') + 1);
  const made = jobTypes[wish.type]?.request({ page, isDeaf, key: wish.key, cycle: wish.cycle }) as JobRequest;
  return { ...made, priority: wish.priority, delayMs: wish.delayMs, cycleDate: wish.cycle };
}

/** What a handler throws to end like this. */
export function errorOf(how: How): unknown {
  switch (how.end) {
    case 'retryable':
      return new RetryableError('busy', 'try later', how);
    case 'corrupt':
      return new CorruptError('bad_hash', 'not what was asked for');
    case 'permanent':
      return new PermanentError('gone', 'never again');
    case 'interrupted':
      return new Interrupted();
    case 'halt':
      return new HaltPipelineError('refused', 'go away', how);
    case 'unavailable':
      return new UnavailableError('down', 'out of reach', how);
    case 'snooze':
      return new Snooze('not yet', how.delayMs, how.cursor === undefined ? undefined : { at: how.cursor });
    default:
      return new Error('something else');
  }
}

/** Tells the history what the queue does with handlers. */
export interface Handlers {
  begin(process: Process, type: KindName, given: Input, context: JobContext): Promise<{ isBroken: boolean }>;
}

/** A queue with its handlers, as a process would have it. */
export interface Living {
  process: Process;
  queue: Queue;
  clock: ProcessClock;
}

let barrierCalls = 0;

/** Builds a process over the database; it works after `queue.start()`. */
export function createProcess(deps: {
  db: Db;
  forProcess: (onCommit: (changes: Change[]) => void) => Db;
  clock: ProcessClock;
  number: number;
  handlers: Handlers;
  onCommit: (process: Process, changes: Change[]) => void;
  onTimeNoted: () => void;
}): Living {
  const { clock } = deps;
  const random = seededRandom(deps.number * 7919 + 1);
  const process: Process = { name: `process ${deps.number}`, owner: '', life: 'working' };
  const db = deps.forProcess((changes) => deps.onCommit(process, changes));
  const stored = createSystemState(deps.db);
  const state: typeof stored = {
    ...stored,
    // The dead write nothing here: their claims are held in memory alone, see `bury`.
    set: (key, value, now) => {
      if (process.life === 'dead') return;
      stored.set(key, value, now);
      if (key === 'queue:last_seen') deps.onTimeNoted();
    },
    delete: (key) => {
      if (process.life !== 'dead') stored.delete(key);
    },
  };
  const queue = createQueue({
    db,
    state,
    clock,
    log: silentLog,
    bus: createBus({ log: silentLog }),
    random: {
      next: random.next,
      hex: (bytes) => {
        const text = random.hex(bytes);
        process.owner = text;
        return text;
      },
    },
    concurrency: Object.fromEntries(Object.entries(KINDS).map(([type, kind]) => [type, kind.concurrency])),
  });
  const types = Object.values(jobTypes);
  queue.register(
    types.map((jobType) =>
      handleJob(jobType, {
        run: (given, context) => deps.handlers.begin(process, jobType.type as KindName, given, context),
        record: (_input, { isBroken }) => {
          if (isBroken) throw new Error('its facts cannot be written');
        },
      }),
    ),
  );
  for (const jobType of types) {
    const follow = (given: Input, isEnded: boolean): JobRequest[] =>
      followUps(jobType.type as KindName, given.key, given.cycle, isEnded).map((wish) =>
        requestOf(wish, false),
      );
    queue.follow(jobType, (given) => follow(given, true));
    queue.followFailure(jobType, (given) => follow(given, false));
  }
  GROUPS.forEach((group, index) => {
    // Every call asks for a job of its own, so that a second call is seen.
    queue.whenSettled(group, (cycle) => {
      barrierCalls += 1;
      const key = `settled:${index}:${cycle}:${barrierCalls}`;
      return [requestOf({ type: 'settled', key, cycle, priority: 100, delayMs: 0 }, false)];
    });
  });
  return { process, queue, clock };
}

/**
 * The process is dead, but its handlers may still return into its queue. The lock on the data directory keeps a living one
 * from claiming and rescuing beside its successor; here its timers stop and a pause in its memory holds its claims.
 */
export function bury({ process, queue, clock }: Living): void {
  process.life = 'dead';
  clock.kill();
  queue.pause({ kind: 'all' }, null);
}

/** A migrated, empty database file to copy from. */
export function createImage(): string {
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-model-'));
  const path = join(folder, 'image.db');
  const db = openDb(path);
  migrateDb(db, { dataDir: null, now: new Date(0) });
  db.close();
  return path;
}
