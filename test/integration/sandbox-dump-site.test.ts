import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  createFaultList,
  type DumpSite,
  type FaultSpec,
  generateDumpTree,
  startDumpSite,
} from '../../src/sandbox/index.ts';
import { fixtures } from '../helpers/needs.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are checked field by field, which is what the tests are for.
type Json = any;

const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const root = mkdtempSync(join(tmpdir(), 'wikiseed-site-'));
const faults = createFaultList();
const run = '/enwiki/20260101';
const filePath = `${run}/enwiki-20260101-pages-articles.xml.bz2`;
let site: DumpSite;
let file: Buffer;

beforeAll(async () => {
  await generateDumpTree({
    dir: root,
    seed: 3,
    wikis: 4,
    sizeBytes: 1_000_000,
    runDates: ['20260101', '20260120'],
  });
  site = await startDumpSite({ root, faults });
  file = readFileSync(join(root, filePath));
}, 60_000);
afterEach(() => faults.clear());
afterAll(async () => {
  await site.stop();
  rmSync(root, { recursive: true, force: true });
});

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
  fetch(`${site.baseUrl}${path}`, {
    method,
    redirect: 'manual',
    headers: { 'User-Agent': AGENT, ...headers },
  });
const bytes = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const fault = (spec: Omit<FaultSpec, 'server' | 'match'> & { match?: string | RegExp }) =>
  faults.add({ server: 'dumps', match: `GET ${filePath}`, ...spec });

