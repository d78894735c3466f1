// Goal: pauses, halts, limits, alerts and backups are seen on the page, in the terminal and by /healthz, in words that tell what to do.
// Method: rows put into a real database, the real server, and the text of `wikiseed status` from the same report.
import { describe, expect, onTestFinished, test } from 'vitest';
import { formatStatus } from '../../src/cli/format-status.ts';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries, type Halt, readStatus } from '../../src/monitoring/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const EVIL = `<script>alert(1)</script>\u001b[2J\u202e`;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function setup() {
  const db = withDb();
  const clock = new FakeClock('2026-11-21T12:00:00Z');
  const queries = createStatusQueries({ db, clock });
  const inMemory: Halt[] = [];
  const sources = {
    queries,
    clock,
    version: '1',
    storage: async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9 }),
    halts: () => inMemory,
    startedAt: clock.now(),
  };
  const monitoring = createMonitoring({
    ...sources,
    db,
    bus: createBus({ log: silentLog }),
    layout: createLayout(temporaryFolder()),
    disk: createNodeDisk(),
    log: silentLog,
    config: { host: '127.0.0.1', port: 0 },
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const now = clock.now();
  return {
    db,
    clock,
    now,
    inMemory,
    state: (key: string, value: unknown) =>
      db.sqlite
        .prepare('INSERT INTO system_state (key, value, updated_at) VALUES (?, ?, ?)')
        .run(key, typeof value === 'string' ? value : JSON.stringify(value), now),
    alert: (key: string, severity: string, message: string, more: { hint?: string; count?: number } = {}) =>
      db.sqlite
        .prepare(
          'INSERT INTO alerts (alert_key, severity, message, hint, count, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
        )
        .run(key, severity, message, more.hint ?? null, more.count ?? 1, now - HOUR, now - MINUTE),
    job: (more: Record<string, unknown> = {}) => {
      const row = {
        job_type: 'download_dump',
        params: '{}',
        unique_key: `k${Math.floor(db.sqlite.prepare('SELECT count(*) FROM jobs').pluck().get() as number)}`,
        max_attempts: 5,
        next_retry_at: now,
        created_at: now,
        ...more,
      };
      const sql = `INSERT INTO jobs (${Object.keys(row)}) VALUES (${Object.keys(row).map(() => '?')})`;
      return Number(db.sqlite.prepare(sql).run(...Object.values(row)).lastInsertRowid);
    },
    page: async (path = '') => (await fetch(new URL(path, url))).text(),
    health: async () => {
      const answer = await fetch(new URL('healthz', url));
      return { status: answer.status, ...((await answer.json()) as { reason: string; halts: unknown[] }) };
    },
    text: async (isAtWork = true) => formatStatus(await readStatus(sources), { color: false, isAtWork }),
    report: () => readStatus(sources),
  };
}

const halt = (more: Partial<Halt> = {}): Halt => ({
  target: 'internet_archive',
  kind: 'halted',
  code: 'bad_credentials',
  message: 'the Internet Archive refuses the key',
  hint: 'Check IA_ACCESS_KEY.',
  since: 0,
  until: 0,
  failures: 1,
  ...more,
});

describe('pauses', () => {
  test('everything paused is worth a look, with reason and remedy, and it is not unhealthy', async () => {
    const { state, now, page, text, health, job, clock, report } = await setup();
    state('pause:all', { scope: { kind: 'all' }, since: now - HOUR, reason: 'moving the disk' });
    state('pause:type:download_dump', { since: now, reason: null });
    state('pause:nonsense', { since: now });
    state('pause:target:broken', 'not json');
    job({ next_retry_at: now - HOUR });
    expect((await report()).verdict).toEqual({
      level: 'attention',
      reasons: [
        'Everything is paused (moving the disk): "wikiseed resume all" lets it go on.',
        'Job type download dump is paused: "wikiseed resume download_dump" lets it go on.',
      ],
    });
    expect(await page()).toContain('<h3>Everything is paused</h3>\n<p>moving the disk</p>');
    expect(await page()).toContain('<code>wikiseed resume all</code>');
    expect(await text()).toContain(
      'Paused by hand\n  Everything, for 1 h: moving the disk\n    resume with: wikiseed resume all\n',
    );
    await clock.advance(20 * MINUTE);
    expect((await health()).status).toBe(200);
  });

  test('a reason, an alert and a halt from anywhere cannot steer page or terminal', async () => {
    const { state, now, page, text, alert } = await setup();
    state('pause:type:x', { since: now, reason: EVIL });
    state('limit:target:x', { jobs: 3 });
    state('halt:x', halt({ target: EVIL, message: EVIL, code: EVIL, hint: EVIL, until: now + HOUR }));
    state('maintenance:last_backup', { at: now, ok: false, message: EVIL });
    alert('a', 'error', EVIL, { hint: EVIL });
    const html = await page();
    expect(html).not.toContain('<script>alert');
    expect(html.match(/&lt;script&gt;alert\(1\)/g)?.length).toBeGreaterThanOrEqual(7);
    const screen = await text();
    expect(screen).not.toMatch(/[\u001b\u202e]/);
    expect(screen.match(/alert\(1\)<\/script>\?\[2J\?/g)?.length).toBeGreaterThanOrEqual(7);
  });
});

describe('halts', () => {
  test('say what is wrong, who must act, and when it is tried again', async () => {
    const { state, now, page, text, report } = await setup();
    state('halt:internet_archive', halt({ since: now - HOUR, until: now + 5 * MINUTE, failures: 3 }));
    state(
      'halt:dumps',
      halt({
        target: 'dumps',
        kind: 'unavailable',
        code: 'http_503',
        message: '503',
        hint: null,
        until: now - 1,
      }),
    );
    expect((await report()).verdict.reasons).toEqual([
      'Dumps does not answer as it should, and is being tried now.',
      'Internet Archive is halted.',
    ]);
    const screen = await text();
    expect(screen).toContain(
      '  Internet Archive is halted: the Internet Archive refuses the key (bad_credentials)\n' +
        '    tried again in 5 m, at 12:05 UTC, stopped 3 times in a row; at once with: wikiseed resume internet_archive\n' +
        '    Check IA_ACCESS_KEY.\n',
    );
    expect(screen).toContain('being tried now, one job at a time');
    expect(await text(false)).toContain('tried again at the next start');
    const html = await page();
    expect(html).toContain('Tried again in 5 m, at <time datetime="2026-11-21T12:05:00.000Z">');
    expect(html).toContain('Stopped 3 times in a row.');
    expect(html).toContain('Being tried now, one job at a time.');
  });

  test('one that only the process knows reaches page, status and health', async () => {
    const { inMemory, now, page, health, report, alert, clock } = await setup();
    inMemory.push(
      halt({
        target: 'database',
        code: 'database_unwritable',
        message: 'the database could not be written: disk full',
        hint: 'Free some space.',
        until: now + 10_000,
      }),
    );
    alert('database', 'error', 'the same again');
    expect((await report()).verdict).toEqual({
      level: 'stopped',
      reasons: ['Everything is halted: the database could not be written: disk full.'],
    });
    const html = await page();
    expect(html).toContain('Work has stopped');
    expect(html).toContain('Free some space.');
    expect(html).not.toContain('the same again');
    expect(await health()).toMatchObject({
      status: 503,
      reason: expect.stringContaining('disk full'),
      halts: [{ target: 'database', kind: 'halted', until: '2026-11-21T12:00:10.000Z' }],
    });
    inMemory.pop();
    await clock.advance(1000);
    expect(await health()).toMatchObject({ status: 200, halts: [] });
  });
});

describe('alerts, limits, backups', () => {
  test('alerts stand worst first, bounded, without what a halt says already, failed jobs last', async () => {
    const { alert, state, now, page, text, report } = await setup();
    state('halt:r2', halt({ target: 'r2', until: now + HOUR }));
    alert('target:r2', 'error', 'repeats the halt');
    alert('job:upload_ia:1', 'error', 'job 1 failed');
    alert('database:wal', 'warn', 'the log is large', { hint: 'Run "wikiseed maintain".', count: 4 });
    alert('backup_failed', 'error', 'the database could not be backed up: no space');
    for (let n = 0; n < 12; n += 1) alert(`x:${n}`, 'info', `note ${n}`);
    const { alerts, alertCount, verdict } = await report();
    expect(alertCount).toBe(15);
    expect(alerts.map(({ key }) => key).slice(0, 2)).toEqual(['backup_failed', 'database:wal']);
    expect(alerts).toHaveLength(10);
    expect(verdict.reasons).toEqual(['R2 is halted.', 'The database could not be backed up: no space.']);
    expect(await page()).toContain('4 times, last <time');
    expect(await page()).toContain('5 more alerts');
    const screen = await text();
    expect(screen).toContain(
      'Alerts\n  error the database could not be backed up: no space (for 1 h)\n  warning the log is large (for 1 h, 4 times)\n    Run "wikiseed maintain".\n',
    );
    expect(screen).toContain('  and 5 more\n');
    expect(screen).not.toContain('repeats the halt');
  });

  test('bandwidths set by hand and mirrors are shown, those that are configured no more are not', async () => {
    const { state, now, page, text, db } = await setup();
    expect(await text()).not.toMatch(/Mirrors|Limits/);
    expect(await page()).not.toContain('Mirrors');
    state('rate:download', { name: 'download', bytesPerSecond: 20e6, since: now });
    const mirror = (baseUrl: string, facts: Record<string, number | string>): void => {
      const all = { base_url: baseUrl, ...facts };
      const marks = Object.keys(all).map(() => '?');
      db.sqlite
        .prepare(`INSERT INTO mirrors (${Object.keys(all)}) VALUES (${marks})`)
        .run(...Object.values(all));
    };
    mirror('https://good.example/dumps', { good_files: 1234, bytes_per_second: 5e6 });
    mirror('https://liar.example', {
      ...{ good_files: 3, bad_hashes: 1, probation_until: now + 5 * HOUR },
      ...{ last_fault: 'sent wrong bytes', last_fault_at: now - 19 * HOUR },
    });
    mirror('https://shaky.example', { good_files: 1, faults_in_a_row: 4 });
    mirror('http://new.example', {});
    mirror('https://old.example', { is_active: 0 });
    const screen = await text();
    expect(screen).toMatch(/Limits set by hand\n {2}downloads together +at most 20 MB\/s\n/);
    expect(screen).toMatch(/Mirrors\n.*\n {2}good.example\/dumps +good +5 MB\/s +1234 *\n/);
    expect(screen).toMatch(
      /liar.example +sent wrong bytes, not asked for 5 h +3 +sent wrong bytes, 19 h ago\n/,
    );
    expect(screen).toMatch(
      /shaky.example +4 faults in a row +1 *\n {2}http:\/\/new.example +not used yet +0 *\n/,
    );
    expect(screen).not.toContain('old.example');
    const html = await page();
    expect(html).toContain('<span>Downloads together</span><span>at most 20 MB/s</span>');
    expect(html).toContain('title="https://good.example/dumps">good.example</th>');
    expect(html).toMatch(
      /Sent wrong bytes, not asked for 5 h<br><span class="none">It sent wrong bytes, <time/,
    );
    expect(html).not.toContain('old.example');
  });

  test('limits and the age of the last backup are shown, a failed one with its reason', async () => {
    const { state, now, page, text, db } = await setup();
    expect(await text()).not.toMatch(/Last backup|Limits/);
    state('limit:target:dumps', { jobs: 1 });
    state('limit:type:backup_db', { jobs: 2 });
    state('maintenance:last_backup', { at: now - 3 * HOUR, ok: true, name: 'b', sizeBytes: 12e6 });
    expect(await text()).toMatch(
      /Limits set by hand\n {2}target dumps +at most 1 at once\n {2}job type back up database +at most 2 at once\n/,
    );
    expect(await text()).toContain('Last backup\n  3 h ago, 12 MB\n');
    expect(await page()).toMatch(/Backed up, 12 MB<\/span><time [^>]*>3 h ago/);
    expect(await page()).toContain('<span>Back up database</span><span>2 jobs at once</span>');
    const failed = JSON.stringify({
      at: now - HOUR,
      ok: false,
      goodAt: now - 30 * HOUR,
      message: 'no space',
    });
    db.sqlite.prepare("UPDATE system_state SET value = ? WHERE key = 'maintenance:last_backup'").run(failed);
    expect(await text()).toContain('failed 1 h ago: no space; the last good one 1 d 6 h ago');
    expect(await page()).toContain('<p class="badtext">no space</p>');
  });
});

describe('a job', () => {
  test('shows its parent, its children, why it is in quarantine and how to try it again', async () => {
    const { job, page, now } = await setup();
    const parent = job({ status: 'completed', completed_at: now, job_type: 'find_dumps' });
    const id = job({
      parent_job_id: parent,
      status: 'quarantined',
      completed_at: now,
      attempt: 5,
      last_error: 'sha1 differs',
    });
    const running = job({
      status: 'in_progress',
      attempt: 1,
      lease_owner: 'x',
      lease_expires_at: now + HOUR,
    });
    for (let n = 0; n < 55; n += 1) job({ parent_job_id: running });
    const html = await page(`jobs/${id}`);
    expect(html).toContain(`<a href="/jobs/${parent}">job ${parent}</a>`);
    expect(html).toContain('In quarantine: what came was wrong at every attempt');
    expect(html).toContain('sha1 differs');
    expect(html).toContain(`<code>wikiseed jobs retry ${id}</code>`);
    expect(await page(`jobs/${parent}`)).toContain(`<a href="/jobs/${id}">Download dump</a>`);
    expect(await page(`jobs/${parent}`)).not.toContain('wikiseed jobs retry');
    const busy = await page(`jobs/${running}`);
    expect(busy).toContain(`<code>wikiseed jobs cancel ${running}</code>`);
    expect(busy).toContain('and 5 more');
  });
});
