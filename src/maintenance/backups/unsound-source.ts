import { MIGRATIONS_TABLE } from '../../db/index.ts';
import { PermanentError, type WikiSeedError } from '../../lib/index.ts';
import type { Clock, Disk } from '../../ports/index.ts';
import { damaged } from '../care/sqlite-trouble.ts';
import { restoreHint } from './hint.ts';
import type { CheckResult } from './protocol.ts';

/** Where the hint is looked for. */
interface HintDeps {
  disk: Disk;
  clock: Clock;
  dataDir: string;
  configPath: string | null;
}

/**
 * Why no backup is made of the live database; null when it is sound. Damage means here what it means to the integrity check:
 * everything halts until somebody restores. Broken references alone harm nobody who goes on, so only the backup fails. Of a
 * database without our tables there is nothing to keep, and its backup would be the last good one.
 */
export async function unsoundSource(
  deps: HintDeps,
  { problems, orphans, rows }: CheckResult,
): Promise<WikiSeedError | null> {
  const isEmpty = (rows[MIGRATIONS_TABLE] ?? 0) === 0;
  if (problems.length === 0 && orphans.length === 0 && !isEmpty) return null;
  // Whatever stands in the way of looking for backups, the damage is told.
  const hint = await restoreHint(deps).catch(() => undefined);
  if (problems.length > 0) return damaged(problems, hint);
  if (isEmpty)
    return new PermanentError(
      'database_missing',
      `the database in ${deps.dataDir} is empty, nothing of WikiSeed is in it, so no backup was made of it`,
      hint === undefined ? {} : { hint: `Stop WikiSeed. ${hint}` },
    );
  return new PermanentError(
    'foreign_keys_broken',
    `rows of the database refer to rows that are not there, so no backup was made of it: ${orphans.join('; ')}`,
    {
      hint:
        'The work goes on meanwhile. Stop WikiSeed, delete these rows with sqlite3 and start it again; ' +
        `or go back to a database without them. ${hint ?? ''}`.trimEnd(),
    },
  );
}
