import { stat } from 'node:fs/promises';
import { Interrupted } from '../../src/lib/index.ts';
import type { Clock, EpochMs } from '../../src/ports/index.ts';

interface Timer {
  atMs: number;
  fire(): void;
}

/** A clock that stands still until a test turns it. */
export class FakeClock implements Clock {
  private wallMs: EpochMs;
  private monotonic = 0;
  private readonly timers = new Set<Timer>();

  constructor(start: EpochMs | string = '2026-11-21T00:00:00Z') {
    this.wallMs = typeof start === 'string' ? Date.parse(start) : start;
  }

  now(): EpochMs {
    return this.wallMs;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  /** Somebody sets the wall clock; the monotonic one and all timers go on as they were. */
  setWall(atMs: EpochMs): void {
    this.wallMs = atMs;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { atMs: this.monotonic + ms, fire: fn };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new Interrupted());
      const onAbort = (): void => {
        cancel();
        reject(new Interrupted());
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Timers and sleepers that still wait. */
  get waiting(): number {
    return this.timers.size;
  }

  /** Turns both clocks on; due timers fire in order, those they add within the span too. Awaiting it lets what they woke run. */
  async advance(ms: number): Promise<void> {
    const end = this.monotonic + ms;
    for (;;) {
      const due = [...this.timers].filter((t) => t.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.turnTo(Math.max(due.atMs, this.monotonic));
      due.fire();
      await settle();
    }
    this.turnTo(end);
    await settle();
  }

  private turnTo(monotonicMs: number): void {
    this.wallMs += monotonicMs - this.monotonic;
    this.monotonic = monotonicMs;
  }
}

/**
 * Lets promises that are ready run. One question to the real disk stands behind those that rooms asked before: without it an hour of this clock
 * may pass while the threads for input and output get no turn, and a disk looks dead that answers within a millisecond.
 */
async function settle(): Promise<void> {
  await stat('/');
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
