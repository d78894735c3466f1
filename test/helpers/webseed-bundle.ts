import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import bencode from 'bencode';
import { type Catalog, createCatalog, type Torrent } from '../../src/catalog/index.ts';
import type { Db } from '../../src/db/index.ts';
import { createBus, type EventMap } from '../../src/events/index.ts';
import { type DumpFileId, JobId, type TorrentId } from '../../src/lib/index.ts';
import { magnetLink } from '../../src/lib/magnet.ts';
import {
  type Clock,
  createHttp,
  createNodeDisk,
  limitConnectionsPerHost,
  silentLog,
} from '../../src/ports/index.ts';
import type { JobContext } from '../../src/queue/index.ts';
import { createLayout, type Layout } from '../../src/storage/index.ts';
import { createWebseeds, type WebseedConfig, type WebseedsDeps } from '../../src/webseeds/index.ts';
import { FakeClock } from './fake-clock.ts';
import { temporaryFolder, withDb } from './with-db.ts';

/*
 * What the tests of webseeds share: held files of one run, and torrents of them that are made by hand, with nothing of the room that
 * makes torrents.
 */

export const CYCLE = '2026-11-20';
const RUN = '20261120';
export const PIECE = 65_536;

const digest = (algorithm: string, bytes: Uint8Array): string =>
  createHash(algorithm).update(bytes).digest('hex');

/** A file of a torrent: of the disk, or zeros. */
export interface MadeFile {
  path: string;
  bytes: Buffer;
  isPadding?: boolean;
}

/** A whole .torrent and its infohash. */
export function makeTorrentFile(
  name: string,
  files: readonly MadeFile[],
): { bytes: Buffer; infoHash: string } {
  const all = Buffer.concat(files.map(({ bytes }) => bytes));
  const pieces: Buffer[] = [];
  for (let at = 0; at < all.length; at += PIECE)
    pieces.push(
      createHash('sha1')
        .update(all.subarray(at, at + PIECE))
        .digest(),
    );
  const info = {
    files: files.map(({ path, bytes, isPadding = false }) => ({
      ...(isPadding ? { attr: 'p' } : {}),
      ...{ length: bytes.length, path: path.split('/') },
    })),
    ...{ name, 'piece length': PIECE, pieces: Buffer.concat(pieces) },
  };
  return {
    bytes: Buffer.from(
      bencode.encode({
        announce: 'http://127.0.0.1:1/announce',
        comment: 'made by hand',
        encoding: 'UTF-8',
        info,
      }),
    ),
    infoHash: digest('sha1', bencode.encode(info)),
  };
}

export interface WebseedWorld {
  dataDir: string;
  db: Db;
  clock: FakeClock;
  catalog: Catalog;
  layout: Layout;
  /** Held files of enwiki, by name. */
  files: Map<string, { id: DumpFileId; bytes: Buffer; path: string }>;
  /** A torrent of all files of the run, as `wiki_run` is. */
  runTorrent(): Torrent;
  /** A tree of our own: a text, a dump file, padding, another dump file. */
  cycleTorrent(): { torrent: Torrent; files: MadeFile[] };
  torrentFile(torrent: Pick<Torrent, 'torrentFilePath'>): string;
}

const SIZES: readonly [string, number][] = [
  ['enwiki-20261120-pages-articles.xml.bz2', 5 * PIECE + 1234],
  ['enwiki-20261120-page.sql.gz', 2 * PIECE],
  ['enwiki-20261120-redirect.sql.gz', 777],
  ['enwiki-20261120-site_stats.sql.gz', 40_000],
];

