import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Catalog, createCatalog, type UpstreamHashes } from '../../src/catalog/index.ts';
import { migrateDb, openDb } from '../../src/db/index.ts';
import { createDownload } from '../../src/download/index.ts';
import { type DumpFileId, JobId } from '../../src/lib/index.ts';
import {
  createHttp,
  createNodeDisk,
  type Disk,
  limitConnectionsPerHost,
  silentLog,
} from '../../src/ports/index.ts';
import {
  createFaultList,
  type DumpSite,
  type Fault,
  type FaultList,
  type FaultSpec,
  type Mirror,
  startDumpSite,
  startMirror,
} from '../../src/sandbox/index.ts';
import { createLayout, createSpaceGuard } from '../../src/storage/index.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';

/** One dump file at a dump site and its mirrors, and the download room over the real catalog, disk, sockets and threads. */

export const DUMP_NAME = 'aawiki-20261120-pages-articles.xml.bz2';
export const DUMP_PATH = `/aawiki/20261120/${DUMP_NAME}`;
const START = '2026-11-23T12:00:00Z';
const AGENT = 'WikiSeed/test (+test@example.org)';
export const PIECE_BYTES = 64 * 1024;

export interface WorldOptions {
  content: Buffer;
  /** Default 0. */
  mirrors?: number;
  segmentBytes: number;
  /** Of each connection; default unlimited. */
  bytesPerSecond?: number | null;
  /** What the mirrors have under the same name; default the same. */
  mirrorContent?: Buffer;
  /** Default `DUMP_NAME`. */
  filename?: string;
  /** What upstream publishes; default md5 and sha1. */
  hashes?: UpstreamHashes;
}

const pathOf = ({ filename = DUMP_NAME }: WorldOptions): string => `/aawiki/20261120/${filename}`;

/** One process: what is in memory dies with it. */
export interface Life {
  /** One attempt of the job as the executor makes it, without what comes after it. @throws what the job throws */
  work(signal: AbortSignal, attempt: number): Promise<unknown>;
  record(output: unknown): void;
  recordFailure(error: unknown): void;
  /** Ends its threads; what it still does on the disk is the disk's business. */
  end(): Promise<void>;
}

export interface DownloadWorld {
  readonly content: Buffer;
  readonly dataDir: string;
  readonly clock: FakeClock;
  readonly faults: FaultList;
  readonly origin: DumpSite;
  /** Those that the configuration names. */
  readonly mirrors: readonly Mirror[];
  /** One more that it does not: a host to be sent to. */
  readonly spare: Mirror;
  /** A machine in a private network that nobody may be sent to; `asked` counts connections. */
  readonly hidden: { readonly url: string; asked(): number };
  readonly catalog: Catalog;
  readonly id: DumpFileId;
  readonly paths: { final: string; part: string };
  /** When each process began, by the clock of the request logs. */
  readonly births: readonly number[];
  /** What was saved with the job. */
  saved: { cursor: unknown; doneBytes: number };
  /** Called with every progress of the job. */
  onProgress: (doneBytes: number) => void;
  /** A fault for requests of the file. */
  script(server: FaultSpec['server'], spec: Omit<FaultSpec, 'server' | 'match'>): Fault;
  begin(disk?: Disk): Life;
  close(): Promise<void>;
}

