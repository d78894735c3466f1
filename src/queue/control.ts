import type { Clock, Log } from '../ports/index.ts';
import type { CareStore } from './care-store.ts';
import { type Controls, type Scope, scopeText } from './controls.ts';
import type { JobOperator } from './operator.ts';
import type { Pools } from './pools.ts';
import type { Targets } from './targets.ts';
import type { QueueControl } from './types.ts';
import type { Waker } from './wake.ts';

/** What the control is given. */
export interface ControlDeps {
  controls: Controls;
  targets: Targets;
  care: CareStore;
  pools: Pools;
  operator: JobOperator;
  waker: Waker;
  clock: Clock;
  log: Log;
  /** Before the start nothing is in memory: what is stored is read first. */
  isStarted: () => boolean;
  /** Whoever waits for an idle queue may have to be told. */
  onHeld: () => void;
}

/** What an operator may change; also on a queue that was never started. */
export function createQueueControl(deps: ControlDeps): QueueControl {
  const { controls, targets, pools, operator, waker, log } = deps;

  function readStored(): void {
    if (deps.isStarted()) return;
    controls.load();
    targets.load('all');
  }

  function resume(scope: Scope): string[] {
    readStored();
    const resumed = controls.resume(scope).map(scopeText);
    if (scope.kind !== 'type') {
      const target = scope.kind === 'all' ? null : scope.name;
      const lifted = targets.lift(target);
      deps.care.releaseHalted({ target, now: deps.clock.now() });
      resumed.push(...lifted.map((name) => `target:${name}`).filter((text) => !resumed.includes(text)));
    }
    log.info({ resumed }, 'resumed by an operator');
    waker.nudgeAll();
    return resumed;
  }

  return {
    pause(scope, reason) {
      readStored();
      controls.pause(scope, reason);
      log.info({ scope: scopeText(scope), reason }, 'paused by an operator');
      deps.onHeld();
    },
    resume,
    pauses() {
      readStored();
      return controls.pauses();
    },
    setLimit(scope, jobs) {
      readStored();
      controls.setLimit(scope, jobs);
      log.info({ scope: scopeText(scope), jobs }, 'limit set by an operator');
      waker.nudgeAll();
    },
    limits() {
      readStored();
      return controls.limits();
    },
    halts() {
      readStored();
      return targets.list();
    },
    retryJob(jobId) {
      const change = operator.retry(jobId);
      waker.nudge(change.jobType);
      return change;
    },
    cancelJob: (jobId) => operator.cancel(jobId),
    jobTypes: () => [...pools.all()].map((pool) => pool.handler.jobType.type),
    targets: () => [...new Set([...pools.all()].flatMap((pool) => pool.handler.jobType.targets))],
  };
}
