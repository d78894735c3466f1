import { seconds } from '../../lib/index.ts';
import type { Clock } from '../../ports/index.ts';

/** When the bytes of a part file are made durable while more of them come. */
export interface Checkpoints {
  /** So many more bytes are in the part file. */
  written(bytes: number): void;
  /** What to wait for before more may come; null = nothing. */
  room(): Promise<void> | null;
  /** Makes one after whatever is under way. */
  make(): Promise<void>;
}

/** A slow file is not left alone for longer. */
const EVERY_MS = seconds(30);

/**
 * A crash may cost one segment, counted over all connections: when the disk is too slow for that, receiving waits for it.
 * @param options.limitBytes that may be in the part file without being safe; one is begun at half of it
 * @param options.save makes everything durable that is in the part file at the moment of the call
 */
export function createCheckpoints(options: {
  clock: Clock;
  limitBytes: number;
  save(): Promise<void>;
}): Checkpoints {
  const { clock, limitBytes } = options;
  let writtenBytes = 0;
  /** Written when the last finished one, and the last begun one, was begun. */
  let safeBytes = 0;
  let begunBytes = 0;
  let begunMs = clock.monotonicMs();
  let running: Promise<void> | null = null;
  let failure: { error: unknown } | null = null;

  function begin(): Promise<void> {
    begunBytes = writtenBytes;
    begunMs = clock.monotonicMs();
    const at = begunBytes;
    const over = (): void => {
      running = null;
    };
    running = options.save().then(
      () => {
        safeBytes = at;
        over();
      },
      (error: unknown) => {
        failure = { error };
        over();
      },
    );
    return running;
  }
  async function roomMade(): Promise<void> {
    while (failure === null && writtenBytes - safeBytes > limitBytes) await (running ?? begin());
    if (failure !== null) throw failure.error;
  }

  return {
    written(bytes) {
      writtenBytes += bytes;
      const since = writtenBytes - begunBytes;
      const isDue = since >= limitBytes / 2 || clock.monotonicMs() - begunMs >= EVERY_MS;
      if (running === null && failure === null && isDue) void begin();
    },
    room: () => (failure !== null || writtenBytes - safeBytes > limitBytes ? roomMade() : null),
    async make() {
      while (running !== null) await running;
      await begin();
      if (failure !== null) throw failure.error;
    },
  };
}
