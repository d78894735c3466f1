import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createCatalog, type ExpectedFile } from '../../src/catalog/index.ts';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createDownload, downloadDump } from '../../src/download/index.ts';
import { JobId } from '../../src/lib/index.ts';
import {
  createHttp,
  createNodeDisk,
  type Disk,
  limitConnectionsPerHost,
  silentLog,
} from '../../src/ports/index.ts';
import { createLayout, createSpaceGuard } from '../../src/storage/index.ts';
import { FakeClock } from '../helpers/fake-clock.ts';

/**
 * Goal: no fault of a dump server or of the disk may put a wrong byte into the stored tree, and none may cost more bytes than
 * it must. Method: one scripted server on loopback, the real catalog, the real disk, real worker threads, a clock that stands still.
 */

const FILENAME = 'aawiki-20261120-pages-articles.xml.bz2';
const PATH = `/aawiki/20261120/${FILENAME}`;
const PIECE_BYTES = 256 * 1024;
const CONTENT = Buffer.alloc(3_300_000);
for (let index = 0; index < CONTENT.length; index += 1) CONTENT[index] = (index * 7919 + (index >> 9)) & 0xff;

const hex = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');
type Serve = (request: IncomingMessage, response: ServerResponse) => void;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server that does everything right: ranges, If-Range, a strong ETag. */
const serveWell: Serve = (request, response) => {
  const etag = '"1-v1"';
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? -1);
  const ifRange = request.headers['if-range'];
  if (start < 0 || (ifRange !== undefined && ifRange !== etag))
    return response.writeHead(200, { etag, 'content-length': CONTENT.length }).end(CONTENT);
  const rest = CONTENT.subarray(start);
  const range = `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}`;
  response.writeHead(206, { etag, 'content-range': range, 'content-length': rest.length }).end(rest);
};

/** Sends the announced headers, some bytes, and hangs up. */
const breakOffAfter =
  (count: number): Serve =>
  (_request, response) => {
    response.writeHead(200, { etag: '"1-v1"', 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, count), () => setImmediate(() => response.socket?.end()));
  };

async function setup(
  options: { disk?: Disk; file?: Partial<ExpectedFile>; url?: (base: string) => string } = {},
) {
  const dataDir = mkdtempSync(join(tmpdir(), 'wikiseed-download-'));
  cleanups.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const seen: { path: string; range: string | null; ifRange: string | null; sentBytes: number }[] = [];
  const script: Serve[] = [];
  const server = createServer((request, response) => {
    const entry = {
      path: request.url ?? '',
      range: request.headers.range ?? null,
      ifRange: (request.headers['if-range'] as string | undefined) ?? null,
      sentBytes: 0,
    };
    seen.push(entry);
    response.on('close', () => {
      entry.sentBytes = response.socket?.bytesWritten ?? 0;
    });
    (script.shift() ?? serveWell)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const clock = new FakeClock();
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  cleanups.push(() => db.close());
  migrateDb(db, { dataDir, now: new Date(clock.now()) });
  const catalog = createCatalog({ db, clock });
  catalog.recordWikis([
    {
      wikiDbName: 'aawiki',
      project: 'wikipedia',
      language: 'aa',
      url: 'https://aa.wikipedia.org',
      name: '',
      isClosed: true,
      isPrivate: false,
      isFishbowl: false,
    },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: clock.now() + 1e9 });
  const file = {
    dumpType: 'pages-articles',
    filename: FILENAME,
    isHistory: false,
    sizeBytes: CONTENT.length,
    upstreamMd5: hex('md5', CONTENT),
    upstreamSha1: hex('sha1', CONTENT),
    wikimediaUrl: options.url?.(base) ?? base + PATH,
    wikimediaStatus: 'done',
    wikimediaDate: null,
    ...options.file,
  };
  const run = { wikiDbName: 'aawiki', cycleDate: '2026-11-20', runDate: '20261120' };
  catalog.recordRun({ ...run, status: 'finished', notices: [], statusText: null, files: [file] });
  const id = catalog.dumpFiles('2026-11-20')[0]!.id;

  const disk = options.disk ?? createNodeDisk();
  const layout = createLayout(dataDir);
  const space = createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null });
  const http = limitConnectionsPerHost(
    createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock }),
    2,
  );
  const room = createDownload({
    catalog,
    http,
    disk,
    layout,
    clock,
    log: silentLog,
    space,
    config: { pieceLengthBytes: PIECE_BYTES },
  });
  cleanups.push(() => room.stop());
  const handler = room.handlers[0]!;
  const state = { cursor: null as unknown, doneBytes: 0, onProgress: (_doneBytes: number): void => {} };
  return {
    catalog,
    clock,
    seen,
    script,
    id,
    state,
    space,
    paths: { final: join(dataDir, 'dumps', PATH), part: `${join(dataDir, 'dumps', '.partial', PATH)}.part` },
    row: () => catalog.dumpFile(id)!,
    /** One attempt as the executor makes it: run, then record or recordFailure. */
    async attempt(signal = new AbortController().signal) {
      const input = { dumpFileId: id };
      const output = await handler.run(input, {
        jobId: JobId.parse(1),
        attempt: 1,
        signal,
        clock,
        log: silentLog,
        cursor: state.cursor,
        progress: (p) => {
          if (p.cursor !== undefined) state.cursor = p.cursor;
          state.doneBytes = p.doneBytes ?? state.doneBytes;
          state.onProgress(state.doneBytes);
        },
      });
      db.transaction(() => handler.record?.(input, output));
      return downloadDump.output.parse(output);
    },
    fail: (error: unknown) => db.transaction(() => handler.recordFailure?.({ dumpFileId: id }, error)),
  };
}

