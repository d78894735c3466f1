import { Interrupted } from '../../src/lib/index.ts';
import type { Clock } from '../../src/ports/index.ts';

/** One process's view of the time: when it dies its timers never fire. */
export interface ProcessClock extends Clock {
  kill(): void;
}

/** Timers that fire at one instant before the test says that the queue turns in circles. */
const SPINS_MAX = 200;

/** Time for several processes, which only the test moves; its wall clock can be set without the monotonic one. */
export class SimClock {
  wallMs = Date.parse('2026-11-21T00:00:00Z');
  monotonicMs = 1000;
  private readonly timers = new Set<{ atMs: number; order: number; fire: () => void }>();
  private order = 0;
  private readonly settle: () => Promise<void>;

  /** @param settle lets what a timer woke run to its end */
  constructor(settle: () => Promise<void>) {
    this.settle = settle;
  }

  processClock(): ProcessClock {
    let isDead = false;
    const after = (ms: number, fn: () => void): (() => void) => {
      const timer = {
        atMs: this.monotonicMs + ms,
        order: this.order++,
        fire: () => {
          if (!isDead) fn();
        },
      };
      if (!isDead) this.timers.add(timer);
      return () => void this.timers.delete(timer);
    };
    return {
      now: () => this.wallMs,
      monotonicMs: () => this.monotonicMs,
      after,
      sleep: () => Promise.reject(new Interrupted('nobody sleeps here')),
      kill: () => {
        isDead = true;
      },
    };
  }

  /** Lets everything that is due now happen. */
  async quiet(): Promise<void> {
    await this.advance(0);
  }

  /** Turns both clocks; every timer fires at its time. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const end = this.monotonicMs + ms;
    let spins = 0;
    for (;;) {
      const timer = this.next(end);
      if (timer === undefined) break;
      spins = timer.atMs > this.monotonicMs ? 0 : spins + 1;
      if (spins > SPINS_MAX)
        throw new Error('the queue turns in circles: a timer fires again and again at once');
      this.timers.delete(timer);
      this.turnTo(Math.max(timer.atMs, this.monotonicMs));
      timer.fire();
      await this.settle();
    }
    this.turnTo(end);
    await this.settle();
  }

  /** The event loop stood still for so long: both clocks jump, then everything that is late fires. */
  async stall(ms: number): Promise<void> {
    await this.settle();
    this.turnTo(this.monotonicMs + ms);
    await this.advance(0);
  }

  private next(end: number): { atMs: number; fire: () => void; order: number } | undefined {
    let best: { atMs: number; order: number; fire: () => void } | undefined;
    for (const timer of this.timers)
      if (
        timer.atMs <= end &&
        (best === undefined ||
          timer.atMs < best.atMs ||
          (timer.atMs === best.atMs && timer.order < best.order))
      )
        best = timer;
    return best;
  }

  private turnTo(monotonicMs: number): void {
    this.wallMs += monotonicMs - this.monotonicMs;
    this.monotonicMs = monotonicMs;
  }
}
