import { STATE_KEYS, type SystemState } from '../db/index.ts';
import { UsageError } from '../lib/index.ts';
import type { Clock } from '../ports/index.ts';

/** What an operator can hold: everything, one target, or one job type. As text: `all`, `target:dumps`, `type:download_dump`. */
export type Scope = { kind: 'all' } | { kind: 'target' | 'type'; name: string };

/** Something that is held by hand until it is resumed; survives restarts. */
export interface Pause {
  scope: Scope;
  /** Epoch ms. */
  since: number;
  reason: string | null;
}

/** How many jobs of a type, or of all types that name a target, may run at once, by hand; survives restarts. */
export interface Limit {
  scope: Scope;
  jobs: number;
}

/** Pauses and limits in `system_state`, with a copy in memory because pools ask before every claim. */
export interface Controls {
  pause(scope: Scope, reason: string | null): void;
  /** `all` resumes everything that is held. Returns what was. */
  resume(scope: Scope): Scope[];
  isPaused(jobType: string, targets: readonly string[]): boolean;
  pauses(): Pause[];
  /** For a while that is known to end by itself: kept in memory only, and no pause. True when that changed anything. */
  hold(target: string, isHeld: boolean): boolean;
  isHeld(targets: readonly string[]): boolean;
  /** null = back to what the configuration says. */
  setLimit(scope: Scope, jobs: number | null): void;
  /** The limit set by hand, or undefined. */
  limitOf(kind: 'type' | 'target', name: string): number | undefined;
  limits(): Limit[];
  load(): void;
}

/** `target:dumps` and back. */
export function scopeText(scope: Scope): string {
  return scope.kind === 'all' ? 'all' : `${scope.kind}:${scope.name}`;
}

/** @throws UsageError for anything but `all`, `target:<name>` and `type:<name>` */
export function parseScope(text: string): Scope {
  const [kind, name] = text.split(':', 2);
  if (text === 'all') return { kind: 'all' };
  if ((kind === 'target' || kind === 'type') && name !== undefined && name !== '') return { kind, name };
  throw new UsageError(`${JSON.stringify(text)} is not "all", "target:<name>" or "type:<job type>"`);
}

/** No pool needs more, and a typing error should not open a thousand connections. */
export const LIMIT_MAX = 1000;

/** Reads nothing until `load`. */
export function createControls({ state, clock }: { state: SystemState; clock: Clock }): Controls {
  const pauses = new Map<string, Pause>();
  const limits = new Map<string, Limit>();
  const held = new Set<string>();

  /** A row that cannot be read is left out: one of them must not keep the queue from starting. */
  function read<T>(prefix: string, into: Map<string, T>): void {
    for (const { key, value } of state.list(prefix)) {
      try {
        into.set(key.slice(prefix.length), JSON.parse(value) as T);
      } catch {
        state.delete(key);
      }
    }
  }

  return {
    pause(scope, reason) {
      const text = scopeText(scope);
      const pause = { scope, reason, since: pauses.get(text)?.since ?? clock.now() };
      state.set(`${STATE_KEYS.pause}${text}`, JSON.stringify(pause), clock.now());
      pauses.set(text, pause);
    },
    resume(scope) {
      const wanted = scopeText(scope);
      const found = [...pauses].filter(([text]) => scope.kind === 'all' || text === wanted);
      for (const [text] of found) {
        state.delete(`${STATE_KEYS.pause}${text}`);
        pauses.delete(text);
      }
      return found.map(([, pause]) => pause.scope);
    },
    isPaused: (jobType, targets) =>
      pauses.size > 0 &&
      (pauses.has('all') ||
        pauses.has(`type:${jobType}`) ||
        targets.some((target) => pauses.has(`target:${target}`))),
    pauses: () => [...pauses.values()],
    hold(target, isHeld) {
      if (held.has(target) === isHeld) return false;
      if (isHeld) held.add(target);
      else held.delete(target);
      return true;
    },
    isHeld: (targets) => held.size > 0 && targets.some((target) => held.has(target)),
    setLimit(scope, jobs) {
      const text = scopeText(scope);
      if (jobs === null) {
        state.delete(`${STATE_KEYS.limit}${text}`);
        limits.delete(text);
        return;
      }
      if (!Number.isInteger(jobs) || jobs < 1 || jobs > LIMIT_MAX)
        throw new UsageError(`a limit is a whole number from 1 to ${LIMIT_MAX}; to stop the work, use pause`);
      state.set(`${STATE_KEYS.limit}${text}`, JSON.stringify({ scope, jobs }), clock.now());
      limits.set(text, { scope, jobs });
    },
    limitOf: (kind, name) => (limits.size === 0 ? undefined : limits.get(`${kind}:${name}`)?.jobs),
    limits: () => [...limits.values()],
    load() {
      pauses.clear();
      limits.clear();
      read(STATE_KEYS.pause, pauses);
      read(STATE_KEYS.limit, limits);
    },
  };
}
