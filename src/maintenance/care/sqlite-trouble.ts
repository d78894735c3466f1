import { HaltPipelineError, hours, Interrupted, minutes, RetryableError } from '../../lib/index.ts';
import { RESTORE_HINT } from './troubles.ts';

/** What failed in the care thread. */
export interface CareFailure {
  code: string;
  message: string;
  stack?: string | undefined;
}

/** A full disk is looked at again after so long. */
const DISK_PAUSE_MS = minutes(1);
/** Damage does not heal: nothing goes on until somebody restored, which is a restart. A year. */
const DAMAGE_PAUSE_MS = hours(24 * 365);

/** The classified error of a failure in the care thread, for the queue and for people. */
export function careError(failure: CareFailure): Error {
  const { code, message } = failure;
  if (code === 'interrupted') return new Interrupted('the care of the database was interrupted');
  if (code === 'SQLITE_FULL') return diskFull(message);
  if (code.startsWith('SQLITE_IOERR'))
    return new HaltPipelineError('disk_error', `the disk refused the database: ${message} (${code})`, {
      scope: 'disk',
      pauseMs: DISK_PAUSE_MS,
      isNeverOwnFault: true,
      hint: 'If the disk is full, free some space. Else look at the kernel log (journalctl -k) for errors of the disk and check it with smartctl.',
    });
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return damaged([`${message} (${code})`]);
  if (code.startsWith('SQLITE_BUSY'))
    return new RetryableError('database_busy', `the database is in use by another process: ${message}`, {
      hint: 'Close other programs that have it open, such as an sqlite3 shell.',
    });
  const error = new RetryableError(code === 'unknown' ? 'care_failed' : code, message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}

/** The disk that holds the database is full. Nothing is lost: what was committed stays in the log until there is room. */
export function diskFull(reason: string): HaltPipelineError {
  return new HaltPipelineError('disk_full', `no room left on the disk that holds the database: ${reason}`, {
    scope: 'disk',
    pauseMs: DISK_PAUSE_MS,
    isNeverOwnFault: true,
    hint: 'Free some space on that disk; the work goes on by itself.',
  });
}

/** The database is damaged: going on would write on broken ground. */
export function damaged(problems: readonly string[], hint: string = RESTORE_HINT): HaltPipelineError {
  return new HaltPipelineError(
    'database_corrupt',
    `the database is damaged: ${problems.slice(0, 3).join('; ').slice(0, 500)}`,
    { scope: 'all', pauseMs: DAMAGE_PAUSE_MS, isNeverOwnFault: true, hint },
  );
}
