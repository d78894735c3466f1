import { Interrupted } from '../../src/lib/index.ts';
import type { Clock } from '../../src/ports/index.ts';

interface Timer {
  atMs: number;
  fire(): void;
}

/**
 * Time that leaps: whoever turns it goes straight to a moment, and what became due on the way fires then, once, in its order
 * (as on a machine that was asleep). A year of half-minute polls would be a million of them.
 */
export class LeapingClock {
  private readonly start: number;
  private elapsed = 0;
  private readonly timers = new Set<Timer>();
  /** Moments (as epoch ms) at which fetches end. */
  private readonly ends: number[] = [];

  constructor(start: number) {
    this.start = start;
  }

  now(): number {
    return this.start + this.elapsed;
  }

  /** The clock of one process; `kill` takes its timers away, and it gets no new ones. */
  forProcess(): Clock & {
    kill(): void /** Fetches under way. */;
    readonly fetching: number;
    fetch(until: number, signal: AbortSignal): Promise<void>;
  } {
    const own = new Set<Timer>();
    const ends = this.ends;
    let isDead = false;
    let fetching = 0;
    const after: Clock['after'] = (ms, fn) => {
      if (isDead) return () => {};
      const timer = { atMs: this.elapsed + ms, fire: fn };
      this.timers.add(timer);
      own.add(timer);
      return () => {
        this.timers.delete(timer);
        own.delete(timer);
      };
    };
    const sleep: Clock['sleep'] = (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new Interrupted());
        const onAbort = (): void => {
          cancel();
          reject(new Interrupted());
        };
        const cancel = after(ms, () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    return {
      now: () => this.now(),
      monotonicMs: () => this.elapsed,
      after,
      sleep,
      async fetch(until, signal) {
        fetching += 1;
        ends.push(until);
        try {
          await sleep(until - this.now(), signal);
        } finally {
          fetching -= 1;
        }
      },
      get fetching() {
        return fetching;
      },
      kill: () => {
        isDead = true;
        for (const timer of own) this.timers.delete(timer);
        own.clear();
      },
    };
  }

  /** The next end of a fetch, epoch ms; Infinity: nothing is fetched. */
  nextEnd(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let index = this.ends.length - 1; index >= 0; index -= 1) {
      const end = this.ends[index] as number;
      if (end <= this.now()) this.ends.splice(index, 1);
      else next = Math.min(next, end);
    }
    return next;
  }

  /** Goes to a moment; timers that those which fire set for the same moment wait for the next leap. */
  leapTo(epochMs: number): void {
    this.elapsed = Math.max(this.elapsed, epochMs - this.start);
    const due = [...this.timers]
      .filter((timer) => timer.atMs <= this.elapsed)
      .sort((a, b) => a.atMs - b.atMs);
    for (const timer of due) if (this.timers.delete(timer)) timer.fire();
  }
}

export type ProcessClock = ReturnType<LeapingClock['forProcess']>;
