import type { Bus } from '../../events/index.ts';
import { seconds } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';
import { createBandwidth } from '../bandwidth.ts';

/** Lets so many bytes be read no faster than allowed. @throws Interrupted as soon as `signal` aborts */
export type ReadPace = (bytes: number, signal: AbortSignal) => Promise<void>;

const LOOK_AGAIN_MS = seconds(5);
const UNLIMITED = { defaultBytesPerSecond: null, windows: [] };

/**
 * The pace of the background reading: never faster than `maintenance.scrub.read_limit`, and not at all while jobs of some types
 * want the disk for themselves.
 */
export function createReadPace(deps: {
  clock: Clock;
  /** null = unlimited. */
  bytesPerSecond: number | null;
  bus?: Bus;
  /** Job types that go first. */
  yieldTo?: readonly string[];
}): { pace: ReadPace; stop(): void } {
  const { clock, bus, yieldTo = [] } = deps;
  const running = new Set<number>();
  const begun = bus?.on('job:started', ({ jobId, jobType }) => {
    if (yieldTo.includes(jobType)) running.add(jobId);
  });
  const ended = (['job:completed', 'job:attemptFailed', 'job:givenBack'] as const).map((name) =>
    bus?.on(name, ({ jobId }) => void running.delete(jobId)),
  );
  const gate = createBandwidth({
    clock,
    config: { total: { defaultBytesPerSecond: deps.bytesPerSecond, windows: [] }, perHost: UNLIMITED },
  });
  return {
    async pace(bytes, signal) {
      while (running.size > 0) await clock.sleep(LOOK_AGAIN_MS, signal);
      await gate.take('disk', bytes, signal);
    },
    stop() {
      begun?.();
      for (const end of ended) end?.();
    },
  };
}
