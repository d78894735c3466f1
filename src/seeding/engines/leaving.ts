import { minutes, RetryableError, seconds } from '../../lib/index.ts';
import type { Clock, Log } from '../../ports/index.ts';
import type { EngineDriver } from './driver.ts';
import { isOfTheEngine } from './gate.ts';
import type { Places } from './places.ts';

/** A program that was just started answers before it has read what it has: until then what it does not name may be there all the same. */
const KNOWS_ALL_MS = minutes(1);
/** Between two looks whether a torrent is out. */
const POLL_MS = 200;
/** A program lets go of a torrent at once; one that does not is asked again at the next look. */
const LEAVES_MS = seconds(10);

/** What must not be served any more, until the program is seen not to have it. */
export interface Leaving {
  /** Those of the program's own operator stay there. */
  note(infoHash: string): void;
  /** It is wanted again. */
  cancel(infoHash: string): void;
  /** Resolves when the program is seen not to have it from us. @throws RetryableError, and whatever `isOfTheEngine` knows */
  takeOut(infoHash: string, signal: AbortSignal): Promise<void>;
  /** All that are left. @throws only what `isOfTheEngine` knows */
  takeOutAll(signal: AbortSignal): Promise<void>;
}

/** See `Leaving`. `driver`: ahead of all others. `answersForMs`: how long the program has answered without a gap. */
export function createLeaving(deps: {
  driver: EngineDriver;
  answersForMs: () => number;
  clock: Clock;
  log: Log;
  places: Places;
}): Leaving {
  const { driver, clock, log, places } = deps;
  const left = new Set<string>();
  /** Those that were seen to go. */
  const out = new Set<string>();

  /** Whether it is believed that it does not have what it does not name. */
  const isOut = (infoHash: string): boolean => out.has(infoHash) || deps.answersForMs() >= KNOWS_ALL_MS;

  async function takeOut(infoHash: string, signal: AbortSignal): Promise<void> {
    const end = clock.monotonicMs() + LEAVES_MS;
    for (let isTold = false; ; isTold = true) {
      const view = (await driver.look([infoHash], signal)).get(infoHash);
      // Wanted again meanwhile: it is not ours to take out any more.
      if (!left.has(infoHash)) return;
      if (view === undefined) {
        if (isTold) out.add(infoHash);
        if (isOut(infoHash)) break;
        throw new RetryableError(
          'engine_rejects',
          `${driver.title} does not name it, but has only just begun to answer: that is believed after a minute`,
        );
      }
      if (!places.isFromUs(view)) break;
      if (!isTold) await driver.remove(infoHash, signal);
      else if (clock.monotonicMs() >= end)
        throw new RetryableError('engine_rejects', `${driver.title} does not let go of a torrent`, {
          hint: 'Its log may say why. Remove it there, without its files.',
        });
      else await clock.sleep(POLL_MS, signal);
    }
    left.delete(infoHash);
  }

  return {
    note: (infoHash) => void left.add(infoHash),
    cancel(infoHash) {
      left.delete(infoHash);
      out.delete(infoHash);
    },
    takeOut,
    async takeOutAll(signal) {
      if (left.size === 0) return;
      const views = await driver.look([...left], signal);
      for (const infoHash of [...left]) {
        const view = views.get(infoHash);
        if (view === undefined || !places.isFromUs(view)) {
          if (view !== undefined || isOut(infoHash)) left.delete(infoHash);
          continue;
        }
        try {
          await takeOut(infoHash, signal);
          log.info({ infohash: infoHash }, 'took a retired torrent out of the program');
        } catch (error) {
          if (isOfTheEngine(error)) throw error;
          log.warn({ infohash: infoHash, err: error }, 'a retired torrent is still in the program');
        }
      }
    },
  };
}
