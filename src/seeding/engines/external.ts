import { join } from 'node:path';
import { HaltPipelineError, hours, Interrupted, minutes, RetryableError, seconds } from '../../lib/index.ts';
import type { Clock, Disk, Log } from '../../ports/index.ts';
import type { EngineEvents, TorrentEngine } from '../engine.ts';
import type { SeedSpec, TorrentActivity } from '../protocol.ts';
import { type EngineDriver, EngineRefusal, type EngineTorrent, type EngineView } from './driver.ts';
import { createPlaces } from './places.ts';
import { createComplaints, type Problem } from './problems.ts';
import { activityOf, problemOf } from './standing.ts';
import { readStoredTorrent } from './stored-torrent.ts';
import { codeOf, createTurns, isOfTheEngine } from './turns.ts';

/** How often we look whether all is as it should be. */
const LOOK_MS = minutes(1);
/** How often we look at the files themselves of what is seeded. */
const FILES_MS = hours(1);
/** First wait for a program that does not answer; each next one is twice as long, up to `LOOK_MS`. */
const BACKOFF_MIN_MS = seconds(5);
/** A program that refuses us bans whoever insists. */
const REFUSED_MS = hours(1);
/** A torrent that is still being read after that goes on without being waited for. */
const SETTLE_MS = seconds(20);
/** A program says a moment later what it was told, and what it found. */
const QUIET_MS = seconds(4);
const WRONG_FILES_TRIES = 10;
const WRONG_FILES_WAIT_MS = 500;
const POLL_MIN_MS = 100;
const POLL_MAX_MS = seconds(2);
const START_DEADLINE_MS = seconds(10);
const STOP_DEADLINE_MS = seconds(5);
const SNAPSHOT_DEADLINE_MS = seconds(2);

/** What an engine beside us is made from. */
export interface ExternalEngineDeps extends EngineEvents {
  driver: EngineDriver;
  disk: Pick<Disk, 'stat' | 'open'>;
  clock: Clock;
  log: Log;
  dataDir: string;
  /** The data directory as the program sees it; null = the same. */
  engineDataDir: string | null;
}

/** What we remember of a wanted torrent in this process. */
interface Standing {
  spec: SeedSpec;
  view: EngineView | null;
  /** We have started it: if it is stopped after that, somebody's hand did it. */
  isStarted: boolean;
  /** It was told to read everything since it was added. */
  isRead: boolean;
  /** It must not be started: bytes are wrong. Ends with `renew`, or when it is whole in the program. */
  bad: Problem | null;
  /** When its files were last looked at; null = not in this process. */
  servedMs: number | null;
}

