import type { Db } from '../src/db/index.ts';

const DAY_MS = 24 * 60 * 60_000;

/** In the mix a daemon has after a year: nearly all done, some waiting, some failed. */
const JOB_TYPES = [
  'find_dumps',
  'download_dump',
  'verify_dump',
  'upload_dump',
  'check_upload',
  'create_torrent',
  'seed_torrent',
  'publish_torrent',
  'prune_dump',
  'scrub_dump',
] as const;

/** Files are spread over this many cycles; the newest is still open. */
const CYCLES = 10;
const WIKIS = 1000;

/** Fills an empty, migrated database by SQL. */
export function seedDatabase(
  db: Db,
  { jobs, files, now }: { jobs: number; files: number; now: number },
): void {
  const { sqlite } = db;
  const numbers = (last: number): string =>
    `WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${last - 1})`;
  const cycleOf = `'20' || (17 + n % ${CYCLES}) || '-11-20'`;
  db.transaction(() => {
    for (let year = 17; year < 17 + CYCLES; year += 1) {
      const date = `20${year}-11-20`;
      const at = Date.UTC(2000 + year, 10, 21);
      const isOpen = year === 16 + CYCLES;
      const ended = isOpen ? null : at + 5 * DAY_MS;
      sqlite
        .prepare(
          `INSERT INTO cycles (cycle_date, status, includes_history, scanned_at, deadline_at, opened_at, sealed_at,
             torrented_at, seeding_at, published_at) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(date, isOpen ? 'open' : 'published', at, at + 30 * DAY_MS, at, ended, ended, ended, ended);
      sqlite
        .prepare(
          `INSERT INTO torrents (name, grouping, cycle_date, info_hash, magnet_link, total_size_bytes, file_count,
             piece_length, piece_count, torrent_file_path, content_path, created_at)
           VALUES (?, 'cycle', ?, ?, 'magnet:?', 3000000000000, ?, 16777216, 178814, 'torrents/x.torrent', 'torrents/x', ?)`,
        )
        .run(`wikimedia-dumps-${date}`, date, String(year).padStart(40, '0'), Math.round(files / CYCLES), at);
    }
    sqlite
      .prepare(
        `${numbers(WIKIS * CYCLES)} INSERT INTO dump_runs (wiki_db_name, run_date, cycle_date, status, checked_at)
         SELECT 'w' || (n / ${CYCLES}) || 'wiki', replace(${cycleOf}, '-', ''), ${cycleOf},
           CASE WHEN n % 97 = 0 THEN 'in_progress' ELSE 'finished' END, @now FROM numbers`,
      )
      .run({ now });
    sqlite
      .prepare(
        `${numbers(files)} INSERT INTO dumps (project, language, wiki_db_name, run_date, cycle_date, dump_type, filename,
           size_bytes, md5, sha1, sha256, verification, wikimedia_url, local_path, our_status, discovered_at, downloaded_at,
           uploaded_at)
         SELECT 'wikipedia', 'en', 'w' || (n / ${CYCLES} % ${WIKIS}) || 'wiki', replace(${cycleOf}, '-', ''), ${cycleOf},
           'pages-articles', 'file-' || n || '.xml.bz2', 1000000 + n, printf('%032x', n), printf('%040x', n),
           printf('%064x', n), 'sha1', 'https://dumps.wikimedia.org/x/file-' || n || '.xml.bz2', 'dumps/x/file-' || n,
           CASE WHEN n % 1000 = 7 THEN 'failed' WHEN n % ${CYCLES} = ${CYCLES - 1} AND n % 3 = 0 THEN 'pending'
             WHEN n % 5 = 0 THEN 'included' ELSE 'uploaded' END, @now, @now, @now
         FROM numbers`,
      )
      .run({ now });
    // Of a thousand jobs: 3 failed, 40 wait (10 of them not before tomorrow); eight run in all.
    sqlite
      .prepare(
        `${numbers(jobs)}, states(n, status) AS (SELECT n, CASE WHEN n < 8 THEN 'in_progress' WHEN n % 1000 IN (101, 402, 703)
             THEN 'failed' WHEN n % 100 BETWEEN 20 AND 23 THEN 'pending' ELSE 'completed' END FROM numbers)
         INSERT INTO jobs (job_type, status, dump_id, cycle_date, params, result, unique_key, attempt, max_attempts,
           next_retry_at, last_error, lease_owner, lease_expires_at, progress_bytes, progress_total_bytes, created_at,
           started_at, completed_at)
         SELECT json_extract(@types, '$[' || (n % ${JOB_TYPES.length}) || ']'), status, n % ${files} + 1, '2026-11-20',
           '{"dumpId":' || n || '}', CASE status WHEN 'completed' THEN '{"sizeBytes":1000000}' END, 'job:' || n,
           CASE status WHEN 'pending' THEN 0 ELSE 1 END, 5, CASE n % 100 WHEN 23 THEN @now + ${DAY_MS} ELSE @now END,
           CASE status WHEN 'failed' THEN 'the file is not what was promised' END,
           CASE status WHEN 'in_progress' THEN 'bench' END, CASE status WHEN 'in_progress' THEN @now + ${DAY_MS} END,
           CASE status WHEN 'in_progress' THEN 500000 END, CASE status WHEN 'in_progress' THEN 1000000 END,
           @now - ${DAY_MS}, CASE status WHEN 'pending' THEN NULL ELSE @now - 1000 END,
           CASE WHEN status IN ('completed', 'failed') THEN @now END
         FROM states`,
      )
      .run({ now, types: JSON.stringify(JOB_TYPES) });
    sqlite
      .prepare(
        `INSERT INTO job_attempts (job_id, attempt, outcome, error_code, message, started_at, ended_at)
         SELECT id, 1, 'permanent', 'bad_content', last_error, started_at, completed_at FROM jobs WHERE status = 'failed'`,
      )
      .run();
  });
  sqlite.pragma('wal_checkpoint(TRUNCATE)');
}
