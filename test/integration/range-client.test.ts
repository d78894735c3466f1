import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { createBandwidth } from '../../src/download/bandwidth.ts';
import { createRangeClient } from '../../src/download/sources/range-client.ts';
import { SourceFault } from '../../src/download/sources/source-fault.ts';
import { createTraffic } from '../../src/download/sources/traffic.ts';
import type { ByteRange, ByteSource, RangeBody } from '../../src/download/sources/types.ts';
import { createHttp, createSystemClock, limitConnectionsPerHost } from '../../src/ports/index.ts';
import { type Answer, type AnsweringHost, answeringHost, servingRanges } from '../helpers/answering-host.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

/**
 * Goal: bytes that the client gives on are the ones that were asked for, and everything else is a fault with the right name.
 * Method: hosts on loopback that answer every question of RFC 9110 section 14 rightly and in all the wrong ways; real sockets.
 */

const SIZE = 300_000;
const CONTENT = Buffer.alloc(SIZE);
for (let at = 0; at < SIZE; at += 1) CONTENT[at] = (at * 7919 + (at >> 8)) & 0xff;
const MIDDLE: ByteRange = { startBytes: 100_000, endBytes: 200_000 };
const START: ByteRange = { startBytes: 0, endBytes: 100_000 };
const REST: ByteRange = { startBytes: 200_000, endBytes: SIZE };
const WHOLE: ByteRange = { startBytes: 0, endBytes: SIZE };
const UNLIMITED = { defaultBytesPerSecond: null, windows: [] };

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});

function clientOf(
  options: {
    isPublic?: (address: string) => boolean;
    lookup?: never;
    perHost?: number;
    bytesPerSecond?: number | null;
  } = {},
) {
  const { perHost = 2, bytesPerSecond = null, ...http } = options;
  const limit = { defaultBytesPerSecond: bytesPerSecond, windows: [] };
  const traffic = createTraffic();
  const client = createRangeClient({
    http: limitConnectionsPerHost(
      createHttp({
        userAgent: 'WikiSeed/test (+test@example.org)',
        clock: createSystemClock(),
        connectionsPerHost: perHost,
        ...http,
      }),
      perHost,
    ),
    clock,
    bandwidth: createBandwidth({ clock, config: { total: limit, perHost: UNLIMITED } }),
    traffic,
  });
  return { client, traffic };
}

const sourceAt = (url: string): ByteSource => ({
  id: url,
  kind: 'mirror',
  url: `${url}/file.bz2`,
  rangesAtOnce: 2,
});

async function read(body: RangeBody, most = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body.chunks) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= most) break;
  }
  return Buffer.concat(chunks);
}

interface Outcome {
  fault: SourceFault | null;
  bytes: Buffer;
  body: RangeBody | null;
}

/** Asks and reads; what came before a fault is kept. */
async function fetchFrom(
  host: AnsweringHost,
  range: ByteRange,
  options: {
    validator?: string | null;
    client?: ReturnType<typeof clientOf>['client'];
    sizeBytes?: number;
  } = {},
): Promise<Outcome> {
  const { validator = null, client = clientOf().client, sizeBytes = SIZE } = options;
  const { signal } = new AbortController();
  const chunks: Buffer[] = [];
  let body: RangeBody | null = null;
  let fault: SourceFault | null = null;
  try {
    body = await client.open(sourceAt(host.url), { ...range, sizeBytes, validator, signal });
    for await (const chunk of body.chunks) chunks.push(chunk);
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    fault = error;
  }
  return { fault, bytes: Buffer.concat(chunks), body };
}

