import type { Database } from 'better-sqlite3';
import { inSmallSteps, type Pace, type Stepped } from './pace.ts';

/** What compacting did. */
export interface VacuumResult extends Stepped {
  /** Why nothing was done; null when it was. `not_incremental`: the file was made without room for it, see `vacuumFully`. */
  skipped: 'not_fragmented' | 'not_incremental' | null;
  pagesBefore: number;
  freePagesBefore: number;
  pagesAfter: number;
  freePagesAfter: number;
}

const count = (connection: Database, name: 'page_count' | 'freelist_count' | 'auto_vacuum'): number =>
  connection.pragma(name, { simple: true }) as number;

/** Word 2 of `PRAGMA auto_vacuum`: INCREMENTAL. */
const INCREMENTAL = 2;

/** A few pages at first: what a page costs is known after the first step. */
const FIRST_PAGES = 16;
/** 2 MB of pages in one step at the most, whatever the clock says. */
const MAX_PAGES = 512;

/**
 * Gives free pages back to the disk, a few at a time: each step moves pages from the end of the file into free ones in a
 * transaction of a few milliseconds. Unlike VACUUM it needs no second copy and keeps nobody waiting; it does not sort the pages.
 * Safe to end at any step and to begin again.
 * @param options.thresholdPercent free pages of all pages, 0 to 100; at or below it nothing is done
 */
export async function vacuumInSteps(
  connection: Database,
  pace: Pace,
  options: { thresholdPercent: number },
): Promise<VacuumResult> {
  const pagesBefore = count(connection, 'page_count');
  const freePagesBefore = count(connection, 'freelist_count');
  const nothing = { steps: 0, done: 0, longestStepMs: 0 };
  const result = (skipped: VacuumResult['skipped'], stepped: Stepped): VacuumResult => ({
    ...stepped,
    skipped,
    pagesBefore,
    freePagesBefore,
    pagesAfter: count(connection, 'page_count'),
    freePagesAfter: count(connection, 'freelist_count'),
  });
  if (freePagesBefore === 0 || (freePagesBefore / pagesBefore) * 100 <= options.thresholdPercent)
    return result('not_fragmented', nothing);
  if (count(connection, 'auto_vacuum') !== INCREMENTAL) return result('not_incremental', nothing);
  // No more than was free at the beginning: with others freeing pages all the time it would have no end.
  let left = freePagesBefore;
  const stepped = await inSmallSteps(pace, {
    firstSize: FIRST_PAGES,
    maxSize: MAX_PAGES,
    find: () => null,
    write(_found, size) {
      connection.pragma(`incremental_vacuum(${size})`);
      const given = Math.min(size, left);
      left -= given;
      return count(connection, 'freelist_count') === 0 ? Math.min(given, size - 1) : given;
    },
  });
  return result(null, stepped);
}

/**
 * VACUUM: writes the whole database anew, sorted, and makes room for `vacuumInSteps` in files that had none. Nobody can write
 * meanwhile and it needs the space of two copies, so it is for a database that nobody else uses.
 */
export function vacuumFully(connection: Database): VacuumResult {
  const pagesBefore = count(connection, 'page_count');
  const freePagesBefore = count(connection, 'freelist_count');
  // In memory the copy of a large database would take all of it.
  connection.pragma('temp_store = FILE');
  connection.pragma('auto_vacuum = INCREMENTAL');
  connection.exec('VACUUM');
  connection.pragma('wal_checkpoint(TRUNCATE)');
  return {
    steps: 1,
    done: pagesBefore,
    longestStepMs: 0,
    skipped: null,
    pagesBefore,
    freePagesBefore,
    pagesAfter: count(connection, 'page_count'),
    freePagesAfter: count(connection, 'freelist_count'),
  };
}
