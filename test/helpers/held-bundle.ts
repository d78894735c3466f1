import { createHash } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createCatalog, type DownloadFacts } from '../../src/catalog/index.ts';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createFileLocks } from '../../src/download/file-locks.ts';
import { createHeld, type HeldDeps } from '../../src/download/held/index.ts';
import { createSources } from '../../src/download/sources/index.ts';
import { createBus, type EventMap } from '../../src/events/index.ts';
import { type DumpFileId, JobId } from '../../src/lib/index.ts';
import {
  createHttp,
  createNodeDisk,
  type Disk,
  limitConnectionsPerHost,
  silentLog,
} from '../../src/ports/index.ts';
import { createLayout, createSpaceGuard } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { rot } from './rot.ts';
import { seededRandom } from './seeded-random.ts';
import { temporaryFolder } from './with-db.ts';

/** Held files on a real disk with their rows, hard-linked in a torrent's folder, and sites that have their bytes, or not. */

export const PIECE = 128 * 1024;
const RUN = 'aawiki/20261120';
export const TORRENT = 'wikiseed-2026-11-20';

export const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex');

/** Bytes that repeat nowhere. */
export function contentOf(sizeBytes: number, seed = 1): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at * 20 < sizeBytes; at += 1)
    blocks.push(createHash('sha1').update(`${seed}:${at}`).digest());
  return Buffer.concat(blocks).subarray(0, sizeBytes);
}

export function pieceHashesOf(content: Buffer, pieceLength = PIECE): Buffer {
  const sha1s: Buffer[] = [];
  for (let at = 0; at < content.length; at += pieceLength)
    sha1s.push(
      createHash('sha1')
        .update(content.subarray(at, at + pieceLength))
        .digest(),
    );
  return Buffer.concat(sha1s);
}

/** One request that a site saw. */
export interface Asked {
  site: string;
  path: string;
  range: string | null;
}

export interface Site {
  baseUrl: string;
  /** By path; what is not in it is answered with 404. */
  files: Map<string, Buffer>;
}

async function startSite(name: string, asked: Asked[]): Promise<Site> {
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const range = request.headers.range ?? null;
    asked.push({ site: name, path, range });
    const content = files.get(path);
    if (content === undefined) return response.writeHead(404).end();
    const found = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
    if (found === null) return response.writeHead(200, { 'content-length': content.length }).end(content);
    const [start, end] = [Number(found[1]), Math.min(Number(found[2]), content.length - 1)];
    const part = content.subarray(start, end + 1);
    return response
      .writeHead(206, {
        'content-range': `bytes ${start}-${end}/${content.length}`,
        'content-length': part.length,
      })
      .end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, files };
}

export interface HeldSpec {
  /** By file name; default one of 10 pieces and a rest. */
  files?: Record<string, Buffer>;
  /** False: no piece hashes are stored. */
  hasPieces?: boolean;
  /** False: no torrent carries them. */
  hasTorrent?: boolean;
}

export const NAME = 'aawiki-20261120-pages-articles.xml.bz2';
export const CONTENT = contentOf(10 * PIECE + 1234);

