import { type BandwidthLimit, bandwidthAt } from '../config/index.ts';
import { Interrupted } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/** Limits of all downloads together and of each host, in bytes per second; null = unlimited. */
export interface BandwidthConfig {
  /** `download.bandwidth_limit`. */
  total: BandwidthLimit;
  /** `download.per_host_bandwidth_limit`. */
  perHost: BandwidthLimit;
}

/** Rates set by hand while running; they go before the configuration. Undefined = none set, null = unlimited. */
export interface RatesByHand {
  total(): number | null | undefined;
  perHost(): number | null | undefined;
}

/** Lets bytes pass no faster than the limits of the moment. */
export interface Bandwidth {
  /**
   * Resolves when so many bytes may count as received. Who asks first is served first, so connections that ask chunk by chunk get
   * equal shares.
   * @throws Interrupted as soon as `signal` aborts
   */
  take(host: string, bytes: number, signal: AbortSignal): Promise<void>;
  /** A rate was changed by hand: whoever waits is served by the new one at once. */
  changed(): void;
}

/** Unused time that may be made up for: short enough not to be noticed on the line, long enough for one chunk at any sane rate. */
const BURST_MS = 250;
/** Schedules change at full minutes. */
const MINUTE_MS = 60_000;

/** See `Bandwidth`. Without limits it costs a comparison. */
export function createBandwidth(deps: {
  clock: Clock;
  config: BandwidthConfig;
  byHand?: RatesByHand;
}): Bandwidth {
  const { clock, config, byHand } = deps;
  const rateOf = (limit: BandwidthLimit, hand: number | null | undefined): number | null =>
    hand === undefined ? bandwidthAt(limit, clock.now()) : hand;
  const total = createGate(clock, () => rateOf(config.total, byHand?.total()));
  const hosts = new Map<string, Gate>();

  function gateOf(host: string): Gate {
    const gate = hosts.get(host) ?? createGate(clock, () => rateOf(config.perHost, byHand?.perHost()));
    hosts.set(host, gate);
    return gate;
  }

  return {
    async take(host, bytes, signal) {
      // The host first: what waits for a slow host takes nothing from the others.
      const gate = gateOf(host);
      if (!gate.tryTake(bytes)) await gate.take(bytes, signal);
      if (!total.tryTake(bytes)) await total.take(bytes, signal);
    },
    changed() {
      for (const gate of [total, ...hosts.values()]) gate.changed();
    },
  };
}

/** A token bucket with a queue. */
interface Gate {
  /** True = taken; false = nothing was taken, somebody has to wait. */
  tryTake(bytes: number): boolean;
  take(bytes: number, signal: AbortSignal): Promise<void>;
  changed(): void;
}

interface Waiter {
  bytes: number;
  pass(): void;
}

/**
 * Bytes are given on credit: whoever comes while the balance is not negative passes, and the next one waits until the debt is
 * paid off. So a chunk may be larger than a second's worth, and the average is still right.
 */
function createGate(clock: Clock, rate: () => number | null): Gate {
  const queue: Waiter[] = [];
  /** Bytes; negative = debt. */
  let balance = 0;
  let countedAt = clock.monotonicMs();
  /** In force since `countedAt`. */
  let current = rate();
  let rateUntil = nextMinute();
  let cancelTimer = (): void => {};

  function nextMinute(): number {
    return clock.monotonicMs() + MINUTE_MS - (clock.now() % MINUTE_MS);
  }

  /** Credits the time that passed, by the rate that was in force, then looks at the schedule. */
  function count(isChanged: boolean): void {
    const now = clock.monotonicMs();
    if (current !== null)
      balance = Math.min(balance + ((now - countedAt) * current) / 1000, (current * BURST_MS) / 1000);
    countedAt = now;
    if (!isChanged && now < rateUntil) return;
    rateUntil = nextMinute();
    const next = rate();
    // A debt or a credit of another rate says nothing about this one.
    if (next !== current) balance = next === null ? 0 : Math.max(Math.min(balance, 0), -next);
    current = next;
  }

  function tryTake(bytes: number): boolean {
    if (queue.length > 0) return false;
    count(false);
    if (current === null) return true;
    if (balance < 0) return false;
    balance -= bytes;
    return true;
  }

  /** Serves whoever may pass, and sleeps exactly until the next one may or the schedule may change. */
  function serve(): void {
    cancelTimer();
    count(false);
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      if (current !== null && balance < 0) break;
      if (current !== null) balance -= first.bytes;
      queue.shift();
      first.pass();
    }
    if (queue.length === 0 || current === null) return;
    const paidOffMs = Math.ceil((-balance / current) * 1000);
    const waitMs = Math.max(1, Math.min(paidOffMs, Math.ceil(rateUntil - clock.monotonicMs())));
    cancelTimer = clock.after(waitMs, serve);
  }

  return {
    tryTake,
    take: (bytes, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(new Interrupted());
        const onAbort = (): void => {
          const at = queue.indexOf(waiter);
          if (at >= 0) queue.splice(at, 1);
          reject(new Interrupted());
          serve();
        };
        const waiter: Waiter = {
          bytes,
          pass() {
            signal.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        queue.push(waiter);
        serve();
      }),
    changed() {
      count(true);
      serve();
    },
  };
}
