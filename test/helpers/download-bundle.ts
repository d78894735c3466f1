import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { createCatalog, type ExpectedFile, type SourceName } from '../../src/catalog/index.ts';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createDownload, downloadDump } from '../../src/download/index.ts';
import { readPartState } from '../../src/download/transfer/part-state.ts';
import type { Bus } from '../../src/events/index.ts';
import { JobId } from '../../src/lib/index.ts';
import {
  createHttp,
  createNodeDisk,
  type Disk,
  type Log,
  limitConnectionsPerHost,
  silentLog,
} from '../../src/ports/index.ts';
import { createLayout, createSpaceGuard } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';

/** One scripted dump server on loopback, and the download room over the real catalog, disk and threads. */

export const FILENAME = 'aawiki-20261120-pages-articles.xml.bz2';
export const PATH = `/aawiki/20261120/${FILENAME}`;
export const PIECE_BYTES = 256 * 1024;
export const CONTENT = Buffer.alloc(3_300_000);
for (let index = 0; index < CONTENT.length; index += 1) CONTENT[index] = (index * 7919 + (index >> 9)) & 0xff;

export const hex = (algorithm: string, bytes: Uint8Array) =>
  createHash(algorithm).update(bytes).digest('hex');
export type Serve = (request: IncomingMessage, response: ServerResponse) => void;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server that does everything right: ranges, If-Range, a strong ETag. */
export const serving =
  (content: Buffer, etag = '"1-v1"'): Serve =>
  (request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? -1);
    const ifRange = request.headers['if-range'];
    if (start < 0 || (ifRange !== undefined && ifRange !== etag))
      return response.writeHead(200, { etag, 'content-length': content.length }).end(content);
    const rest = content.subarray(start, Number(last) + 1);
    const range = `bytes ${start}-${start + rest.length - 1}/${content.length}`;
    response.writeHead(206, { etag, 'content-range': range, 'content-length': rest.length }).end(rest);
  };

/** Sends the announced headers, some bytes, and hangs up. */
export const breakOffAfter =
  (count: number, content = CONTENT): Serve =>
  (_request, response) => {
    response.writeHead(200, { etag: '"1-v1"', 'content-length': content.length });
    response.write(content.subarray(0, count), () => setImmediate(() => response.socket?.end()));
  };

export const HASHES = { md5: hex('md5', CONTENT), sha1: hex('sha1', CONTENT) };

export interface SetupOptions {
  disk?: Disk;
  log?: Log;
  /** What upstream serves and publishes at first; default CONTENT. */
  content?: Buffer;
  file?: Partial<ExpectedFile>;
  url?: (base: string) => string;
  run?: { source: SourceName; runDate: string };
  /** From now to the end of the cycle. */
  deadlineMs?: number;
  /** Default 100 MB, far more than the files of these tests. */
  segmentSizeBytes?: number;
  bus?: Bus;
}

