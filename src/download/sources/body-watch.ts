import { minutes } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';

/**
 * A body that comes slower than this, measured over a minute, is given up as if it had fallen silent. One segment of 100 MB would take
 * three hours, while the origin gives each connection 5 MB/s; and a byte now and then would never be silence. It is low enough
 * that a line of 1 Mbit/s that a dozen connections share is not taken for a dozen bad sources.
 */
export const FLOOR_BYTES_PER_SECOND = 10_000;
const FLOOR_WINDOW_MS = minutes(1);
/** The other side may take us for gone when we read nothing for so long. */
const LONG_PAUSE_MS = 30_000;
/** May have been on its way or in the buffers of both sides when the other side gave up: a break shows only behind it. */
const IN_FLIGHT_BYTES = 8 * 1024 * 1024;

/** Watches how a body comes in. Only the time in which we wait for the other side counts. */
export interface BodyWatch {
  /** We wait for the other side now. */
  begin(): void;
  /** It sent so many bytes. */
  end(bytes: number): void;
  stop(): void;
  /** Why it was ended; null when it was not. */
  verdict(): 'silent' | 'slow' | null;
  /** Whether a break that shows now may be the answer to a long pause of ours. */
  mayBeOurs(): boolean;
}

/** One timer for all chunks: it looks since when somebody waits. `onEnd` is called once, as soon as there is a verdict. */
export function watchBody(clock: Clock, options: { silenceMs: number; onEnd(): void }): BodyWatch {
  const { silenceMs, onEnd } = options;
  let since: number | null = null;
  let endedAt: number | null = null;
  let verdict: 'silent' | 'slow' | null = null;
  let cancel: (() => void) | null = null;
  /** Of the window of the moment. */
  let waitedMs = 0;
  let gotBytes = 0;
  let bytesSincePause = Number.POSITIVE_INFINITY;

  const end = (found: 'silent' | 'slow'): void => {
    verdict = found;
    onEnd();
  };
  const isSlow = (): boolean => gotBytes * 1000 < FLOOR_BYTES_PER_SECOND * waitedMs;
  const look = (): void => {
    cancel = null;
    if (since === null) return;
    const nowMs = clock.monotonicMs() - since;
    if (nowMs >= silenceMs) end('silent');
    else cancel = clock.after(silenceMs - nowMs, look);
  };
  return {
    begin() {
      since = clock.monotonicMs();
      if (endedAt !== null && since - endedAt >= LONG_PAUSE_MS) bytesSincePause = 0;
      cancel ??= clock.after(silenceMs, look);
    },
    end(bytes) {
      endedAt = clock.monotonicMs();
      waitedMs += endedAt - (since ?? endedAt);
      since = null;
      gotBytes += bytes;
      bytesSincePause += bytes;
      if (waitedMs < FLOOR_WINDOW_MS) return;
      if (isSlow()) end('slow');
      waitedMs = 0;
      gotBytes = 0;
    },
    stop() {
      since = null;
      cancel?.();
    },
    verdict: () => verdict,
    mayBeOurs: () => verdict !== 'slow' && bytesSincePause < IN_FLIGHT_BYTES,
  };
}
