import { type Db, STATE_KEYS } from '../db/index.ts';
import type { Bus, EventMap, JobEvent } from '../events/index.ts';
import { describeError, errorCode, formatDuration } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import { type AlertBook, createAlertBook } from './book.ts';
import { createAlertStore, type Raised } from './store.ts';

export { FAMILY_MAX } from './book.ts';

/** Turns what happens into what somebody should look at: rows of `alerts` and lines in the log. */
export interface Alerts {
  /** Begins to listen. The owner of the data directory also ends what an earlier process left open and nobody else can end. Idempotent. */
  start(): void;
  /** Idempotent. */
  stop(): void;
}

/** What the room is given. */
export interface AlertsDeps {
  db: Db;
  bus: Bus;
  clock: Clock;
  log: Log;
  /**
   * True for the holder of the lock on the data directory. A command beside the daemon is none: halts and stuck jobs it does not know
   * of live in the daemon's memory.
   */
  isOwner: boolean;
  /** Job types that raise an alert of their own when they fail: what the alert is about would else stand there twice. */
  tellThemselves?: readonly string[];
  /** Codes of halts whose owner raises and resolves an alert of his own. */
  haltsTold?: readonly string[];
}

/**
 * See `Alerts`. Losing an alert loses no work, and writing one never disturbs the sender: a database that cannot be written is
 * tried again later.
 */
export function createAlerts(deps: AlertsDeps): Alerts {
  const { db, bus, clock } = deps;
  const log = deps.log.child({ room: 'alerts' });
  let book: AlertBook | null = null;
  let ends: (() => void)[] = [];

  /** Inside a transaction it waits for the end: a refused write would roll back the sender's own. */
  const afterwards = (work: (book: AlertBook) => void): void =>
    db.afterCommit(() => {
      if (book === null) return;
      try {
        work(book);
      } catch (error) {
        log.error({ err: { code: errorCode(error), message: describeError(error) } }, 'an alert was lost');
      }
    });
  const raise = (raised: Raised): void => afterwards((to) => to.raise(raised));
  const resolve = (key: string): void => afterwards((to) => to.resolve(key));

  /** The same subject has the same key in every job for it, so that a later job ends what an earlier one began. */
  function keyOf(job: Pick<JobEvent, 'jobId' | 'jobType'>): string {
    const row = db.sqlite
      .prepare<[number], { uniqueKey: string }>('SELECT unique_key AS uniqueKey FROM jobs WHERE id = ?')
      .get(job.jobId);
    return `job:${row?.uniqueKey ?? `${job.jobType}:${job.jobId}`}`;
  }

  function onAttemptFailed(event: EventMap['job:attemptFailed']): void {
    // What an operator took out of the queue needs nobody's look.
    if (!event.isFinal || event.code === 'cancelled') return;
    if (deps.tellThemselves?.includes(event.jobType)) return;
    const key = keyOf(event);
    const subject = key.slice(`job:${event.jobType}`.length).replace(/^:/, '');
    raise({
      key,
      severity: 'error',
      message: `job ${event.jobId} (${event.jobType}${subject === '' ? '' : ` ${subject}`}) failed for good: ${event.message}`,
      hint: `Look with "wikiseed jobs ${event.jobId}"; try again with "wikiseed jobs retry ${event.jobId}".`,
    });
  }

  function onCompleted(event: EventMap['job:completed']): void {
    // Thousands of jobs complete in a second and nearly none had failed: look into the table only when one of the type had.
    if (book === null) return;
    if (book.openKeys(`job:${event.jobType}:`).length > 0) resolve(keyOf(event));
    if (book.openKeys('stuck:').length > 0) resolve(`stuck:${event.jobId}`);
  }

  function onHalted(event: EventMap['target:halted']): void {
    if (deps.haltsTold?.includes(event.code)) return;
    const until = new Date(event.until).toISOString().slice(0, 16).replace('T', ' ');
    raise({
      key: `target:${event.target}`,
      // What is only out of reach heals by itself; what refused us or is full may need somebody.
      severity: event.kind === 'unavailable' ? 'warn' : 'error',
      message: `${event.target} stopped: ${event.message} (${event.code}); tried again at ${until} UTC`,
      hint: event.hint,
    });
  }

  const webseedKey = (torrentId: number, url: string): string =>
    `webseed:${torrentId}:${URL.parse(url)?.host ?? url}`;

  function onWebseedDied({ torrentId, name, url, reason, isExpected }: EventMap['webseed:died']): void {
    // The log says so too; an old run leaves the servers of dumps one after the other.
    if (isExpected) return;
    raise({
      key: webseedKey(torrentId, url),
      severity: 'warn',
      message: `the webseed ${url} of ${name} works no more: ${reason}`,
      hint: 'It is not in the .torrent any more, and comes back by itself when it works again. See "Webseeds" in docs/operations.md.',
    });
  }

  const seedingKey = (infoHash: string | null): string => `seeding:${infoHash ?? 'engine'}`;

  function onSeedingProblem({ infoHash, name, code, message, hint }: EventMap['seeding:problem']): void {
    const subject = infoHash === null ? '' : `${name ?? infoHash}: `;
    // What somebody stopped by hand is no trouble of ours, and without that port peers are found by trackers.
    const severity = code === 'stopped_by_hand' || code === 'dht_port_taken' ? 'warn' : 'error';
    raise({ key: seedingKey(infoHash), severity, message: `${subject}${message}`, hint });
  }

  /** Halts that were forgotten at the start, and handlers that went with their process. */
  function endWhatWentWithTheProcess(to: AlertBook): void {
    for (const key of to.openKeys('stuck:')) to.resolve(key);
    // Told again at the first look when it is still so.
    for (const key of to.openKeys('seeding:')) to.resolve(key);
    const isHalted = db.sqlite.prepare<[string]>('SELECT 1 FROM system_state WHERE key = ?');
    for (const key of to.openKeys('target:'))
      if (isHalted.get(`${STATE_KEYS.halt}${key.slice('target:'.length)}`) === undefined) to.resolve(key);
  }

  return {
    start() {
      if (book !== null) return;
      book = createAlertBook({ store: createAlertStore(db), clock, log });
      ends = [
        bus.on('alert:raised', raise),
        bus.on('alert:resolved', ({ key }) => resolve(key)),
        bus.on('job:attemptFailed', onAttemptFailed),
        bus.on('job:completed', onCompleted),
        bus.on('target:halted', onHalted),
        bus.on('webseed:died', onWebseedDied),
        bus.on('webseed:settled', ({ torrentId, url }) => resolve(webseedKey(torrentId, url))),
        bus.on('seeding:problem', onSeedingProblem),
        bus.on('seeding:problemOver', ({ infoHash }) => resolve(seedingKey(infoHash))),
        bus.on('target:resumed', ({ target }) => resolve(`target:${target}`)),
        bus.on('job:stuck', (event) =>
          raise({
            key: `stuck:${event.jobId}`,
            severity: 'error',
            message: `job ${event.jobId} (${event.jobType}) goes on although it was told to stop ${formatDuration(event.waitedMs)} ago; its result will be dropped`,
            hint: 'A restart ends it. Please report it with the log: this is a bug.',
          }),
        ),
      ];
      if (deps.isOwner) afterwards(endWhatWentWithTheProcess);
    },
    stop() {
      for (const end of ends) end();
      ends = [];
      book?.stop();
      book = null;
    },
  };
}