describe('a host that does everything right', () => {
  test.each([
    ['the start', START, 'bytes=0-99999'],
    ['the middle', MIDDLE, 'bytes=100000-199999'],
    ['the rest', REST, 'bytes=200000-299999'],
    ['the whole file', WHOLE, undefined],
  ])('gives %s', async (_what, range, header) => {
    const host = await answeringHost(servingRanges(CONTENT));
    const { bytes, fault, body } = await fetchFrom(host, range);
    expect(fault).toBeNull();
    expect(bytes.equals(CONTENT.subarray(range.startBytes, range.endBytes))).toBe(true);
    expect(body).toMatchObject({
      startBytes: range.startBytes,
      validator: '"1-v1"',
      url: `${host.url}/file.bz2`,
    });
    expect(host.seen).toEqual([
      { path: '/file.bz2', range: header, ifRange: undefined, encoding: 'identity' },
    ]);
  });

  test('is asked on the same connection again, with its own validator', async () => {
    const host = await answeringHost(servingRanges(CONTENT));
    const { client, traffic } = clientOf();
    await fetchFrom(host, START, { client });
    const { fault, bytes } = await fetchFrom(host, MIDDLE, { client, validator: '"1-v1"' });
    expect(fault).toBeNull();
    expect(bytes.equals(CONTENT.subarray(100_000, 200_000))).toBe(true);
    expect(host.seen[1]).toMatchObject({ ifRange: '"1-v1"' });
    expect(host.connections()).toBe(1);
    expect(traffic.at(host.url)).toBe(0);
  });

  test('may send the start of the file as the whole of it', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(200, { 'content-length': SIZE }).end(CONTENT);
    });
    const { bytes, fault, body } = await fetchFrom(host, START);
    expect(fault).toBeNull();
    expect(body?.startBytes).toBe(0);
    expect(bytes.equals(CONTENT.subarray(0, 100_000))).toBe(true);
  });

  test('may announce no length', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(200);
      response.write(CONTENT.subarray(0, 5));
      response.end(CONTENT.subarray(5));
    });
    const { bytes, fault } = await fetchFrom(host, WHOLE);
    expect(fault).toBeNull();
    expect(bytes.equals(CONTENT)).toBe(true);
  });

  test('may send an empty file', async () => {
    const host = await answeringHost((_request, response) => void response.writeHead(200).end());
    const { bytes, fault } = await fetchFrom(host, { startBytes: 0, endBytes: 0 }, { sizeBytes: 0 });
    expect({ fault, size: bytes.length }).toEqual({ fault: null, size: 0 });
  });
});

describe('validators', () => {
  const date = 'Sat, 21 Nov 2026 00:00:00 GMT';
  test.each([
    ['a strong ETag', { etag: '"a-b"' }, '"a-b"'],
    [
      'an ETag before a date',
      { etag: '"a-b"', 'last-modified': 'Fri, 20 Nov 2026 00:00:00 GMT', date },
      '"a-b"',
    ],
    ['no weak ETag', { etag: 'W/"a-b"' }, null],
    [
      'no date beside a weak ETag',
      { etag: 'W/"a-b"', 'last-modified': 'Fri, 20 Nov 2026 00:00:00 GMT', date },
      null,
    ],
    ['no broken ETag', { etag: 'a-b' }, null],
    [
      'a date long ago',
      { 'last-modified': 'Fri, 20 Nov 2026 00:00:00 GMT', date },
      'Fri, 20 Nov 2026 00:00:00 GMT',
    ],
    ['no date of this minute', { 'last-modified': 'Fri, 20 Nov 2026 23:59:30 GMT', date }, null],
    ['no date that cannot be read', { 'last-modified': 'yesterday', date }, null],
  ])('%s', async (_what, headers, validator) => {
    const host = await answeringHost((_request, response) => {
      response.sendDate = false;
      response.writeHead(200, headers).end(CONTENT);
    });
    const { body, fault } = await fetchFrom(host, WHOLE);
    expect(fault).toBeNull();
    expect(body?.validator).toBe(validator);
  });

  test.each([
    ['answers with the whole new file', servingRanges(CONTENT, '"2-v2"'), '"1-v1"'],
    ['gives the range of another version in spite of If-Range', changedButPartial('"2-v2"'), '"1-v1"'],
    [
      'names another date',
      servingRanges(CONTENT, null, { 'last-modified': 'Sat, 21 Nov 2026 09:00:00 GMT' }),
      'Fri, 20 Nov 2026 00:00:00 GMT',
    ],
  ])('a host that %s has changed its file', async (_what, answer, validator) => {
    for (const range of [START, MIDDLE, WHOLE]) {
      const { fault, bytes } = await fetchFrom(await answeringHost(answer), range, { validator });
      expect(fault).toMatchObject({ kind: 'changed', cause: { code: 'source_changed' } });
      expect(bytes).toHaveLength(0);
    }
  });

  function changedButPartial(etag: string): Answer {
    const plain = servingRanges(CONTENT, etag);
    return (request, response) => {
      delete request.headers['if-range'];
      plain(request, response);
    };
  }
});

