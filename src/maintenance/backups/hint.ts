import { knownMigrations } from '../../db/index.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { type BackupEntry, bestDatedFirst, isRestorable, listBackups } from './list.ts';

/**
 * What to do about a database that cannot be used: the exact command, for the error of a start that was refused. It names no
 * backup, since nobody has read the newest one since it was made: the restore proves each and takes the newest good one.
 * @param options.configPath null when none was named
 */
export async function restoreHint(options: {
  disk: Disk;
  clock: Clock;
  dataDir: string;
  configPath: string | null;
}): Promise<string> {
  const config = options.configPath === null ? '' : ` --config ${shellWord(options.configPath)}`;
  const all = await listBackups(options.disk, options.dataDir);
  const copies = bestDatedFirst(all, options.clock.now()).filter(
    (copy) => isRestorable(copy) && copy.state !== 'damaged',
  );
  const good = copies.find(({ state, schema }) => state === 'verified' && (schema ?? 0) <= knownMigrations());
  const newest = good ?? copies[0];
  if (newest === undefined)
    return `There is no good backup. Make the database again from the data directory: wikiseed rebuild${ignoring(all)}${config}`;
  const madeAt = `${new Date(newest.madeAt).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return (
    `Put the newest good backup in its place: wikiseed restore${config} ` +
    `(${good === undefined ? `none is known to be good, the newest that may be is of ${madeAt}` : `the newest that is known to be good is of ${madeAt}`}; ` +
    'the present database is kept under db/replaced-…)'
  );
}

/** What a rebuild must be told when there are backups, none of them good: else it refuses. */
export function ignoring(backups: readonly Pick<BackupEntry, 'kind'>[]): string {
  return backups.some(({ kind }) => kind === 'backup') ? ' --ignore-backups' : '';
}

/** As a POSIX shell reads it. */
function shellWord(text: string): string {
  return /^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
