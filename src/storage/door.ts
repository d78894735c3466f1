import { formatBytes, HaltPipelineError, minutes, Snooze } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import { freeBytesToReturn, isClosed, returnPercent, type StorageLimits, type StorageMode } from './mode.ts';
import { type SpaceControl, STORAGE_PAUSE_MS } from './space.ts';
import type { StorageState } from './watch.ts';

/** The target of jobs that need room for dumps, and that of jobs that write anything. */
export const STORAGE_TARGET = 'storage';
const DISK_TARGET = 'disk';
/** The one alert about how full the disk is. */
export const STORAGE_ALERT = 'storage';

/** Codes of the halts that this door makes; the alert above tells of them. */
export const STORAGE_HALT_CODES: readonly string[] = ['storage_paused', 'storage_hard_stop'];

/** What may be done to the rest of the house; the wiring knows how. */
export interface StorageEffects {
  /** Jobs of the target wait silently: running ones of the same kind will let them go on. */
  hold(target: string, isHeld: boolean): void;
  /** Stops the target, or keeps it stopped. */
  halt(halt: HaltPipelineError): void;
  /** Tries a stopped target again at once; nothing happens when it is not stopped. False = could not be done now. */
  lift(target: string): boolean;
  /** Why the target is stopped; null = it is not. */
  haltCode(target: string): string | null;
  raise(alert: { severity: 'info' | 'warn' | 'error'; message: string; hint: string }): void;
  resolve(): void;
  /** The mode is another one than before. */
  changed(state: StorageState, before: StorageMode): void;
}

/** Does what follows from how full the disk is. */
export interface StorageDoor {
  apply(state: StorageState): void;
  /** From now on halts are kept: before, the queue would forget them at its start. */
  open(): void;
}

/** A halt is renewed long before it ends: only the watch knows when there is room again. */
const RENEW_MS = minutes(1);
/** For jobs that were taken in the moment in which another one's promise closed the door. */
const SNOOZE_MS = minutes(1);

