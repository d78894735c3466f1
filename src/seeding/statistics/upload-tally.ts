import { z } from 'zod';
import { STATE_KEYS, type SystemState } from '../../db/index.ts';

const Saved = z.object({
  engine: z.string(),
  /** What the engine's counters said, by infohash. */
  counters: z.record(z.string(), z.number()),
  /** What was given since the last row, by infohash. */
  pending: z.record(z.string(), z.number()),
});

/** Adds up what was given of each torrent, over restarts of an engine, whose counters then begin at 0 again. */
export interface UploadTally {
  /**
   * What the engine's counters say now.
   * @param restarts how often the engine was started anew
   */
  note(activities: readonly { infoHash: string; uploadedBytes: number }[], restarts: number): void;
  /** Given since it was taken last, bytes; 0 when nothing is known. */
  pending(infoHash: string): number;
  /** So many bytes of what was pending are in the table now. */
  taken(infoHash: string, bytes: number): void;
  /** Keeps all of it over a restart of the process. */
  save(nowMs: number): void;
}

/**
 * @param options.isEphemeral the counters begin at 0 with each process: those of the embedded engine; others count on without us
 */
export function createUploadTally(options: {
  state: SystemState;
  engine: string;
  isEphemeral: boolean;
}): UploadTally {
  const { state, engine } = options;
  const saved = read(state);
  const counters = new Map<string, number>();
  const pending = new Map(Object.entries(saved?.pending ?? {}));
  if (!options.isEphemeral && saved?.engine === engine)
    for (const [infoHash, bytes] of Object.entries(saved.counters)) counters.set(infoHash, bytes);
  let lastRestarts = 0;
  return {
    note(activities, restarts) {
      if (options.isEphemeral && restarts !== lastRestarts) counters.clear();
      lastRestarts = restarts;
      for (const { infoHash, uploadedBytes } of activities) {
        const before = counters.get(infoHash) ?? 0;
        // Less than before: the engine forgot, and began anew.
        const given = uploadedBytes >= before ? uploadedBytes - before : uploadedBytes;
        if (uploadedBytes > 0) counters.set(infoHash, uploadedBytes);
        else counters.delete(infoHash);
        if (given > 0) pending.set(infoHash, (pending.get(infoHash) ?? 0) + given);
      }
    },
    pending: (infoHash) => pending.get(infoHash) ?? 0,
    taken(infoHash, bytes) {
      const left = (pending.get(infoHash) ?? 0) - bytes;
      if (left > 0) pending.set(infoHash, left);
      else pending.delete(infoHash);
    },
    save(nowMs) {
      const text = JSON.stringify({
        engine,
        counters: Object.fromEntries(counters),
        pending: Object.fromEntries(pending),
      });
      state.set(STATE_KEYS.uploadCounters, text, nowMs);
    },
  };
}

function read(state: SystemState): z.infer<typeof Saved> | null {
  try {
    return Saved.parse(JSON.parse(state.get(STATE_KEYS.uploadCounters) ?? ''));
  } catch {
    return null;
  }
}
