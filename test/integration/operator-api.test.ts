// Goal: whoever has the token changes the queue over HTTP, nobody else does, and every refusal says why.
// Method: the real queue on a real database behind the real server on a free port; plain HTTP requests.
import { describe, expect, onTestFinished, test } from 'vitest';
import { createSystemState } from '../../src/db/index.ts';
import { createBus } from '../../src/events/index.ts';
import {
  createMonitoring,
  createOperatorActions,
  createStatusQueries,
  DAMAGE_AT_ONCE,
} from '../../src/monitoring/index.ts';
import { createNodeDisk, type Log, silentLog } from '../../src/ports/index.ts';
import { createQueue, handleJob } from '../../src/queue/index.ts';
import { createLayout } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { queueBundle, sendJob } from '../helpers/queue-bundle.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { temporaryFolder, withDb } from '../helpers/with-db.ts';

const TOKEN = 'a-token-that-is-long-enough';
const BY_HAND = 'another-token-set-by-hand';

async function setup(options: { tokenByHand?: string | null } = {}) {
  const bundle = await queueBundle({
    fetch: (_name, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', reject)),
  });
  const { db, clock, bus, queue } = bundle;
  const queries = createStatusQueries({ db, clock });
  const lines: unknown[] = [];
  const write = (...line: unknown[]): void => void lines.push(line);
  const log: Log = { ...silentLog, info: write, warn: write, error: write, child: () => log };
  const told: object[] = [];
  const announced: { url: string; token: string }[] = [];
  const monitoring = createMonitoring({
    db,
    clock,
    bus,
    layout: createLayout(temporaryFolder()),
    disk: createNodeDisk(),
    log,
    queries,
    storage: async () => ({ usedBytes: 1e9, freeBytes: 3e9, totalBytes: 5e9 }),
    halts: () => queue.halts(),
    control: {
      actions: createOperatorActions({
        ...{ db, queue, queries },
        repairRequest: (id) => sendJob.request({ name: `repair-${id}` }),
        noteDamage(found) {
          told.push(...found);
          return found.map(({ id }) => id).filter((id) => id !== 12);
        },
      }),
      token: TOKEN,
      tokenByHand: options.tokenByHand === undefined ? BY_HAND : options.tokenByHand,
      announce: (how) => void announced.push(how),
    },
    config: { host: '127.0.0.1', port: 0 },
    version: '1.2.3',
  });
  const { url } = await monitoring.start();
  onTestFinished(() => monitoring.stop());
  const ask = async (path: string, init: RequestInit) => {
    const answer = await fetch(new URL(path, url), init);
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text };
  };
  const post = async (
    path: string,
    body: unknown = {},
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> => {
    const answer = await ask(`api/v1/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKEN}`, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { ...answer, body: JSON.parse(answer.text) as Record<string, unknown> };
  };
  const get = (path: string) => ask(path, {});
  return { ...bundle, post, get, ask, url, lines, announced, told };
}

describe('who may', () => {
  test('one of the two tokens is needed, and neither is ever logged', async () => {
    const { post, queue, lines, announced, url } = await setup();
    for (const Authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, TOKEN]) {
      const answer = await post('pause', { scope: 'all' }, { Authorization });
      expect([Authorization, answer.status]).toEqual([Authorization, 401]);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
      expect(answer.body).toEqual({
        error: expect.any(String),
        hint: expect.stringContaining('WIKISEED_ADMIN_TOKEN'),
      });
    }
    expect(queue.pauses()).toEqual([]);
    for (const token of [TOKEN, BY_HAND])
      expect((await post('pause', { scope: 'all' }, { Authorization: `Bearer ${token}` })).status).toBe(200);
    expect(announced).toEqual([{ url, token: TOKEN }]);
    expect(JSON.stringify(lines)).not.toMatch(/a-token-that|another-token/);
    expect(lines.length).toBeGreaterThan(0);
  });

  test('a token that could be guessed is not accepted, and the log says so without it', async () => {
    const { post, lines } = await setup({ tokenByHand: 'short-one' });
    expect((await post('resume', { scope: 'all' }, { Authorization: 'Bearer short-one' })).status).toBe(401);
    expect(JSON.stringify(lines)).toContain('WIKISEED_ADMIN_TOKEN is not accepted');
    expect(JSON.stringify(lines)).not.toContain('short-one');
  });

  test('a page of another site is refused even with the token', async () => {
    const { post, queue, url } = await setup();
    const own = new URL(url).origin;
    for (const headers of [
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site', Origin: own },
    ])
      expect([
        headers,
        (await post('pause', { scope: 'all' }, headers as Record<string, string>)).status,
      ]).toEqual([headers, 403]);
    expect(queue.pauses()).toEqual([]);
    const same = { Origin: own, 'Sec-Fetch-Site': 'same-origin' };
    expect((await post('pause', { scope: 'all' }, same)).status).toBe(200);
  });

  test('looking needs no token, and every other method is refused where it is not meant', async () => {
    const { get, ask } = await setup();
    expect((await get('api/v1/status')).status).toBe(200);
    for (const path of ['pause', 'resume', 'limit', 'jobs/1/retry', 'jobs/1/cancel', 'jobs/retry-failed']) {
      const answer = await get(`api/v1/${path}`);
      expect([path, answer.status, answer.headers.get('allow')]).toEqual([path, 405, 'POST']);
      expect(JSON.parse(answer.text)).toEqual({ error: expect.any(String), hint: expect.any(String) });
      expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    }
    for (const path of ['', 'jobs', 'api/v1/status', 'api/v1/jobs/1/delete'])
      expect((await ask(path, { method: 'POST' })).headers.get('allow')).toBe('GET, HEAD');
  });
});

describe('bad input', () => {
  test.each([
    ['pause', 'not json', 400, /not JSON/],
    ['pause', {}, 400, /scope/],
    ['pause', { scope: '' }, 400, /scope/],
    ['pause', { scope: 5 }, 400, /scope/],
    ['pause', { scope: 'x'.repeat(200) }, 400, /scope/],
    ['pause', { scope: 'all', reason: 'x'.repeat(501) }, 400, /reason/],
    ['pause', { scope: 'all', extra: 1 }, 400, /extra/],
    ['limit', { scope: 'fetch' }, 400, /jobs/],
    ['limit', { scope: 'fetch', jobs: 1001 }, 400, /jobs/],
    ['limit', { scope: 'fetch', jobs: 1.5 }, 400, /jobs/],
    ['limit', { scope: 'fetch', jobs: 0 }, 400, /from 1 to 1000/],
    ['limit', { scope: 'all', jobs: 1 }, 400, /one job type or one target/],
    ['jobs/x/retry', {}, 400, /whole number/],
    ['jobs/-1/cancel', {}, 400, /whole number/],
    ['jobs/77/retry', {}, 404, /no job 77/],
    ['pause', { scope: 'fetsh' }, 404, /no job type or target "fetsh"/],
    ['pause', { scope: 'type:web' }, 404, /no job type "web"/],
    ['resume', { scope: 'target:send' }, 404, /no target "send"/],
    ['jobs/retry-failed', { type: 'nothing' }, 404, /no job type/],
    ['pause', { scope: 'all', reason: 'x'.repeat(20_000) }, 413, /bytes/],
  ])('%s %j -> %i', async (path, body, status, error) => {
    const { post, queue } = await setup();
    const answer = await post(path as string, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ error: expect.stringMatching(error as RegExp), hint: answer.body.hint });
    expect([queue.pauses(), queue.limits()]).toEqual([[], []]);
  });

  test('a body that is not declared as JSON is refused, which keeps plain forms out', async () => {
    const { post } = await setup();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', ''])
      expect((await post('pause', { scope: 'all' }, { 'Content-Type': type })).status).toBe(415);
    const answer = await post(
      'pause',
      { scope: 'all' },
      { 'Content-Type': 'application/json; charset=utf-8' },
    );
    expect(answer.status).toBe(200);
  });

  test('a misspelt name is answered with the nearest one and all there are', async () => {
    const { post } = await setup();
    const { body } = await post('pause', { scope: 'fetsh' });
    expect(body.hint).toBe('Did you mean fetch? Job types: fetch, send. Targets: archive, disk, web.');
  });
});

