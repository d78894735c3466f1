import { isDamage } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { describeError, errorCode } from '../lib/index.ts';
import type { Log } from '../ports/index.ts';
import type { HaltFacts, Targets } from './targets.ts';

/** Looking again costs nothing but one statement. */
const TRY_AGAIN_MS = 10_000;
const CORRUPT_PAUSE_MS = 60 * 60_000;

const FULL_HINT =
  'Free some space on the disk that holds the database; the work goes on by itself, and nothing that was done is lost.';
const BUSY_HINT =
  'Another program holds the database: close it, such as an sqlite3 shell with an open transaction; the work goes on by itself.';
const CORRUPT_HINT =
  'Stop WikiSeed, then run "wikiseed restore": it takes the newest good backup and keeps the damaged database.';

/** Stops all work while the database is in trouble, instead of ending the process. */
export interface DatabaseTrouble {
  /** The database threw: nothing is claimed until it was tried again. */
  note(error: unknown): void;
  /** Something was written. */
  clear(): void;
}

/** One log line and one alert for a trouble, however often it is met. */
export function createDatabaseTrouble(deps: { targets: Targets; bus: Bus; log: Log }): DatabaseTrouble {
  let isTroubled = false;
  /** Stays until a restart: that one page can be written says nothing about the damaged one. */
  let damage: HaltFacts | null = null;
  return {
    note(error) {
      const code = errorCode(error);
      const isCorrupt = isDamage(error);
      const isBusy = /^SQLITE_(BUSY|LOCKED)/.test(code);
      const hint = isCorrupt ? CORRUPT_HINT : isBusy ? BUSY_HINT : FULL_HINT;
      const message = `the database could not be ${isCorrupt ? 'read' : 'written'}: ${describeError(error)}`;
      const facts: HaltFacts = {
        target: 'database',
        kind: 'halted',
        code: isCorrupt ? 'database_corrupt' : isBusy ? 'database_busy' : 'database_unwritable',
        message,
        hint,
        pauseMs: isCorrupt ? CORRUPT_PAUSE_MS : TRY_AGAIN_MS,
      };
      if (isCorrupt) damage = facts;
      deps.targets.haltInMemory(facts);
      if (isTroubled) return;
      isTroubled = true;
      deps.log.error(
        { err: { code, message: describeError(error) }, hint },
        'the database could not be used',
      );
      deps.bus.emit('alert:raised', { key: 'database', severity: 'error', message, hint });
    },
    clear() {
      // A rest that is over begins anew, else whoever waits for its end would be woken for ever.
      if (damage !== null) deps.targets.haltInMemory(damage);
      if (!isTroubled || damage !== null) return;
      isTroubled = false;
      deps.targets.lift('database');
      deps.log.info({}, 'the database can be used again');
      deps.bus.emit('alert:resolved', { key: 'database' });
    },
  };
}
