import { minutes, RetryableError, seconds } from '../lib/index.ts';
import { type Clock, createSystemClock, type Log } from '../ports/index.ts';
import { orAbort, waitAtMost } from './bounded-waits.ts';
import type { EngineEvents, TorrentEngine } from './engine.ts';
import { type HangWatch, watchForHangs } from './hang-watch.ts';
import type { SeederSettings, SeedSpec, TorrentActivity } from './protocol.ts';
import { createRoster } from './roster.ts';
import { lookAtDoubtful } from './seeder-doubts.ts';
import { createSeederEvents, FOLDER_MISSING } from './seeder-events.ts';
import { type LaunchedSeeder, lackTrouble, launchSeeder, portTrouble } from './seeder-launch.ts';
import type { TurnBook } from './turn-book.ts';

const BACKOFF_MIN_MS = seconds(1);
const BACKOFF_MAX_MS = seconds(60);
/** One that lived this long was healthy: the next crash starts again with the shortest wait. */
const HEALTHY_AFTER_MS = minutes(1);
/** A disk that was not mounted may come back. */
const RETRY_MISSING_MS = minutes(5);
/** How often it is asked whether another torrent has its turn. */
const ROTATION_LOOK_MS = minutes(10);
const STOP_DEADLINE_MS = seconds(5);
const SNAPSHOT_DEADLINE_MS = seconds(2);
/** A start of the program waits no longer than this; the rest goes on beside it. */
const START_DEADLINE_MS = seconds(10);

/**
 * The embedded client as the rest of the room sees it: always the same, however often its thread or process was replaced. Serves the
 * neediest torrents when there are more than it may serve at once.
 */
export interface Seeder extends TorrentEngine {
  /**
   * Starts the client in a thread or process, and from then on keeps one running. Resolves when it listens and has tried all torrents, when its first
   * start failed (it goes on trying), or after 10 s (it goes on beside). Idempotent.
   */
  start(wanted: readonly SeedSpec[]): Promise<void>;
  /** Says goodbye to the swarm for at most 5 s, then ends the client. Idempotent; safe before `start`. */
  stop(): Promise<void>;
  /**
   * Serves a torrent; resolves when it is ready and the port listens, or when it rests. Serving it twice is a no-op.
   * @throws RetryableError `seed_file_missing`, `seed_file_changed`, `seeding_port_taken`, `seeder_down`, …; Interrupted
   */
  add(spec: SeedSpec, signal: AbortSignal): Promise<void>;
  /** Says how many others seed a torrent, by infohash; null = unknown. Who is served follows within ten minutes. */
  noteSeeders(counts: ReadonlyMap<string, number | null>): void;
}

/** One life of the client, in a thread or a process. */
interface Life {
  launched: LaunchedSeeder;
  startedMs: number;
  /** What is being loaded, by infohash. */
  loading: Map<string, Promise<void>>;
  watch: HangWatch;
}