describe('what it does', () => {
  test('a paused target holds its jobs until it is resumed, and both are in the table', async () => {
    const { post, send, fetch, begun, db, clock } = await setup();
    const paused = await post('pause', { scope: ' Archive ', reason: ' moving ' });
    expect(paused.body.paused).toEqual({
      scope: { kind: 'target', name: 'archive' },
      since: clock.now(),
      reason: 'moving',
    });
    const stored = db.sqlite.prepare("SELECT key FROM system_state WHERE key LIKE 'pause:%'").pluck();
    expect(stored.all()).toEqual(['pause:target:archive']);
    send('held');
    fetch('free');
    await clock.advance(0);
    expect(begun).toEqual(['free']);
    expect((await post('resume', { scope: 'all' })).body).toEqual({
      resumed: ['target:archive'],
      pauses: [],
    });
    await expect.poll(() => begun).toEqual(['free', 'held']);
    expect((await post('resume', { scope: 'archive' })).body.resumed).toEqual([]);
    expect(stored.all()).toEqual([]);
  });

  test('a limit counts at once and "null" gives back what is configured', async () => {
    const { post, queue, fetch, begun, clock } = await setup();
    expect((await post('limit', { scope: 'fetch', jobs: 2 })).body).toMatchObject({ jobs: 2 });
    fetch('a', 'b', 'c');
    await clock.advance(0);
    expect(begun).toEqual(['a', 'b']);
    await post('limit', { scope: 'type:fetch', jobs: null });
    expect(queue.limits()).toEqual([]);
  });

  test('a bandwidth is told to whoever moves the bytes, kept, and taken back by "null"', async () => {
    const { post, queue, bus, db, clock } = await setup();
    const told: string[] = [];
    bus.on('rate:changed', ({ name }) => told.push(`${name} ${queue.rateOf('download')}`));
    expect((await post('bandwidth', { of: 'download', limit: '5MB/s' })).body).toMatchObject({
      name: 'download',
      rate: { bytesPerSecond: 5_000_000, since: clock.now() },
    });
    expect((await post('bandwidth', { of: 'download_per_host', limit: 'unlimited' })).body).toMatchObject({
      rate: { name: 'download_per_host', bytesPerSecond: null },
      rates: [{ name: 'download' }, { name: 'download_per_host' }],
    });
    expect(createStatusQueries({ db, clock }).rates()).toEqual(queue.rates());
    expect((await post('bandwidth', { of: 'download', limit: null })).body).toMatchObject({ rate: null });
    expect(told).toEqual(['download 5000000', 'download_per_host 5000000', 'download undefined']);
    expect(queue.rates()).toMatchObject([{ name: 'download_per_host' }]);
  });

  test.each([
    [{ of: 'uploads', limit: '5MB/s' }, 404, /download, download_per_host/],
    [{ of: 'download', limit: '5MB' }, 400, /not a rate/],
    [{ of: 'download', limit: '40Mbps' }, 400, /8 Mbit\/s = 1MB\/s/],
    [{ of: 'download', limit: '0MB/s' }, 400, /wikiseed pause download_dump/],
    [{ of: 'download' }, 400, /For example/],
  ])('a bandwidth that is none is refused: %o', async (body, status, words) => {
    const { post, queue } = await setup();
    const answer = await post('bandwidth', body);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).toMatch(words);
    expect(queue.rates()).toEqual([]);
  });

  test('jobs are cancelled, waiting or running, and tried again; what cannot be is a conflict', async () => {
    const { post, fetch, row, clock } = await setup();
    fetch('runs', 'waits');
    await clock.advance(0);
    const [runs, waits] = [Number(row('fetch:runs').id), Number(row('fetch:waits').id)];
    expect((await post(`jobs/${runs}/retry`)).status).toBe(409);
    expect((await post(`jobs/${waits}/cancel`)).body).toMatchObject({ jobId: waits, now: 'cancelled' });
    expect((await post(`jobs/${waits}/cancel`)).status).toBe(409);
    expect((await post(`jobs/${waits}/retry`)).body).toMatchObject({ was: 'cancelled', now: 'due' });
    expect((await post(`jobs/${runs}/cancel`)).body).toMatchObject({ now: 'stopping' });
    await expect.poll(() => row('fetch:runs').status).toBe('cancelled');
  });

  test('all failed jobs of a type are tried again in bounded parts; one whose work is asked for again is left', async () => {
    const { post, db, clock, queue } = await setup();
    queue.pause({ kind: 'all' }, null);
    const insert = db.sqlite.prepare(
      `INSERT INTO jobs (job_type, status, params, unique_key, max_attempts, next_retry_at, created_at, completed_at)
       VALUES (?, ?, '{"name":"x"}', ?, 5, 0, 0, ?)`,
    );
    const now = clock.now();
    for (let n = 0; n < 600; n += 1) insert.run('fetch', n % 2 ? 'failed' : 'quarantined', `f${n}`, now);
    insert.run('send', 'failed', 's', now);
    insert.run('fetch', 'pending', 'f0', null);
    const first = await post('jobs/retry-failed', { type: 'fetch' });
    expect(first.body).toEqual({ retried: 499, skipped: 1, continueAfter: 500 });
    const second = await post('jobs/retry-failed', { type: 'fetch', after: 500 });
    expect(second.body).toEqual({ retried: 100, skipped: 0, continueAfter: null });
    expect((await post('jobs/retry-failed')).body).toMatchObject({ retried: 1, skipped: 1 });
    const left = db.sqlite
      .prepare("SELECT count(*) FROM jobs WHERE status IN ('failed', 'quarantined')")
      .pluck();
    expect(left.get()).toBe(1);
  });

  test('a pause of something that this version does not have any more can be resumed', async () => {
    const { post, queue } = await setup();
    queue.pause({ kind: 'type', name: 'old_thing' }, null);
    expect((await post('resume', { scope: 'old thing' })).body.resumed).toEqual(['type:old_thing']);
  });

  test('a database that refuses is a 503 with its reason, not a crash', async () => {
    const { post, db, lines } = await setup();
    db.sqlite.pragma('query_only = ON');
    const answer = await post('pause', { scope: 'all' });
    expect(answer.status).toBe(503);
    expect(answer.body.error).toMatch(/readonly/);
    db.sqlite.pragma('query_only = OFF');
    expect((await post('pause', { scope: 'all' })).status).toBe(200);
    expect(JSON.stringify(lines)).not.toContain(TOKEN);
  });
});

