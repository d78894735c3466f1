import { join } from 'node:path';
import { Interrupted, isAbort } from '../lib/index.ts';
import type { Clock, Disk, FileFacts, Log } from '../ports/index.ts';
import type { Layout } from './layout.ts';

/** What WikiSeed itself occupies, bytes; null = not measured yet. */
export interface UsageParts {
  /** Held dump files, by the catalog. */
  heldBytes: number | null;
  /** Part files of downloads, as far as they really occupy the disk. */
  partialBytes: number | null;
  /** All the rest: torrents' own files, records, backups, the database. Hard links of held files are not counted again. */
  otherBytes: number | null;
}

/** Knows what WikiSeed occupies without reading a tree of hundreds of thousands of files each time. */
export interface StorageUsage {
  parts(): UsageParts;
  /** The sum; null while one of them is unknown. */
  ownBytes(): number | null;
  /** A file became held, or is held no more. */
  noteHeld(facts: { dumpId: number; deltaBytes: number }): void;
  /** Something else of ours came or went: what is counted is right before the next walk. */
  noteOthers(deltaBytes: number): void;
  /** Looks at the part files, of which there are few. */
  measurePartials(): Promise<void>;
  /** Adds up the catalog and walks everything else, in pieces; rejects with `Interrupted` at a stop. */
  measureAll(): Promise<void>;
  /** Measures now and then; idempotent. */
  start(): void;
  stop(): void;
}

/** What it needs. */
export interface StorageUsageDeps {
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** Adds up the held ones among the next `count` rows after that id; `lastId` null = there are none. */
  heldSlice: (afterId: number, count: number) => { heldBytes: number; lastId: number | null };
  /** What an earlier process measured; it serves until the first walk is done. */
  otherBytesBefore: number | null;
  /** A whole measure is done. */
  onMeasured?: () => void;
}

/** A walk takes seconds to a minute, and what it counts hardly changes: hourly. */
const EVERY_MS = 60 * 60_000;
/** Rows added up in one turn of the event loop: about 3 ms. */
const SLICE_ROWS = 5_000;
/** Files looked at before the walk rests. */
const PIECE_FILES = 250;
const REST_MS = 10;

/** See `StorageUsage`. */
export function createStorageUsage(deps: StorageUsageDeps): StorageUsage {
  const { disk, layout, clock } = deps;
  const log = deps.log.child({ room: 'storage' });
  let heldBytes: number | null = null;
  let partialBytes: number | null = null;
  let otherBytes = deps.otherBytesBefore;
  /** While rows are added up: how far, and what changed among those that were passed. */
  let adding: { passedId: number; changedBytes: number } | null = null;
  /** What `noteOthers` was told since the walk that is under way began. It may have met it: then too little is counted for an hour, and nothing is deleted for it. */
  let notedBytes = 0;
  let measuring: Promise<void> | null = null;
  let life: AbortController | null = null;
  let cancel = (): void => {};

  /** Calls back for every file below a folder; a name that vanishes meanwhile is passed over. */
  async function walk(
    root: string,
    options: { skips?: (path: string) => boolean; rests: boolean; signal?: AbortSignal | undefined },
    onFile: (facts: FileFacts, path: string) => void,
  ): Promise<void> {
    const folders = [root];
    let looked = 0;
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop())
      for (const name of await disk.list(folder)) {
        if (options.signal?.aborted === true) throw new Interrupted();
        const path = join(folder, name);
        if (options.skips?.(path) === true) continue;
        const facts = await disk.stat(path);
        if (facts === null) continue;
        if (facts.isDirectory) folders.push(path);
        else onFile(facts, path);
        looked += 1;
        if (options.rests && looked % PIECE_FILES === 0) await clock.sleep(REST_MS, options.signal);
      }
  }

  async function addUpHeld(signal: AbortSignal | undefined): Promise<void> {
    let sum = 0;
    const now = { passedId: 0, changedBytes: 0 };
    adding = now;
    for (;;) {
      if (signal?.aborted === true) throw new Interrupted();
      const { heldBytes: bytes, lastId } = deps.heldSlice(now.passedId, SLICE_ROWS);
      sum += bytes;
      if (lastId === null) break;
      now.passedId = lastId;
      await clock.sleep(1, signal);
    }
    adding = null;
    heldBytes = Math.max(0, sum + now.changedBytes);
  }

  async function walkOthers(signal: AbortSignal | undefined): Promise<void> {
    let sum = 0;
    notedBytes = 0;
    /** Names still to be met of files with several; what is left at the end has a name in a run's folder and is a held file. */
    const links = new Map<number, number>();
    const inRuns = (path: string): boolean =>
      path === layout.partial ||
      (path.startsWith(`${layout.dumps}/`) && !path.startsWith(`${layout.dumps}/.`));
    await walk(layout.dataDir, { skips: inRuns, rests: true, signal }, (facts) => {
      if (facts.linkCount > 1) {
        const left = (links.get(facts.inode) ?? facts.linkCount) - 1;
        links.set(facts.inode, left);
        if (left > 0) return;
      }
      sum += occupied(facts);
    });
    otherBytes = Math.max(0, sum + Math.min(0, notedBytes));
  }

  async function measurePartials(): Promise<void> {
    let sum = 0;
    await walk(layout.partial, { rests: false }, (facts) => {
      sum += occupied(facts);
    });
    partialBytes = sum;
  }

  async function measure(): Promise<void> {
    const signal = life?.signal;
    await measurePartials();
    await addUpHeld(signal);
    await walkOthers(signal);
    if (signal?.aborted === true) throw new Interrupted();
    deps.onMeasured?.();
  }

  function measureAll(): Promise<void> {
    measuring ??= measure().finally(() => {
      measuring = null;
      adding = null;
    });
    return measuring;
  }

  function tick(): void {
    const mine = life;
    void measureAll()
      .catch((error: unknown) => {
        if (!isAbort(error))
          log.warn({ err: error }, 'what WikiSeed occupies could not be measured; tried again in an hour');
      })
      .finally(() => {
        if (mine !== null && life === mine) cancel = clock.after(EVERY_MS, tick);
      });
  }

  return {
    parts: () => ({ heldBytes, partialBytes, otherBytes }),
    ownBytes: () =>
      heldBytes === null || partialBytes === null || otherBytes === null
        ? null
        : heldBytes + partialBytes + otherBytes,
    noteHeld({ dumpId, deltaBytes }) {
      // Rows that were not passed yet will be seen as they are then.
      if (adding !== null && dumpId <= adding.passedId) adding.changedBytes += deltaBytes;
      if (heldBytes !== null) heldBytes = Math.max(0, heldBytes + deltaBytes);
    },
    noteOthers(deltaBytes) {
      notedBytes += deltaBytes;
      if (otherBytes !== null) otherBytes = Math.max(0, otherBytes + deltaBytes);
    },
    measurePartials,
    measureAll,
    start() {
      if (life !== null) return;
      life = new AbortController();
      tick();
    },
    stop() {
      cancel();
      life?.abort();
      life = null;
    },
  };
}

/** Files with holes occupy less than their size; others count by their size, as everywhere else. */
function occupied({ sizeBytes, allocatedBytes }: FileFacts): number {
  return allocatedBytes < sizeBytes ? allocatedBytes : sizeBytes;
}
