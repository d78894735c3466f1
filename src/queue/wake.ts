import type { SystemState } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';

/** Polling is only the fallback for a lost wake-up. */
const FALLBACK_POLL_MS = 30_000;
/** A wall clock that moves this much against the monotonic one was set, not slow. */
const JUMP_MS = 60_000;
/** How often the time is noted, for a clock that is set while the process is down. */
const NOTE_TIME_MS = 5 * 60_000;
const LAST_SEEN = 'queue:last_seen';

/** What wakes the pools: a nudge when work appears, a timer for the next due time, and a poll should both be lost. */
export interface Waker {
  /** Looks at a pool right after what is running now, once for many calls. */
  nudge(jobType: string): void;
  nudgeAll(): void;
  isNudged(): boolean;
  /** Arms the timer for the next thing that is known to become due. */
  arm(): void;
  /** Whether the clock was set back while nobody looked. */
  checkClock(): void;
  stop(): void;
}

/** What the waker calls. */
export interface WakerDeps {
  clock: Clock;
  state: SystemState;
  pump: (types: readonly string[] | 'all') => void;
  /** Epoch ms, null = nothing is known to become due. */
  nextLookAt: () => number | null;
  transaction: (work: () => void) => void;
  /** Before the pools are looked at by time. */
  onTimer: () => void;
  onClockSetBack: (byMs: number) => void;
  guarded: (work: () => void) => void;
  afterPump: () => void;
}

/** See `Waker`. */
export function createWaker(deps: WakerDeps): Waker {
  const { clock, state } = deps;
  const nudged = new Set<string>();
  let areAllNudged = false;
  let isScheduled = false;
  let isStopped = false;
  let cancel = (): void => {};
  let wallMs = clock.now();
  let monotonicMs = clock.monotonicMs();
  let notedAt = Number.NEGATIVE_INFINITY;
  /** Stands still while work comes and goes: else a busy queue would put its own care off for ever. */
  let pollAtMs = monotonicMs + FALLBACK_POLL_MS;

  function schedule(): void {
    if (isScheduled || isStopped) return;
    isScheduled = true;
    queueMicrotask(() => {
      const types = areAllNudged ? ('all' as const) : [...nudged];
      nudged.clear();
      areAllNudged = false;
      isScheduled = false;
      if (isStopped) return;
      deps.pump(types);
      arm();
      deps.afterPump();
    });
  }

  function arm(): void {
    cancel();
    if (isStopped) return;
    const now = clock.now();
    let wakeAt = now + pollAtMs - clock.monotonicMs();
    deps.guarded(() => {
      const nextAt = deps.nextLookAt();
      if (Number.isFinite(nextAt)) wakeAt = Math.min(wakeAt, nextAt as number);
    });
    cancel = clock.after(Math.max(0, wakeAt - now), onTimer);
  }

  function onTimer(): void {
    pollAtMs = clock.monotonicMs() + FALLBACK_POLL_MS;
    checkClock();
    deps.onTimer();
    deps.pump('all');
    arm();
    deps.afterPump();
  }

  /** Set forward, what waits becomes due early, which harms nobody. Set back, it would wait that much longer. */
  function checkClock(): void {
    const now = clock.now();
    const jumpMs = now - wallMs - (clock.monotonicMs() - monotonicMs);
    const isJump = Math.abs(jumpMs) >= JUMP_MS;
    deps.guarded(() => {
      const lastSeen = notedAt === Number.NEGATIVE_INFINITY ? Number(state.get(LAST_SEEN) ?? 0) : 0;
      const backMs = Math.min(jumpMs, now - lastSeen);
      const isBack = backMs <= -JUMP_MS;
      if (!isBack && !isJump && Math.abs(now - notedAt) < NOTE_TIME_MS) return;
      // All or nothing: what was shifted must not be shifted again, nor forgotten when the database refuses it now.
      deps.transaction(() => {
        if (isBack) deps.onClockSetBack(Math.round(backMs));
        state.set(LAST_SEEN, String(now), now);
      });
      notedAt = now;
      if (!isJump) return;
      wallMs = now;
      monotonicMs = clock.monotonicMs();
    });
  }

  return {
    nudge(jobType) {
      nudged.add(jobType);
      schedule();
    },
    nudgeAll() {
      areAllNudged = true;
      schedule();
    },
    isNudged: () => isScheduled,
    arm,
    checkClock,
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