type Bundle = Awaited<ReturnType<typeof setup>>;

/** The one judgement after each scenario: stored means equal to the source, read-only, recorded; not stored means nothing there. */
function expectStored({ paths, row, catalog, id, space }: Bundle): void {
  expect(readFileSync(paths.final).equals(CONTENT)).toBe(true);
  expect(statSync(paths.final).mode & 0o777).toBe(0o444);
  expect(existsSync(paths.part)).toBe(false);
  const facts = { md5: hex('md5', CONTENT), sha1: hex('sha1', CONTENT), sha256: hex('sha256', CONTENT) };
  expect(row()).toMatchObject({
    ourStatus: 'downloaded',
    localPath: `dumps${PATH}`,
    sizeBytes: CONTENT.length,
    ...facts,
  });
  const pieces: Buffer[] = [];
  for (let start = 0; start < CONTENT.length; start += PIECE_BYTES)
    pieces.push(
      createHash('sha1')
        .update(CONTENT.subarray(start, start + PIECE_BYTES))
        .digest(),
    );
  expect(catalog.pieceHashes(id)).toEqual({ pieceLength: PIECE_BYTES, sha1s: Buffer.concat(pieces) });
  expect(space.reservedBytes()).toBe(0);
}

function expectNotStored({ paths, space }: Bundle): void {
  expect(existsSync(paths.final)).toBe(false);
  expect(space.reservedBytes()).toBe(0);
}

test('stores a proved file with all its hashes, and a second run asks nobody', async () => {
  const bundle = await setup();
  const output = await bundle.attempt();
  expect(output.verification).toBe('sha1');
  expectStored(bundle);
  expect(await bundle.attempt()).toEqual(output);
  expect(bundle.seen).toHaveLength(1);
});

test.each([
  ['md5', { upstreamSha1: null }],
  ['sha1', { upstreamMd5: null }],
] as const)('is proved by %s when upstream publishes nothing else', async (verification, file) => {
  const bundle = await setup({ file });
  expect((await bundle.attempt()).verification).toBe(verification);
  expectStored(bundle);
});

test('waits without fetching while upstream publishes no hash', async () => {
  const bundle = await setup({ file: { upstreamMd5: null, upstreamSha1: null } });
  await expect(bundle.attempt()).rejects.toMatchObject({ code: 'snoozed', delayMs: 3_600_000 });
  expect(bundle.seen).toEqual([]);
  expect(bundle.row().ourStatus).toBe('pending');
});

test.each([
  ['another folder', (base: string) => `${base}/bbwiki/20261120/${FILENAME}`],
  ['dots', (base: string) => `${base}/x/../aawiki/20261120/${FILENAME}`],
  ['a query', (base: string) => `${base}${PATH}?x=1`],
  ['another scheme', () => `file:///etc${PATH}`],
])('refuses an address with %s', async (_name, url) => {
  const bundle = await setup({ url });
  const error = await bundle.attempt().catch((e: unknown) => e);
  expect(error).toMatchObject({ name: 'PermanentError', code: 'unsafe_url' });
  bundle.fail(error);
  expect(bundle.row().ourStatus).toBe('failed');
  expect(bundle.seen).toEqual([]);
});

