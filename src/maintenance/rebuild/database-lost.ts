import { schemaOf } from '../../db/index.ts';
import { WikiSeedError } from '../../lib/index.ts';
import { listBackups } from '../backups/index.ts';
import { hasRecords, type ReadDeps } from './read-records.ts';

/**
 * Refuses to begin an empty database where a catalog was recorded or backed up: it would forget every torrent, and its
 * records would be overwritten by those of the empty one. A file without tables is as good as none: that is what is left
 * when the disk was full, or somebody truncated it.
 * @throws WikiSeedError `database_missing`
 */
export async function assertDatabaseNotLost(deps: ReadDeps): Promise<void> {
  const { disk, layout } = deps;
  const schema = schemaOf(layout.database);
  if (schema !== null && schema > 0) return;
  const isRecorded = await hasRecords(deps);
  const backups = (await listBackups(disk, layout.dataDir)).filter(({ kind }) => kind === 'backup');
  if (!isRecorded && backups.length === 0) return;
  const places = [...(isRecorded ? [layout.records] : []), ...(backups.length > 0 ? [layout.backups] : [])];
  throw new WikiSeedError(
    'database_missing',
    `the database ${layout.database} is ${schema === null ? 'gone' : 'empty'}, but there was one before`,
    {
      hint: `"wikiseed restore" takes the newest good backup; without one, "wikiseed rebuild" makes the database again from the data directory. To begin with nothing instead, move ${places.join(' and ')} away.`,
    },
  );
}
