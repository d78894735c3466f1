import type { CareStore } from './care-store.ts';
import type { Controls, Pause } from './controls.ts';
import type { Pools } from './pools.ts';
import type { Halt, Targets } from './targets.ts';
import { EVERY_JOB } from './targets.ts';
import type { IdleReport } from './types.ts';

/** A target that was out of reach this often in a row is not waited for: about five hours. */
const OUTAGES_WAITED_FOR = 5;

/** Tells who waits for it that nothing can be done any more. */
export interface IdleWatch {
  wait(): Promise<IdleReport>;
  /** Looks whether it is so now. */
  settle(): void;
  /** Resolves when `isTrue`, asked at every `settle`, or when `deadline` calls back. */
  until(isTrue: () => boolean, deadline: (wake: () => void) => () => void): Promise<void>;
}

/** See `IdleWatch`. */
export function createIdleWatch(deps: {
  care: CareStore;
  targets: Targets;
  controls: Controls;
  pools: Pools;
  isBusy: () => boolean;
  guarded: (work: () => void) => void;
}): IdleWatch {
  const waiting = new Set<(report: IdleReport) => void>();
  const conditions = new Set<() => void>();

  /** null = some job can still run by itself. */
  function report(): IdleReport | null {
    const halted = new Map<string, Halt>();
    let isHeld = false;
    for (const { jobType, n } of deps.care.countUnfinished()) {
      const type = deps.pools.get(jobType)?.handler.jobType;
      if (n === 0 || type === undefined || type.isUpkeep) continue;
      if (deps.controls.isPaused(type.type, type.targets)) {
        isHeld = true;
        continue;
      }
      const names: readonly string[] = [...type.targets, ...EVERY_JOB];
      const stops = deps.targets
        .list()
        .filter((halt) => names.includes(halt.target))
        .filter((halt) => halt.kind === 'halted' || halt.failures >= OUTAGES_WAITED_FOR);
      if (stops.length === 0 || deps.targets.door(type.targets).state !== 'halted') return null;
      for (const halt of stops) halted.set(halt.target, halt);
    }
    const paused: Pause[] = isHeld ? deps.controls.pauses() : [];
    return { halted: [...halted.values()], paused };
  }

  return {
    wait: () => new Promise((resolve) => waiting.add(resolve)),
    settle() {
      for (const check of conditions) check();
      if (waiting.size === 0 || deps.isBusy()) return;
      let found: IdleReport | null = null;
      deps.guarded(() => {
        found = report();
      });
      if (found === null) return;
      for (const resolve of waiting) resolve(found);
      waiting.clear();
    },
    until: (isTrue, deadline) =>
      new Promise((resolve) => {
        const end = (): void => {
          conditions.delete(check);
          cancel();
          resolve();
        };
        const check = (): void => {
          if (isTrue()) end();
        };
        const cancel = deadline(end);
        conditions.add(check);
        check();
      }),
  };
}
