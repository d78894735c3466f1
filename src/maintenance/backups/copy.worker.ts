import { closeSync, fdatasyncSync, openSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Tell } from './answer.worker.ts';
import { needNoLog } from './no-log.worker.ts';
import type { CopyResult, CopyTask } from './protocol.ts';

/**
 * 8 MiB at a time with pages of 4 KiB: between two steps the thread can be ended, tells how far it is, and puts on disk what
 * it wrote. One large fsync at the end would make the commits of the jobs wait for all of it: they share the journal of the
 * file system.
 */
const PAGES_PER_STEP = 2048;

/** Copies a database in use. */
export async function copy({ database, target }: CopyTask, tell: Tell): Promise<CopyResult> {
  // Made by us, so that nobody else can read it while it grows.
  const written = openSync(target, 'wx', 0o600);
  const source = new Database(database, { readonly: true, timeout: 5000 });
  try {
    // A read transaction of our own over all steps: the source stays as it is now, in WAL mode nobody waits for it, and what
    // others write meanwhile does not make the copy begin anew, as it does without.
    source.exec('BEGIN');
    source.prepare('SELECT 1 FROM sqlite_master').get();
    const pageBytes = source.pragma('page_size', { simple: true }) as number;
    await source.backup(target, {
      progress({ totalPages, remainingPages }) {
        fdatasyncSync(written);
        tell((totalPages - remainingPages) * pageBytes, totalPages * pageBytes);
        return PAGES_PER_STEP;
      },
    });
    source.exec('COMMIT');
  } finally {
    source.close();
    closeSync(written);
  }
  needNoLog(target);
  return { databaseBytes: statSync(target).size };
}
