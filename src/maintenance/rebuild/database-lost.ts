import { WikiSeedError } from '../../lib/index.ts';
import { hasRecords, type ReadDeps } from './read-records.ts';

/**
 * Refuses to begin an empty database where a catalog was recorded: it would forget every torrent, and its records would be
 * overwritten by those of the empty one.
 * @throws WikiSeedError `database_missing`
 */
export async function assertDatabaseNotLost(deps: ReadDeps): Promise<void> {
  const { disk, layout } = deps;
  if ((await disk.stat(layout.database)) !== null || !(await hasRecords(deps))) return;
  throw new WikiSeedError(
    'database_missing',
    `the database ${layout.database} is gone, but its catalog was recorded`,
    {
      hint: `"wikiseed restore" takes the newest good backup; without one, "wikiseed rebuild" makes the database again from the data directory. To begin with nothing instead, move ${layout.records} away.`,
    },
  );
}
