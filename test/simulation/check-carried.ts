import type { Database } from 'better-sqlite3';
import { hashOf } from './documents.ts';
import { keyOf } from './history.ts';
import type { CarriedRow, Known } from './known.ts';
import { DAY } from './moments.ts';

/** All files that any torrent carries. */
export function readCarried(sqlite: Database): CarriedRow[] {
  return sqlite
    .prepare(
      `SELECT t.name, t.cycle_date AS cycleDate, t.is_history AS isHistory, t.supplement, t.created_at AS createdAt, d.id AS dumpId,
              d.wiki_db_name AS wikiDbName, d.source, d.run_date AS runDate, d.dump_type AS dumpType, d.filename, d.sha1,
              f.verification, d.downloaded_at AS downloadedAt
         FROM torrent_files f JOIN torrents t ON t.id = f.torrent_id JOIN dumps d ON d.id = f.dump_id`,
    )
    .all() as CarriedRow[];
}

/** What torrents carry is what upstream had, each file in one torrent of a kind, and none came in after it was made. */
export function checkCarried(
  sqlite: Database,
  carried: readonly CarriedRow[],
  { upstream }: Known,
  problems: string[],
  count: (name: string) => void,
): void {
  const seen = new Map<string, string>();
  for (const row of carried) {
    const twice = `${row.dumpId}/${row.isHistory}`;
    const before = seen.get(twice);
    if (before !== undefined) problems.push(`${row.filename} is in ${before} and in ${row.name}`);
    seen.set(twice, row.name);
    count(row.supplement > 0 ? 'files in supplements' : 'files in torrents');
    count(`proved by ${row.verification}`);
    const run = upstream.runs.get(keyOf(row));
    const file = run?.jobs.flatMap((job) => job.files).find(({ name }) => name === row.filename);
    const version = file?.versions.find(({ content }) => hashOf('sha1', content) === row.sha1);
    if (run === undefined || file === undefined || version === undefined || version.from > row.downloadedAt) {
      problems.push(`${row.name} carries ${row.filename}, of which upstream never had such bytes`);
      continue;
    }
    const hashedAt = Math.min(file.hashedFrom, file.summedFrom);
    if (row.verification === 'structure-only' && hashedAt + 2 * DAY < row.downloadedAt)
      problems.push(
        `${row.filename} was proved by its structure only, although upstream had published its hash`,
      );
    if (row.verification !== 'structure-only' && hashedAt > row.createdAt)
      problems.push(`${row.filename} counts as proved by ${row.verification}, which was never published`);
  }
  const late = sqlite
    .prepare(
      'SELECT t.name, count(*) AS n FROM sim_carried s JOIN torrents t ON t.id = s.torrent_id WHERE s.at > t.created_at GROUP BY 1',
    )
    .all() as { name: string; n: number }[];
  for (const { name, n } of late) problems.push(`${n} files came into ${name} after it was made`);
}
