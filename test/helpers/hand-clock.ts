import { type Clock, createSystemClock } from '../../src/ports/index.ts';

/** The real clock, but what is to happen later happens when a test says so: programs that are not ours need real time. */
export function handClock(): Clock & { fire(): void; pass(ms: number): void; readonly armed: number } {
  const real = createSystemClock();
  const armed = new Set<() => void>();
  let aheadMs = 0;
  return {
    now: () => real.now() + aheadMs,
    monotonicMs: () => real.monotonicMs() + aheadMs,
    sleep: (ms, signal) => real.sleep(ms, signal),
    after(_ms, fn) {
      armed.add(fn);
      return () => void armed.delete(fn);
    },
    /** Everything that waits happens now. */
    fire() {
      for (const fn of [...armed]) {
        armed.delete(fn);
        fn();
      }
    },
    /** So much time has gone by. */
    pass(ms) {
      aheadMs += ms;
      this.fire();
    },
    get armed() {
      return armed.size;
    },
  };
}
