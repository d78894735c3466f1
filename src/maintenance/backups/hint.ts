import type { Disk } from '../../ports/index.ts';
import { listBackups } from './list.ts';

/**
 * What to do about a database that cannot be used: the exact command, for the error of a start that was refused. The newest
 * verified backup is named; the restore itself proves it again.
 * @param options.configPath null when none was named
 */
export async function restoreHint(options: {
  disk: Disk;
  dataDir: string;
  configPath: string | null;
}): Promise<string> {
  const config = options.configPath === null ? '' : ` --config ${shellWord(options.configPath)}`;
  const good = (await listBackups(options.disk, options.dataDir)).find(
    ({ kind, state }) => kind === 'backup' && state === 'verified',
  );
  if (good === undefined)
    return `There is no good backup. Make the database again from the data directory: wikiseed rebuild${config}`;
  const madeAt = new Date(good.madeAt).toISOString().slice(0, 16).replace('T', ' ');
  return (
    `Restore the backup of ${madeAt} UTC: wikiseed restore ${good.name}${config} ` +
    '(the present database is kept under db/replaced-…)'
  );
}

/** As a POSIX shell reads it. */
function shellWord(text: string): string {
  return /^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