/** See `StorageDoor`. */
export function createStorageDoor(deps: {
  clock: Clock;
  log: Log;
  dataDir: string;
  limits: StorageLimits;
  space: SpaceControl;
  effects: StorageEffects;
}): StorageDoor {
  const { clock, limits, space, effects } = deps;
  const log = deps.log.child({ room: 'storage' });
  let isOpen = false;
  let last: StorageState | null = null;
  let before: StorageMode = 'normal';
  /** null = nothing was told by this process yet. */
  let told: StorageMode | null = null;
  let haltedMs = Number.NEGATIVE_INFINITY;
  /** Jobs that met the full disk itself are to be tried again. */
  let isDiskToLift = false;

  function figures({ space: found, verdict, reservedBytes }: StorageState): string {
    if (found === null) return `${deps.dataDir}: ${verdict.reason}`;
    const { countedBytes, usableBytes } = verdict;
    const ofLimit =
      limits.maxSizeBytes !== null && usableBytes === limits.maxSizeBytes ? 'storage.max_size of ' : '';
    const used =
      countedBytes === null || usableBytes === null
        ? ''
        : `, ${formatBytes(countedBytes)} of ${ofLimit}${formatBytes(usableBytes)} are used`;
    const promised =
      reservedBytes === 0 ? '' : ` and ${formatBytes(reservedBytes)} promised to running downloads`;
    return `${verdict.reason}: ${formatBytes(found.freeBytes)} are free${used}${promised}`;
  }

  function refusalOf(state: StorageState): HaltPipelineError {
    const { mode } = state.verdict;
    const isStop = mode === 'hard_stop';
    const message = isStop
      ? `No room in ${deps.dataDir}, downloads are stopped: ${figures(state)}.`
      : `The disk is nearly full, no download starts: ${figures(state)}.`;
    return new HaltPipelineError(isStop ? 'storage_hard_stop' : 'storage_paused', message, {
      scope: STORAGE_TARGET,
      pauseMs: STORAGE_PAUSE_MS,
      isNeverOwnFault: true,
      hint: hintOf(state),
    });
  }

  /** What an operator can do, and at which figure all goes on without him. */
  function hintOf({ verdict, space: found, isForced }: StorageState): string {
    if (found === null)
      return 'Look whether the disk that holds wikiseed.data_dir is there and mounted; downloads go on by themselves.';
    if (isForced)
      return 'Free some space, or look for a quota or a file system without free inodes; it is tried again as soon as more is free, at least every 5 minutes.';
    if (verdict.mode === 'hard_stop')
      return `Free some space; downloads go on by themselves where they stopped as soon as ${formatBytes(freeBytesToReturn(limits.safetyMarginBytes, found.totalBytes))} are free. Or lower storage.safety_margin and restart.`;
    if (verdict.countedBytes === null)
      return 'Nothing has to be done: downloads start as soon as that is known.';
    const percent = returnPercent(limits.pauseThresholdPercent);
    const isLimited = verdict.usableBytes === limits.maxSizeBytes;
    return `Downloads start again by themselves at ${percent} %. ${isLimited ? 'Raise storage.max_size' : 'Free some space'}, or raise storage.pause_threshold_pct and restart.`;
  }

  /** By what is really used: what running downloads are promised is nobody's trouble. */
  function tell(state: StorageState): void {
    const { mode } = state.settled;
    if (mode === told) return;
    if (told === null || isMilder(mode, told)) effects.resolve();
    told = mode;
    if (mode === 'cleaning')
      effects.raise({
        severity: 'info',
        message: `The disk is filling up: ${figures(state)}. What may be deleted is deleted down to ${returnPercent(limits.cleanupThresholdPercent)} %.`,
        hint: 'Nothing has to be done. "wikiseed prune --dry-run" says what would be deleted next.',
      });
    if (!isClosed(mode)) return;
    const { message, hint = '' } = refusalOf(state);
    effects.raise({ severity: mode === 'paused' ? 'warn' : 'error', message, hint });
  }

  function noteChange(state: StorageState, was: StorageMode): void {
    const { mode, reason } = state.verdict;
    if (mode === was) return;
    const facts = { mode, before: was, reason };
    if (state.isOnlyPromised) log.info(facts, 'no further download starts beside those that run');
    else log.info(facts, 'storage mode changed');
    effects.changed(state, was);
  }

  function keepShut(state: StorageState): void {
    const isDue = clock.monotonicMs() - haltedMs >= RENEW_MS;
    if (!isDue && effects.haltCode(STORAGE_TARGET) === refusalOf(state).code) return;
    haltedMs = clock.monotonicMs();
    effects.halt(refusalOf(state));
  }

  /** Also what a job that was stopped by us halted a moment after there was room again. */
  function letGo({ space: found }: StorageState): void {
    const isOurs = effects.haltCode(STORAGE_TARGET)?.startsWith('storage_') === true;
    if (isOurs || (found !== null && space.fitsAgain(found))) effects.lift(STORAGE_TARGET);
  }

  function apply(state: StorageState): void {
    last = state;
    const was = before;
    const { mode } = state.verdict;
    before = mode;
    const isShut = isClosed(mode);
    const isReal = isShut && !state.isOnlyPromised;
    space.close(
      isShut
        ? () =>
            isReal ? refusalOf(state) : new Snooze('running downloads have all the room there is', SNOOZE_MS)
        : null,
    );
    if (was === 'hard_stop' && mode !== 'hard_stop') isDiskToLift = true;
    if (mode === 'hard_stop') {
      isDiskToLift = false;
      if (was !== 'hard_stop') space.stopRunning(refusalOf(state));
    }
    effects.hold(STORAGE_TARGET, isShut && (!isReal || !isOpen));
    if (isOpen) {
      if (isReal) keepShut(state);
      else letGo(state);
      if (isDiskToLift && effects.lift(DISK_TARGET)) isDiskToLift = false;
      tell(state);
    }
    noteChange(state, was);
  }

  return {
    apply,
    open() {
      isOpen = true;
      if (last !== null) apply(last);
    },
  };
}

const ORDER: readonly StorageMode[] = ['normal', 'cleaning', 'paused', 'hard_stop'];
const isMilder = (mode: StorageMode, than: StorageMode): boolean => ORDER.indexOf(mode) < ORDER.indexOf(than);