const partial =
  (
    headers: Record<string, string | number>,
    body: Buffer | string = CONTENT.subarray(100_000, 200_000),
  ): Answer =>
  (_request, response) =>
    void response.writeHead(206, headers).end(body);
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    void response.writeHead(code, headers).end('no');
const RIGHT = 'bytes 100000-199999/300000';

/** Fault, what the host does, how the queue is told, the code. */
const HEADER_FAULTS: [string, Answer, string, string][] = [
  [
    'the whole file',
    (_q, r) => void r.writeHead(200, { 'content-length': SIZE }).end(CONTENT),
    'no_ranges',
    'no_ranges',
  ],
  [
    'a whole file of another size',
    (_q, r) => void r.writeHead(200, { 'content-length': 5 }).end('other'),
    'wrong_size',
    'size_mismatch',
  ],
  ['416', status(416, { 'content-range': `bytes */${SIZE}` }), 'bad_range', 'range_mismatch'],
  ['416 of a shorter file', status(416, { 'content-range': 'bytes */90000' }), 'bad_range', 'range_mismatch'],
  ['another start', partial({ 'content-range': 'bytes 99999-199998/300000' }), 'bad_range', 'range_mismatch'],
  ['another end', partial({ 'content-range': 'bytes 100000-199998/300000' }), 'bad_range', 'range_mismatch'],
  [
    'another total',
    partial({ 'content-range': 'bytes 100000-199999/300001' }),
    'wrong_size',
    'size_mismatch',
  ],
  ['no Content-Range', partial({}), 'bad_range', 'range_mismatch'],
  [
    'several parts',
    partial({ 'content-type': 'multipart/byteranges; boundary=x' }, '--x\r\n'),
    'bad_range',
    'range_mismatch',
  ],
  [
    'a length that does not fit the range',
    partial({ 'content-range': RIGHT, 'content-length': 5 }, 'other'),
    'bad_range',
    'range_mismatch',
  ],
  ['a gzipped part', partial({ 'content-range': RIGHT, 'content-encoding': 'gzip' }), 'encoded', 'encoded'],
  [
    'a gzipped whole file',
    (_q, r) => void r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(CONTENT)),
    'encoded',
    'encoded',
  ],
  ['404', status(404), 'not_found', 'not_found'],
  ['410', status(410), 'not_found', 'not_found'],
  ['401', status(401), 'forbidden', 'forbidden'],
  ['403', status(403), 'forbidden', 'forbidden'],
  ['429', status(429, { 'retry-after': '120' }), 'overloaded', 'http_status'],
  ['503', status(503), 'overloaded', 'http_status'],
  ['500', status(500), 'status', 'http_status'],
  ['204', status(204), 'status', 'http_status'],
];

describe('wrong headers', () => {
  test.each(HEADER_FAULTS)('%s', async (_what, answer, kind, code) => {
    const host = await answeringHost(answer);
    const { client, traffic } = clientOf({ perHost: 1 });
    const { fault, bytes } = await fetchFrom(host, MIDDLE, { client });
    expect(fault).toMatchObject({ kind, sourceId: host.url, cause: { code } });
    expect(bytes).toHaveLength(0);
    // The only place at the host is free again.
    host.answer = servingRanges(CONTENT);
    expect((await fetchFrom(host, MIDDLE, { client })).fault).toBeNull();
    expect(traffic.at(host.url)).toBe(0);
  });

  test('a part where the whole file was asked for', async () => {
    const host = await answeringHost(partial({ 'content-range': RIGHT }));
    expect((await fetchFrom(host, WHOLE)).fault).toMatchObject({ kind: 'bad_range' });
  });

  test('an overload says when to come back', async () => {
    const host = await answeringHost(status(429, { 'retry-after': '120' }));
    expect((await fetchFrom(host, MIDDLE)).fault).toMatchObject({
      retryAfterMs: 120_000,
      cause: { name: 'UnavailableError' },
    });
  });

  test('a refusal stops the target when nobody else helps', async () => {
    const host = await answeringHost(status(403));
    expect((await fetchFrom(host, MIDDLE)).fault).toMatchObject({ cause: { name: 'HaltPipelineError' } });
  });
});