export async function heldBundle(spec: HeldSpec = {}) {
  const contents = spec.files ?? { [NAME]: CONTENT };
  const dataDir = temporaryFolder();
  const asked: Asked[] = [];
  const origin = await startSite('origin', asked);
  const mirror = await startSite('mirror', asked);
  const archive = await startSite('archive', asked);
  const clock = new FakeClock('2026-11-23T12:00:00Z');
  const db = openDb(join(dataDir, 'db', 'jobs.db'));
  onTestFinished(() => db.close());
  migrateDb(db, { dataDir, now: new Date(clock.now()) });
  const catalog = createCatalog({ db, clock });
  const layout = createLayout(dataDir);
  const bus = createBus({ log: silentLog });
  const alerts: (EventMap['alert:raised'] | { key: string; severity: 'over' })[] = [];
  bus.on('alert:raised', (event) => void alerts.push(event));
  bus.on('alert:resolved', ({ key }) => void alerts.push({ key, severity: 'over' }));

  catalog.recordWikis([
    {
      ...{ wikiDbName: 'aawiki', project: 'wikipedia', language: 'aa', url: 'https://aa.wikipedia.org' },
      ...{ name: '', isClosed: false, isPrivate: false, isFishbowl: false },
    },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: clock.now() + 1e9 });
  catalog.recordRun({
    ...{ wikiDbName: 'aawiki', cycleDate: '2026-11-20', source: 'classic', runDate: '20261120' },
    ...{ status: 'finished', notices: [], document: null },
    files: Object.entries(contents).map(([filename, content]) => ({
      ...{ dumpType: 'pages-articles', filename, isHistory: false, sizeBytes: content.length },
      hashes: { sha1: sha1(content) },
      ...{
        wikimediaUrl: `${origin.baseUrl}/${RUN}/${filename}`,
        wikimediaStatus: 'done',
        wikimediaDate: null,
      },
    })),
    listedNames: new Set(Object.keys(contents)),
  });

  const places = new Map<string, { path: string; tree: string; id: DumpFileId }>();
  for (const { id, filename } of catalog.dumpFiles('2026-11-20')) {
    const content = contents[filename] as Buffer;
    const path = join(dataDir, 'dumps', RUN, filename);
    const tree = join(dataDir, 'torrents', TORRENT, 'compressed', filename);
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(dirname(tree), { recursive: true });
    writeFileSync(path, content);
    utimesSync(path, 1_795_000_000.123456, 1_795_000_000.123456);
    chmodSync(path, 0o444);
    if (spec.hasTorrent !== false) linkSync(path, tree);
    origin.files.set(`/${RUN}/${filename}`, content);
    places.set(filename, { path, tree, id });
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      md5: createHash('md5').update(content).digest('hex'),
      sha1: sha1(content),
      sha256: createHash('sha256').update(content).digest('hex'),
      ...{ sizeBytes: content.length, verification: 'sha1', localPath: `dumps/${RUN}/${filename}` },
      fetchedFromUrl: `${origin.baseUrl}/${RUN}/${filename}`,
      pieceHashes: spec.hasPieces === false ? null : { pieceLength: PIECE, sha1s: pieceHashesOf(content) },
      storedMtimeMs: statSync(path).mtimeMs,
    } as DownloadFacts);
  }
  if (spec.hasTorrent !== false)
    catalog.recordTorrent({
      ...{ name: TORRENT, grouping: 'cycle', cycleDate: '2026-11-20', isHistory: false, supplement: 0 },
      ...{ payloadVersion: '1.1', infoHash: 'a'.repeat(40), magnetLink: 'magnet:?', totalSizeBytes: 1 },
      ...{ fileCount: 1, pieceLength: PIECE, pieceCount: 1, torrentFilePath: 'torrents/x.torrent' },
      ...{ contentPath: 'torrents', trackers: [], webseeds: [], gaps: [] },
      files: [...places].map(([filename, { id }]) => ({
        ...{ dumpId: id, pathInTorrent: `compressed/${filename}`, verification: 'sha1' as const },
        sizeBytes: (contents[filename] as Buffer).length,
      })),
    });

  /** A process: what it learned of its sources dies with it. */
  function begin(options: { disk?: Disk } & Partial<HeldDeps> = {}) {
    const disk = options.disk ?? createNodeDisk();
    const http = limitConnectionsPerHost(
      createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock }),
      2,
    );
    const space = createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null });
    const sources = createSources({
      ...{ db, http, clock, log: silentLog, random: seededRandom(1), bus },
      config: { mirrors: [mirror.baseUrl] },
    });
    const wanted: number[] = [];
    const locks = createFileLocks();
    const held = createHeld({
      ...{ locks, catalog, disk, layout, clock, log: silentLog, space, sources, bus, pieceLength: PIECE },
      askForRepair: (ids) => void wanted.push(...ids),
      ...options,
    });
    onTestFinished(async () => {
      await held.stop();
      sources.stop();
    });
    return { ...held, locks, space, wanted };
  }

  const place = (filename = NAME) => {
    const found = places.get(filename);
    if (found === undefined) throw new Error(`there is no ${filename}`);
    return found;
  };
  return {
    ...{ dataDir, asked, origin, mirror, archive, clock, db, catalog, layout, bus, alerts, begin, place },
    row: (filename?: string) => {
      const row = catalog.dumpFile(place(filename).id);
      if (row === null) throw new Error('the row is gone');
      return row;
    },
    /** See `rot`. */
    rot: (at: number, filename?: string) => rot(place(filename).path, at),
    urlPath: (filename = NAME) => `/${RUN}/${filename}`,
    read: (filename?: string) => readFileSync(place(filename).path),
  };
}

/** What a handler is given, with what it saves. */
export function jobContext(clock: FakeClock, cursor: unknown = null, signal = new AbortController().signal) {
  const state = { cursor, doneBytes: 0, onProgress: (): void => {} };
  return {
    state,
    context: {
      ...{ jobId: JobId.parse(1), attempt: 1, signal, clock, log: silentLog, cursor },
      progress(said: { cursor?: unknown; doneBytes?: number }) {
        if (said.cursor !== undefined) state.cursor = structuredClone(said.cursor);
        state.doneBytes = said.doneBytes ?? state.doneBytes;
        state.onProgress();
      },
    },
  };
}
