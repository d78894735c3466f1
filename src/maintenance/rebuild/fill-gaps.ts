import type { Db } from '../../db/index.ts';
import { days } from '../../lib/index.ts';
import type { LocalManifest } from './read-manifest.ts';
import type { RebuildReport } from './report.ts';

/** Long enough to look at every wiki again. */
const NEW_DEADLINE_MS = days(14);

/**
 * Rows that others refer to and that no file told: wikis, runs and cycles are made from what refers to them. Wikis get the
 * rest of their facts at the next look at the site matrix.
 */
export function fillGaps(
  db: Db,
  facts: { manifest: LocalManifest; nowMs: number },
  report: RebuildReport,
): void {
  const { nowMs } = facts;
  const count = (what: string, changes: number): void => {
    if (changes > 0)
      report.problems.push({
        what: `${changes} ${what}`,
        reason: 'not recorded; made from what refers to them',
      });
  };
  db.transaction(() => {
    count(
      'wikis',
      db.sqlite
        .prepare(
          `INSERT INTO wikis (wiki_db_name, project, language, url, discovered_at, last_seen_at)
           SELECT wiki_db_name, min(project), min(language), '', min(discovered_at), min(discovered_at) FROM dumps
            WHERE wiki_db_name NOT IN (SELECT wiki_db_name FROM wikis) AND length(wiki_db_name) BETWEEN 1 AND 64
            GROUP BY wiki_db_name`,
        )
        .run().changes,
    );
    fillCycles(db, facts, count);
    count(
      'dump runs',
      db.sqlite
        .prepare(
          // Of an open cycle it is looked at again anyway; a later one is over.
          `INSERT INTO dump_runs (wiki_db_name, source, run_date, cycle_date, status, checked_at, finished_at)
           SELECT d.wiki_db_name, d.source, d.run_date, min(d.cycle_date),
                  iif(min(c.status) = 'open', 'in_progress', 'finished'), ?, iif(min(c.status) = 'open', NULL, ?)
             FROM dumps d JOIN cycles c ON c.cycle_date = d.cycle_date
            WHERE NOT EXISTS (SELECT 1 FROM dump_runs r
                               WHERE r.wiki_db_name = d.wiki_db_name AND r.source = d.source AND r.run_date = d.run_date)
            GROUP BY d.wiki_db_name, d.source, d.run_date`,
        )
        .run(nowMs, nowMs).changes,
    );
  });
}

/** A cycle with torrents is over; one without is open, and the next look decides. */
function fillCycles(
  db: Db,
  { manifest, nowMs }: { manifest: LocalManifest; nowMs: number },
  count: (what: string, changes: number) => void,
): void {
  const missing = db.sqlite
    .prepare<[], { cycleDate: string; isHistory: number; firstAt: number }>(
      `SELECT cycle_date AS cycleDate, max(is_history) AS isHistory, min(discovered_at) AS firstAt FROM dumps
        WHERE cycle_date NOT IN (SELECT cycle_date FROM cycles) GROUP BY cycle_date`,
    )
    .all();
  const torrentsOf = db.sqlite.prepare<[string], { infoHash: string; createdAt: number }>(
    'SELECT info_hash AS infoHash, created_at AS createdAt FROM torrents WHERE cycle_date = ?',
  );
  const insert = db.sqlite.prepare(
    `INSERT INTO cycles (cycle_date, status, includes_history, scanned_at, deadline_at, opened_at,
                         sealed_at, torrented_at, seeding_at, published_at)
     VALUES (@cycleDate, @status, @isHistory, @endedAt, @deadlineAt, @firstAt, @endedAt, @endedAt, @endedAt, @publishedAt)`,
  );
  for (const cycle of missing) {
    const torrents = torrentsOf.all(cycle.cycleDate);
    const endedAt = torrents.length === 0 ? null : Math.max(...torrents.map(({ createdAt }) => createdAt));
    const isPublished =
      torrents.length > 0 && torrents.every(({ infoHash }) => manifest.torrents.has(infoHash));
    insert.run({
      ...cycle,
      status: isPublished ? 'published' : torrents.length > 0 ? 'seeding' : 'open',
      endedAt,
      publishedAt: isPublished ? endedAt : null,
      deadlineAt: endedAt ?? nowMs + NEW_DEADLINE_MS,
    });
  }
  count('cycles', missing.length);
}
