// Goal: the page works in a real browser, with and without JavaScript, and its policy blocks nothing of its own.
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries } from '../../src/monitoring/index.ts';
import { createNodeDisk, createSystemClock, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const isThere = existsSync(CHROMIUM);
if (!isThere)
  console.log(
    `skipped: the program ${CHROMIUM} is not installed (apt install chromium, or name one in CHROMIUM)`,
  );

let browser: Browser;
beforeAll(async () => {
  if (!isThere) return;
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});
afterAll(() => browser?.close());

async function setup(options: { hasScript: boolean; width?: number }) {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = createSystemClock();
  const bus = createBus({ log: silentLog });
  const monitoring = createMonitoring({
    db,
    clock,
    bus,
    layout: createLayout(dataDir),
    disk: createNodeDisk(),
    log: silentLog,
    queries: createStatusQueries({ db, clock }),
    storage: async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9, cleanupThresholdPercent: 85 }),
    config: { host: '127.0.0.1', port: 0 },
    version: '1.2.3',
  });
  const now = clock.now();
  db.sqlite
    .prepare(
      `INSERT INTO cycles (cycle_date, includes_history, opened_at, deadline_at) VALUES ('2026-11-20', 0, ?, ?)`,
    )
    .run(now, now + 1e9);
  const addJob = (key: string) =>
    db.sqlite
      .prepare(
        `INSERT INTO jobs (job_type, status, params, unique_key, attempt, max_attempts, next_retry_at, created_at,
           started_at, lease_owner, lease_expires_at, progress_bytes, progress_total_bytes, cycle_date)
         VALUES ('download_dump', 'in_progress', '{}', ?, 1, 5, ?, ?, ?, 'me', ?, 10, 1000, ?)`,
      )
      .run(key, now, now, now, now + 60_000, `<b id="evil">${key}</b>`);
  addJob('first');
  const hash = 'c0ffee0a1b2c3d4e5f60718293a4b5c6d7e8f901';
  db.sqlite
    .prepare(
      `INSERT INTO torrents (name, grouping, cycle_date, info_hash, magnet_link, total_size_bytes, file_count,
         piece_length, piece_count, torrent_file_path, content_path, created_at)
       VALUES ('wikimedia-dumps-2026-11-20', 'cycle', '2026-11-20', ?, ?, 5000, 2, 16384, 1, 'a', 'b', 0)`,
    )
    .run(hash, `magnet:?xt=urn:btih:${hash}`);
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const context = await browser.newContext({
    javaScriptEnabled: options.hasScript,
    viewport: { width: options.width ?? 1280, height: 800 },
  });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => {
    // Leaving a page ends what it still loads, its event stream above all.
    const reason = request.failure()?.errorText;
    if (reason !== 'net::ERR_ABORTED') complaints.push(`${request.url()} ${reason}`);
  });
  const outside: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) outside.push(request.url());
  });
  return { db, url, page, bus, addJob, complaints, outside, hash };
}

const EVENT = { jobId: 1, jobType: 'download_dump', attempt: 1, dumpId: null, cycleDate: null };

