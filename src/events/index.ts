import type { TorrentId } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';

/** What happened to a job, in numbers and ids. */
export interface JobEvent {
  jobId: number;
  jobType: string;
  attempt: number;
  dumpId: number | null;
  cycleDate: string | null;
}

/**
 * Every event of the house. Keys are `noun:verb`, past tense. Payloads carry ids and numbers, never live objects.
 * Losing any of them loses no work: the tables are the truth.
 */
export interface EventMap {
  /** New pending jobs of that type. `dueAt` is epoch ms. */
  'job:enqueued': { jobType: string; count: number; dueAt: number };
  'job:started': JobEvent;
  /** At most a few times a second for each job. Null = unknown. */
  'job:progress': JobEvent & {
    doneBytes: number;
    totalBytes: number | null;
    bytesPerSecond: number | null;
    label: string | null;
  };
  'job:completed': JobEvent & { durationMs: number };
  /** One attempt went wrong; the job is pending again unless `isFinal`. */
  'job:attemptFailed': JobEvent & {
    code: string;
    message: string;
    isFinal: boolean;
    nextAttemptAt: number | null;
  };
  /** The attempt ended without counting: snoozed, stopped with its target, or interrupted. It comes back by itself. */
  'job:givenBack': JobEvent & { reason: 'snooze' | 'halt' | 'give_back'; message: string };
  /** A target stopped; its job types are not claimed until `until`. */
  'target:halted': {
    target: string;
    /** `unavailable` heals by itself; `halted` refused us or is full. */
    kind: 'unavailable' | 'halted';
    code: string;
    message: string;
    hint: string | null;
    until: number;
  };
  'target:resumed': { target: string };
  /** A handler went on after its abort; its lease is gone and what it returns will be dropped. `waitedMs` since the abort. */
  'job:stuck': JobEvent & { waitedMs: number };
  /** Somebody should look. `key` names the matter: raised again it counts up, it does not add another. */
  'alert:raised': { key: string; severity: 'info' | 'warn' | 'error'; message: string; hint: string | null };
  /** The matter of that key is over; one that was never raised is no error. */
  'alert:resolved': { key: string };
  /**
   * How full the disk may be called now; see docs/storage.md. Null = unknown. `isOnlyPromised`: closed for as long as running downloads
   * hold their promises, and by nothing else.
   */
  'storage:modeChanged': {
    mode: 'normal' | 'cleaning' | 'paused' | 'hard_stop';
    before: 'normal' | 'cleaning' | 'paused' | 'hard_stop';
    isOnlyPromised: boolean;
    countedBytes: number | null;
    reservedBytes: number;
    usableBytes: number | null;
    freeBytes: number | null;
  };
  /** An operator set a rate, or took it back. */
  'rate:changed': { name: string };
  /** It is held now. `heldDeltaBytes`: so much more is held than before, or less: another version was, or this one already. */
  'dumpFile:downloaded': { dumpId: number; sizeBytes: number; heldDeltaBytes: number };
  /** Its last name of ours is gone: deleted to make room. */
  'dumpFile:deleted': { dumpId: number; sizeBytes: number };
  /** Files that are neither dumps nor their parts, such as unpacked ones, take so much more room than before, or less. */
  'storage:othersChanged': { deltaBytes: number };
  /** A deletion that had retired it was taken back: it lacks nothing, and is to be seeded again. */
  'torrent:reinstated': { torrentId: TorrentId };
  /**
   * An address that clients could fetch a torrent from works no more, and is not in it any more. `reason` in plain words;
   * `isExpected`: a server out there removed an old run, as they all do.
   */
  'webseed:died': { torrentId: TorrentId; name: string; url: string; reason: string; isExpected: boolean };
  /** An address works, or is not wanted any more. */
  'webseed:settled': { torrentId: TorrentId; url: string };
  /** Something is wrong with a torrent that is to be seeded, or with the seeding program as a whole (`infoHash` null). */
  'seeding:problem': {
    infoHash: string | null;
    name: string | null;
    code: string;
    message: string;
    hint: string | null;
  };
  'seeding:problemOver': { infoHash: string | null };
  'cycle:opened': { cycleDate: string };
  'cycle:sealed': { cycleDate: string };
}

export type EventName = keyof EventMap;

/**
 * For observers: status page, progress bars, alerts. An event may be sent a moment before its transaction commits, so an
 * observer that needs the facts reads the tables.
 */
export interface Bus {
  /** Returns a function that removes the listener. */
  on<K extends EventName>(name: K, listener: (event: EventMap[K]) => void): () => void;
  /** Calls every listener at once; one that throws is logged as its own bug and never disturbs the sender. */
  emit<K extends EventName>(name: K, event: EventMap[K]): void;
}

/** An in-process bus. */
export function createBus(deps: { log: Log }): Bus {
  const listeners = new Map<EventName, Set<(event: never) => void>>();
  return {
    on(name, listener) {
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set);
      set.add(listener as (event: never) => void);
      return () => set.delete(listener as (event: never) => void);
    },
    emit(name, event) {
      for (const listener of [...(listeners.get(name) ?? [])]) {
        try {
          listener(event as never);
        } catch (error) {
          deps.log.error({ room: 'events', event: name, err: error }, 'an event listener threw');
        }
      }
    },
  };
}
