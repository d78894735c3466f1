// Goal: the status page's server is safe, exact about files, and stops at once. Method: the real server on a free port.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createBus } from '../../src/events/index.ts';
import { createMonitoring, createStatusQueries } from '../../src/monitoring/index.ts';
import { createNodeDisk, silentLog } from '../../src/ports/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const HASH = 'c0ffee0a1b2c3d4e5f60718293a4b5c6d7e8f901';

async function setup({ port = 0 } = {}) {
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
    storage: async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9 }),
    config: { host: '127.0.0.1', port },
    version: '1.2.3',
  });
  const start = async () => {
    const { url } = await monitoring.start();
    onTestFinished(() => monitoring.stop());
    return (path: string, init?: RequestInit) => fetch(new URL(path, url), init);
  };
  const addTorrent = () =>
    db.sqlite
      .prepare(
        `INSERT INTO torrents (name, grouping, cycle_date, info_hash, magnet_link, total_size_bytes, file_count,
           piece_length, piece_count, torrent_file_path, content_path, created_at)
         VALUES ('wikimedia-dumps-2026-11-20', 'cycle', '2026-11-20', ?, 'magnet:?', 5, 2, 16384, 1,
           'torrents/wikimedia-dumps-2026-11-20.torrent', 'torrents/x', 0)`,
      )
      .run(HASH);
  return { clock, bus, layout, monitoring, start, addTorrent };
}

describe('files', () => {
  test('manifest and torrent files come with type and validator', async () => {
    const { start, addTorrent, layout } = await setup();
    addTorrent();
    const torrentPath = layout.absolute('torrents/wikimedia-dumps-2026-11-20.torrent');
    for (const path of [torrentPath, `${layout.publish}/manifest.json`]) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, path.endsWith('.json') ? '{"a":1}' : Buffer.alloc(600_000, 7));
    }
    const get = await start();
    const first = await get('/manifest.json');
    expect(first.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await first.json()).toEqual({ a: 1 });
    const etag = first.headers.get('etag') ?? '';
    const again = await get('/manifest.json', { headers: { 'If-None-Match': `"other", W/${etag}` } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    for (const name of [HASH, 'wikimedia-dumps-2026-11-20']) {
      const file = await get(`/torrents/${name}.torrent`);
      expect(file.headers.get('content-type')).toBe('application/x-bittorrent');
      expect(Buffer.from(await file.arrayBuffer()).equals(Buffer.alloc(600_000, 7))).toBe(true);
    }
    const head = await get(`/torrents/${HASH}.torrent`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '600000', '']);
    const style = await get('/assets/style.css');
    const same = await get('/assets/style.css', {
      headers: { 'If-None-Match': style.headers.get('etag') ?? '' },
    });
    expect(same.status).toBe(304);
  });

  test('what is not there is a 404 in words', async () => {
    const { start } = await setup();
    const get = await start();
    for (const path of [
      '/manifest.txt',
      '/torrents/none.torrent',
      '/torrents/..%2f..%2fdb%2fjobs.db',
      '/torrents/%00.torrent',
      '/jobs/7',
      '/jobs/7x',
      '/cycles/2026-11-20',
      '/cycles/x',
      '/favicon.ico',
      '/__proto__',
    ]) {
      const answer = await get(path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(await answer.text()).toContain('There is no');
    }
  });
});

describe('server', () => {
  test('every answer is locked down and only GET and HEAD are taken', async () => {
    const { start } = await setup();
    const get = await start();
    for (const path of ['/', '/nothing', '/healthz', '/assets/live.js']) {
      const { headers } = await get(path);
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      );
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await get('/jobs', { method });
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
    const page = await (await get('/')).text();
    expect(page).not.toMatch(/ style=|<style|<script(?! src="\/)|https?:\/\/(?!dumps)/);
    expect((await get('/', { method: 'HEAD' })).status).toBe(200);
    expect((await get('/events', { method: 'HEAD' })).headers.get('content-type')).toBe('text/event-stream');
  });

  test('events merge into at most one message a quarter second and stop ends the stream', async () => {
    const { start, bus, clock, monitoring } = await setup();
    const get = await start();
    const answer = await get('/events');
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    const read = async (): Promise<string> => (await reader?.read())?.value ?? '';
    expect(await read()).toContain('connected');
    const event = { jobId: 5, jobType: 'download_dump', attempt: 1, dumpId: null, cycleDate: null };
    for (let done = 1; done <= 100; done += 1)
      bus.emit('job:progress', {
        ...event,
        doneBytes: done,
        totalBytes: 200,
        bytesPerSecond: 10,
        label: null,
      });
    bus.emit('job:started', event);
    await clock.advance(250);
    const text = await read();
    expect(text.match(/event: progress/g)).toHaveLength(1);
    expect(text).toContain('"doneBytes":100');
    expect(text).toContain('event: changed');
    await clock.advance(20_000);
    expect(await read()).toContain(': still here');
    await monitoring.stop();
    expect(await reader?.read().catch(() => ({ done: true }))).toMatchObject({ done: true });
    expect(clock.waiting).toBe(0);
  });

  test('refuses more listeners than it can serve', async () => {
    const { start } = await setup();
    const get = await start();
    const open = await Promise.all(Array.from({ length: 50 }, () => get('/events')));
    expect(open.every((answer) => answer.status === 200)).toBe(true);
    expect((await get('/events')).status).toBe(503);
    await open[0]?.body?.cancel();
    await expect
      .poll(async () => (await get('/events', { signal: AbortSignal.timeout(2000) })).status)
      .toBe(200);
  });

  test('a taken port is named with a remedy, and start works once it is free', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', () => resolve()));
    const port = (blocker.address() as { port: number }).port;
    const { monitoring } = await setup({ port });
    await expect(monitoring.start()).rejects.toMatchObject({
      code: 'port_taken',
      hint: expect.stringContaining('monitoring.port'),
    });
    await new Promise((resolve) => blocker.close(resolve));
    expect((await monitoring.start()).url).toBe(`http://127.0.0.1:${port}/`);
    expect((await monitoring.start()).url).toBe(`http://127.0.0.1:${port}/`);
    await monitoring.stop();
    await monitoring.stop();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });
});
