import { eq, notInArray } from 'drizzle-orm';
import { type Db, isDatabaseTrouble, schema } from '../../db/index.ts';
import { describeError } from '../../lib/index.ts';
import type { Clock, Log } from '../../ports/index.ts';
import type { Standing } from './standing.ts';

/** The part of a standing that survives a restart. */
export type KeptStanding = Pick<
  Standing,
  | 'goodFiles'
  | 'badHashes'
  | 'notFound'
  | 'wrongSizes'
  | 'faultsInARow'
  | 'bytesPerSecond'
  | 'rangesAtOnce'
  | 'newestRunDate'
  | 'lastFault'
  | 'lastFaultAt'
  | 'probationUntil'
  | 'lastUsedAt'
>;

/** What was learned of mirrors, in the table `mirrors`. */
export interface MirrorStore {
  /** Standings by base address. Configured ones are active from here on, all others are not. */
  load(configured: readonly string[]): ReadonlyMap<string, KeptStanding>;
  /** Written a little later, together with what else changes meanwhile; `atOnce` does not wait. */
  save(base: string, standing: KeptStanding, atOnce?: boolean): void;
  /** Writes what is left. */
  stop(): void;
}

/** A chunk must not cost a transaction; a crash may forget so much. */
const WRITE_AFTER_MS = 15_000;

/** See `MirrorStore`. */
export function createMirrorStore(deps: { db: Db; clock: Clock; log: Log }): MirrorStore {
  const { db, clock, log } = deps;
  const { mirrors } = schema;
  const dirty = new Map<string, KeptStanding>();
  let cancel: (() => void) | null = null;

  function write(): void {
    cancel?.();
    cancel = null;
    try {
      db.transaction(() => {
        for (const [baseUrl, standing] of dirty)
          db.orm.update(mirrors).set(kept(standing)).where(eq(mirrors.baseUrl, baseUrl)).run();
      });
      dirty.clear();
    } catch (error) {
      if (!isDatabaseTrouble(error)) throw error;
      log.warn(
        { err: describeError(error) },
        'what was learned of mirrors could not be written; tried again',
      );
      arm();
    }
  }

  function arm(): void {
    cancel ??= clock.after(WRITE_AFTER_MS, write);
  }

  return {
    load(configured) {
      return db.transaction(() => {
        for (const baseUrl of configured)
          db.orm
            .insert(mirrors)
            .values({ baseUrl, isActive: true })
            .onConflictDoUpdate({ target: mirrors.baseUrl, set: { isActive: true } })
            .run();
        db.orm
          .update(mirrors)
          .set({ isActive: false })
          .where(notInArray(mirrors.baseUrl, [...configured]))
          .run();
        const rows = db.orm.select().from(mirrors).where(eq(mirrors.isActive, true)).all();
        return new Map(rows.map((row) => [row.baseUrl, kept(row)]));
      });
    },
    save(base, standing, atOnce = false) {
      dirty.set(base, standing);
      if (atOnce) write();
      else arm();
    },
    stop() {
      if (dirty.size > 0) write();
      cancel?.();
    },
  };
}

function kept(row: KeptStanding): KeptStanding {
  return {
    goodFiles: row.goodFiles,
    badHashes: row.badHashes,
    notFound: row.notFound,
    wrongSizes: row.wrongSizes,
    faultsInARow: row.faultsInARow,
    bytesPerSecond: row.bytesPerSecond,
    rangesAtOnce: row.rangesAtOnce,
    newestRunDate: row.newestRunDate,
    lastFault: row.lastFault,
    lastFaultAt: row.lastFaultAt,
    probationUntil: row.probationUntil,
    lastUsedAt: row.lastUsedAt,
  };
}
