import { z } from 'zod';
import { STATE_KEYS, type SystemState } from '../../db/index.ts';
import { days, minutes } from '../../lib/index.ts';

/** A tracker is asked no more often than this, whatever the configuration says. */
export const ASK_AGAIN_MS = minutes(30);
/** So long rests one that only serves what it knows; none rests longer. */
export const REST_MAX_MS = days(1);
const NOT_WELCOME =
  /not (authori[sz]ed|registered|allowed|whitelisted)|unregistered|unauthori[sz]ed|whitelist/i;

/** Times are epoch ms. */
const Note = z.object({
  /** Of the last question, answered or not; null = it was never asked. */
  askedAt: z.number().nullable(),
  answeredAt: z.number().nullable(),
  /** How many torrents the last look asked for, and of how many something was said. */
  asked: z.number().int(),
  known: z.number().int(),
  /** Why the last look got no answer, or not a whole one; null = it did. */
  problem: z.object({ code: z.string(), message: z.string() }).nullable(),
  /** It is not asked before. */
  restsUntil: z.number().nullable(),
  /** Where the next look begins, when the last one did not come to the end. */
  resumeAfter: z.string().nullable(),
});

/** What the looks at one tracker came to. */
export type TrackerNote = z.infer<typeof Note>;

/** Remembers trackers over restarts, for the pace and for the status page. */
export interface TrackerBook {
  note(tracker: string): TrackerNote | null;
  write(tracker: string, note: TrackerNote, nowMs: number): void;
  /** Forgets those that no torrent names any more. */
  keepOnly(trackers: ReadonlySet<string>): void;
}

/** See `TrackerBook`. */
export function createTrackerBook(state: SystemState): TrackerBook {
  return {
    note(tracker) {
      const text = state.get(STATE_KEYS.tracker + tracker);
      return text === null ? null : parseTrackerNote(text);
    },
    write: (tracker, note, nowMs) => state.set(STATE_KEYS.tracker + tracker, JSON.stringify(note), nowMs),
    keepOnly(trackers) {
      for (const { key } of state.list(STATE_KEYS.tracker))
        if (!trackers.has(key.slice(STATE_KEYS.tracker.length))) state.delete(key);
    },
  };
}

/** What was stored of a tracker; null when it cannot be read. */
export function parseTrackerNote(text: string): TrackerNote | null {
  try {
    return Note.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Until when a tracker rests after what it said. */
export function restAfter(nowMs: number, said: { restMs: number; problem: TrackerNote['problem'] }): number {
  const isClosed = said.problem?.code === 'tracker_refused' && NOT_WELCOME.test(said.problem.message);
  if (isClosed) return nowMs + REST_MAX_MS;
  return nowMs + Math.max(ASK_AGAIN_MS, Math.min(said.restMs, REST_MAX_MS));
}
