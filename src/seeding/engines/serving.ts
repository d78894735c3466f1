import { join } from 'node:path';
import { describeError, hours, Interrupted, RetryableError, seconds } from '../../lib/index.ts';
import type { Clock, Log } from '../../ports/index.ts';
import type { EngineEvents } from '../engine.ts';
import type { EngineDriver, EngineTorrent, EngineView } from './driver.ts';
import { codeOf, isOfTheEngine } from './gate.ts';
import type { Places } from './places.ts';
import type { Complaints } from './problems.ts';
import { problemOf, type Standing } from './standing.ts';
import type { StoredTorrents } from './stored-torrent.ts';

/** How often we look at the files themselves of what is seeded. */
const FILES_MS = hours(1);
/** What it finds wrong without saying where nobody can mend, but it may have been a disk that was away: it reads all of it again. */
const UNNAMED_MS = hours(24);
/** How long a program has to do what it was told. */
const OBEYS_MS = seconds(10);
/** A program says a moment later what it was told, and what it found. */
const QUIET_MS = seconds(4);
const WRONG_FILES_TRIES = 10;
const WRONG_FILES_WAIT_MS = 500;
const POLL_MIN_MS = 100;
const POLL_MAX_MS = seconds(2);

/** What is done for single torrents. All of it throws RetryableError for the torrent, and what `isOfTheEngine` knows. */
export interface Serving {
  /**
   * Brings a torrent from wherever it stands to being seeded; what is still being read after `patienceMs` is left for the next look.
   * @returns false then
   */
  serve(standing: Standing, patienceMs: number, signal: AbortSignal): Promise<boolean>;
  /**
   * What a look says: it is served if it has to be, without waiting for it to be read.
   * @param view undefined = what the look saw of it is old: it is seen anew
   * @returns false when it should be looked at soon
   */
  lookAt(standing: Standing, view: EngineView | null | undefined, signal: AbortSignal): Promise<boolean>;
  /** As if it were new: its bytes are right again. If that fails, the next looks try it again. @returns as `serve` */
  serveAgain(standing: Standing, patienceMs: number, signal: AbortSignal): Promise<boolean>;
}

