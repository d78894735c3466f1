// Goal: the status page tells what the tables say, to anyone, safely. Method: a real database file with rows put in
// directly, the real server on a free port, plain HTTP requests.
import { describe, expect, onTestFinished, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries, type StorageFacts } from '../../src/monitoring/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const EVIL = `<script>alert(1)</script>"'&`;
const EVIL_ESCAPED = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;';
const HASH = 'c0ffee0a1b2c3d4e5f60718293a4b5c6d7e8f901';
const MINUTE = 60_000;

async function setup(options: { port?: number; storage?: () => Promise<StorageFacts> } = {}) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock('2026-11-21T12:00:00Z');
  const bus = createBus({ log: silentLog });
  const layout = createLayout(dataDir);
  const monitoring = createMonitoring({
    db,
    clock,
    bus,
    layout,
    disk: createNodeDisk(),
    log: silentLog,
    queries: createStatusQueries({ db, clock }),
    storage:
      options.storage ?? (async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9, mode: 'normal' })),
    config: { host: '127.0.0.1', port: options.port ?? 0 },
    version: '1.2.3',
  });
  const start = async () => {
    const { url } = await monitoring.start();
    onTestFinished(() => monitoring.stop());
    return (path: string, init?: RequestInit) => fetch(new URL(path, url), init);
  };
  const now = clock.now();
  const insert = (table: string, row: Record<string, unknown>): number => {
    const keys = Object.keys(row);
    const sql = `INSERT INTO ${table} (${keys.join(',')}) VALUES (${keys.map(() => '?').join(',')})`;
    return Number(db.sqlite.prepare(sql).run(...Object.values(row)).lastInsertRowid);
  };
  const rows = {
    cycle: (more = {}) =>
      insert('cycles', {
        cycle_date: '2026-11-20',
        includes_history: 0,
        opened_at: now,
        scanned_at: now,
        deadline_at: now + 1e9,
        ...more,
      }),
    dump: (more = {}) =>
      insert('dumps', {
        project: 'wikipedia',
        language: 'aa',
        wiki_db_name: 'aawiki',
        run_date: '20261120',
        cycle_date: '2026-11-20',
        dump_type: 'page',
        filename: `f-${Math.floor(clock.monotonicMs())}.gz`,
        size_bytes: 1000,
        wikimedia_url: 'https://dumps.wikimedia.org/x',
        discovered_at: now,
        ...more,
      }),
    job: (more = {}) =>
      insert('jobs', {
        job_type: 'download_dump',
        params: '{}',
        unique_key: 'k',
        max_attempts: 5,
        next_retry_at: now,
        created_at: now,
        ...more,
      }),
    torrent: (more = {}) =>
      insert('torrents', {
        name: 'wikimedia-dumps-2026-11-20',
        grouping: 'cycle',
        cycle_date: '2026-11-20',
        info_hash: HASH,
        magnet_link: `magnet:?xt=urn:btih:${HASH}`,
        total_size_bytes: 5e9,
        file_count: 2,
        piece_length: 1 << 24,
        piece_count: 3,
        torrent_file_path: 'torrents/wikimedia-dumps-2026-11-20.torrent',
        content_path: 'torrents/x',
        created_at: now,
        ...more,
      }),
    state: (key: string, value: unknown) =>
      insert('system_state', {
        key,
        value: typeof value === 'string' ? value : JSON.stringify(value),
        updated_at: now,
      }),
  };
  return { db, clock, bus, layout, monitoring, start, rows, insert, now };
}

const held = { our_status: 'downloaded', verification: 'sha1', local_path: 'dumps/x', sha1: 'ab' };
const running = { status: 'in_progress', attempt: 1, lease_owner: 'me' };

describe('content', () => {
  test('an empty database says what will happen next', async () => {
    const { start } = await setup();
    const get = await start();
    const page = await (await get('/')).text();
    expect(page).toContain('All is well');
    expect(page).toContain('No cycle yet');
    for (const path of ['/cycles', '/jobs', '/torrents', '/api/v1/status', '/healthz', '/readyz'])
      expect([path, (await get(path)).status]).toEqual([path, 200]);
  });

  test('everything from outside is escaped on every page', async () => {
    const { start, rows, insert, now } = await setup();
    rows.cycle();
    const dump = rows.dump({
      filename: EVIL,
      our_status: 'failed',
      error_message: EVIL,
      wikimedia_url: 'javascript:alert(1)',
    });
    const id = rows.job({
      status: 'failed',
      completed_at: now,
      dump_id: dump,
      last_error: EVIL,
      attempt: 1,
      params: JSON.stringify({ a: EVIL }),
    });
    insert('job_attempts', {
      job_id: id,
      attempt: 1,
      outcome: 'permanent',
      error_code: EVIL,
      message: EVIL,
      started_at: now,
      ended_at: now,
    });
    rows.torrent({ name: EVIL, magnet_link: `javascript:${EVIL}` });
    rows.state('halt:dumps', {
      target: EVIL,
      code: EVIL,
      message: EVIL,
      hint: EVIL,
      until: now + MINUTE,
      since: now,
    });
    rows.state('schedule:x', { name: EVIL, nextAt: now + MINUTE });
    const get = await start();
    for (const path of [
      '/',
      '/jobs',
      `/jobs/${id}`,
      '/cycles/2026-11-20',
      '/torrents',
      `/jobs?type=${encodeURIComponent(EVIL)}`,
    ]) {
      const text = await (await get(path)).text();
      expect(text, path).not.toContain('<script>alert');
      expect(text, path).not.toContain('href="javascript:');
      if (!path.includes('?')) expect(text, path).toContain(EVIL_ESCAPED.slice(0, 40));
    }
  });

  test('the report counts files, jobs, halts, wake-ups and torrents', async () => {
    const { start, rows, insert, now } = await setup();
    rows.cycle();
    rows.dump({ filename: 'a', ...held, size_bytes: 700 });
    rows.dump({ filename: 'b', ...held, our_status: 'included', size_bytes: 200, uploaded_at: now });
    const third = rows.dump({ filename: 'c', our_status: 'downloading', size_bytes: 100 });
    rows.dump({ filename: 'd', our_status: 'quarantined', size_bytes: 50 });
    insert('dump_runs', {
      wiki_db_name: 'aawiki',
      run_date: '20261120',
      cycle_date: '2026-11-20',
      status: 'in_progress',
      checked_at: now,
    });
    rows.job({
      ...running,
      dump_id: third,
      lease_expires_at: now + MINUTE,
      started_at: now,
      progress_bytes: 40,
      progress_total_bytes: 100,
      progress_bytes_per_second: 10,
    });
    const waiting = rows.job({
      unique_key: 'w',
      attempt: 2,
      next_retry_at: now + 5 * MINUTE,
      last_error: 'timed out',
    });
    insert('job_attempts', {
      job_id: waiting,
      attempt: 2,
      outcome: 'retryable',
      error_code: 'timeout',
      message: 'timed out',
      started_at: now,
      ended_at: now,
    });
    rows.state('halt:r2', {
      target: 'r2',
      code: 'bad_credentials',
      message: 'R2 refuses the key',
      hint: 'Check it.',
      until: null,
      since: now,
    });
    rows.state('halt:broken', 'not json');
    rows.state('schedule:backup_db', { name: 'backup_db', nextAt: now + MINUTE });
    rows.torrent();
    insert('torrent_stats', {
      torrent_id: 1,
      seeders: 4,
      leechers: null,
      source: 'tracker',
      recorded_at: now,
    });
    const get = await start();
    const report = (await (await get('/api/v1/status')).json()) as Record<string, unknown>;
    expect(report).toMatchObject({
      version: '1.2.3',
      verdict: { level: 'attention', reasons: ['R2 is halted until an operator resumes it.'] },
      cycles: [
        {
          cycleDate: '2026-11-20',
          runs: { total: 1, unfinished: 1, absent: 0 },
          files: {
            expected: 4,
            held: 2,
            uploaded: 1,
            included: 1,
            failed: 0,
            quarantined: 1,
            pending: 1,
            deleted: 0,
          },
          bytes: { expected: 1050, held: 900 },
        },
      ],
      jobs: [{ jobType: 'download_dump', total: 2, byStatus: { pending: 1, in_progress: 1 } }],
      running: [{ subject: 'c', doneBytes: 40, totalBytes: 100, bytesPerSecond: 10 }],
      failures: [{ id: waiting, code: 'timeout', message: 'timed out', nextAttemptAt: now + 5 * MINUTE }],
      halts: [{ target: 'r2', until: null }],
      wakeUps: [
        { kind: 'schedule', name: 'backup_db' },
        { kind: 'job', jobId: waiting },
      ],
      torrents: [{ infoHash: HASH, seeders: 4, leechers: null, torrentFileUrl: `/torrents/${HASH}.torrent` }],
    });
    const page = await (await get('/')).text();
    expect(page).toContain('40 B of 100 B');
    expect(page).toContain('<time datetime="2026-11-21T12:00:00.000Z">2026-11-21 12:00 UTC</time>');
    expect(page).toContain(`href="magnet:?xt=urn:btih:${HASH}"`);
  });

  test('storage that cannot be measured is said, not hidden', async () => {
    const { start } = await setup({ storage: async () => Promise.reject(new Error('disk gone')) });
    const get = await start();
    expect(await (await get('/')).text()).toContain('Storage could not be measured: disk gone.');
  });

  test('lists are paged, filtered and bounded', async () => {
    const { db, start, rows, now } = await setup();
    rows.cycle();
    db.transaction(() => {
      for (let n = 0; n < 11_000; n += 1)
        rows.job(
          n % 100 === 0
            ? { unique_key: `${n}`, status: 'failed', completed_at: now }
            : { unique_key: `${n}` },
        );
      for (let n = 0; n < 120; n += 1) rows.dump({ filename: `file-${n}`, ...(n % 2 ? held : {}) });
    });
    const get = await start();
    const text = async (path: string): Promise<string> => (await get(path)).text();
    expect(await text('/jobs')).toContain('1–50 of 11,000 jobs');
    expect(await text('/jobs?page=99999')).toContain('Page 200 of 200');
    expect(await text('/jobs?page=-1&status=nonsense')).toContain('Page 1 of 200');
    const failed = await text('/jobs?status=failed&type=download_dump&page=3');
    expect(failed).toContain('101–110 of 110 jobs');
    expect(failed.match(/data-job=/g)).toHaveLength(10);
    expect(await text('/cycles/2026-11-20?status=downloaded')).toContain('1–50 of 60 files');
    expect(await text('/cycles/2026-11-20?wiki=aawiki&page=3')).toContain('101–120 of 120 files');
    expect(await text('/cycles/2026-11-20?wiki=bbwiki')).toContain('No file matches');
  });
});

describe('health', () => {
  test('a lease that ended more than a minute ago is unhealthy', async () => {
    const { start, rows, clock, now } = await setup();
    rows.job({ ...running, lease_expires_at: now + MINUTE });
    const get = await start();
    await clock.advance(1.5 * MINUTE);
    expect((await get('/healthz')).status).toBe(200);
    await clock.advance(MINUTE);
    const answer = await get('/healthz');
    expect(answer.status).toBe(503);
    expect(((await answer.json()) as { reason: string }).reason).toContain('its lease ended');
  });

  test('due jobs that nobody takes are unhealthy, unless something is halted', async () => {
    const { start, rows, clock, now } = await setup();
    rows.job({ next_retry_at: now - 60 * MINUTE });
    const get = await start();
    expect((await get('/healthz')).status).toBe(200);
    await clock.advance(11 * MINUTE);
    expect((await get('/healthz')).status).toBe(503);
    expect(await (await get('/')).text()).toContain('Work has stopped');
    rows.state('halt:r2', { target: 'r2', message: 'its time has passed', until: now });
    expect((await get('/healthz')).status).toBe(503);
    rows.state('halt:dumps', { target: 'dumps', message: 'x', until: now + 60 * MINUTE });
    expect((await get('/healthz')).status).toBe(200);
  });
});

describe('torrents', () => {
  test('the list can be narrowed and paged; unknown is a word, and never a zero', async () => {
    const { start, rows, insert, now, clock } = await setup();
    const hash = (n: number): string => n.toString(16).padStart(40, '0');
    rows.torrent();
    for (let n = 1; n <= 120; n += 1)
      rows.torrent({ name: `w${n}-20261120`, grouping: 'wiki_run', info_hash: hash(n), info_name: 'w' });
    rows.torrent({ name: 'older', cycle_date: '2026-11-01', info_hash: hash(999) });
    insert('torrent_stats', {
      torrent_id: 1,
      seeders: 3,
      leechers: 0,
      source: 'udp://x',
      recorded_at: now - 1,
    });
    insert('torrent_webseeds', {
      torrent_id: 1,
      url: 'https://a/',
      state: 'dead',
      checked_at: now,
      since: now,
    });
    const get = await start();
    const page = async (path: string): Promise<string> => (await get(path)).text();
    const all = await page('/torrents');
    expect(all).toContain('3 other seeders');
    expect(all).toContain('no webseed works, 1 dead');
    expect(all).toContain('1–50 of 122 torrents');
    expect(all).toContain('other seeders unknown');
    expect(all).not.toMatch(/>0 (other )?seeders?/);
    const wikis = await page('/torrents?kind=wiki_run&page=3');
    expect(wikis).toContain('101–120 of 120 torrents');
    expect(wikis).not.toContain(`/torrents/${HASH}"`);
    const older = await page('/torrents?cycle=2026-11-01&kind=cycle');
    expect(older).toContain(hash(999));
    expect(older).not.toContain(`/torrents/${HASH}"`);
    expect(await page('/torrents?kind=project')).toContain('No torrent matches.');
    // What was counted weeks ago says nothing of now.
    clock.setWall(now + 22 * 86_400_000);
    expect(await page('/torrents')).not.toContain('3 other seeders');
  });

  test('one torrent: facts, chart with its gap, webseeds and trackers with their reasons, files, gaps', async () => {
    const { start, rows, insert, now } = await setup();
    rows.torrent({ trackers: JSON.stringify([`udp://${EVIL}`, 'http://t.example.org/announce']) });
    const dump = rows.dump({ ...held, our_status: 'included' });
    insert('torrent_files', { torrent_id: 1, dump_id: dump, path_in_torrent: `x/${EVIL}`, size_bytes: 5 });
    insert('torrent_gaps', {
      ...{
        torrent_id: 1,
        wiki_db_name: 'aawiki',
        source: 'classic',
        run_date: '20261120',
        dump_type: 'page',
      },
      ...{ state: 'missing', reason: EVIL },
    });
    for (const [ago, seeders] of [
      [4, 2],
      [3, null],
      [2, 5],
    ] as const)
      insert('torrent_stats', { torrent_id: 1, seeders, source: EVIL, recorded_at: now - ago * 86_400_000 });
    insert('torrent_webseeds', {
      torrent_id: 1,
      url: EVIL,
      state: 'dead',
      reason: EVIL,
      checked_at: now,
      since: now,
    });
    rows.state('tracker:http://t.example.org/announce', {
      ...{ askedAt: now, answeredAt: null, asked: 9, known: 0, restsUntil: now + 8e7, resumeAfter: null },
      problem: { code: 'tracker_refused', message: EVIL },
    });
    const get = await start();
    const response = await get(`/torrents/${HASH}`);
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(text).not.toContain(EVIL);
    expect(text).not.toMatch(/ style=/);
    // Two stretches: the line does not run through what nobody knew.
    expect(/class="line"[^>]* d="([^"]+)"/.exec(text)?.[1]).toMatch(/^M0\.0 60\.0M1000\.0 0\.0$/);
    expect(text).toContain('Between 2 and 5 from');
    expect(text).toContain('>unknown<');
    expect(text.split(EVIL_ESCAPED).length).toBeGreaterThan(6);
    expect(await (await get(`/torrents/${'0'.repeat(40)}`)).status).toBe(404);
    expect(await (await get(`/torrents/${HASH}?files=7&gaps=x`)).status).toBe(200);
  });
});
