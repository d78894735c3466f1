import { STATE_KEYS, type SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { UsageError } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/** What flows at a rate that an operator may set: all downloads together, or those from each host by itself. The words are stored. */
export const RATE_NAMES = ['download', 'download_per_host'] as const;
export type RateName = (typeof RATE_NAMES)[number];

/** A rate set by hand; it goes before the configuration and survives restarts. */
export interface Rate {
  name: RateName;
  /** null = unlimited. */
  bytesPerSecond: number | null;
  /** Epoch ms. */
  since: number;
}

/** Rates in `system_state`, with a copy in memory because they are asked for with every chunk. */
export interface Rates {
  /**
   * Undefined = back to what the configuration says, null = unlimited.
   * @throws UsageError for anything but a whole number of bytes above 0
   */
  set(name: RateName, bytesPerSecond: number | null | undefined): void;
  /** Undefined = none set by hand. */
  of(name: RateName): number | null | undefined;
  list(): Rate[];
}

/** Reads what is stored at the first question. */
export function createRates({ state, clock, bus }: { state: SystemState; clock: Clock; bus: Bus }): Rates {
  let known: Map<RateName, Rate> | null = null;

  function stored(): Map<RateName, Rate> {
    if (known !== null) return known;
    known = new Map();
    for (const name of RATE_NAMES) {
      const rate = parseRate(name, state.get(`${STATE_KEYS.rate}${name}`));
      if (rate !== null) known.set(name, rate);
    }
    return known;
  }

  return {
    set(name, bytesPerSecond) {
      if (typeof bytesPerSecond === 'number' && !(Number.isSafeInteger(bytesPerSecond) && bytesPerSecond > 0))
        throw new UsageError('a rate is a whole number of bytes per second above 0');
      if (bytesPerSecond === undefined) {
        state.delete(`${STATE_KEYS.rate}${name}`);
        stored().delete(name);
      } else {
        const rate: Rate = { name, bytesPerSecond, since: clock.now() };
        state.set(`${STATE_KEYS.rate}${name}`, JSON.stringify(rate), rate.since);
        stored().set(name, rate);
      }
      bus.emit('rate:changed', { name });
    },
    of: (name) => stored().get(name)?.bytesPerSecond,
    list: () => [...stored().values()],
  };
}

/** What is stored for a name; null when nothing is, or something that cannot be read. */
export function parseRate(name: RateName, text: string | null): Rate | null {
  try {
    const { bytesPerSecond, since } = JSON.parse(text ?? 'null') as Rate;
    const isRate = bytesPerSecond === null || (Number.isSafeInteger(bytesPerSecond) && bytesPerSecond > 0);
    return isRate && typeof since === 'number' ? { name, bytesPerSecond, since } : null;
  } catch {
    return null;
  }
}