/** Opens a request and leaves its body unread. */
function hold(path: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${site.baseUrl}${path}`, { agent, headers: { 'User-Agent': AGENT } }, resolve).once('error', reject);
  });
}

describe('dump site', () => {
  test('answers the site matrix in both format versions and the index of the newest runs', async () => {
    const first: Json = await (await fetch(site.sitematrixUrl, { headers: { 'User-Agent': AGENT } })).json();
    const second: Json = await (await ask('/w/api.php?action=sitematrix&format=json&formatversion=2')).json();
    expect(first.sitematrix['1'].site).toBeDefined();
    expect(
      second.sitematrix.specials.find((s: { dbname: string }) => s.dbname === 'officewiki').private,
    ).toBe(true);
    const response = await ask('/index.json');
    const index: Json = await response.json();
    expect(Object.keys(index.wikis).toSorted()).toEqual(['aawiki', 'be_x_oldwiki', 'commonswiki', 'enwiki']);
    expect(JSON.stringify(index.wikis.enwiki)).toContain('/enwiki/20260120/');
    const again = await ask('/index.json', { 'If-None-Match': response.headers.get('etag') ?? '' });
    expect(again.status).toBe(304);
  });

  test('lists folders as nginx does and redirects to the final slash', async () => {
    expect(await (await ask('/')).text()).toContain('<a href="enwiki/">enwiki/</a>');
    const listing = await (await ask('/enwiki/')).text();
    expect(listing).toMatch(/<a href="20260101\/">20260101\/<\/a> +\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d +-\n/);
    const bare = await ask('/enwiki');
    expect([bare.status, bare.headers.get('location')]).toEqual([301, '/enwiki/']);
    expect(await (await ask(`${run}/`)).text()).toContain('dump progress');
    for (const path of ['/legal.html', '/mirrors.html']) expect((await ask(path)).status).toBe(200);
    for (const path of [
      '/_api/sitematrix.json',
      '/.sandbox-tree.json',
      '/enwiki/20250101/',
      '/..%2f..%2fetc/passwd',
    ]) {
      expect((await ask(path)).status, path).toBe(404);
    }
  });

  test('serves files with ranges, validators and HEAD', async () => {
    const whole = await ask(filePath);
    const etag = whole.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]+-[0-9a-f]+"$/);
    expect(whole.headers.get('accept-ranges')).toBe('bytes');
    expect((await bytes(whole)).equals(file)).toBe(true);

    const part = await ask(filePath, { Range: 'bytes=100-199' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${file.length}`]);
    expect((await bytes(part)).equals(file.subarray(100, 200))).toBe(true);
    expect((await bytes(await ask(filePath, { Range: 'bytes=-7' }))).equals(file.subarray(-7))).toBe(true);

    const beyond = await ask(filePath, { Range: `bytes=${file.length}-` });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${file.length}`]);

    const range = { Range: 'bytes=5-' };
    expect((await ask(filePath, { ...range, 'If-Range': etag })).status).toBe(206);
    expect((await ask(filePath, { ...range, 'If-Range': '"1-1"' })).status).toBe(200);
    expect((await ask(filePath, { 'If-None-Match': etag })).status).toBe(304);
    const modified = whole.headers.get('last-modified') ?? '';
    expect((await ask(filePath, { 'If-Modified-Since': modified })).status).toBe(304);
    const head = await ask(filePath, {}, 'HEAD');
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(file.length)]);
    expect((await ask(filePath, {}, 'POST')).status).toBe(405);
  });

  test('refuses empty and generic agents', async () => {
    for (const agent of [
      '',
      'node',
      'undici',
      'got (https://github.com/sindresorhus/got)',
      'curl/8.1',
      'python-requests/2',
      'axios/1',
      'Wget/1.2',
    ]) {
      expect((await ask('/legal.html', { 'User-Agent': agent })).status, agent).toBe(403);
    }
    expect((await ask('/legal.html', { 'User-Agent': `${AGENT} got/15` })).status).toBe(200);
  });

  test('answers 503 to the fourth request at a time and counts the most', async () => {
    const stall = fault({ kind: 'stall', times: 3 });
    const agent = new Agent();
    const held = await Promise.all([1, 2, 3].map(() => hold(filePath, agent)));
    const refused = await ask('/legal.html');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await ask('/legal.html', { 'User-Agent': `${AGENT} other` })).status).toBe(200);
    expect(site.counters().maxConcurrent).toBe(4);
    stall.release();
    for (const response of held) {
      const hash = createHash('sha1');
      for await (const piece of response) hash.update(piece as Buffer);
      expect(hash.digest('hex')).toBe(createHash('sha1').update(file).digest('hex'));
    }
    agent.destroy();
    expect(site.counters().byStatus['503']).toBe(1);
  });

  test('limits the rate of a connection', async () => {
    const slowSite = await startDumpSite({ root, bytesPerSecond: 200_000 });
    const startedAt = performance.now();
    const response = await fetch(`${slowSite.baseUrl}${filePath}`, { headers: { 'User-Agent': AGENT } });
    expect((await bytes(response)).length).toBe(file.length);
    // The last piece is not waited for, and clocks are coarse: half of the exact time is proof enough.
    expect(performance.now() - startedAt).toBeGreaterThan((file.length / 200_000) * 500);
    await slowSite.stop();
  });

  test('counts requests for data files apart from status files', async () => {
    const before = site.counters();
    await bytes(await ask(filePath));
    await bytes(await ask(`${run}/dumpstatus.json`));
    await bytes(await ask(`${run}/enwiki-20260101-sha1sums.txt`));
    const after = site.counters();
    expect(after.requests - before.requests).toBe(3);
    expect(after.fileRequests - before.fileRequests).toBe(1);
    expect(after.bytes - before.bytes).toBeGreaterThan(file.length);
  });
});

describe('faults of the dump site', () => {
  test('status with Retry-After, a given number of times, after a number of good ones', async () => {
    const busy = fault({ kind: 'status', status: 429, retryAfter: 5, times: 2, after: 1 });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const response = await ask(filePath);
      statuses.push(response.status);
      if (response.status === 429) expect(response.headers.get('retry-after')).toBe('5');
      await bytes(response);
    }
    expect(statuses).toEqual([200, 429, 429, 200]);
    expect(busy.fired).toBe(2);
  });

  test('truncate announces everything and breaks off', async () => {
    const cut = fault({ kind: 'truncate', atByte: 1000 });
    const response = await ask(filePath);
    expect(response.headers.get('content-length')).toBe(String(file.length));
    let received = 0;
    await expect(
      (async () => {
        for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>)
          received += piece.length;
      })(),
    ).rejects.toThrow();
    expect(received).toBeLessThanOrEqual(1000);
    expect(cut.fired).toBe(1);
  });

  test('corrupt flips one bit at the place named, only where it is sent', async () => {
    const flip = fault({ kind: 'corrupt', atByte: 500 });
    expect((await bytes(await ask(filePath, { Range: 'bytes=0-99' }))).equals(file.subarray(0, 100))).toBe(
      true,
    );
    expect(flip.fired).toBe(0);
    const wrong = await bytes(await ask(filePath));
    expect([...wrong.keys()].filter((i) => wrong[i] !== file[i])).toEqual([500]);
    expect(flip.fired).toBe(1);
  });

  test('ignore-range sends the whole file', async () => {
    const ignoring = fault({ kind: 'ignore-range' });
    const response = await ask(filePath, { Range: 'bytes=10-' });
    expect(response.status).toBe(200);
    expect((await bytes(response)).length).toBe(file.length);
    expect(ignoring.fired).toBe(1);
  });

  test('stall holds the body at a byte until it is released', async () => {
    const stall = fault({ kind: 'stall', atByte: 50 });
    const response = await ask(filePath);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).value?.length).toBe(50);
    await stall.whenFired();
    stall.release();
    let received = 50;
    for (let next = await reader.read(); !next.done; next = await reader.read())
      received += next.value.length;
    expect(received).toBe(file.length);
  });

  test('slow sends at the rate named', async () => {
    const slow = fault({ kind: 'slow', bytesPerSecond: 100_000 });
    const startedAt = performance.now();
    await bytes(await ask(filePath, { Range: 'bytes=0-19999' }));
    expect(performance.now() - startedAt).toBeGreaterThan(100);
    expect(slow.fired).toBe(1);
  });

  test('torn-json and no-hashes change a status file', async () => {
    const path = `${run}/dumpstatus.json`;
    const torn = fault({ kind: 'torn-json', match: path });
    const text = await (await ask(path)).text();
    expect(() => JSON.parse(text)).toThrow();
    const bare = fault({ kind: 'no-hashes', match: /GET .*dumpstatus/ });
    const status = await (await ask(path)).text();
    expect(status).toContain('"size"');
    expect(status).not.toMatch(/"md5"|"sha1"/);
    expect([torn.fired, bare.fired]).toEqual([1, 1]);
  });

  test('reset, vanish and redirect replace the answer', async () => {
    const reset = fault({ kind: 'reset' });
    await expect(ask(filePath)).rejects.toThrow();
    const gone = fault({ kind: 'vanish', match: `${run}/` });
    expect((await ask(filePath)).status).toBe(404);
    expect((await ask(`${run}/dumpstatus.json`)).status).toBe(404);
    gone.remove();
    const moved = fault({ kind: 'redirect', status: 302, location: 'http://127.0.0.1:1/x' });
    const response = await ask(filePath);
    expect([response.status, response.headers.get('location')]).toEqual([302, 'http://127.0.0.1:1/x']);
    expect([reset.fired, gone.fired, moved.fired]).toEqual([1, 2, 1]);
  });
});

const recordedFolder = fixtures();

test.skipIf(recordedFolder === null)('serves a folder of recorded files as it is', async () => {
  const recorded = await startDumpSite({ root: recordedFolder ?? '' });
  const read = (path: string) => fetch(`${recorded.baseUrl}${path}`, { headers: { 'User-Agent': AGENT } });
  const status: Json = await (await read('/aawiki/20260101/dumpstatus.json')).json();
  const [name, facts] = Object.entries(status.jobs.articlesdump.files)[0] as [string, { md5: string }];
  const data = await bytes(await read(`/aawiki/20260101/${name}`));
  expect(createHash('md5').update(data).digest('hex')).toBe(facts.md5);
  expect(await (await read('/index.json')).text()).toBe(
    readFileSync(join(recordedFolder ?? '', 'index.json'), 'utf8'),
  );
  const matrix: Json = await (
    await fetch(recorded.sitematrixUrl, { headers: { 'User-Agent': AGENT } })
  ).json();
  expect(matrix.sitematrix.count).toBeGreaterThan(900);
  await recorded.stop();
});
