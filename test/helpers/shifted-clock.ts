import { type Clock, createSystemClock } from '../../src/ports/index.ts';

/** The real clock, moved so that it says `start` now: for real sockets and timers on another day. */
export function shiftedClock(start: string): Clock {
  const real = createSystemClock();
  const offsetMs = Date.parse(start) - real.now();
  return { ...real, now: () => real.now() + offsetMs };
}
