import type { Db } from '../../db/index.ts';
import { describeError, errorCode, hours, minutes, seconds } from '../../lib/index.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../../ports/index.ts';
import type { Layout } from '../../storage/index.ts';
import { watchRecords } from './record-changes.ts';
import { type ListPlace, listKeys, type RecordKey, readTables, recordPath } from './record-kinds.ts';
import { encodeRecord } from './record-text.ts';

/**
 * Keeps `<data_dir>/records/` saying what the catalog says, so that a lost database can be made again. Works beside
 * everything else: nothing waits for it, and what it could not write it writes later.
 */
export interface RecordKeeper {
  /** Compares every record with the tables, then follows the changes. Idempotent. */
  start(): void;
  /** Resolves when everything committed so far is on disk, or could not be written. */
  flush(): Promise<void>;
  /** Writes what is left, then ends. Call it before the database is closed. Idempotent. */
  stop(): Promise<void>;
}

/** What the keeper needs. */
export interface RecordKeeperDeps {
  db: Db;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
}

/** A run whose files arrive one after the other is written once for several of them; at worst this much is hashed again. */
const FLUSH_MS = seconds(2);
/** A full disk, or a database that cannot be read, does not heal in seconds. */
const TROUBLE_MS = minutes(1);
/** Another process, such as a command, may have written to the tables without our triggers. */
const COMPARE_MS = hours(24);

/** Watches from here on; writes nothing before `start`. */
export function createRecordKeeper(deps: RecordKeeperDeps): RecordKeeper {
  const { db, disk, layout, clock } = deps;
  const log = deps.log.child({ room: 'maintenance' });
  const changes = watchRecords(db);
  /** Changed ones go before those that are only compared. */
  const changed = new Set<RecordKey>();
  const compared = new Set<RecordKey>();
  let cancelTick = (): void => {};
  let cancelCompare = (): void => {};
  let running: Promise<void> | null = null;
  let isStarted = false;
  let isStopped = false;
  /** How far the listing of what is compared has come; null = it is at its end. */
  let toCompare: ListPlace | null = null;
  let hasTrouble = false;

  function next(): RecordKey | undefined {
    for (const key of changes.take()) changed.add(key);
    for (;;) {
      for (const set of [changed, compared])
        for (const key of set) {
          set.delete(key);
          return key;
        }
      if (toCompare === null) return undefined;
      const { keys, next: place } = listKeys(db, toCompare);
      for (const key of keys) compared.add(key);
      toCompare = place;
    }
  }

  /** One record at a time: the disk belongs to the downloads. Never rejects: a timer waits for it. */
  async function writeDue(): Promise<void> {
    for (;;) {
      let key: RecordKey | undefined;
      try {
        key = next();
        if (key !== undefined) await writeRecord(key);
        hasTrouble = false;
        if (key === undefined) return;
      } catch (error) {
        if (errorCode(error) === 'unsafe_name') {
          log.error({ record: key }, 'a name cannot be a path, so it has no record');
          continue;
        }
        if (key !== undefined) changed.add(key);
        if (!hasTrouble)
          log.error(
            { record: key ?? null, err: { code: errorCode(error), message: describeError(error) } },
            'a record of the catalog could not be written; it is tried again every minute',
          );
        hasTrouble = true;
        return;
      }
      // While stopping, what is only compared can wait for the next start.
      if (isStopped) {
        compared.clear();
        toCompare = null;
      }
    }
  }

  async function writeRecord(key: RecordKey): Promise<void> {
    const path = recordPath(layout, key);
    const tables = readTables(db, key);
    const written = await disk.readText(path);
    // Every run is listed as one that may have files. One that had some and lost them must say so; one that never had any has nothing to say.
    const isEmpty = key.includes('/') && Object.values(tables).every((rows) => rows.length === 0);
    if (written === null && isEmpty) return;
    const text = encodeRecord(tables);
    if (written !== text) await writeAtomically(disk, path, text);
  }

  function run(): Promise<void> {
    running ??= writeDue().finally(() => {
      running = null;
    });
    return running;
  }

  function arm(): void {
    if (isStopped) return;
    cancelTick = clock.after(hasTrouble ? TROUBLE_MS : FLUSH_MS, () => void run().then(arm));
  }

  /** The next round begins to compare; a listing that is under way begins anew. */
  function compareAll(): void {
    toCompare = { kind: 0, afterId: 0 };
    cancelCompare = clock.after(COMPARE_MS, compareAll);
  }

  return {
    start() {
      if (isStarted) return;
      isStarted = true;
      compareAll();
      void run().then(arm);
    },
    async flush() {
      // A round that is under way may have passed the newest change already.
      await running;
      await run();
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      cancelTick();
      cancelCompare();
      if (!isStarted) return;
      await running;
      await run();
    },
  };
}
