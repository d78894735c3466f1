import { expect, test } from 'vitest';
import { createAlertStore } from '../../src/alerts/store.ts';
import type { Db } from '../../src/db/index.ts';
import { databaseStatistics } from '../../src/maintenance/care/statistics.ts';
import {
  createCoverageQueries,
  createCycleQueries,
  createStatusQueries,
  createTorrentQueries,
} from '../../src/monitoring/index.ts';
import { createCareStore } from '../../src/queue/care-store.ts';
import { createJobStore } from '../../src/queue/store.ts';
import { createCarriedFiles } from '../../src/webseeds/serve/carried-files.ts';
import { createWebseedStore } from '../../src/webseeds/webseed-store.ts';
import { fillWithJobs, insertJob } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: no statement that runs often reads a whole table, nor all jobs of a kind, whatever the planner was told about the data.
 * Method: the statements are caught as they are prepared, and SQLite says how it would run each; what reads much stands in the list
 * below with its reason, and an entry that nothing matches any more fails too.
 */

/** Statements that may read much: a part of the statement, what may be read so, and why. */
const MAY_READ_MUCH: readonly { sql: string; plan: RegExp; why: string }[] = [
  // Unfinished jobs, all of them.
  {
    sql: 'SELECT dump_id FROM jobs WHERE job_type = ?',
    plan: /^SEARCH jobs USING INDEX idx_jobs_type_status \(job_type=\? AND status=\?\)$/,
    why: 'at start and once a day: which files need not be asked for again; 5 ms for 30,000',
  },
  {
    sql: 'count(*) FROM jobs INDEXED BY idx_jobs_claim',
    plan: /^SCAN jobs USING COVERING INDEX idx_jobs_claim$/,
    why: 'counts what is due; in the care thread',
  },
  {
    sql: 'count(*) FROM jobs INDEXED BY idx_jobs_due',
    plan: /^SCAN jobs USING COVERING INDEX idx_jobs_due$/,
    why: 'counts what waits for its time; in the care thread',
  },
  {
    sql: 'SET next_retry_at = next_retry_at + @byMs',
    plan: /^SCAN jobs USING INDEX idx_jobs_due$/,
    why: 'the clock was set back: every waiting job keeps its wait',
  },
  {
    sql: "SET status = 'cancelled'",
    plan: /^SEARCH jobs USING .*INDEX idx_jobs_\w+ \((job_type=\? AND status=\?|job_type=\?)\)$/,
    why: 'an operator cancels all of them',
  },
  // Counts of all jobs.
  {
    sql: "WHERE status IN ('pending', 'in_progress') GROUP BY 1, 2",
    plan: /^SCAN jobs USING COVERING INDEX idx_jobs_type_status$/,
    why: 'is everything done? Asked when nothing runs any more',
  },
  {
    sql: 'count(*) AS n FROM jobs GROUP BY job_type, status',
    plan: /^SCAN jobs USING COVERING INDEX idx_jobs_type_status$/,
    why: 'of a command, which has nothing else to do; a daemon counts in parts',
  },
  // A few rows of a long list, by LIMIT, in the order of what is read.
  {
    sql: 'SELECT id FROM jobs ORDER BY id DESC LIMIT ? OFFSET ?',
    plan: /^SCAN jobs$/,
    why: 'the newest ones, at most 200 pages',
  },
  {
    sql: 'FROM job_attempts ORDER BY id DESC LIMIT',
    plan: /^SCAN job_attempts$/,
    why: 'the newest ones',
  },
  {
    sql: 'FROM jobs WHERE job_type = ? AND status = ? AND id > ? ORDER BY id',
    plan: /^SEARCH jobs USING COVERING INDEX idx_jobs_type_status \(job_type=\? AND status=\? AND rowid>\?\)$/,
    why: 'a part of one type and state, in the order of the index',
  },
  {
    sql: 'j.job_type = ? AND j.status = ? ORDER BY j.id DESC LIMIT ?',
    plan: /^SEARCH j USING INDEX idx_jobs_type_status \(job_type=\? AND status=\?\)$/,
    why: 'the newest failures of one type, in the order of the index',
  },
  {
    sql: 'ORDER BY job_type, status LIMIT 1',
    plan: /^(SCAN|SEARCH) jobs USING COVERING INDEX idx_jobs_type_status( \((job_type|\(job_type,status\))>.*\))?$/,
    why: 'one row, in the order of the index',
  },
  {
    sql: 'SELECT min(job_type) FROM jobs',
    plan: /^SEARCH jobs USING COVERING INDEX idx_jobs_type_status( \(job_type>\?\))?$/,
    why: 'the first row of the index, then the first one of each type',
  },
  {
    sql: 'SELECT max(completed_at)',
    plan: /^SEARCH jobs USING COVERING INDEX idx_jobs_finished/,
    why: 'the last row of the index',
  },
  // The catalog: not jobs, and bounded by a cycle.
  {
    sql: 'FROM dump_runs WHERE cycle_date = ?',
    plan: /^SEARCH dump_runs USING COVERING INDEX idx_dump_runs_cycle \(cycle_date=\?\)$/,
    why: 'the runs of one cycle: a thousand',
  },
  {
    sql: 'FROM dumps WHERE cycle_date = ?',
    plan: /^SEARCH dumps USING (COVERING )?INDEX idx_dumps_cycle \(cycle_date=\?( AND our_status=\?)?\)$/,
    why: 'the files of one cycle: 33,000; one cycle at a time and remembered',
  },
  {
    sql: 'FROM dumps WHERE wiki_db_name = ? AND cycle_date = ?',
    plan: /^SEARCH dumps USING INDEX idx_dumps_wiki \(wiki_db_name=\? AND cycle_date=\?\)$/,
    why: 'the files of one wiki in one cycle: some hundreds',
  },
  {
    sql: 'FROM dumps WHERE cycle_date = ? AND our_status = ? AND id > ? ORDER BY id LIMIT ?',
    plan: /^SEARCH dumps USING INDEX idx_dumps_cycle \(cycle_date=\? AND our_status=\? AND rowid>\?\)$/,
    why: 'a part of one cycle and state, in the order of the index',
  },
  {
    sql: 'FROM dump_runs WHERE cycle_date = ? AND status = ? AND id > ? ORDER BY id LIMIT ?',
    plan: /^SEARCH dump_runs USING INDEX idx_dump_runs_cycle \(cycle_date=\? AND status=\? AND rowid>\?\)$/,
    why: 'a part of one cycle and state, in the order of the index',
  },
  {
    sql: 'SELECT max(cycle_date) FROM dumps WHERE wiki_db_name = ?',
    plan: /^SEARCH dumps USING COVERING INDEX idx_dumps_wiki \(wiki_db_name=\?( AND cycle_date<\?)?\)$/,
    why: 'the last row of one wiki in the index',
  },
  {
    sql: 'FROM dumps INDEXED BY idx_dumps_text WHERE wiki_db_name = ? AND cycle_date = ?',
    plan: /^SEARCH (dumps USING INDEX idx_dumps_text \(wiki_db_name=\? AND cycle_date=\?\)|f USING INDEX idx_torrent_files_dump \(dump_id=\?\))$/,
    why: 'the files of one wiki in one cycle, and the torrents of each: coverage goes from wiki to wiki',
  },
  {
    sql: 'WHERE f.dump_id = ? AND t.is_uncompressed = 0',
    plan: /^SEARCH f USING INDEX idx_torrent_files_dump \(dump_id=\?\)$/,
    why: 'the torrents that carry one file: five or six',
  },
  // Small tables.
  {
    sql: 'FROM wikis ORDER BY project',
    plan: /^SCAN wikis USING INDEX idx_wikis_project_lang$/,
    why: 'a thousand wikis, for the coverage of all',
  },
  {
    sql: 'FROM torrents WHERE cycle_date = ?',
    plan: /^SEARCH torrents USING INDEX idx_torrents_cycle \(cycle_date=\?\)$/,
    why: 'the torrents of one cycle',
  },
  {
    sql: 'cycle_date = @cycleDate',
    plan: /^SEARCH torrents USING (COVERING )?INDEX idx_torrents_cycle \(cycle_date=\?\)$/,
    why: 'a list of the torrents of one cycle',
  },
  {
    sql: 'FROM torrent_gaps WHERE torrent_id = ?',
    plan: /^SEARCH torrent_gaps USING (COVERING )?INDEX idx_torrent_gaps_torrent \(torrent_id=\?\)$/,
    why: 'the gaps of one torrent',
  },
  { sql: 'FROM mirrors WHERE is_active = 1', plan: /^SCAN mirrors$/, why: 'the configured hosts: a handful' },
  { sql: 'FROM cycles ORDER BY cycle_date DESC', plan: /^SCAN cycles/, why: '24 a year' },
  {
    sql: 'FROM torrents',
    plan: /^(SCAN t|SCAN torrents)\b/,
    why: 'some thousands a year; by LIMIT, or counted',
  },
  { sql: 'FROM system_state WHERE substr', plan: /^SCAN system_state/, why: 'some dozens of rows' },
  { sql: 'FROM __drizzle_migrations', plan: /^SCAN __drizzle_migrations/, why: 'one row for each migration' },
];

