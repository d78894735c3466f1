import {
  describeError,
  HaltPipelineError,
  hours,
  Interrupted,
  minutes,
  RetryableError,
  seconds,
} from '../../lib/index.ts';
import type { Clock, Disk, Log } from '../../ports/index.ts';
import type { EngineEvents, TorrentEngine } from '../engine.ts';
import type { SeedSpec, TorrentActivity } from '../protocol.ts';
import { type EngineDriver, EngineRefusal } from './driver.ts';
import { createGate, isOfTheEngine } from './gate.ts';
import { createLeaving } from './leaving.ts';
import { createPlaces } from './places.ts';
import { createComplaints } from './problems.ts';
import { createServing } from './serving.ts';
import { activityOf, newStanding, type Standing } from './standing.ts';
import { createStoredTorrents } from './stored-torrent.ts';

/** How often we look whether all is as it should be. */
const LOOK_MS = minutes(1);
/** While something is being read. */
const LOOK_SOON_MS = seconds(10);
/** First wait for a program that does not answer; each next one is twice as long, up to `LOOK_MS`. */
const BACKOFF_MIN_MS = seconds(5);
/** A program that refuses us bans whoever insists. */
const REFUSED_MS = hours(1);
/** A torrent that is still being read after that goes on without being waited for. */
const SETTLE_MS = seconds(20);
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