export async function setup(options: SetupOptions = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'wikiseed-download-'));
  cleanups.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const seen: { path: string; range: string | null; ifRange: string | null; sentBytes: number }[] = [];
  const script: Serve[] = [];
  const content = options.content ?? CONTENT;
  /** What the server answers when its script is over. */
  const upstream = { serve: serving(content) };
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
    (script.shift() ?? upstream.serve)(request, response);
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
  catalog.openCycle({
    cycleDate: '2026-11-20',
    includesHistory: false,
    deadlineAt: clock.now() + (options.deadlineMs ?? 1e9),
  });
  const file: ExpectedFile = {
    dumpType: 'pages-articles',
    filename: FILENAME,
    isHistory: false,
    sizeBytes: content.length,
    hashes: { md5: hex('md5', content), sha1: hex('sha1', content) },
    wikimediaUrl: options.url?.(base) ?? base + PATH,
    wikimediaStatus: 'done',
    wikimediaDate: null,
    ...options.file,
  };
  const run = {
    wikiDbName: 'aawiki',
    cycleDate: '2026-11-20',
    ...(options.run ?? { source: 'classic' as const, runDate: '20261120' }),
  };
  /** What a look at upstream finds; null: the run lists the file no more. */
  const look = (changed: Partial<ExpectedFile> | null) =>
    catalog.recordRun({
      ...run,
      status: 'finished',
      notices: [],
      files: changed === null ? [] : [{ ...file, ...changed }],
      listedNames: new Set(changed === null ? [] : [file.filename]),
      document: null,
    });
  look({});
  catalog.markScanned('2026-11-20');
  const id = catalog.dumpFiles('2026-11-20')[0]!.id;

  const disk = options.disk ?? createNodeDisk();
  const layout = createLayout(dataDir);
  const space = createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null });
  const http = limitConnectionsPerHost(
    createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock }),
    2,
  );
  const room = createDownload({
    db,
    random: seededRandom(1),
    catalog,
    http,
    disk,
    layout,
    clock,
    log: options.log ?? silentLog,
    space,
    ...(options.bus === undefined ? {} : { bus: options.bus }),
    config: {
      pieceLengthBytes: PIECE_BYTES,
      ...(options.segmentSizeBytes === undefined ? {} : { segmentSizeBytes: options.segmentSizeBytes }),
    },
  });
  cleanups.push(() => room.stop());
  const handler = room.handlers[0]!;
  const state = { cursor: null as unknown, doneBytes: 0, onProgress: (_doneBytes: number): void => {} };
  const input = { dumpFileId: id };
  const work = (signal: AbortSignal) =>
    handler.run(input, {
      jobId: JobId.parse(1),
      attempt: 1,
      signal,
      clock,
      log: options.log ?? silentLog,
      cursor: state.cursor,
      progress: (p) => {
        if (p.cursor !== undefined) state.cursor = p.cursor;
        state.doneBytes = p.doneBytes ?? state.doneBytes;
        state.onProgress(state.doneBytes);
      },
    });
  return {
    catalog,
    room,
    clock,
    seen,
    script,
    id,
    look,
    layout,
    upstream,
    state,
    space,
    paths: { final: join(dataDir, 'dumps', PATH), part: `${join(dataDir, 'dumps', '.partial', PATH)}.part` },
    row: () => catalog.dumpFile(id)!,
    /** One attempt as the executor makes it: run, then record or recordFailure. */
    async attempt(signal = new AbortController().signal) {
      const output = await work(signal);
      db.transaction(() => handler.record?.(input, output));
      return downloadDump.output.parse(output);
    },
    /** The process dies between the work and its record. */
    dieBeforeRecord: () => work(new AbortController().signal),
    record: (output: unknown) => db.transaction(() => handler.record?.(input, output)),
    fail: (error: unknown) => db.transaction(() => handler.recordFailure?.(input, error)),
  };
}

/** Bytes of the part file that the sidecar vouches for; 0 when there is none. */
export function keptBytes({ paths }: Pick<Bundle, 'paths'>): number {
  if (!existsSync(`${paths.part}.state`)) return 0;
  const state = readPartState(readFileSync(`${paths.part}.state`, 'utf8'));
  if (state === null) throw new Error('the sidecar cannot be read');
  return state.ranges.reduce((sum, { startBytes, endBytes }) => sum + endBytes - startBytes, 0);
}

export type Bundle = Awaited<ReturnType<typeof setup>>;

/** The one judgement after each scenario: stored means equal to the source, read-only, recorded; not stored means nothing there. */
export function expectStored({ paths, row, catalog, id, space }: Bundle, content = CONTENT): void {
  expect(readFileSync(paths.final).equals(content)).toBe(true);
  expect(statSync(paths.final).mode & 0o777).toBe(0o444);
  expect(existsSync(paths.part)).toBe(false);
  expect(existsSync(`${paths.part}.state`)).toBe(false);
  const facts = { md5: hex('md5', content), sha1: hex('sha1', content), sha256: hex('sha256', content) };
  expect(row()).toMatchObject({
    ourStatus: 'downloaded',
    localPath: `dumps${PATH}`,
    sizeBytes: content.length,
    storedMtimeMs: statSync(paths.final).mtimeMs,
    damagedAt: null,
    ...facts,
  });
  expect(row().verifiedAt).not.toBeNull();
  const pieces: Buffer[] = [];
  for (let start = 0; start < content.length; start += PIECE_BYTES)
    pieces.push(
      createHash('sha1')
        .update(content.subarray(start, start + PIECE_BYTES))
        .digest(),
    );
  expect(catalog.pieceHashes(id)).toEqual({ pieceLength: PIECE_BYTES, sha1s: Buffer.concat(pieces) });
  expect(space.reservedBytes()).toBe(0);
}

export function expectNotStored({ paths, space }: Bundle): void {
  expect(existsSync(paths.final)).toBe(false);
  expect(space.reservedBytes()).toBe(0);
}