test('goes on after a body that broke off, moving only the missing bytes', async () => {
  const bundle = await setup();
  bundle.script.push(breakOffAfter(2_000_000));
  const error = await bundle.attempt().catch((e: unknown) => e);
  expect(error).toMatchObject({ name: 'RetryableError', code: 'truncated' });
  expectNotStored(bundle);
  const partBytes = statSync(bundle.paths.part).size;
  expect(partBytes).toBeGreaterThan(0);
  await bundle.attempt();
  expect(bundle.seen[1]).toMatchObject({ range: `bytes=${partBytes}-`, ifRange: '"1-v1"' });
  expect(bundle.seen[1]!.sentBytes).toBeLessThan(CONTENT.length - partBytes + 2000);
  expectStored(bundle);
});

test('keeps the bytes of an aborted attempt', async () => {
  const bundle = await setup();
  const controller = new AbortController();
  bundle.script.push((_request, response) => {
    response.writeHead(200, { etag: '"1-v1"', 'content-length': CONTENT.length });
    response.write(CONTENT.subarray(0, 1_500_000));
  });
  bundle.state.onProgress = (doneBytes) => doneBytes >= 1024 * 1024 && controller.abort();
  await expect(bundle.attempt(controller.signal)).rejects.toMatchObject({ code: 'interrupted' });
  bundle.state.onProgress = () => {};
  expectNotStored(bundle);
  const partBytes = statSync(bundle.paths.part).size;
  expect(partBytes).toBeGreaterThanOrEqual(1024 * 1024);
  await bundle.attempt();
  expect(bundle.seen[1]!.range).toBe(`bytes=${partBytes}-`);
  expectStored(bundle);
});

test.each([
  [
    'a 200 because the server ignores ranges',
    [(_q, r) => r.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT)],
  ],
  ['416', [(_q, r) => r.writeHead(416, { 'content-range': 'bytes */9' }).end()]],
  [
    '206 with another start',
    [
      (_q, r) =>
        r.writeHead(206, { 'content-range': `bytes 0-9/${CONTENT.length}` }).end(CONTENT.subarray(0, 10)),
    ],
  ],
] as [string, Serve[]][])('starts over when a resume is answered with %s', async (_name, answers) => {
  const bundle = await setup();
  mkdirSync(dirname(bundle.paths.part), { recursive: true });
  writeFileSync(bundle.paths.part, Buffer.alloc(1_000_000, 1));
  bundle.script.push(...answers);
  await bundle.attempt();
  expect(bundle.seen[0]!.range).toBe('bytes=1000000-');
  expect(bundle.seen[0]!.ifRange).toBeNull();
  expectStored(bundle);
});

test('starts over when the file changed on the server since the part was fetched', async () => {
  const bundle = await setup();
  mkdirSync(dirname(bundle.paths.part), { recursive: true });
  writeFileSync(bundle.paths.part, Buffer.alloc(1_000_000, 1));
  bundle.state.cursor = { url: bundle.row().wikimediaUrl, etag: '"1-older"' };
  await bundle.attempt();
  expect(bundle.seen).toMatchObject([{ range: 'bytes=1000000-', ifRange: '"1-older"' }]);
  expectStored(bundle);
});

test('a complete part file is proved without asking, an overlong one is thrown away', async () => {
  const bundle = await setup();
  mkdirSync(dirname(bundle.paths.part), { recursive: true });
  writeFileSync(bundle.paths.part, CONTENT);
  await bundle.attempt();
  expect(bundle.seen).toEqual([]);
  expectStored(bundle);

  const other = await setup();
  mkdirSync(dirname(other.paths.part), { recursive: true });
  writeFileSync(other.paths.part, Buffer.concat([CONTENT, Buffer.alloc(1)]));
  await other.attempt();
  expect(other.seen).toMatchObject([{ range: null }]);
  expectStored(other);
});