/** See `Serving`. `driver`: through the gate. */
export function createServing(deps: {
  driver: EngineDriver;
  clock: Clock;
  log: Log;
  places: Places;
  stored: StoredTorrents;
  tell: Complaints;
  onDamaged: EngineEvents['onDamaged'];
}): Serving {
  const { driver, clock, log, places, stored, tell } = deps;
  const { title } = driver;

  /** Between two steps: what is retired must not be added or started any more. */
  function proceed({ gone }: Standing): void {
    if (gone.signal.aborted) throw new Interrupted('the torrent was retired');
  }

  const see = async (standing: Standing, signal: AbortSignal): Promise<EngineView | null> => {
    const { infoHash } = standing.spec;
    standing.view = (await driver.look([infoHash], signal)).get(infoHash) ?? null;
    return standing.view;
  };

  /** Until it is so, or the time is over. */
  async function seen(
    standing: Standing,
    isSo: (view: EngineView) => boolean,
    signal: AbortSignal,
  ): Promise<EngineView | null> {
    const end = clock.monotonicMs() + OBEYS_MS;
    for (let waitMs = POLL_MIN_MS; ; waitMs = Math.min(waitMs * 1.5, POLL_MAX_MS)) {
      const view = await see(standing, signal);
      if ((view !== null && isSo(view)) || clock.monotonicMs() >= end) return view;
      await clock.sleep(waitMs, signal);
    }
  }

  function toldToRead(standing: Standing, isRead: boolean): void {
    standing.isRead = isRead;
    standing.quietSinceMs = null;
  }

  /** The program has it as on the first day: stopped, and unread as far as it does not read by itself. */
  function isNew(standing: Standing): void {
    toldToRead(standing, driver.readsWhatIsAdded);
    standing.isStarted = false;
    standing.servedMs = null;
  }

  /** Whether it has every byte, when it is read through; null when that is not known after `patienceMs`. */
  async function verdict(
    standing: Standing,
    patienceMs: number,
    signal: AbortSignal,
  ): Promise<EngineView | null> {
    const either = AbortSignal.any([signal, standing.gone.signal]);
    const end = clock.monotonicMs() + patienceMs;
    for (let waitMs = POLL_MIN_MS; ; waitMs = Math.min(waitMs * 1.5, POLL_MAX_MS)) {
      const view = await see(standing, signal);
      if (view === null) return null;
      const now = clock.monotonicMs();
      if (view.state === 'checking') standing.quietSinceMs = null;
      else if (view.isWhole) return view;
      else if (!standing.isRead) {
        // Unread is not wrong.
        proceed(standing);
        await driver.readAgain(standing.spec.infoHash, signal);
        toldToRead(standing, true);
      } else {
        standing.quietSinceMs ??= now;
        if (now - standing.quietSinceMs >= QUIET_MS) return view;
      }
      if (now >= end) return null;
      await clock.sleep(waitMs, either);
    }
  }

  /** Resolves when it has stopped indeed. */
  async function halt(standing: Standing, signal: AbortSignal): Promise<void> {
    await driver.stop(standing.spec.infoHash, signal);
    standing.isStarted = false;
    await seen(standing, ({ state }) => state !== 'seeding' && state !== 'downloading', signal);
  }

  /** A program that has just found them counts for a moment. One that cannot say is not asked on. */
  async function wrongFiles({ spec: { infoHash } }: Standing, signal: AbortSignal): Promise<string[]> {
    for (let left = WRONG_FILES_TRIES; ; left -= 1) {
      const files = await driver.wrongFiles(infoHash, signal).catch((error: unknown) => {
        if (isOfTheEngine(error)) throw error;
        log.warn({ infohash: infoHash, err: describeError(error) }, 'the program does not say what is wrong');
        return null;
      });
      if (files === null) return [];
      if (files.length > 0 || left <= 1) return files;
      await clock.sleep(WRONG_FILES_WAIT_MS, signal);
    }
  }

  /**
   * Stops what must not go on, and says which files are wrong. Sees it anew first, since a look may be minutes old: resolves, with
   * nothing done, when it is not wrong any more.
   * @throws RetryableError when it is wrong
   */
  async function condemn(standing: Standing, signal: AbortSignal): Promise<void> {
    const { infoHash, contentRoot } = standing.spec;
    const view = await see(standing, signal);
    if (view === null || !isWrong(view) || !places.isOurs(view, standing.spec)) return;
    const problem = problemOf(title, view);
    // What a hand stopped is not started by us when it is whole again.
    if (view.state !== 'stopped') await halt(standing, signal);
    tell.problem(infoHash, problem);
    if (standing.bad === null) {
      const { renewed } = standing;
      const paths = (await wrongFiles(standing, signal)).map((name) => join(contentRoot, name));
      for (const path of paths.length === 0 ? [null] : paths)
        deps.onDamaged?.(infoHash, path, problem.message);
      // Two were wrong, and the second was mended while it was read again for the first: nobody tells of that once more.
      standing.isMended = renewed.size > 0 && paths.every((path) => renewed.has(path));
      standing.readAgainAtMs = paths.length === 0 ? clock.monotonicMs() + UNNAMED_MS : null;
    }
    standing.bad = problem;
    const { code, message, hint } = problem;
    throw new RetryableError(code, message, hint === undefined ? {} : { hint });
  }

  async function inspect(standing: Standing, signal: AbortSignal): Promise<{ fileCount: number }> {
    const { spec } = standing;
    try {
      return await stored.inspect(spec);
    } catch (error) {
      // What is served without one of its files is stopped, before somebody lets it be read again.
      if (codeOf(error)?.startsWith('seed_file') === true) {
        const view = await see(standing, signal);
        if (view !== null && places.isOurs(view, spec)) await halt(standing, signal);
        standing.isStarted = false;
      }
      throw error;
    }
  }

  const torrentOf = async ({ spec }: Standing, fileCount: number): Promise<EngineTorrent> => ({
    ...{ infoHash: spec.infoHash, fileCount, bytes: await stored.bytes(spec) },
    ...places.of(spec),
  });

  /** Resolves when the program has it. Not ended by `gone`: what is on its way in could not be taken out. */
  async function give(standing: Standing, fileCount: number, signal: AbortSignal): Promise<EngineView> {
    const torrent = await torrentOf(standing, fileCount);
    proceed(standing);
    await driver.addStopped(torrent, signal);
    isNew(standing);
    const view = await seen(standing, () => true, signal);
    if (view === null)
      throw new RetryableError('engine_rejects', `${title} did not take the torrent`, {
        hint: 'Its log says why.',
      });
    log.info({ infohash: standing.spec.infoHash }, 'gave a torrent to the program');
    return view;
  }

  /** Resolves when the program has it again, stopped. */
  async function beginAgain(standing: Standing, fileCount: number, signal: AbortSignal): Promise<void> {
    const torrent = await torrentOf(standing, fileCount);
    proceed(standing);
    standing.renewed.clear();
    await driver.beginAgain(torrent, signal);
    isNew(standing);
    await seen(standing, () => true, signal);
  }

  async function serve(standing: Standing, patienceMs: number, signal: AbortSignal): Promise<boolean> {
    const { spec } = standing;
    const { infoHash } = spec;
    const { fileCount } = await inspect(standing, signal);
    let view = (await see(standing, signal)) ?? (await give(standing, fileCount, signal));
    if (!places.isOurs(view, spec)) {
      // Somebody added it by hand; it is not ours to touch, and serves as well when it is whole.
      if (view.isWhole && view.state === 'seeding') return judge(standing, view, signal);
      throw new RetryableError(
        'torrent_elsewhere',
        `${title} has this torrent in another place (${view.savePath}) and does not seed it there`,
        {
          hint: `Remove it there without its files, or set seeding.engine_data_dir so that ${places.of(spec).savePath} is right.`,
        },
      );
    }
    if (view.state === 'downloading') {
      await condemn(standing, signal);
      return false;
    }
    // All files are there again: it gave up earlier.
    if (view.state === 'failed') await beginAgain(standing, fileCount, signal);
    proceed(standing);
    await driver.wantNothing({ infoHash, fileCount }, signal);
    await driver.setUp(view, signal);
    const judged = await verdict(standing, patienceMs, signal);
    if (judged === null) return false;
    view = judged;
    if (!view.isWhole) {
      await condemn(standing, signal);
      return false;
    }
    if (view.state === 'stopped') {
      proceed(standing);
      await driver.start(infoHash, signal);
      const isOn = ({ state }: EngineView): boolean => state !== 'stopped' && state !== 'checking';
      view = (await seen(standing, isOn, signal)) ?? view;
    }
    standing.isStarted = view.state === 'seeding';
    standing.servedMs = clock.monotonicMs();
    return judge(standing, view, signal);
  }

  /**
   * What a look says of a torrent that the program has.
   * @returns false when it was wrong and is not any more: it should be looked at soon
   * @throws RetryableError when it had to be stopped
   */
  async function judge(standing: Standing, view: EngineView, signal: AbortSignal): Promise<boolean> {
    const { infoHash } = standing.spec;
    standing.view = view;
    const isOurs = places.isOurs(view, standing.spec);
    if (view.state === 'checking') return true;
    if (view.state === 'seeding' && (view.isWhole || !isOurs)) {
      standing.isStarted = true;
      standing.bad = null;
      standing.renewed.clear();
      tell.over(infoHash);
      return true;
    }
    if (isOurs && !view.isWhole) {
      await condemn(standing, signal);
      return false;
    }
    tell.problem(infoHash, problemOf(title, view));
    return true;
  }

  async function serveAgain(standing: Standing, patienceMs: number, signal: AbortSignal): Promise<boolean> {
    // Until it is done: the program may go away in the middle, when it does not even have it any more.
    standing.isMended = true;
    const { fileCount } = await inspect(standing, signal);
    const view = await see(standing, signal);
    // One that somebody added elsewhere meanwhile is not ours to take out.
    if (view === null || places.isOurs(view, standing.spec)) await beginAgain(standing, fileCount, signal);
    standing.isMended = false;
    standing.bad = null;
    return serve(standing, patienceMs, signal);
  }

  return {
    serve,

    serveAgain,

    async lookAt(standing, known, signal) {
      const { bad, readAgainAtMs } = standing;
      const isForgotten = bad !== null && readAgainAtMs !== null && clock.monotonicMs() >= readAgainAtMs;
      if (standing.isMended || isForgotten) return serveAgain(standing, 0, signal);
      const view = known === undefined ? await see(standing, signal) : known;
      standing.view = view;
      if (standing.bad !== null && view !== null) {
        // It stays as it is until it is mended; a hand may have started it.
        if (view.state === 'stopped' && !view.isWhole) return true;
        if (view.state === 'checking' || isWrong(view)) return judge(standing, view, signal);
        // The program has read it again, and has every byte.
        standing.bad = null;
      }
      const { servedMs, isStarted } = standing;
      const isStopped = view?.state === 'stopped';
      const isDue =
        servedMs === null ||
        // What a hand stopped serves nobody; it is not started for the sake of a look at its files.
        (clock.monotonicMs() - servedMs >= FILES_MS && !(isStopped && isStarted)) ||
        (isStopped && !isStarted);
      if (view?.state === 'checking') {
        standing.quietSinceMs = null;
        return true;
      }
      if (view === null || isDue) return serve(standing, 0, signal);
      return judge(standing, view, signal);
    },
  };
}

/** It would write over what is stored, or is not what it should be. Pure. */
const isWrong = ({ state, isWhole }: EngineView): boolean =>
  state === 'downloading' || (state !== 'checking' && !isWhole);
