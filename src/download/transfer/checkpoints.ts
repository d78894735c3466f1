import { seconds } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';

/** When the bytes of a part file are made durable while more of them come. */
export interface Checkpoints {
  /** So many bytes came. @returns what to wait for before more may come; null = nothing */
  received(bytes: number): Promise<void> | null;
  /** Makes one after whatever is under way. */
  make(): Promise<void>;
}

/** A slow file is not left alone for longer. */
const EVERY_MS = seconds(30);
/** Chunks of all connections that may be on their way when the limit is reached. */
const SLACK_BYTES = 256 * 1024;

/**
 * A crash may cost one segment, counted over all connections: one is begun when half a segment came since the last one, and when
 * the disk is too slow for that, receiving waits for it.
 * @param save makes everything durable that is in the part file at the moment of the call
 */
export function createCheckpoints(options: {
  clock: Clock;
  segmentBytes: number;
  save(): Promise<void>;
}): Checkpoints {
  const { clock, segmentBytes } = options;
  const limitBytes = Math.max(segmentBytes / 2, segmentBytes - SLACK_BYTES);
  let receivedBytes = 0;
  /** Received when the last finished one, and the last begun one, was begun. */
  let safeBytes = 0;
  let begunBytes = 0;
  let begunMs = clock.monotonicMs();
  let running: Promise<void> | null = null;
  let failure: { error: unknown } | null = null;

  function begin(): Promise<void> {
    begunBytes = receivedBytes;
    begunMs = clock.monotonicMs();
    const at = begunBytes;
    running = options
      .save()
      .then(
        () => {
          safeBytes = at;
        },
        (error: unknown) => {
          failure = { error };
        },
      )
      .then(() => {
        running = null;
      });
    return running;
  }
  async function roomMade(): Promise<void> {
    while (failure === null && receivedBytes - safeBytes > limitBytes) await (running ?? begin());
    if (failure !== null) throw failure.error;
  }

  return {
    received(bytes) {
      receivedBytes += bytes;
      const since = receivedBytes - begunBytes;
      const isDue = since >= segmentBytes / 2 || (since > 0 && clock.monotonicMs() - begunMs >= EVERY_MS);
      if (running === null && isDue) void begin();
      return failure !== null || receivedBytes - safeBytes > limitBytes ? roomMade() : null;
    },
    async make() {
      while (running !== null) await running;
      await begin();
      if (failure !== null) throw failure.error;
    },
  };
}