/** A data directory with the held files of one run. */
export function webseedWorld(sizes: readonly [string, number][] = SIZES): WebseedWorld {
  const dataDir = temporaryFolder();
  const db = withDb(dataDir);
  const clock = new FakeClock('2026-11-23T12:00:00Z');
  const catalog = createCatalog({ db, clock });
  const layout = createLayout(dataDir);
  const wiki = { project: 'wikipedia', language: 'en', url: 'https://en.wikipedia.org', name: 'English' };
  catalog.recordWikis([
    { wikiDbName: 'enwiki', ...wiki, isClosed: false, isPrivate: false, isFishbowl: false },
  ]);
  catalog.openCycle({ cycleDate: CYCLE, includesHistory: false, deadlineAt: clock.now() + 1e9 });
  const contents = new Map(sizes.map(([name, size]) => [name, randomBytes(size)]));
  catalog.recordRun({
    ...{ wikiDbName: 'enwiki', cycleDate: CYCLE, runDate: RUN, status: 'finished', notices: [] },
    ...{ source: 'classic', listedNames: null, document: null },
    files: [...contents].map(([filename, bytes]) => ({
      ...{ dumpType: filename, filename, isHistory: false, sizeBytes: bytes.length },
      hashes: { sha1: digest('sha1', bytes) },
      wikimediaUrl: `https://dumps.wikimedia.org/enwiki/${RUN}/${filename}`,
      ...{ wikimediaStatus: 'done', wikimediaDate: null },
    })),
  });
  const files: WebseedWorld['files'] = new Map();
  for (const { id, filename } of catalog.dumpFiles(CYCLE)) {
    const bytes = contents.get(filename) as Buffer;
    const path = layout.dumpFile({ source: 'classic', wikiDbName: 'enwiki', runDate: RUN, filename });
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    catalog.markDownloading(id);
    catalog.recordDownloaded(id, {
      ...{ md5: digest('md5', bytes), sha1: digest('sha1', bytes), sha256: digest('sha256', bytes) },
      ...{ sizeBytes: bytes.length, verification: 'sha1', localPath: layout.relative(path) },
      ...{ fetchedFromUrl: `https://dumps.wikimedia.org/enwiki/${RUN}/${filename}`, pieceHashes: null },
      storedMtimeMs: statSync(path).mtimeMs,
    });
    files.set(filename, { id, bytes, path });
  }

  function record(
    facts: Pick<Torrent, 'name' | 'infoName' | 'grouping' | 'contentPath'> & { runDate?: string },
    made: readonly MadeFile[],
  ): Torrent {
    const { bytes, infoHash } = makeTorrentFile(facts.infoName, made);
    mkdirSync(layout.torrents, { recursive: true });
    writeFileSync(join(layout.torrents, `${facts.name}.torrent`), bytes);
    const totalSizeBytes = made.reduce((sum, file) => sum + file.bytes.length, 0);
    const isRun = facts.grouping === 'wiki_run';
    const id = catalog.recordTorrent({
      ...facts,
      grouping: facts.grouping as 'cycle',
      ...{ scope: isRun ? 'enwiki' : null, source: isRun ? 'classic' : null, runDate: isRun ? RUN : null },
      ...{ cycleDate: CYCLE, isHistory: false, supplement: 0, payloadVersion: '1.1', gaps: [], infoHash },
      magnetLink: magnetLink({ infoHash, name: facts.infoName, totalSizeBytes, trackers: [], webseeds: [] }),
      ...{
        totalSizeBytes,
        fileCount: made.length,
        pieceLength: PIECE,
        pieceCount: Math.ceil(totalSizeBytes / PIECE),
      },
      torrentFilePath: `torrents/${facts.name}.torrent`,
      ...{ trackers: [], webseeds: [] },
      files: made.flatMap(({ path, bytes: content }) => {
        const held = files.get(path.slice(path.lastIndexOf('/') + 1));
        return held === undefined
          ? []
          : [
              {
                dumpId: held.id,
                pathInTorrent: path,
                sizeBytes: content.length,
                verification: 'sha1' as const,
              },
            ];
      }),
    });
    return catalog.torrent(id) as Torrent;
  }

  return {
    ...{ dataDir, db, clock, catalog, layout, files },
    torrentFile: ({ torrentFilePath }) => layout.absolute(torrentFilePath),
    runTorrent: () =>
      record(
        { name: `enwiki-${RUN}`, infoName: 'enwiki', grouping: 'wiki_run', contentPath: 'dumps' },
        [...files]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, { bytes }]) => ({ path: `${RUN}/${name}`, bytes })),
      ),
    cycleTorrent() {
      const [large, small] = ['enwiki-20261120-pages-articles.xml.bz2', 'enwiki-20261120-redirect.sql.gz'];
      const of = (name: string): Buffer => files.get(name)?.bytes as Buffer;
      const zeros = PIECE - (of(large).length % PIECE);
      const made: MadeFile[] = [
        { path: `compressed/en/wikipedia/${large}`, bytes: of(large) },
        { path: `.pad/${zeros}`, bytes: Buffer.alloc(zeros), isPadding: true },
        { path: 'README.txt', bytes: Buffer.from('Read me.\n') },
        { path: `compressed/en/wikipedia/${small}`, bytes: of(small) },
      ];
      const name = 'wikimedia-dumps-2026-11-20';
      const root = join(layout.torrents, name);
      mkdirSync(root, { recursive: true });
      writeFileSync(join(root, 'README.txt'), 'Read me.\n');
      return {
        torrent: record({ name, infoName: name, grouping: 'cycle', contentPath: 'torrents' }, made),
        files: made,
      };
    },
  };
}

/** The room over that world; what its jobs are given, and what it told the bus. */
export function webseedRoom(
  world: WebseedWorld,
  config: Partial<WebseedConfig>,
  more: Partial<Pick<WebseedsDeps, 'isHalted' | 'disk' | 'http'>> = {},
) {
  const { db, clock, catalog, layout } = world;
  const bus = createBus({ log: silentLog });
  const died: EventMap['webseed:died'][] = [];
  bus.on('webseed:died', (event) => died.push(event));
  const settled: string[] = [];
  bus.on('webseed:settled', ({ url }) => settled.push(url));
  const repairs: DumpFileId[] = [];
  const room = createWebseeds({
    ...{ db, clock, catalog, layout, bus, disk: createNodeDisk(), log: silentLog },
    http: limitConnectionsPerHost(createHttp({ userAgent: 'test', clock }), 2),
    askForRepair: (ids) => void repairs.push(...ids),
    isHalted: () => false,
    ...more,
    remoteProofMaxAgeMs: 7 * 86_400_000,
    config: {
      ...{ order: ['internet_archive', 'mirrors', 'self'], dumpsBaseUrl: 'http://127.0.0.1:1', mirrors: [] },
      ...{ iaSiteUrl: 'http://127.0.0.1:1', publicBaseUrl: null },
      ...config,
    },
  });
  const handler = (type: string) => {
    const found = room.handlers.find(({ jobType }) => jobType.type === type);
    if (found === undefined) throw new Error(`no ${type}`);
    return found;
  };
  const run = async (type: string, input: object, signal = new AbortController().signal) => {
    const { run: work, record, jobType } = handler(type);
    const output = jobType.output.parse(await work(input, contextOf(clock, signal)));
    db.transaction(() => record?.(input, output));
    return output;
  };
  return {
    ...{ room, died, settled, repairs },
    check: (torrentId: TorrentId, signal?: AbortSignal) => run('check_webseeds', { torrentId }, signal),
    watch: (signal?: AbortSignal) => run('watch_webseeds', {}, signal),
  };
}

function contextOf(clock: Clock, signal: AbortSignal): JobContext {
  return {
    ...{ jobId: JobId.parse(1), attempt: 1, signal, clock, log: silentLog, cursor: null },
    progress: () => {},
  };
}