describe('bodies that go wrong', () => {
  const head = { 'content-range': RIGHT };

  test('a short one', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, { ...head, 'content-length': 100_000 });
      response.write(CONTENT.subarray(100_000, 130_000), () => setImmediate(() => response.socket?.end()));
    });
    const { fault, bytes } = await fetchFrom(host, MIDDLE);
    expect(fault).toMatchObject({ kind: 'broken_off', cause: { code: 'truncated' } });
    expect(bytes.equals(CONTENT.subarray(100_000, 100_000 + bytes.length))).toBe(true);
  });

  test('a short one without a length', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, head).end(CONTENT.subarray(100_000, 130_000));
    });
    const { fault, bytes } = await fetchFrom(host, MIDDLE);
    expect(fault).toMatchObject({ kind: 'broken_off', message: expect.stringContaining('30000 of 100000') });
    expect(bytes).toHaveLength(30_000);
  });

  test('a reset', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, { ...head, 'content-length': 100_000 });
      response.write(CONTENT.subarray(100_000, 130_000), () => response.socket?.resetAndDestroy());
    });
    expect((await fetchFrom(host, MIDDLE)).fault).toMatchObject({ kind: 'broken_off' });
  });

  test('a reset before the header', async () => {
    const host = await answeringHost((request) => void request.socket.resetAndDestroy());
    expect((await fetchFrom(host, MIDDLE)).fault).toMatchObject({ kind: 'broken_off' });
  });

  test.each([MIDDLE, WHOLE])('a long one: never more than was wanted (%o)', async (range) => {
    const wanted = CONTENT.subarray(range.startBytes, range.endBytes);
    const host = await answeringHost((request, response) => {
      response.writeHead(request.headers.range === undefined ? 200 : 206, head);
      response.write(wanted);
      response.end('and a little more');
    });
    const { fault, bytes } = await fetchFrom(host, range);
    expect(fault).toMatchObject({ kind: 'too_long', cause: { name: 'CorruptError' } });
    expect(bytes.equals(wanted)).toBe(true);
  });

  test('a long one behind its announced end', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, { ...head, 'content-length': 100_000 });
      response.write(CONTENT.subarray(100_000, 200_000), () => response.socket?.write('and a little more'));
    });
    // Two answers are right: the bytes were all there, or what follows them spoils the connection first.
    const { fault, bytes } = await fetchFrom(host, MIDDLE);
    expect([undefined, 'too_long']).toContain(fault?.kind);
    expect(bytes.equals(CONTENT.subarray(100_000, 100_000 + bytes.length))).toBe(true);
    if (fault === null) expect(bytes).toHaveLength(100_000);
    host.answer = servingRanges(CONTENT);
    expect((await fetchFrom(host, MIDDLE)).fault).toBeNull();
  });

  test('no HTTP at all', async () => {
    const host = await answeringHost((request) => void request.socket.end('SSH-2.0-OpenSSH_9.6\r\n'));
    expect((await fetchFrom(host, MIDDLE)).fault).toMatchObject({ kind: 'status' });
  });

  test('silence', async () => {
    let isHalf = (): void => {};
    const half = new Promise<void>((resolve) => {
      isHalf = resolve;
    });
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, { ...head, 'content-length': 100_000 });
      response.write(CONTENT.subarray(100_000, 130_000), () => isHalf());
    });
    const { client } = clientOf();
    const { signal } = new AbortController();
    const body = await client.open(sourceAt(host.url), {
      ...MIDDLE,
      sizeBytes: SIZE,
      validator: null,
      signal,
    });
    await half;
    const chunks = body.chunks[Symbol.asyncIterator]();
    let gotBytes = 0;
    while (gotBytes < 30_000) gotBytes += (await chunks.next()).value?.length ?? 0;
    // Whoever reads may take his time: only waiting for the other side counts.
    await clock.advance(300_000);
    const next = chunks.next().catch((error: unknown) => error);
    await clock.advance(59_000);
    await clock.advance(1_000);
    expect(await next).toMatchObject({ kind: 'stalled', cause: { code: 'stalled' } });
    expect(clock.waiting).toBe(0);
  });

  /** A host that sends what the test says, when it says so. */
  async function fed(options: { bytesPerSecond?: number } = {}) {
    let response: ServerResponse | null = null;
    const host = await answeringHost((_request, answer) => {
      response = answer;
      answer.writeHead(206, { ...head, 'content-length': 100_000 }).flushHeaders();
    });
    const { signal } = new AbortController();
    const asked = { ...MIDDLE, sizeBytes: SIZE, validator: null, signal };
    const body = await clientOf(options).client.open(sourceAt(host.url), asked);
    const chunks = body.chunks[Symbol.asyncIterator]();
    let sentBytes = 0;
    return {
      send: (bytes: number): void => {
        response?.write(CONTENT.subarray(100_000 + sentBytes, 100_000 + sentBytes + bytes));
        sentBytes += bytes;
      },
      hangUp: (): void => void response?.socket?.destroy(),
      next: async (): Promise<number | SourceFault> => {
        try {
          return ((await chunks.next()).value as Buffer | undefined)?.length ?? 0;
        } catch (error) {
          return error as SourceFault;
        }
      },
    };
  }

  test('a trickle: a byte before every silence is over', async () => {
    const { send, next } = await fed();
    const got: (number | SourceFault)[] = [];
    while (typeof got.at(-1) !== 'object' && got.length < 10) {
      const reading = next();
      await clock.advance(59_000);
      send(1);
      got.push(await reading);
    }
    // The third byte would come after three minutes.
    expect(got).toMatchObject([1, 1, { kind: 'stalled', mayBeOurs: false }]);
    expect(String(got[2])).toContain('too slow');
    expect(clock.waiting).toBe(0);
  });

  test('what our own limit lets wait is not the time of the other side', async () => {
    const { send, next } = await fed({ bytesPerSecond: 100 });
    for (let round = 0; round < 5; round += 1) {
      send(9_000);
      const reading = next();
      await clock.advance(1000);
      await clock.advance(90_000);
      expect(await reading).toBe(9_000);
    }
  });

  test.each([
    ['a long wait of ours is not theirs', 9_000, true],
    ['a short wait of ours is theirs', 2_000, false],
  ])('a break behind %s', async (_what, bytes, mayBeOurs) => {
    const { send, next, hangUp } = await fed({ bytesPerSecond: 100 });
    send(bytes);
    expect(await next()).toBe(bytes);
    send(100);
    const reading = next();
    await expect.poll(() => clock.waiting).toBeGreaterThan(1);
    hangUp();
    await clock.advance(bytes * 10);
    expect(await reading).toBe(100);
    expect(await next()).toMatchObject({ kind: 'broken_off', mayBeOurs });
  });

  test('a stop in the middle', async () => {
    const host = await answeringHost((_request, response) => {
      response.writeHead(206, { ...head, 'content-length': 100_000 });
      response.write(CONTENT.subarray(100_000, 130_000));
    });
    const { client, traffic } = clientOf();
    const stop = new AbortController();
    const body = await client.open(sourceAt(host.url), {
      ...MIDDLE,
      sizeBytes: SIZE,
      validator: null,
      signal: stop.signal,
    });
    const reading = read(body);
    stop.abort();
    await expect(reading).rejects.toMatchObject({ name: 'Interrupted' });
    await expect.poll(() => traffic.at(host.url)).toBe(0);
  });

  test('a reader who goes away frees the place of the connection', async () => {
    const host = await answeringHost(servingRanges(CONTENT));
    const { client, traffic } = clientOf({ perHost: 1 });
    const { signal } = new AbortController();
    const asked = { ...MIDDLE, sizeBytes: SIZE, validator: null, signal };
    await read(await client.open(sourceAt(host.url), asked), 10);
    const left = await client.open(sourceAt(host.url), asked);
    left.discard();
    expect((await fetchFrom(host, MIDDLE, { client })).fault).toBeNull();
    expect(traffic.at(host.url)).toBe(0);
  });

  test('nobody there', async () => {
    const host = await answeringHost(servingRanges(CONTENT));
    const gone = { ...host, url: 'http://127.0.0.1:1' };
    expect((await fetchFrom(gone, MIDDLE)).fault).toMatchObject({
      kind: 'unreachable',
      cause: { name: 'UnavailableError' },
    });
  });
});