/** A torrent program beside us as a `TorrentEngine`. It goes on seeding when we stop. */
export function createExternalEngine(deps: ExternalEngineDeps): TorrentEngine {
  const { clock } = deps;
  const { title } = deps.driver;
  const log = deps.log.child({ room: 'seeding', engine: deps.driver.name });
  const tell = createComplaints(deps);
  const gate = createGate({ driver: deps.driver, clock, tell, refusedMs: REFUSED_MS });
  const { driver } = gate;
  const places = createPlaces(deps);
  const stored = createStoredTorrents(deps);
  const leaving = createLeaving({ driver: gate.first, answersForMs: gate.answersForMs, clock, log, places });
  const serving = createServing({ driver, clock, log, places, stored, tell, onDamaged: deps.onDamaged });
  const wanted = new Map<string, Standing>();
  let life: AbortController | null = null;
  let looking: Promise<unknown> = Promise.resolve();
  let port: number | null = null;
  let cancelLook = (): void => {};
  let backoffMs = BACKOFF_MIN_MS;

  /** One thing at a time for each torrent: a look between adding and starting would take it for one that a hand stopped. */
  function alone<T>(standing: Standing, work: () => Promise<T>): Promise<T> {
    const turn = standing.work.then(async () => {
      standing.isBusy = true;
      try {
        return await work();
      } finally {
        standing.isBusy = false;
        standing.turns += 1;
      }
    });
    standing.work = turn.catch(() => {});
    return turn;
  }

  /** @returns how long until the next look */
  async function look(signal: AbortSignal): Promise<number> {
    await leaving.takeOutAll(signal);
    // Before it is asked: the list takes minutes, and what is done for a torrent meanwhile makes old what was seen of it.
    const turns = new Map([...wanted.values()].map((standing) => [standing, standing.turns]));
    const views = await driver.look([...wanted.keys()], signal);
    port = await driver.peersPort(signal);
    backoffMs = BACKOFF_MIN_MS;
    let nextMs = LOOK_MS;
    for (const [infoHash, standing] of [...wanted]) {
      // What somebody waits for is looked at by whoever waits.
      if (wanted.get(infoHash) !== standing || standing.isBusy) continue;
      try {
        const isSettled = await alone(standing, () =>
          serving.lookAt(
            standing,
            turns.get(standing) === standing.turns ? (views.get(infoHash) ?? null) : undefined,
            signal,
          ),
        );
        if (!isSettled) nextMs = LOOK_SOON_MS;
      } catch (error) {
        if (standing.gone.signal.aborted && !signal.aborted) continue;
        if (isOfTheEngine(error)) throw error;
        complain(standing.spec, error);
      }
    }
    return nextMs;
  }

  /** One torrent's trouble is no other's. */
  function complain({ infoHash }: SeedSpec, error: unknown): void {
    if (!(error instanceof RetryableError)) {
      log.error({ infohash: infoHash, err: error }, 'a torrent could not be looked after');
      const message = `a torrent could not be given to ${title}: ${describeError(error)}`;
      tell.problem(infoHash, {
        code: 'engine_failed_torrent',
        message,
        hint: 'It is tried again every minute.',
      });
      return;
    }
    const { code, message, hint, subject } = error;
    tell.problem(infoHash, { code, message, hint });
    if (code === 'seed_file_changed' && typeof subject.path === 'string')
      deps.onDamaged?.(infoHash, subject.path, message);
  }

  /** Looks now, and from then on again and again. Never fails. */
  async function keepLooking(signal: AbortSignal): Promise<void> {
    cancelLook();
    let nextMs: number;
    try {
      const turn = look(signal);
      looking = turn.catch(() => {});
      nextMs = await turn;
    } catch (error) {
      if (signal.aborted) return;
      // The program itself is told about by the gate.
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

  function standingOf(spec: SeedSpec): Standing {
    const known = wanted.get(spec.infoHash);
    if (known !== undefined) {
      known.spec = spec;
      return known;
    }
    const standing = newStanding(spec);
    leaving.cancel(spec.infoHash);
    wanted.set(spec.infoHash, standing);
    return standing;
  }

  /** It is wanted no more, and to be taken out. */
  function forget(infoHash: string): Standing | undefined {
    const standing = wanted.get(infoHash);
    wanted.delete(infoHash);
    tell.over(infoHash);
    stored.forget(infoHash);
    leaving.note(infoHash);
    standing?.gone.abort();
    return standing;
  }

  return {
    name: deps.driver.name,

    async start(specs, retired = []) {
      for (const infoHash of retired) forget(infoHash);
      for (const spec of specs) standingOf(spec);
      if (life !== null) return;
      life = new AbortController();
      await within(START_DEADLINE_MS, keepLooking(life.signal), () => {});
    },

    async stop() {
      life?.abort();
      life = null;
      cancelLook();
      const ended = Promise.all([looking, ...[...wanted.values()].map(({ work }) => work)]);
      await within(
        STOP_DEADLINE_MS,
        ended.then(() => {}),
        () => {},
      );
    },

    async add(spec, signal) {
      if (life === null) throw new RetryableError('seeder_down', 'seeding has not begun yet');
      const isNew = !wanted.has(spec.infoHash);
      const standing = standingOf(spec);
      const either = AbortSignal.any([signal, life.signal]);
      try {
        await alone(standing, async () => {
          if (standing.bad !== null)
            throw new RetryableError(standing.bad.code, standing.bad.message, {
              hint: standing.bad.hint ?? '',
            });
          await serving.serve(standing, SETTLE_MS, either);
          port ??= await driver.peersPort(either);
        });
      } catch (error) {
        // What could not be served for its bytes is looked at again all the same; the rest is asked for again.
        if (isNew && standing.bad === null && wanted.get(spec.infoHash) === standing)
          wanted.delete(spec.infoHash);
        if (error instanceof EngineRefusal)
          throw new HaltPipelineError(error.code, error.message, {
            ...(error.hint === undefined ? {} : { hint: error.hint }),
            ...{ pauseMs: REFUSED_MS, cause: error, isNeverOwnFault: true },
          });
        if (!isOfTheEngine(error) && !(error instanceof Interrupted)) complain(spec, error);
        throw error;
      }
    },

    async remove(infoHash) {
      const standing = forget(infoHash);
      const signal = life?.signal ?? AbortSignal.timeout(STOP_DEADLINE_MS);
      const work = (async () => {
        // What is on its way in cannot be taken out before it is there.
        await standing?.work;
        await leaving.takeOut(infoHash, signal);
      })();
      const isOut = work.then(() => null);
      const why = await within<unknown>(
        STOP_DEADLINE_MS,
        isOut.catch((error: unknown) => error),
        () => `${title} has not answered yet`,
      );
      if (why === null) return;
      throw new RetryableError(
        'seeding_not_ended',
        `it is not known whether ${title} still seeds a torrent: ${typeof why === 'string' ? why : describeError(why)}`,
        {
          hint: `Start ${title}, or remove the torrent there without its files; WikiSeed tries again by itself.`,
          subject: { infoHash },
          // Whether it is down as a whole.
          ...(typeof why === 'string' ? {} : { cause: why }),
        },
      );
    },

    async renew({ infoHash, path }) {
      const standing = wanted.get(infoHash);
      if (standing === undefined) return;
      if (standing.bad === null) {
        if (!standing.isStarted) standing.renewed.add(path);
        return;
      }
      standing.isMended = true;
      const signal = life?.signal;
      if (signal === undefined) return;
      await alone(standing, () => serving.serveAgain(standing, SETTLE_MS, signal)).catch((error: unknown) => {
        if (!signal.aborted)
          log.warn(
            { infohash: infoHash, err: error },
            'a mended torrent could not be served yet; the next look tries it again',
          );
      });
    },

    async snapshot() {
      const signal = life?.signal;
      if (signal !== undefined && !gate.isRefused()) {
        // Beside the gate: a page does not wait for a look.
        const fresh = deps.driver.look([...wanted.keys()], signal).then(
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