test.each([
  [
    'wrong bytes of the right size',
    'CorruptError checksum_mismatch',
    (_q, r) => r.writeHead(200).end(Buffer.alloc(CONTENT.length, 9)),
  ],
  [
    'more bytes than expected',
    'CorruptError too_long',
    (_q, r) => r.writeHead(200).end(Buffer.concat([CONTENT, CONTENT])),
  ],
  [
    'another length',
    'CorruptError size_mismatch',
    (_q, r) => r.writeHead(200, { 'content-length': 10 }).end('0123456789'),
  ],
  [
    'fewer bytes without a length',
    'RetryableError truncated',
    (_q, r) => r.writeHead(200).end(CONTENT.subarray(0, 100_000)),
  ],
  ['503', 'UnavailableError http_status', (_q, r) => r.writeHead(503, { 'retry-after': '120' }).end('busy')],
  ['a hang-up without answer', 'RetryableError network', (_q, r) => r.socket?.destroy()],
] as [string, string, Serve][])('stores nothing after %s, and heals', async (_name, expected, serve) => {
  const [name, code] = expected.split(' ');
  const bundle = await setup();
  bundle.script.push(serve);
  const error = await bundle.attempt().catch((e: unknown) => e);
  expect(error).toMatchObject({ name, code });
  if (code === 'http_status') expect(error).toMatchObject({ retryAfterMs: 120_000 });
  if (code === 'checksum_mismatch') {
    expect(error).toMatchObject({ message: expect.stringContaining(hex('sha1', CONTENT)) });
    expect(existsSync(bundle.paths.part)).toBe(false);
  }
  expectNotStored(bundle);
  await bundle.attempt();
  expectStored(bundle);
});

test.each([
  [404, { name: 'PermanentError', code: 'not_found' }, 'failed'],
  [403, { name: 'HaltPipelineError', code: 'forbidden' }, 'pending'],
  [503, { name: 'UnavailableError', code: 'http_status' }, 'pending'],
] as const)('%i is classified', async (status, expected, state) => {
  const bundle = await setup();
  bundle.script.push((_request, response) => response.writeHead(status).end());
  const error = await bundle.attempt().catch((e: unknown) => e);
  expect(error).toMatchObject(expected);
  bundle.fail(error);
  expect(bundle.row().ourStatus).toBe(state);
});

test('every published hash must match, not only the first', async () => {
  const bundle = await setup({ file: { upstreamMd5: '0'.repeat(32) } });
  await expect(bundle.attempt()).rejects.toMatchObject({
    code: 'checksum_mismatch',
    message: expect.stringContaining('md5'),
  });
  expectNotStored(bundle);
});

test('recognises a stored file that was never recorded, and replaces a wrong one', async () => {
  const bundle = await setup();
  mkdirSync(dirname(bundle.paths.final), { recursive: true });
  writeFileSync(bundle.paths.final, CONTENT);
  await bundle.attempt();
  expect(bundle.seen).toEqual([]);
  expectStored(bundle);

  const other = await setup();
  mkdirSync(dirname(other.paths.final), { recursive: true });
  writeFileSync(other.paths.final, Buffer.alloc(CONTENT.length, 3));
  chmodSync(other.paths.final, 0o444);
  await other.attempt();
  expect(other.seen).toHaveLength(1);
  expectStored(other);
});

test('a disk that fills up halts downloads and keeps what is there', async () => {
  const disk = createNodeDisk();
  let failures = 1;
  const bundle = await setup({
    disk: {
      ...disk,
      async open(path, mode) {
        const file = await disk.open(path, mode);
        return {
          ...file,
          write: async (data, position) => {
            if (position < 2 * 1024 * 1024 || failures === 0) return file.write(data, position);
            failures -= 1;
            throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          },
        };
      },
    },
  });
  await expect(bundle.attempt()).rejects.toMatchObject({
    name: 'HaltPipelineError',
    code: 'disk_full',
    pauseMs: 300_000,
  });
  expect(failures).toBe(0);
  expectNotStored(bundle);
  await bundle.attempt();
  expect(bundle.seen[1]!.range).toBe(`bytes=${2 * 1024 * 1024}-`);
  expectStored(bundle);
});

test('does not begin what does not fit', async () => {
  const bundle = await setup({
    disk: { ...createNodeDisk(), space: async () => ({ freeBytes: 1000, totalBytes: 2000 }) },
  });
  await expect(bundle.attempt()).rejects.toMatchObject({ name: 'HaltPipelineError', code: 'disk_full' });
  expect(bundle.seen).toEqual([]);
});
