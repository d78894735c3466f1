import type { Clock, Log } from '../ports/index.ts';
import type { CareStore } from './care-store.ts';
import { type Controls, type Scope, scopeText } from './controls.ts';
import type { JobOperator } from './operator.ts';
import type { Pools } from './pools.ts';
import type { Rates } from './rates.ts';
import type { Targets } from './targets.ts';
import type { Queue, QueueControl } from './types.ts';
import type { Waker } from './wake.ts';

/** What the control is given. */
export interface ControlDeps {
  controls: Controls;
  targets: Targets;
  rates: Rates;
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

/** What an operator may change, also on a queue that was never started; and what other rooms stop and let go. */
export function createQueueControl(deps: ControlDeps): QueueControl & Pick<Queue, 'lift' | 'hold'> {
  const { controls, targets, rates, pools, operator, waker, log } = deps;

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
    lift(target) {
      // The jobs first: should a write be refused between the two, the target is still stopped, and who lifts it comes again.
      const released = deps.care.releaseHalted({ target, now: deps.clock.now() });
      const isLifted = targets.lift(target).length > 0;
      if (released > 0 || isLifted) waker.nudgeAll();
      return isLifted;
    },
    hold(target, isHeld) {
      if (controls.hold(target, isHeld) && !isHeld) waker.nudgeAll();
    },
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
    setRate(name, bytesPerSecond) {
      rates.set(name, bytesPerSecond);
      log.info(
        { rate: name, bytesPerSecond: bytesPerSecond ?? null, isByHand: bytesPerSecond !== undefined },
        'rate set by an operator',
      );
    },
    rateOf: (name) => rates.of(name),
    rates: () => rates.list(),
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
