import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, get, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  createFaultList,
  type DumpSite,
  type FaultSpec,
  generateDumpTree,
  type Mirror,
  startDumpSite,
  startMirror,
  startSandbox,
} from '../../src/sandbox/index.ts';
import { temporaryFolder } from '../helpers/with-db.ts';

const AGENT = 'WikiSeed/0.1 (https://example.org; operator@example.org) test/1';
const root = mkdtempSync(join(tmpdir(), 'wikiseed-mirrors-'));
const faults = createFaultList();
const run = '/enwiki/20260120';
const path = `${run}/enwiki-20260120-pages-articles.xml.bz2`;
let site: DumpSite;
let mirror: Mirror;
let file: Buffer;

beforeAll(async () => {
  await generateDumpTree({
    dir: root,
    seed: 3,
    wikis: 3,
    sizeBytes: 1_000_000,
    runDates: ['20260101', '20260120'],
  });
  site = await startDumpSite({ root, faults });
  mirror = await startMirror({ root, name: 'mirror-1', faults, basePath: '/mirror/dumps' });
  file = readFileSync(join(root, path));
}, 60_000);
afterEach(() => {
  faults.clear();
  mirror.resetCounters();
});
afterAll(async () => {
  await Promise.all([site.stop(), mirror.stop()]);
  rmSync(root, { recursive: true, force: true });
});

interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** Code of what ended the body too early; a reset may even overtake the header, and `status` is 0 then. */
  broken: string | null;
}

/** Asks the mirror and takes every byte as it comes. */
function ask(range: string | null = null, headers: Record<string, string> = {}, at = path): Promise<Got> {
  return askUrl(`${mirror.baseUrl}${at}`, {
    ...(range === null ? {} : { Range: `bytes=${range}` }),
    ...headers,
  });
}

function askUrl(url: string, headers: Record<string, string>): Promise<Got> {
  return new Promise((resolve) => {
    const request = get(url, {
      agent: new Agent({ keepAlive: false }),
      headers: { 'User-Agent': AGENT, ...headers },
    });
    request.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ status: 0, headers: {}, body: Buffer.alloc(0), broken: error.code ?? '?' }),
    );
    request.once('response', (response) => {
      const parts: Buffer[] = [];
      const done = (broken: string | null): void =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts),
          broken,
        });
      response.on('data', (piece: Buffer) => parts.push(piece));
      response
        .once('end', () => done(null))
        .once('error', (error: NodeJS.ErrnoException) => done(error.code ?? '?'));
    });
  });
}

const script = (spec: Omit<FaultSpec, 'server' | 'match'> & { match?: string }) =>
  faults.add({ server: 'mirror-1', match: path, ...spec });
const masked = (bytes: Buffer, mask = 1): Buffer => Buffer.from(bytes.map((byte) => byte ^ mask));

describe('a mirror', () => {
  test('has the tree below its base path, with ranges and validators of its own, and nothing of the origin’s services', async () => {
    expect(mirror.baseUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/mirror\/dumps$/);
    const whole = await ask();
    expect([whole.status, whole.body.equals(file)]).toEqual([200, true]);
    const etag = whole.headers.etag ?? '';
    expect((await askUrl(`${site.baseUrl}${path}`, {})).headers.etag).not.toBe(etag);
    const part = await ask('100-299', { 'If-Range': etag });
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 100-299/${file.length}`]);
    expect(part.body.equals(file.subarray(100, 300))).toBe(true);
    for (const absent of ['/w/api.php?action=sitematrix&format=json', '/index.json', '/wikistats.csv'])
      expect((await ask(null, {}, absent)).status).toBe(404);
    expect((await askUrl(`http://127.0.0.1:${mirror.port}${path}`, {})).status).toBe(404);
  });

  test('answers any agent, and more than three connections', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(null, { 'User-Agent': 'curl/8' })));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
  });

  test('keeps a log with ranges and times, without its base path', async () => {
    await ask('5-9', { 'If-Range': '"x"' });
    const [entry] = mirror.requestLog();
    expect(entry).toMatchObject({ path, kind: 'data', range: 'bytes=5-9', ifRange: '"x"', status: 200 });
    expect(entry?.endedMs ?? 0).toBeGreaterThanOrEqual(entry?.beganMs ?? 1);
  });
});

