import { expect, test } from 'vitest';
import { createAlertStore } from '../../src/alerts/store.ts';
import type { Db } from '../../src/db/index.ts';
import { databaseStatistics } from '../../src/maintenance/care/statistics.ts';
import { createStatusQueries } from '../../src/monitoring/index.ts';
import { createCareStore } from '../../src/queue/care-store.ts';
import { createJobStore } from '../../src/queue/store.ts';
import { fillWithJobs, insertJob } from '../helpers/care.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { withDb } from '../helpers/with-db.ts';

/**
 * Goal: no statement that runs often reads a whole table, nor all jobs of a kind, whatever the planner was told about the data.
 * Method: the statements are caught as they are prepared, and SQLite says how it would run each; what reads much stands in the list
 * below with its reason, and an entry that nothing matches any more fails too.
 */

/** Statements that may read much: a part of the statement, what may be read so, and why. */
const MAY_READ_MUCH: readonly { sql: string; plan: RegExp; why: string }[] = [];

/** Indexes that hold a few rows for each thing asked: the unfinished, one key, one parent. A search in any other may still read most of a table. */
const NARROW =
  /^SEARCH \w+ USING (INTEGER PRIMARY KEY|(COVERING )?INDEX (idx_jobs_(claim|due|leased|unique|parent|cycle)|idx_job_attempts_job|idx_alerts_open|sqlite_autoindex_\w+|\w+_identity|idx_torrent_stats_torrent|torrents_info_hash_unique)) \(/;

/** Rows that no table holds. */
const NO_TABLE = /^(SCAN|SEARCH) (json_each|old|p|t|r|CONSTANT ROW|\(subquery-\d+\)|sqlite_schema|\d+ CONSTANT ROWS?)\b/;

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
  createAlertStore(db);
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

test.each(DATA)('with %s', (_what, fill) => {
  const db = withDb();
  fill(db);
  const statements = statementsOf(db);
  expect(statements.length).toBeGreaterThan(60);
  const used = new Set<string>();
  const wrong = statements.flatMap((sql) =>
    planOf(db, sql)
      .filter((detail) => /^(SCAN|SEARCH)/.test(detail) && !NARROW.test(detail) && !NO_TABLE.test(detail))
      .filter((detail) => {
        const entry = MAY_READ_MUCH.find((each) => sql.includes(each.sql) && each.plan.test(detail));
        if (entry !== undefined) used.add(entry.sql);
        return entry === undefined;
      })
      .map((detail) => `${detail} <- ${sql}`),
  );
  expect(wrong).toEqual([]);
  expect(MAY_READ_MUCH.map(({ sql }) => sql).filter((sql) => !used.has(sql))).toEqual([]);
});
