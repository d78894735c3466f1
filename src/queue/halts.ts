import type { SystemState } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import type { Clock } from '../ports/index.ts';

/** A target that stopped for all its jobs. Times in epoch ms. */
export interface Halt {
  target: string;
  code: string;
  message: string;
  hint: string | null;
  since: number;
  until: number;
}

/** Which targets are halted; kept in `system_state` under `halt:<target>` so that pages and commands see it. */
export interface Halts {
  set(halt: Omit<Halt, 'since'>): void;
  /** The halt of a target, or null when it may work; one whose time has passed is cleared. */
  active(target: string): Halt | null;
  list(): Halt[];
  /** Forgets all, at start: a restart is how an operator says "try again". */
  clear(): void;
}

/** Halts over `system_state`, with a copy in memory because pools ask before every claim. */
export function createHalts(deps: { state: SystemState; clock: Clock; bus: Bus }): Halts {
  const halts = new Map<string, Halt>();
  return {
    set(facts) {
      const halt = { ...facts, since: halts.get(facts.target)?.since ?? deps.clock.now() };
      halts.set(halt.target, halt);
      deps.state.set(`halt:${halt.target}`, JSON.stringify(halt), deps.clock.now());
    },
    active(target) {
      const halt = halts.get(target);
      if (halt === undefined) return null;
      if (halt.until > deps.clock.now()) return halt;
      // The row stays until the next start: readers leave out what is over, and asking must never need the database.
      halts.delete(target);
      deps.bus.emit('target:resumed', { target });
      return null;
    },
    list: () => [...halts.values()],
    clear() {
      halts.clear();
      for (const { key } of deps.state.list('halt:')) deps.state.delete(key);
    },
  };
}
