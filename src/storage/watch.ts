import { describeError, WikiSeedError } from '../lib/index.ts';
import type { Clock, Disk } from '../ports/index.ts';
import { type DiskUsage, diskUsage } from './facts.ts';
import {
  type FileSystemSpace,
  isClosed,
  type StorageLimits,
  type StorageMode,
  type StorageVerdict,
  storageMode,
} from './mode.ts';
import { type SpaceControl, STORAGE_PAUSE_MS } from './space.ts';
import type { StorageUsage } from './usage.ts';

/** What the disk is like at a moment. */
export interface StorageState {
  verdict: StorageVerdict;
  /** What it would be without any promise. */
  settled: StorageVerdict;
  /** Only what is promised to running downloads lets no other begin. */
  isOnlyPromised: boolean;
  /** A write was refused although the file system may say that there is room. */
  isForced: boolean;
  space: FileSystemSpace | null;
  reservedBytes: number;
  /** Epoch ms since when the mode is what it is. */
  since: number;
}

/** Notices within a second how full the disk is while downloads run, and within ten otherwise. */
export interface StorageWatch {
  /** The first look, then one after the other. Idempotent. */
  start(): Promise<void>;
  stop(): void;
  /** Looks now. Never throws: a disk that does not answer is a finding. */
  look(): Promise<void>;
  state(): StorageState;
  /** @throws WikiSeedError `storage_unknown` when the file system does not say how full it is */
  usage(): DiskUsage;
}

/** What the watch needs. */
export interface StorageWatchDeps {
  clock: Clock;
  disk: Pick<Disk, 'space'>;
  dataDir: string;
  limits: StorageLimits;
  space: SpaceControl;
  measured: Pick<StorageUsage, 'ownBytes' | 'measurePartials'>;
  /** Called after every look and whenever a promise came or went, synchronously. */
  onState: (state: StorageState) => void;
}

/** While downloads hold promises. */
export const BUSY_LOOK_MS = 500;
/** While downloads wait for room: whoever frees some should see it taken. */
export const CLOSED_LOOK_MS = 2_000;
/** While nothing is written. */
export const IDLE_LOOK_MS = 10_000;
/** A disk that takes longer than this does not answer. */
const ANSWER_MS = 10_000;
/** Part files are looked at no more often than this. */
const PARTIALS_MS = 2_000;
/** After a refused write it is tried again when so much more is free, or after `STORAGE_PAUSE_MS`. */
const FREED_MIN_BYTES = 1_000_000;

type Found = { space: FileSystemSpace } | { problem: string };
const SILENCE: Found = { problem: 'the disk does not answer' };