/** Lower-case hex. */
export function hash(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

let image: string | null = null;

/** A database with the wiki in it, made once and copied: migrations take longer than a download. */
function databaseIn(dataDir: string): string {
  const path = join(dataDir, 'db', 'jobs.db');
  mkdirSync(dirname(path), { recursive: true });
  if (image === null) {
    const folder = mkdtempSync(join(tmpdir(), 'wikiseed-image-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const db = openDb(join(folder, 'jobs.db'));
    migrateDb(db, { dataDir: folder, now: new Date(START) });
    db.close();
    image = join(folder, 'jobs.db');
  }
  copyFileSync(image, path);
  return path;
}

/** Starts the sites and puts the file on them and into the catalog. */
export async function openDownloadWorld(options: WorldOptions): Promise<DownloadWorld> {
  const { content, bytesPerSecond = null } = options;
  const path = pathOf(options);
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-world-'));
  const [root, dataDir] = [join(folder, 'tree'), join(folder, 'data')];
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
  // Days ago, as upstream's files are: a date of this second would be no strong validator.
  utimesSync(join(root, path), new Date('2026-11-21'), new Date('2026-11-21'));
  const mirrorRoot = options.mirrorContent === undefined ? root : join(folder, 'other-tree');
  if (options.mirrorContent !== undefined) {
    mkdirSync(dirname(join(mirrorRoot, path)), { recursive: true });
    writeFileSync(join(mirrorRoot, path), options.mirrorContent);
    utimesSync(join(mirrorRoot, path), new Date('2026-11-21'), new Date('2026-11-21'));
  }
  const faults = createFaultList();
  const origin = await startDumpSite({ root, faults, bytesPerSecond });
  const mirrors = await Promise.all(
    Array.from({ length: options.mirrors ?? 0 }, (_, at) =>
      startMirror({
        ...{ root: mirrorRoot, faults, bytesPerSecond, name: `mirror-${at + 1}` },
        basePath: at % 2 === 0 ? '/mirror/dumps' : '',
      }),
    ),
  );
  const spare = await startMirror({ root, faults, name: 'mirror-99', basePath: '/pub' });
  const hidden = await startHidden();

  const clock = new FakeClock(START);
  const db = openDb(databaseIn(dataDir));
  const catalog = createCatalog({ db, clock });
  const id = fillCatalog(catalog, clock, origin.baseUrl, options);
  const layout = createLayout(dataDir);
  const lives = new Set<Life>();
  const births: number[] = [];

  const begin = (disk: Disk = createNodeDisk()): Life => {
    const http = createHttp({
      userAgent: AGENT,
      clock,
      connectionsPerHost: 2,
      // As if loopback were the world and 127.0.0.2 a private network.
      isPublic: (address) => address === '127.0.0.1',
    });
    const room = createDownload({
      catalog,
      http: limitConnectionsPerHost(http, 2),
      disk,
      layout,
      clock,
      log: silentLog,
      space: createSpaceGuard({ disk, dataDir, safetyMarginBytes: 0, maxSizeBytes: null }),
      db,
      random: seededRandom(1),
      config: {
        pieceLengthBytes: PIECE_BYTES,
        segmentSizeBytes: options.segmentBytes,
        mirrors: mirrors.map(({ baseUrl }) => baseUrl),
        connections: 2,
      },
    });
    const handler = room.handlers[0];
    if (handler === undefined) throw new Error('the room has no handler');
    const input = { dumpFileId: id };
    const life: Life = {
      work: (signal, attempt) =>
        handler.run(input, {
          jobId: JobId.parse(1),
          attempt,
          signal,
          clock,
          log: silentLog,
          cursor: world.saved.cursor,
          progress(state) {
            if (!lives.has(life)) return;
            if (state.cursor !== undefined) world.saved.cursor = structuredClone(state.cursor);
            world.saved.doneBytes = state.doneBytes ?? world.saved.doneBytes;
            world.onProgress(world.saved.doneBytes);
          },
        }),
      record: (output) => db.transaction(() => handler.record?.(input, output)),
      recordFailure: (error) => db.transaction(() => handler.recordFailure?.(input, error)),
      async end() {
        lives.delete(life);
        await room.stop();
      },
    };
    lives.add(life);
    births.push(performance.now());
    return life;
  };

  const world: DownloadWorld = {
    ...{ content, dataDir, clock, faults, origin, mirrors, spare, hidden, catalog, id, births, begin },
    paths: {
      final: join(dataDir, 'dumps', path),
      part: `${join(dataDir, 'dumps', '.partial', path)}.part`,
    },
    saved: { cursor: null, doneBytes: 0 },
    onProgress: () => {},
    script: (server, spec) => faults.add({ server, match: `GET ${path}`, ...spec }),
    async close() {
      faults.clear();
      for (const life of [...lives]) await life.end();
      await Promise.all([origin, ...mirrors, spare, hidden].map((server) => server.stop()));
      db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return world;
}

function fillCatalog(catalog: Catalog, clock: FakeClock, base: string, options: WorldOptions): DumpFileId {
  const { content, filename = DUMP_NAME } = options;
  catalog.recordWikis([
    {
      ...{
        wikiDbName: 'aawiki',
        project: 'wikipedia',
        language: 'aa',
        url: 'https://aa.wikipedia.org',
        name: '',
      },
      ...{ isClosed: true, isPrivate: false, isFishbowl: false },
    },
  ]);
  catalog.openCycle({ cycleDate: '2026-11-20', includesHistory: false, deadlineAt: clock.now() + 1e9 });
  catalog.recordRun({
    ...{ wikiDbName: 'aawiki', cycleDate: '2026-11-20', source: 'classic', runDate: '20261120' },
    ...{ status: 'finished', notices: [], document: null },
    files: [
      {
        ...{ dumpType: 'pages-articles', filename, isHistory: false, sizeBytes: content.length },
        hashes: options.hashes ?? { md5: hash('md5', content), sha1: hash('sha1', content) },
        ...{ wikimediaUrl: base + pathOf(options), wikimediaStatus: 'done', wikimediaDate: null },
      },
    ],
    listedNames: new Set([filename]),
  });
  catalog.markScanned('2026-11-20');
  const row = catalog.dumpFiles('2026-11-20')[0];
  if (row === undefined) throw new Error('the catalog did not take the file');
  return row.id;
}

async function startHidden(): Promise<DownloadWorld['hidden'] & { stop(): Promise<void> }> {
  let connections = 0;
  const server = createServer((_request, response) => response.end('secret'));
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve));
  return {
    url: `http://127.0.0.2:${(server.address() as AddressInfo).port}`,
    asked: () => connections,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
