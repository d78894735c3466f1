import { type FaultKind, type FaultSpec, isEndless, type SandboxServer } from './fault-spec.ts';

export type { FaultKind, FaultSpec, MirrorName, SandboxServer } from './fault-spec.ts';

/** A fault in the list. `fired` is how many requests it has really hit. */
export interface Fault {
  readonly spec: Readonly<FaultSpec>;
  readonly fired: number;
  /** Resolves when it has fired at least `count` times (default 1). */
  whenFired(count?: number): Promise<void>;
  /** Lets every response go on that this fault holds. */
  release(): void;
  /** Takes it off the list and releases what it holds. */
  remove(): void;
}

/** What a server sees of a fault that hits a request. */
export interface FaultHit {
  readonly spec: Readonly<FaultSpec>;
  readonly released: Promise<void>;
}

/** The script of everything that goes wrong in one sandbox; shared by its servers. */
export interface FaultList {
  add(spec: FaultSpec): Fault;
  all(): readonly Fault[];
  /** Removes and releases all. */
  clear(): void;
  /**
   * Takes the first fault of these kinds that matches, and counts it as fired.
   * @param requestLine `METHOD /path?query`
   * @param isApplicable a last word of the server, for instance on the byte range; what it refuses is not counted
   */
  take(
    server: SandboxServer,
    requestLine: string,
    kinds: readonly FaultKind[],
    isApplicable?: (spec: Readonly<FaultSpec>) => boolean,
  ): FaultHit | null;
}

/** Makes an empty list. */
export function createFaultList(): FaultList {
  const entries = new Set<Entry>();
  return {
    add(spec) {
      const entry = new Entry(spec, (gone) => entries.delete(gone));
      entries.add(entry);
      return entry;
    },
    all: () => [...entries],
    clear() {
      for (const entry of [...entries]) entry.remove();
    },
    take(server, requestLine, kinds, isApplicable = () => true) {
      for (const entry of entries) {
        const { spec } = entry;
        if (spec.server !== server || !kinds.includes(spec.kind) || !matches(spec.match, requestLine))
          continue;
        if (!isApplicable(spec) || !entry.hit()) continue;
        return { spec, released: entry.released };
      }
      return null;
    },
  };
}

function matches(match: RegExp | string, requestLine: string): boolean {
  if (typeof match === 'string') return requestLine.includes(match);
  // A global expression remembers where it stopped; every request starts anew.
  match.lastIndex = 0;
  return match.test(requestLine);
}

class Entry implements Fault {
  readonly spec: Readonly<FaultSpec>;
  readonly #onRemove: (entry: Entry) => void;
  #seen = 0;
  #fired = 0;
  #waiting: { count: number; resolve: () => void }[] = [];
  #hold = Promise.withResolvers<void>();

  constructor(spec: FaultSpec, onRemove: (entry: Entry) => void) {
    this.spec = spec;
    this.#onRemove = onRemove;
  }

  get fired(): number {
    return this.#fired;
  }

  get released(): Promise<void> {
    return this.#hold.promise;
  }

  /** Counts a match; false when this one is to pass. */
  hit(): boolean {
    this.#seen += 1;
    const times = this.spec.times ?? (isEndless(this.spec.kind) ? Number.POSITIVE_INFINITY : 1);
    if (this.#seen <= (this.spec.after ?? 0) || this.#fired >= times) return false;
    this.#fired += 1;
    for (const waiter of this.#waiting) if (this.#fired >= waiter.count) waiter.resolve();
    this.#waiting = this.#waiting.filter((waiter) => this.#fired < waiter.count);
    return true;
  }

  whenFired(count = 1): Promise<void> {
    if (this.#fired >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  release(): void {
    this.#hold.resolve();
    this.#hold = Promise.withResolvers<void>();
  }

  remove(): void {
    this.#onRemove(this);
    this.release();
  }
}