describe('a queue that was never started', () => {
  test('takes changes on top of what is stored, and leaves no timer behind', async () => {
    const db = withDb();
    const clock = new FakeClock();
    const state = createSystemState(db);
    const make = () => {
      const bus = createBus({ log: silentLog });
      const queue = createQueue({
        db,
        state,
        clock,
        bus,
        log: silentLog,
        random: seededRandom(1),
        concurrency: {},
      });
      queue.register([handleJob(sendJob, { run: async () => ({}) })]);
      return {
        queue,
        actions: createOperatorActions({ db, queue, queries: createStatusQueries({ db, clock }) }),
      };
    };
    const first = make();
    first.actions.pause('archive', 'first');
    first.actions.setBandwidth('download', '3MB/s');
    state.set('rate:download_per_host', '{"bytesPerSecond": "fast"}', 0);
    first.queue.enqueue([sendJob.request({ name: 'a' })]);
    await first.queue.stop();
    const at = clock.now();
    await clock.advance(60_000);
    state.set(
      'halt:archive',
      JSON.stringify({
        target: 'archive',
        kind: 'unavailable',
        code: 'x',
        message: 'x',
        hint: null,
        since: 0,
        until: clock.now() + 60_000,
        failures: 1,
      }),
      0,
    );
    const second = make();
    expect([second.queue.rateOf('download'), second.queue.rateOf('download_per_host')]).toEqual([
      3_000_000,
      undefined,
    ]);
    expect(second.actions.pause('archive', 'second').paused).toMatchObject({ reason: 'second', since: at });
    expect(second.actions.resume('all').resumed).toEqual(['target:archive']);
    second.actions.retryJob(1);
    await clock.advance(0);
    await second.queue.stop();
    await second.queue.stop();
    expect(clock.waiting).toBe(0);
    expect(state.list('pause:').concat(state.list('halt:'))).toEqual([]);
    expect(db.sqlite.prepare('SELECT status FROM jobs').pluck().all()).toEqual(['pending']);
  });
});

