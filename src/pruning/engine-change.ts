import type { SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import { isBesideUs, seedingProgramOf } from './waiting.ts';

/** Raised when what waited for one program is deleted under another one. */
export const ENGINE_ALERT_KEY = 'prune_engine_changed';

/** The `seeding.engine` that something waits for. */
const KEY = 'pruning:waits_for';

/** Remembers for whom deletions wait: another engine knows nothing of what that one still serves, and so confirms whatever it is asked. */
export interface EngineChange {
  /** Before anything is taken up; only the first call looks. @returns what an operator is to know; null = nothing */
  look(): string | null;
  /** Whether something waits for the engine of now. */
  note(isWaiting: boolean): void;
}

/** See `EngineChange`. `engine`: `seeding.engine`. */
export function createEngineChange(deps: {
  state: SystemState;
  clock: Clock;
  bus: Bus;
  log: Log;
  engine: string;
}): EngineChange {
  const { state, clock, bus, engine } = deps;
  let isLooked = false;
  return {
    look() {
      if (isLooked) return null;
      isLooked = true;
      const before = state.get(KEY) ?? engine;
      if (before === engine || !isBesideUs(before)) {
        bus.emit('alert:resolved', { key: ENGINE_ALERT_KEY });
        return null;
      }
      // The operator chose; what is served there is not known any more.
      const program = seedingProgramOf(before);
      const message = `seeding.engine is not ${before} any more, and files that waited for ${program} to let go of them are deleted without its word`;
      deps.log.warn({ before, engine }, message);
      bus.emit('alert:raised', {
        ...{ key: ENGINE_ALERT_KEY, severity: 'warn', message },
        hint: `Take WikiSeed's torrents out of ${program}, without their files: it may still serve what goes now. The next start ends this alert.`,
      });
      return message;
    },
    note(isWaiting) {
      const known = state.get(KEY);
      if (isWaiting && known !== engine) state.set(KEY, engine, clock.now());
      if (!isWaiting && known !== null) state.delete(KEY);
    },
  };
}