describe.skipIf(!isThere)('in a browser', () => {
  test('numbers move by themselves and new jobs appear', async () => {
    const { url, page, bus, addJob, complaints, outside } = await setup({ hasScript: true });
    await page.goto(url, { waitUntil: 'load' });
    await page.getByText('Live', { exact: true }).waitFor();
    expect(await page.locator('#evil').count()).toBe(0);
    bus.emit('job:progress', {
      ...EVENT,
      doneBytes: 500,
      totalBytes: 1000,
      bytesPerSecond: 100,
      label: null,
    });
    await page.getByText('500 B of 1 kB').waitFor();
    expect(await page.locator('[data-job="1"] progress').getAttribute('value')).toBe('500');
    addJob('second');
    bus.emit('job:started', { ...EVENT, jobId: 2 });
    await page.getByText('<b id="evil">second</b>').waitFor();
    // What the reader uses is not swapped away under the cursor.
    const field = page.locator('input.copy');
    await field.focus();
    expect(await page.evaluate('getSelection().toString()')).toContain('magnet:?xt=');
    for (const path of ['jobs', 'jobs/1', 'cycles', 'cycles/2026-11-20', 'torrents', 'nothing']) {
      await page.goto(url + path, { waitUntil: 'load' });
      expect(await page.locator('h1').count()).toBe(1);
    }
    // The one page that is not there says 404, as asked.
    const unexpected = complaints.filter((text) => !text.includes('404'));
    expect(unexpected).toEqual([]);
    expect(outside).toEqual([]);
  });

  test('everything is there without JavaScript', async () => {
    const { url, page, complaints, hash } = await setup({ hasScript: false });
    await page.goto(url, { waitUntil: 'load' });
    expect(await page.getByRole('heading', { name: 'Cycle 2026-11-20' }).isVisible()).toBe(true);
    expect(await page.getByText('10 B of 1 kB').isVisible()).toBe(true);
    expect(await page.getByLabel('Magnet link of wikimedia-dumps-2026-11-20').inputValue()).toContain(hash);
    await page.goto(`${url}jobs`);
    await page.getByLabel('State').selectOption('failed');
    await page.getByRole('button', { name: 'Show' }).click();
    expect(page.url()).toContain('status=failed');
    expect(await page.getByText('No job matches.').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
  });

  test('fits a narrow screen and can be walked by keyboard', async () => {
    const { url, page } = await setup({ hasScript: true, width: 400 });
    for (const path of ['', 'jobs', 'jobs/1', 'cycles/2026-11-20', 'torrents']) {
      await page.goto(url + path, { waitUntil: 'load' });
      const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
      expect([path, await page.evaluate(overflow)]).toEqual([path, 0]);
    }
    await page.goto(url, { waitUntil: 'load' });
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('content');
    // Every bar, field and table has a name for screen readers.
    expect(
      await page.evaluate(
        `[...document.querySelectorAll('progress, input, select, svg[role=img], [role=region]')]
          .filter((e) => !e.getAttribute('aria-label') && !e.closest('label')).length`,
      ),
    ).toBe(0);
  });

  test('on a phone each wiki of the coverage page is a block: nothing has to be scrolled for sideways', async () => {
    const { db, url, page } = await setup({ hasScript: false, width: 380 });
    const addWiki = db.sqlite.prepare(
      `INSERT INTO wikis (wiki_db_name, project, language, url, is_private, discovered_at, last_seen_at, dumped_seen_at)
       VALUES (?, ?, ?, '', 0, 0, 0, ?)`,
    );
    addWiki.run('missingwiki', 'wikipedia', 'mi', 1);
    addWiki.run('zh_min_nanwikisource', 'wikisource', 'zh-min-nan', 1);
    addWiki.run('undumpedwiktionary', 'wiktionary', 'un', null);
    db.sqlite.exec(
      `INSERT INTO dumps (project, language, wiki_db_name, source, run_date, cycle_date, dump_type, filename, size_bytes, sha1,
         verification, wikimedia_url, local_path, ia_verified_at, our_status, discovered_at)
       VALUES ('wikisource', 'x', 'zh_min_nanwikisource', 'classic', '20261120', '2026-11-20', 'pages-articles', 'f', 100000,
         '${'a'.repeat(40)}', 'sha1', '', 'x', 1, 'downloaded', 0)`,
    );
    await page.goto(`${url}coverage`, { waitUntil: 'load' });
    const region = page.getByRole('region', { name: /^Newest verified copy/ });
    await region.waitFor();
    const overflow = await page.evaluate(
      `Math.max(...[...document.querySelectorAll('.scroll')].map((e) => e.scrollWidth - e.clientWidth))`,
    );
    expect(overflow).toBeLessThanOrEqual(0);
    const row = page.getByRole('row', { name: /zh_min_nanwikisource/ });
    for (const word of ['this disk, Internet Archive', '100 kB', /\d+ days?/])
      expect(await row.getByText(word).isVisible()).toBe(true);
    const box = await row.getByText('this disk, Internet Archive').boundingBox();
    expect((box?.x ?? 999) + (box?.width ?? 0)).toBeLessThanOrEqual(380);
    // What there is nothing to say of takes no line.
    expect(
      await page
        .getByRole('row', { name: /missingwiki/ })
        .locator('td:visible')
        .count(),
    ).toBe(3);
    expect(await page.getByRole('columnheader', { name: 'Where' }).count()).toBe(1);
  });
});