test('damage that a command found is told with what was recorded then; a request of full size fits', async () => {
  const { post, told } = await setup();
  const file = (id: number) => ({ id, sha1: 'a'.repeat(40), verifiedAt: Number.MAX_SAFE_INTEGER });
  const files = Array.from({ length: DAMAGE_AT_ONCE }, (_, n) => file(n + 1));
  const answer = await post('files/damaged', { files });
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({ damaged: files.map(({ id }) => id).filter((id) => id !== 12) });
  expect(told).toEqual(files);
  for (const wrong of [
    {},
    { files: [] },
    { files: [...files, file(99)] },
    { files: [{ id: 1, verifiedAt: null }] },
    { files: [{ ...file(1), sha1: 'no' }] },
    { files: [{ ...file(0) }] },
  ])
    expect([wrong, (await post('files/damaged', wrong)).status]).toEqual([wrong, 400]);
  expect(told).toHaveLength(files.length);
});

test('repair of files is asked for by their ids, and asking twice is one job', async () => {
  const { post, row } = await setup();
  await post('pause', { scope: 'all' });
  const first = await post('files/repair', { ids: [7, 12] });
  expect(first.status).toBe(200);
  expect(first.body).toEqual({ jobIds: [expect.any(Number), expect.any(Number)] });
  expect((await post('files/repair', { ids: [12, 7] })).body).toEqual({
    jobIds: [...(first.body.jobIds as number[])].reverse(),
  });
  expect(row('send:repair-7').id).toBe((first.body.jobIds as number[])[0]);
  for (const body of [{}, { ids: [] }, { ids: [0] }, { ids: ['7'] }, { ids: new Array(501).fill(1) }])
    expect([body, (await post('files/repair', body)).status]).toEqual([body, 400]);
});