/** A torrent program beside us as a `TorrentEngine`. It goes on seeding when we stop. */
export function createExternalEngine(deps: ExternalEngineDeps): TorrentEngine {
  const { driver, disk, clock } = deps;
  const { title } = driver;
  const log = deps.log.child({ room: 'seeding', engine: driver.name });
  const places = createPlaces(deps);
  const tell = createComplaints(deps);
  const wanted = new Map<string, Standing>();
  let life: AbortController | null = null;
  let port: number | null = null;
  let cancelLook = (): void => {};
  let backoffMs = BACKOFF_MIN_MS;
  const turns = createTurns({ clock, tell, refusedMs: REFUSED_MS });

  const see = async (standing: Standing, signal: AbortSignal): Promise<EngineView | null> => {
    const { infoHash } = standing.spec;
    standing.view = (await driver.look([infoHash], signal)).get(infoHash) ?? null;
    return standing.view;
  };

  /** Until it is read through, or for some seconds. */
  async function settled(
    standing: Standing,
    isThere: (view: EngineView) => boolean,
    signal: AbortSignal,
  ): Promise<EngineView | null> {
    const end = clock.monotonicMs() + SETTLE_MS;
    for (let waitMs = POLL_MIN_MS; ; waitMs = Math.min(waitMs * 1.5, POLL_MAX_MS)) {
      const view = await see(standing, signal);
      if ((view !== null && isThere(view)) || clock.monotonicMs() >= end) return view;
      await clock.sleep(waitMs, signal);
    }
  }

  /** Whether it has every byte, once it is read through; still `checking` after some seconds. */
  function verdict(standing: Standing, signal: AbortSignal): Promise<EngineView | null> {
    let quietSince: number | null = null;
    return settled(
      standing,
      ({ state, isWhole }) => {
        if (state === 'checking') quietSince = null;
        else quietSince ??= clock.monotonicMs();
        return quietSince !== null && (isWhole || clock.monotonicMs() - quietSince >= QUIET_MS);
      },
      signal,
    );
  }

  /** Resolves when it has stopped indeed. */
  async function halt(standing: Standing, signal: AbortSignal): Promise<void> {
    await driver.stop(standing.spec.infoHash, signal);
    standing.isStarted = false;
    await settled(standing, ({ state }) => state !== 'seeding' && state !== 'downloading', signal);
  }

  /** A program that has just found them counts for a moment. */
  async function wrongFiles(infoHash: string, signal: AbortSignal): Promise<string[]> {
    for (let left = WRONG_FILES_TRIES; ; left -= 1) {
      const files = await driver.wrongFiles(infoHash, signal);
      if (files.length > 0 || left <= 1) return files;
      await clock.sleep(WRONG_FILES_WAIT_MS, signal);
    }
  }

  /** Stops what must not go on, and says which files are wrong. */
  async function condemn(standing: Standing, problem: Problem, signal: AbortSignal): Promise<never> {
    const { infoHash } = standing.spec;
    await halt(standing, signal);
    const isNew = standing.bad === null;
    standing.bad = problem;
    tell.problem(infoHash, problem);
    if (isNew) {
      const files = await wrongFiles(infoHash, signal);
      for (const path of files.length === 0
        ? [null]
        : files.map((name) => join(standing.spec.contentRoot, name)))
        deps.onDamaged?.(infoHash, path, problem.message);
    }
    throw new RetryableError(
      problem.code,
      problem.message,
      problem.hint === undefined ? {} : { hint: problem.hint },
    );
  }

  /** Brings a torrent from wherever it stands to being seeded. @throws RetryableError, EngineRefusal, Interrupted */
  async function serve(standing: Standing, signal: AbortSignal): Promise<void> {
    const { spec } = standing;
    const { infoHash } = spec;
    const stored = await readStoredTorrent(disk, spec).catch(async (error: unknown) => {
      // What is served without one of its files is stopped, before somebody lets it be read again.
      if (codeOf(error)?.startsWith('seed_file') === true) {
        const view = await see(standing, signal);
        if (view !== null && places.isOurs(view, spec)) await halt(standing, signal);
        standing.isStarted = false;
      }
      throw error;
    });
    const torrent = { infoHash, ...stored, ...places.of(spec) };
    let view = await see(standing, signal);
    if (view === null) {
      await driver.addStopped(torrent, signal);
      standing.isRead = driver.readsWhatIsAdded;
      view = await settled(standing, () => true, signal);
      if (view === null)
        throw new RetryableError('engine_rejects', `${title} did not take the torrent`, {
          hint: 'Its log says why.',
        });
      log.info({ infohash: infoHash }, 'gave a torrent to the program');
    }
    if (!places.isOurs(view, spec)) {
      // Somebody added it by hand; it is not ours to touch, and serves as well when it is whole.
      if (view.isWhole && view.state === 'seeding') return;
      throw new RetryableError(
        'torrent_elsewhere',
        `${title} has this torrent in another place (${view.savePath}) and does not seed it there`,
        {
          hint: `Remove it there without its files, or set seeding.engine_data_dir so that ${places.of(spec).savePath} is right.`,
        },
      );
    }
    if (view.state === 'downloading') await condemn(standing, problemOf(title, view), signal);
    // All files are there again: it gave up earlier.
    if (view.state === 'failed') await beginAgain(standing, torrent, signal);
    await driver.wantNothing(torrent, signal);
    view = await settled(standing, ({ state }) => state !== 'checking', signal);
    if (view?.isWhole === false && view.state !== 'checking') {
      // Unread is not wrong.
      if (!standing.isRead) await driver.readAgain(infoHash, signal);
      standing.isRead = true;
      view = await verdict(standing, signal);
    }
    if (view === null || view.state === 'checking') return;
    if (!view.isWhole) await condemn(standing, problemOf(title, view), signal);
    if (view.state === 'stopped') {
      await driver.start(infoHash, signal);
      view = await settled(standing, ({ state }) => state !== 'stopped' && state !== 'checking', signal);
    }
    standing.isStarted = view?.state === 'seeding';
    standing.servedMs = clock.monotonicMs();
    if (view !== null) await judge(standing, view, signal);
  }

  /** Resolves when the program has it again, stopped. */
  async function beginAgain(standing: Standing, torrent: EngineTorrent, signal: AbortSignal): Promise<void> {
    await driver.beginAgain(torrent, signal);
    standing.isRead = driver.readsWhatIsAdded;
    await settled(standing, () => true, signal);
  }

  /** What a look says of a torrent that the program has. @throws RetryableError when it had to be stopped */
  async function judge(standing: Standing, view: EngineView, signal: AbortSignal): Promise<void> {
    const { infoHash } = standing.spec;
    standing.view = view;
    const isOurs = places.isOurs(view, standing.spec);
    if (view.state === 'checking') return;
    if (view.state === 'seeding' && (view.isWhole || !isOurs)) {
      standing.isStarted = true;
      standing.bad = null;
      return tell.over(infoHash);
    }
    if (isOurs && !view.isWhole) await condemn(standing, problemOf(title, view), signal);
    tell.problem(infoHash, problemOf(title, view));
  }

  async function lookAt(standing: Standing, view: EngineView | null, signal: AbortSignal): Promise<void> {
    standing.view = view;
    const { bad, servedMs, isStarted } = standing;
    if (bad !== null) {
      // It stays as it is until it is mended, or was mended by hand.
      if (view !== null && view.state !== 'stopped') await judge(standing, view, signal);
      return;
    }
    const isDue =
      servedMs === null ||
      clock.monotonicMs() - servedMs >= FILES_MS ||
      (view?.state === 'stopped' && !isStarted);
    if (view === null || (isDue && view.state !== 'checking')) await serve(standing, signal);
    else await judge(standing, view, signal);
  }

  async function look(signal: AbortSignal): Promise<void> {
    const views = await driver.look([...wanted.keys()], signal);
    port = await driver.peersPort(signal);
    backoffMs = BACKOFF_MIN_MS;
    for (const [infoHash, standing] of [...wanted]) {
      if (!wanted.has(infoHash)) continue;
      try {
        await lookAt(standing, views.get(infoHash) ?? null, signal);
      } catch (error) {
        if (isOfTheEngine(error)) throw error;
        tellFile(standing.spec, error);
      }
    }
  }

  function tellFile({ infoHash }: SeedSpec, error: unknown): void {
    if (!(error instanceof RetryableError)) throw error;
    const { code, message, hint, subject } = error;
    tell.problem(infoHash, { code, message, hint });
    if (code === 'seed_file_changed' && typeof subject.path === 'string')
      deps.onDamaged?.(infoHash, subject.path, message);
  }

  /** Looks now, and from then on again and again. Never fails. */
  async function keepLooking(signal: AbortSignal): Promise<void> {
    cancelLook();
    let nextMs = LOOK_MS;
    try {
      await turns.take(signal, () => look(signal));
    } catch (error) {
      if (signal.aborted) return;
      // The program itself is told about by `turns`.
      if (!isOfTheEngine(error)) log.error({ err: error }, 'a look at the seeding program failed');
      nextMs = backoffMs;
      backoffMs = Math.min(backoffMs * 2, LOOK_MS);
    }
    if (signal.aborted) return;
    cancelLook();
    cancelLook = clock.after(nextMs, () => void keepLooking(signal));
  }

  /** The work goes on; only the waiting ends. */
  async function within<T>(ms: number, work: Promise<T>, otherwise: () => T): Promise<T> {
    const deadline = new AbortController();
    const late = clock.sleep(ms, deadline.signal).then(otherwise, otherwise);
    try {
      return await Promise.race([work, late]);
    } finally {
      deadline.abort();
    }
  }

  const standingOf = (spec: SeedSpec): Standing => {
    const known = wanted.get(spec.infoHash);
    if (known !== undefined) known.spec = spec;
    return known ?? { spec, view: null, isStarted: false, isRead: false, bad: null, servedMs: null };
  };

  return {
    name: driver.name,

    async start(specs) {
      for (const spec of specs) wanted.set(spec.infoHash, standingOf(spec));
      if (life !== null) return;
      life = new AbortController();
      await within(START_DEADLINE_MS, keepLooking(life.signal), () => {});
    },

    async stop() {
      life?.abort();
      life = null;
      cancelLook();
      await within(STOP_DEADLINE_MS, turns.idle(), () => {});
    },

    async add(spec, signal) {
      if (life === null) throw new RetryableError('seeder_down', 'seeding has not begun yet');
      const standing = standingOf(spec);
      const either = AbortSignal.any([signal, life.signal]);
      try {
        await turns.take(either, async () => {
          if (standing.bad !== null)
            throw new RetryableError(standing.bad.code, standing.bad.message, {
              hint: standing.bad.hint ?? '',
            });
          await serve(standing, either);
          port ??= await driver.peersPort(either);
        });
      } catch (error) {
        if (error instanceof EngineRefusal)
          throw new HaltPipelineError(error.code, error.message, {
            ...(error.hint === undefined ? {} : { hint: error.hint }),
            ...{ pauseMs: REFUSED_MS, cause: error, isNeverOwnFault: true },
          });
        if (!isOfTheEngine(error) && !(error instanceof Interrupted)) tellFile(spec, error);
        // What could not be served for its bytes is looked at again all the same.
        if (standing.bad !== null) wanted.set(spec.infoHash, standing);
        throw error;
      }
      wanted.set(spec.infoHash, standing);
    },

    async remove(infoHash) {
      wanted.delete(infoHash);
      tell.over(infoHash);
      const signal = life?.signal ?? AbortSignal.timeout(STOP_DEADLINE_MS);
      const work = turns
        .take(signal, () => driver.remove(infoHash, signal))
        .catch((error: unknown) => {
          // Its files go next: the program then says itself that they are missing, and fetches nothing.
          if (!signal.aborted)
            log.warn({ infohash: infoHash, err: error }, 'a torrent could not be taken out of the program');
        });
      await within(STOP_DEADLINE_MS, work, () => {});
    },

    async renew({ infoHash }) {
      const standing = wanted.get(infoHash);
      const signal = life?.signal;
      if (standing?.bad == null || signal === undefined) return;
      await turns
        .take(signal, async () => {
          const torrent = {
            infoHash,
            ...(await readStoredTorrent(disk, standing.spec)),
            ...places.of(standing.spec),
          };
          await beginAgain(standing, torrent, signal);
          standing.bad = null;
          await serve(standing, signal);
        })
        .catch((error: unknown) => {
          if (!signal.aborted)
            log.warn({ infohash: infoHash, err: error }, 'a mended torrent could not be served yet');
        });
    },

    async snapshot() {
      const signal = life?.signal;
      if (signal !== undefined && !turns.isRefused()) {
        const fresh = driver.look([...wanted.keys()], signal).then(
          (views) => {
            for (const [infoHash, standing] of wanted) standing.view = views.get(infoHash) ?? standing.view;
          },
          () => {},
        );
        await within(SNAPSHOT_DEADLINE_MS, fresh, () => {});
      }
      return [...wanted.values()].map(
        ({ spec, view }): TorrentActivity =>
          activityOf(spec.infoHash, view, tell.of(spec.infoHash) ?? tell.of(null)),
      );
    },

    port: () => port,
    peerId: () => null,
    restarts: () => 0,
  };
}