describe('scripts about what there is', () => {
  test('lag: a run and a wiki are neither there nor listed', async () => {
    const lag = script({ kind: 'lag', match: `${run}/` });
    script({ kind: 'lag', match: '/aawiki/' });
    expect((await ask()).status).toBe(404);
    expect((await ask(null, {}, `${run}/`)).status).toBe(404);
    const listing = (await ask(null, {}, '/enwiki/')).body.toString();
    expect(listing).toContain('20260101/');
    expect(listing).not.toContain('20260120/');
    expect((await ask(null, {}, '/')).body.toString()).not.toContain('aawiki/');
    expect((await askUrl(`${site.baseUrl}${path}`, {})).status).toBe(200);
    lag.remove();
    expect((await ask()).status).toBe(200);
  });

  test('wrong-size: one byte less, or zeros behind the end, in ranges too', async () => {
    const less = script({ kind: 'wrong-size' });
    expect((await ask()).body.equals(file.subarray(0, -1))).toBe(true);
    less.remove();
    script({ kind: 'wrong-size', sizeBytes: file.length + 1000 });
    const part = await ask(`${file.length - 1}-`);
    expect(part.headers['content-range']).toBe(
      `bytes ${file.length - 1}-${file.length + 999}/${file.length + 1000}`,
    );
    expect(part.body.equals(Buffer.concat([file.subarray(-1), Buffer.alloc(1000)]))).toBe(true);
  });

  test('changed: another validator from then on, which the old one does not fit', async () => {
    const fault = script({ kind: 'changed', after: 1 });
    const before = await ask('0-9');
    const etag = before.headers.etag ?? '';
    const after = await ask('10-19', { 'If-Range': etag });
    expect([after.status, after.body.length]).toEqual([200, file.length]);
    expect(after.headers.etag).not.toBe(etag);
    expect((await ask('10-19', { 'If-Range': after.headers.etag ?? '' })).status).toBe(206);
    expect(fault.fired).toBe(2);
  });

  test('weak-etag: fits no If-Range, but If-None-Match', async () => {
    script({ kind: 'weak-etag' });
    const etag = (await ask('0-9')).headers.etag ?? '';
    expect(etag).toMatch(/^W\/"/);
    expect((await ask('10-19', { 'If-Range': etag })).status).toBe(200);
    expect((await ask(null, { 'If-None-Match': etag })).status).toBe(304);
  });
});

describe('scripts about ranges', () => {
  test('wrong-range: a shifted one that says so, or a header that lies', async () => {
    script({ kind: 'wrong-range' });
    const shifted = await ask('100-199');
    expect([shifted.status, shifted.headers['content-range']]).toEqual([206, `bytes 101-199/${file.length}`]);
    expect(shifted.body.equals(file.subarray(101, 200))).toBe(true);
    script({ kind: 'wrong-range', contentRange: 'bytes 0-1/2' });
    expect((await ask('100-199')).headers['content-range']).toBe('bytes 0-1/2');
  });

  test('unsatisfiable and ignore-range; a request for the whole file is not hit', async () => {
    const fault = script({ kind: 'unsatisfiable' });
    expect((await ask()).status).toBe(200);
    expect(fault.fired).toBe(0);
    const answer = await ask('100-199');
    expect([answer.status, answer.headers['content-range']]).toEqual([416, `bytes */${file.length}`]);
    script({ kind: 'ignore-range' });
    expect((await ask('100-199')).status).toBe(200);
  });

  test('fileByte: only the request for that byte is hit', async () => {
    const fault = script({ kind: 'status', status: 429, retryAfter: 7, fileByte: 1000 });
    expect((await ask('0-999')).status).toBe(206);
    expect((await ask('1001-')).status).toBe(206);
    expect(fault.fired).toBe(0);
    const answer = await ask('500-1500');
    expect([answer.status, answer.headers['retry-after'], fault.fired]).toEqual([429, '7', 1]);
  });
});

describe('scripts about bytes and their sending', () => {
  test('lie: other bytes at the same places, in every answer that holds them', async () => {
    const fault = script({ kind: 'lie', lies: [{ startBytes: 10, endBytes: 20 }], mask: 0x81 });
    expect((await ask('20-99')).body.equals(file.subarray(20, 100))).toBe(true);
    expect(fault.fired).toBe(0);
    const expected = Buffer.from(file);
    masked(file.subarray(10, 20), 0x81).copy(expected, 10);
    expect((await ask()).body.equals(expected)).toBe(true);
    expect((await ask('15-29')).body.equals(expected.subarray(15, 30))).toBe(true);
    expect(fault.fired).toBe(2);
  });

  test('a lie about a whole run lasts, and goes with another fault', async () => {
    script({ kind: 'lie', match: `${run}/` });
    script({ kind: 'truncate', fileByte: 50 });
    const torn = await ask();
    expect(torn.broken).toBe('ECONNRESET');
    expect(torn.body.equals(masked(file.subarray(0, 50)))).toBe(true);
    expect((await ask()).body.equals(masked(file))).toBe(true);
  });

  test('short and long bodies announce no length', async () => {
    script({ kind: 'short', fileByte: 150 });
    const short = await ask('100-199');
    expect([short.broken, short.headers['content-length'], short.body.length]).toEqual([null, undefined, 50]);
    script({ kind: 'long', extraBytes: 7 });
    const long = await ask('100-199');
    expect([long.headers['content-length'], long.body.length]).toEqual([undefined, 107]);
    expect(long.body.subarray(0, 100).equals(file.subarray(100, 200))).toBe(true);
  });

  test('gzip: encoded although identity was asked for', async () => {
    script({ kind: 'gzip' });
    const answer = await ask('100-199', { 'Accept-Encoding': 'identity' });
    expect(answer.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(answer.body).equals(file.subarray(100, 200))).toBe(true);
  });

  test('reset within a body, at its byte of the file', async () => {
    const fault = script({ kind: 'reset', fileByte: Math.floor(file.length / 2) });
    const answer = await ask();
    expect([answer.broken, fault.fired]).toEqual(['ECONNRESET', 1]);
    expect(answer.body.length).toBeLessThanOrEqual(file.length / 2);
    expect((await ask()).body.equals(file)).toBe(true);
  });

  test('redirect: with the path kept to another server, or to itself without end', async () => {
    const kept = script({ kind: 'redirect', location: site.baseUrl, keepsPath: true });
    expect((await ask('0-9')).headers.location).toBe(`${site.baseUrl}${path}`);
    kept.remove();
    script({ kind: 'redirect', status: 302, location: `/mirror/dumps${path}`, times: 9 });
    const loop = await ask();
    expect([loop.status, loop.headers.location]).toEqual([302, `/mirror/dumps${path}`]);
  });

  test('cap: the next connection of a client is refused while two are running', async () => {
    const cap = script({ kind: 'cap', connections: 2, status: 429, retryAfter: 5 });
    const stall = script({ kind: 'stall', times: 2 });
    const held = [ask(), ask()];
    await stall.whenFired(2);
    const refused = await ask();
    expect([refused.status, refused.headers['retry-after'], cap.fired]).toEqual([429, '5', 1]);
    stall.release();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await ask()).status).toBe(200);
  });
});