/** See `StorageWatch`. The mode itself is decided by `storageMode`. */
export function createStorageWatch(deps: StorageWatchDeps): StorageWatch {
  const { clock, space: guard, limits, measured } = deps;
  const isLimited = limits.maxSizeBytes !== null;
  let life: 'new' | 'working' | 'stopped' = 'new';
  let cancel = (): void => {};
  let looking: Promise<void> | null = null;
  let asked: Promise<Found> | null = null;
  let measuring: Promise<void> | null = null;
  /** The part files were asked for and do not answer, whatever the file system says of its free bytes. */
  let isSilent = false;
  let measuredMs = Number.NEGATIVE_INFINITY;
  let found: Found = { problem: 'the disk was not looked at yet' };
  /** `freeBytes` is what the first look after the refusal found. */
  let forced: { reason: string; sinceMs: number; freeBytes: number | null } | null = null;
  /** By what is really used, promises apart. */
  let settledMode: StorageMode = 'normal';
  let state: StorageState | null = null;

  /** False as soon as a refused write is a matter of the past. */
  function isStillForced(space: FileSystemSpace | null): boolean {
    if (forced === null) return false;
    if (space === null) return true;
    const isRested = clock.monotonicMs() - forced.sinceMs >= STORAGE_PAUSE_MS;
    const wanted = Math.max(FREED_MIN_BYTES, limits.safetyMarginBytes / 10);
    const isFreed = forced.freeBytes !== null && space.freeBytes - forced.freeBytes >= wanted;
    if (isRested || isFreed) forced = null;
    return forced !== null;
  }

  /** By what is really used. */
  function settle(space: FileSystemSpace | null, ownBytes: number | null): StorageVerdict {
    const verdict = storageMode({ space, ownBytes, reservedBytes: 0 }, limits, settledMode);
    if ('problem' in found) return { ...verdict, reason: found.problem };
    // A refused write stops everything, but how full the disk is stays known.
    return isStillForced(space) ? { ...verdict, mode: 'hard_stop', reason: forced?.reason ?? '' } : verdict;
  }

  /** Decides by the newest facts; synchronous, so that a promise that ends opens the door before its job does. */
  function decide(): StorageState {
    const space = 'space' in found ? found.space : null;
    const ownBytes = isLimited ? measured.ownBytes() : null;
    const settled = settle(space, ownBytes);
    settledMode = settled.mode;
    const reservedBytes = isLimited ? guard.unmeasuredBytes() : guard.reservedBytes();
    // Without a running download nothing would open a door that only promises closed.
    const verdict =
      guard.running() === 0 || isClosed(settled.mode)
        ? settled
        : storageMode({ space, ownBytes, reservedBytes }, limits, state?.verdict.mode);
    const isSame = state !== null && state.verdict.mode === verdict.mode;
    const next: StorageState = {
      verdict,
      settled,
      isOnlyPromised: isClosed(verdict.mode) && !isClosed(settled.mode),
      isForced: forced !== null,
      space,
      reservedBytes: guard.reservedBytes(),
      since: isSame ? (state as StorageState).since : clock.now(),
    };
    state = next;
    deps.onState(next);
    return next;
  }

  /** One question at a time: a file system that hangs would else take one thread after the other. */
  function askDisk(): Promise<Found> {
    asked ??= deps.disk
      .space(deps.dataDir)
      .then(
        (space) => ({ space }),
        (error: unknown) => ({ problem: `the disk could not be looked at: ${describeError(error)}` }),
      )
      .finally(() => {
        asked = null;
      });
    return asked;
  }

  /** What the part files occupy; the same for it. */
  function measure(): Promise<void> {
    if (measuring === null) {
      measuredMs = clock.monotonicMs();
      measuring = measured
        .measurePartials()
        .then(
          () => guard.noteMeasured(),
          // What was measured before still stands.
          () => {},
        )
        .finally(() => {
          measuring = null;
          isSilent = false;
        });
    }
    return measuring;
  }

  /** The file system first: how much is free is worth more than what we occupy of it, and it costs one call. */
  async function ask(patience: Promise<null>): Promise<Found> {
    const answer = (await Promise.race([askDisk(), patience])) ?? SILENCE;
    const isDue = measuring !== null || clock.monotonicMs() - measuredMs >= PARTIALS_MS;
    if (!isLimited || !isDue || 'problem' in answer) return answer;
    if (!isSilent) note(answer);
    isSilent = (await Promise.race([measure().then(() => true), patience])) === null;
    return isSilent ? SILENCE : answer;
  }

  function note(answer: Found): void {
    found = answer;
    if (forced !== null && 'space' in found) forced.freeBytes ??= found.space.freeBytes;
    decide();
  }

  async function lookOnce(): Promise<void> {
    const enough = new AbortController();
    const over = (): null => null;
    try {
      note(await ask(clock.sleep(ANSWER_MS, enough.signal).then(over, over)));
    } finally {
      enough.abort();
    }
  }

  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = null;
      arm();
    });
    return looking;
  }

  function arm(): void {
    cancel();
    if (life !== 'working') return;
    const isShut = state !== null && isClosed(state.verdict.mode);
    const waitMs = guard.running() > 0 ? BUSY_LOOK_MS : isShut ? CLOSED_LOOK_MS : IDLE_LOOK_MS;
    cancel = clock.after(waitMs, () => void look());
  }

  guard.observe({
    looked(space) {
      if (isSilent) return;
      found = { space };
      decide();
    },
    changed() {
      decide();
      // What a download that ended left behind is not a promise any more, so it must be seen on the disk.
      measuredMs = Number.NEGATIVE_INFINITY;
      if (life === 'working') void look();
    },
    full(reason) {
      forced = {
        reason: `a write was refused for want of room (${reason})`,
        sinceMs: clock.monotonicMs(),
        freeBytes: null,
      };
      decide();
      if (life === 'working') void look();
    },
  });

  return {
    async start() {
      if (life !== 'new') return;
      life = 'working';
      await look();
    },
    stop() {
      life = 'stopped';
      cancel();
    },
    look,
    state: () => state ?? decide(),
    usage() {
      if ('problem' in found) throw new WikiSeedError('storage_unknown', found.problem);
      return diskUsage({ ...(state ?? decide()), usedBytes: measured.ownBytes() }, limits);
    },
  };
}