/** Creates the supervisor; nothing runs before `start`. */
export function createSeeder(
  deps: {
    settings: SeederSettings;
    clock: Clock;
    log: Log;
    /** More than these are served in turn; default: all at once. */
    maxActiveTorrents?: number;
    /** With it, who waited longest is known over a restart. */
    turns?: TurnBook;
    /** For tests that end it. */
    launch?: typeof launchSeeder;
    /** By which a hang is noticed. Not `clock`, which a test may turn: a real thread answers in real time. */
    hangClock?: Clock;
  } & EngineEvents,
): Seeder {
  const { settings, clock, log } = deps;
  const roster = createRoster(deps.maxActiveTorrents ?? Number.POSITIVE_INFINITY);
  const events = createSeederEvents({ ...deps });
  let life: Life | null = null;
  let isStopped = true;
  let backoffMs = BACKOFF_MIN_MS;
  let restarts = 0;
  let cancelRestart = (): void => {};
  let cancelRetry = (): void => {};
  let cancelRotation = (): void => {};
  let lastSnapshot: TorrentActivity[] = [];
  /** While those that failed are looked at again. */
  let isLooking = false;
  /** Why we cannot listen, in one sentence; null once we could. */
  let portProblem: string | null = null;

  function down(message: string): RetryableError {
    return portProblem === null
      ? new RetryableError('seeder_down', message)
      : new RetryableError('seeding_port_taken', portProblem);
  }

  function launch(): Life {
    const launched = (deps.launch ?? launchSeeder)({
      settings,
      down,
      onListening(port) {
        portProblem = null;
        events.canListen();
        log.info({ room: 'seeding', port }, 'listening for peers');
      },
      onNews(from, news) {
        if (news.kind === 'fatal') {
          const problem = portTrouble(settings, news.code);
          // Told once: it is asked again every minute, and only the operator can change it.
          if (problem !== null && portProblem === null)
            events.cannotListen(problem, { port: settings.port, reason: news.message });
          portProblem = problem;
          return;
        }
        if (news.kind === 'lacks') {
          events.lacks(news, lackTrouble(settings, news), { port: settings.port, reason: news.message });
          return;
        }
        events.heard(news);
        if (life?.launched !== from) return;
        if (news.kind === 'torrentLost') lost(news.infoHash, new Error(news.message));
        // Nothing of it can be given: its disk is gone, and may come back.
        if (news.kind !== 'fileRefused' || news.code !== FOLDER_MISSING) return;
        lost(news.infoHash, new RetryableError(news.code, news.message, { subject: { path: news.path } }));
        void withDeadline(from.ask<'remove'>({ kind: 'remove', infoHash: news.infoHash }));
      },
      onEnded(dead, cause) {
        if (life?.launched === dead) ended(life, cause);
      },
    });
    const watch = watchForHangs({
      clock: deps.hangClock ?? createSystemClock(),
      ask: () => launched.ask<'ping'>({ kind: 'ping' }),
      onHung: () => void launched.terminate('it had not answered for three minutes'),
      onUndead: () =>
        events.cannotRun({
          code: 'seeder_hangs',
          message: `Nothing is seeded: the seeding ${launched.kind} does not answer and does not end, as one that waits for a disk; look at the disk (dmesg), and start WikiSeed again if it does not come back by itself.`,
        }),
    });
    return { launched, startedMs: clock.monotonicMs(), loading: new Map(), watch };
  }

  function lost(infoHash: string, problem: Error): void {
    roster.failed(infoHash, problem);
    retryLater();
  }

  /** A start sees every torrent as one that was never served. */
  function want(spec: SeedSpec): boolean {
    return roster.want(spec, clock.monotonicMs(), deps.turns?.waitedMs(spec.infoHash, clock.now()));
  }

  function keepTurns(): void {
    try {
      deps.turns?.keep(roster.waits(clock.monotonicMs()), clock.now());
    } catch (error) {
      // A database that cannot be written now is no reason not to seed.
      log.warn({ room: 'seeding', reason: String(error) }, 'whose turn it is could not be written down');
    }
  }

  function ended(dead: Life, cause: string): void {
    life = null;
    dead.watch.stop();
    roster.threadEnded();
    cancelRetry();
    cancelRotation();
    if (isStopped) return;
    restarts += 1;
    if (clock.monotonicMs() - dead.startedMs >= HEALTHY_AFTER_MS) backoffMs = BACKOFF_MIN_MS;
    log[portProblem === null ? 'error' : 'debug'](
      { room: 'seeding', reason: cause, delayMs: backoffMs },
      `the seeding ${dead.launched.kind} ended; starting another`,
    );
    beginLater();
  }

  function beginLater(): void {
    cancelRestart = clock.after(backoffMs, () => {
      if (!isStopped) void begin();
    });
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  }

  async function begin(): Promise<void> {
    let born: Life;
    try {
      born = launch();
    } catch (error) {
      // The system has no memory or no process left for it; everything else goes on.
      const message = `Nothing is seeded: the seeding client cannot be started (${String(error)}); WikiSeed goes on trying.`;
      events.cannotRun({ code: 'seeder_not_started', message });
      beginLater();
      return;
    }
    life = born;
    try {
      await born.launched.listening;
    } catch {
      // `ended` has logged it and starts another.
      return;
    }
    keepTurns();
    await settle(born);
    keepTurns();
    lookLater(born);
  }

  function retryLater(): void {
    cancelRetry();
    cancelRetry = clock.after(RETRY_MISSING_MS, () => {
      if (life === null || isStopped || isLooking) return;
      isLooking = true;
      roster.retry();
      void lookAgain(life).finally(() => {
        isLooking = false;
        if (life !== null && !isStopped && roster.hasFailed()) retryLater();
      });
    });
  }

  /** Of those that failed, who gets a place is tried, and the others are looked at. */
  async function lookAgain(target: Life): Promise<void> {
    await settle(target);
    await lookAtDoubtful({
      ...{ roster, events },
      look: (spec) => target.launched.ask<'look'>({ kind: 'look', spec }),
      isOver: () => life !== target || isStopped,
    });
  }

  function lookLater(target: Life): void {
    cancelRotation();
    if (life !== target || isStopped) return;
    cancelRotation = clock.after(ROTATION_LOOK_MS, () => {
      void settle(target).finally(() => {
        keepTurns();
        lookLater(target);
      });
    });
  }

  /**
   * Lets those rest whose turn is over, and loads those whose turn it is; one after the other, so that a start does not open
   * everything at once. What cannot be loaded leaves its place to the next.
   */
  async function settle(target: Life): Promise<void> {
    while (life === target && !isStopped) {
      const { stop, start } = roster.settle(clock.monotonicMs());
      for (const infoHash of stop) {
        roster.loaded(infoHash, false);
        log.info(
          { room: 'seeding', infohash: infoHash },
          'a torrent rests, because others need to be seeded more',
        );
        await withDeadline(target.launched.ask<'remove'>({ kind: 'remove', infoHash }));
      }
      const [next] = start;
      if (next === undefined) break;
      await load(target, next).catch(() => {});
    }
    if (roster.hasFailed()) retryLater();
  }

  /** @throws what the client refuses it with */
  function load(target: Life, spec: SeedSpec): Promise<void> {
    const { infoHash } = spec;
    const present = target.loading.get(infoHash);
    if (present !== undefined) return present;
    const work = target.launched
      .ask<'add'>({ kind: 'add', spec })
      .then(
        async () => {
          // It may have been retired meanwhile.
          if (roster.get(infoHash) === undefined)
            await withDeadline(target.launched.ask<'remove'>({ kind: 'remove', infoHash }));
          roster.loaded(infoHash, true);
          events.loaded(infoHash);
        },
        (error: Error) => {
          if (life === target) {
            roster.failed(infoHash, error);
            events.notLoaded(spec, error);
          }
          throw error;
        },
      )
      .finally(() => target.loading.delete(infoHash));
    target.loading.set(infoHash, work);
    return work;
  }

  const withDeadline = (work: Promise<unknown>): Promise<void> => waitAtMost(clock, STOP_DEADLINE_MS, work);

  return {
    name: 'webtorrent',

    async start(specs) {
      for (const spec of specs) want(spec);
      if (!isStopped) return;
      isStopped = false;
      const deadline = new AbortController();
      const late = clock.sleep(START_DEADLINE_MS, deadline.signal).then(
        () => 'late',
        () => 'stopped',
      );
      if ((await Promise.race([begin(), late])) === 'late')
        log.warn(
          { room: 'seeding' },
          `the seeding ${life?.launched.kind ?? 'thread'} is slow to start; going on without waiting for it`,
        );
      deadline.abort();
    },

    async stop() {
      if (!isStopped) keepTurns();
      isStopped = true;
      for (const cancel of [cancelRestart, cancelRetry, cancelRotation]) cancel();
      const dying = life;
      life = null;
      roster.threadEnded();
      if (dying === null) return;
      dying.watch.stop();
      await withDeadline(dying.launched.ask<'stop'>({ kind: 'stop' }));
      // Not even a killed process ends while the disk does not answer it.
      await withDeadline(dying.launched.terminate());
    },

    async add(spec, signal) {
      const target = life;
      if (target === null) throw down('the embedded client is not running');
      await orAbort(target.launched.listening, signal);
      const isNew = want(spec);
      const { stop, start } = roster.settle(clock.monotonicMs());
      if (stop.length > 0) await orAbort(settle(target), signal);
      // Not behind all others that are being loaded. Why it failed is looked at below.
      else if (start.includes(spec))
        await orAbort(
          load(target, spec).catch(() => {}),
          signal,
        );
      if (life !== target) throw down('the embedded client ended');
      const problem = roster.get(spec.infoHash)?.problem ?? null;
      if (problem === null) return;
      // Whoever asked for it asks again.
      if (isNew) roster.forget(spec.infoHash);
      throw problem;
    },

    async remove(infoHash) {
      roster.forget(infoHash);
      events.forget(infoHash);
      const target = life;
      if (target === null) return;
      await withDeadline(target.launched.ask<'remove'>({ kind: 'remove', infoHash }));
      // Its place is free for another.
      void settle(target);
    },

    async renew(file) {
      const target = life;
      if (target === null || roster.get(file.infoHash)?.isLoaded !== true) return;
      const answer = await target.launched.ask<'renew'>({ kind: 'renew', file }).catch(() => null);
      if (answer?.isServed === true && answer.refused === 0) events.healed(file.infoHash);
    },

    noteSeeders: (counts) => roster.noteSeeders(counts),

    async snapshot() {
      const target = life;
      if (target?.launched.port == null) return [];
      if (target.watch.isSilent) return [...lastSnapshot.map(silent), ...roster.idle()];
      const deadline = new AbortController();
      const late = clock.sleep(SNAPSHOT_DEADLINE_MS, deadline.signal).then(
        () => lastSnapshot,
        () => lastSnapshot,
      );
      const served = target.launched.ask<'snapshot'>({ kind: 'snapshot' }).catch(() => []);
      lastSnapshot = await Promise.race([served, late]);
      deadline.abort();
      const known = new Set(lastSnapshot.map(({ infoHash }) => infoHash));
      return [
        ...lastSnapshot.map((each) => ({ ...each, seeders: roster.get(each.infoHash)?.seeders ?? null })),
        ...roster.idle().filter(({ infoHash }) => !known.has(infoHash)),
      ];
    },

    port: () => life?.launched.port ?? null,
    peerId: () => life?.launched.peerId ?? null,
    restarts: () => restarts,
  };
}

/** What is shown of a torrent whose client does not answer. */
function silent(last: TorrentActivity): TorrentActivity {
  return {
    ...last,
    ...{ peers: 0, uploadBytesPerSecond: 0, isReady: false, state: 'checking' },
    problem: 'the seeding client does not answer',
  };
}