test('a sandbox starts as many mirrors as are wanted, each with its own script, and keeps their ports', async () => {
  const options = {
    dir: temporaryFolder(),
    wikis: 2,
    sizeBytes: 100_000,
    runDates: ['20260120'],
    mirrors: 2,
  };
  const first = await startSandbox(options);
  try {
    expect(first.mirrors.map(({ name }) => name)).toEqual(['mirror-1', 'mirror-2']);
    expect(first.mirrors.map(({ baseUrl }) => new URL(baseUrl).pathname)).toEqual([
      '/mirror/wikimedia.org/dumps',
      '/',
    ]);
    first.faults.add({ server: 'mirror-2', match: '/legal.html', kind: 'vanish' });
    const statuses = await Promise.all(
      first.mirrors.map(async ({ baseUrl }) => (await askUrl(`${baseUrl}/legal.html`, {})).status),
    );
    expect(statuses).toEqual([200, 404]);
    expect(first.counters().mirrors.map(({ requests }) => requests)).toEqual([1, 1]);
    expect(first.counters().dumps.requests).toBe(0);
  } finally {
    await first.stop();
  }
  const { mirrors: ports } = first.ports;
  const fewer = await startSandbox({ ...options, mirrors: 1 });
  await fewer.stop();
  expect(fewer.mirrors.map(({ port }) => port)).toEqual([ports[0]]);
  const second = await startSandbox(options);
  await second.stop();
  expect(second.ports.mirrors).toEqual(ports);
});