/**
 * What holds few rows for each thing asked: one key, one parent, the jobs that run, the alerts that are open. A search in any other index may
 * still read most of a table.
 */
const NARROW = new RegExp(
  [
    /^SEARCH \w+ USING INTEGER PRIMARY KEY \(rowid=\?\)/,
    /^SEARCH \w+ USING (COVERING )?INDEX (idx_jobs_(claim|due) \(job_type=\?|idx_jobs_(unique|parent|cycle|put_off) \()/,
    /^SEARCH \w+ USING (COVERING )?INDEX (idx_job_attempts_job|sqlite_autoindex_\w+|\w+_identity|idx_torrent_stats_torrent|idx_torrent_files_path|idx_torrents_info_name|torrents_info_hash_unique) \(/,
    /^(SCAN|SEARCH) \w+ USING (COVERING )?INDEX (idx_jobs_leased|idx_alerts_open)\b/,
  ]
    .map(({ source }) => source)
    .join('|'),
);

/** Rows that no table holds. */
const NO_TABLE =
  /^(SCAN|SEARCH) (json_each|part|p|r|t|CONSTANT ROW|\(subquery-\d+\)|sqlite_schema)($| (?!USING))/;

const STATEMENT = /^\s*(SELECT|UPDATE|DELETE|INSERT|WITH)\b/i;

/** Everything that is prepared while the stores are made and asked. */
function statementsOf(db: Db): string[] {
  const found = new Set<string>();
  const { prepare } = db.sqlite;
  db.sqlite.prepare = function (this: typeof db.sqlite, sql: string) {
    if (STATEMENT.test(sql)) found.add(sql.replaceAll(/\s+/g, ' ').trim());
    return prepare.call(this, sql);
  } as typeof prepare;
  createJobStore(db);
  createCareStore(db);
  createStatusQueries({ db, clock: new FakeClock() });
  createCoverageQueries({ db, clock: new FakeClock() });
  createCycleQueries({ db, clock: new FakeClock() });
  createTorrentQueries({ db, clock: new FakeClock() });
  createAlertStore(db);
  createCarriedFiles({ db });
  createWebseedStore({ db });
  databaseStatistics(db.sqlite, {
    ...{ now: 0, path: db.path, fileBytes: 0, walBytes: 0, freeDiskBytes: 0 },
    isThorough: false,
  });
  db.sqlite.prepare = prepare;
  return [...found];
}

/** What SQLite would read for a statement; values do not matter to it. */
function planOf(db: Db, sql: string): string[] {
  const statement = db.sqlite.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`);
  const names = [...sql.matchAll(/@(\w+)/g)].map(([, name]) => [name as string, null]);
  const values = names.length > 0 ? [Object.fromEntries(names)] : [...sql.matchAll(/\?/g)].map(() => null);
  return statement.all(...values).map(({ detail }) => detail);
}

const DATA: [string, (db: Db) => void][] = [
  ['no statistics', () => {}],
  [
    'statistics of a day when nearly all jobs are over',
    (db) => {
      fillWithJobs(db, 3000);
      for (let n = 0; n < 5; n += 1) insertJob(db, { status: 'pending' });
      db.sqlite.exec('ANALYZE');
    },
  ],
  [
    'statistics of a day when nearly all jobs wait',
    (db) => {
      fillWithJobs(db, 5);
      for (let n = 0; n < 3000; n += 1) insertJob(db, { status: 'pending' });
      db.sqlite.exec('UPDATE jobs SET is_due = id % 2; ANALYZE');
    },
  ],
];

test('nothing that runs often reads much', () => {
  const used = new Set<string>();
  const wrong = DATA.flatMap(([what, fill]) => {
    const db = withDb();
    fill(db);
    const statements = statementsOf(db);
    expect(statements.length).toBeGreaterThan(60);
    return statements.flatMap((sql) =>
      planOf(db, sql)
        .filter((detail) => /^(SCAN|SEARCH)/.test(detail) && !NARROW.test(detail) && !NO_TABLE.test(detail))
        .filter((detail) => {
          const entry = MAY_READ_MUCH.find((each) => sql.includes(each.sql) && each.plan.test(detail));
          if (entry !== undefined) used.add(entry.sql);
          return entry === undefined;
        })
        .map((detail) => `${what}: ${detail} <- ${sql}`),
    );
  });
  expect(wrong).toEqual([]);
  expect(MAY_READ_MUCH.map(({ sql }) => sql).filter((sql) => !used.has(sql))).toEqual([]);
});
