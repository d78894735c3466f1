import type { SeedSpec, TorrentActivity } from './protocol.ts';
import { chooseActive, type RotatingTorrent } from './rotation.ts';

/** A torrent that is to be served, and how far it got. */
export interface Wanted {
  spec: SeedSpec;
  seeders: number | null;
  /** Whether it has a place now, and since when it has, or has not. */
  state: RotatingTorrent['state'];
  sinceMs: number;
  /** It is in the thread. */
  isLoaded: boolean;
  /** Why it could not be loaded; it has no place until it is tried again. null = nothing is wrong. */
  problem: Error | null;
  /** Why it could not be loaded the last time, and nobody has seen since that it can; null = nothing is known against it. */
  doubt: Error | null;
}

/** What the thread has to do next. */
export interface RosterChange {
  /** Infohashes. */
  stop: string[];
  start: SeedSpec[];
}

/** Who is to be served, and who of them is. Holds no thread and no time. */
export interface Roster {
  /**
   * One that failed may be tried again.
   * @param waitedMs since it was served last, or was wanted first, before this roster was
   * @returns true when it was not wanted before
   */
  want(spec: SeedSpec, now: number, waitedMs?: number): boolean;
  forget(infoHash: string): void;
  get(infoHash: string): Wanted | undefined;
  noteSeeders(counts: ReadonlyMap<string, number | null>): void;
  /** Gives the places anew, and says what follows from that and from what is loaded. */
  settle(now: number): RosterChange;
  loaded(infoHash: string, isLoaded: boolean): void;
  failed(infoHash: string, problem: Error): void;
  /** What failed may be tried again. */
  retry(): void;
  /** Those that failed, may be tried again, and have no place. */
  inDoubt(): { spec: SeedSpec; doubt: Error }[];
  isInDoubt(infoHash: string): boolean;
  /** It could be loaded now. */
  cleared(infoHash: string): void;
  /** Nothing is loaded any more, nor is it known what cannot be. */
  threadEnded(): void;
  /** Also when it may be tried again and has no place. */
  hasFailed(): boolean;
  /** How long each has not been served, 0 for those that are; null while all have a place. */
  waits(now: number): Map<string, number> | null;
  /** What is not loaded, for lists. */
  idle(): TorrentActivity[];
}

/** An empty roster with so many places. */
export function createRoster(max: number): Roster {
  const wanted = new Map<string, Wanted>();

  const isDoubtful = ({ doubt, problem, isLoaded, state }: Wanted): boolean =>
    doubt !== null && problem === null && !isLoaded && state !== 'active';

  function change(): RosterChange {
    const all = [...wanted.values()];
    return {
      stop: all.filter((each) => each.isLoaded && each.state !== 'active').map(({ spec }) => spec.infoHash),
      start: all.filter((each) => !each.isLoaded && each.state === 'active').map(({ spec }) => spec),
    };
  }

  return {
    want(spec, now, waitedMs = 0) {
      const known = wanted.get(spec.infoHash);
      if (known !== undefined) {
        known.spec = spec;
        known.problem = null;
        if (spec.seeders !== undefined) known.seeders = spec.seeders;
        return false;
      }
      wanted.set(spec.infoHash, {
        ...{ spec, seeders: spec.seeders ?? null, state: 'new', sinceMs: now - waitedMs },
        ...{ isLoaded: false, problem: null, doubt: null },
      });
      return true;
    },
    forget: (infoHash) => void wanted.delete(infoHash),
    get: (infoHash) => wanted.get(infoHash),
    noteSeeders(counts) {
      for (const [infoHash, seeders] of counts) {
        const known = wanted.get(infoHash);
        if (known !== undefined) known.seeders = seeders;
      }
    },
    settle(now) {
      const able = [...wanted].filter(([, { problem }]) => problem === null);
      const chosen = new Set(
        chooseActive(
          able.map(([infoHash, { seeders, state, sinceMs }]) => ({ infoHash, seeders, state, sinceMs })),
          max,
          now,
        ),
      );
      for (const [infoHash, each] of wanted) {
        const isActive = chosen.has(infoHash);
        if (isActive === (each.state === 'active')) continue;
        // One that never had a place waits for its first without any delay.
        if (!isActive && each.state === 'new') continue;
        each.state = isActive ? 'active' : 'resting';
        each.sinceMs = now;
      }
      return change();
    },
    loaded(infoHash, isLoaded) {
      const known = wanted.get(infoHash);
      if (known === undefined) return;
      known.isLoaded = isLoaded;
      if (!isLoaded) return;
      known.problem = null;
      known.doubt = null;
    },
    failed(infoHash, problem) {
      const known = wanted.get(infoHash);
      if (known === undefined) return;
      known.problem = problem;
      known.doubt = problem;
      known.isLoaded = false;
      // It had no turn.
      known.state = 'new';
    },
    retry() {
      for (const each of wanted.values()) each.problem = null;
    },
    inDoubt: () =>
      [...wanted.values()].filter(isDoubtful).map(({ spec, doubt }) => ({ spec, doubt: doubt! })),
    isInDoubt: (infoHash) => {
      const known = wanted.get(infoHash);
      return known !== undefined && isDoubtful(known);
    },
    cleared(infoHash) {
      const known = wanted.get(infoHash);
      if (known !== undefined) known.doubt = null;
    },
    threadEnded() {
      for (const each of wanted.values()) {
        each.isLoaded = false;
        each.problem = null;
      }
    },
    hasFailed: () => [...wanted.values()].some(({ doubt }) => doubt !== null),
    waits: (now) =>
      wanted.size <= max
        ? null
        : new Map([...wanted].map(([key, each]) => [key, each.state === 'active' ? 0 : now - each.sinceMs])),
    idle: () =>
      [...wanted.values()]
        .filter(({ isLoaded }) => !isLoaded)
        .map(({ spec, seeders, state, problem }) => ({
          ...{ infoHash: spec.infoHash, peers: 0, uploadedBytes: 0, uploadBytesPerSecond: 0 },
          ...{ isReady: false, seeders, leechers: null },
          state: problem !== null ? 'broken' : state === 'active' ? 'checking' : 'resting',
          problem: problem?.message ?? null,
        })),
  };
}
