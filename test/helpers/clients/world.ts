import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import bencode from 'bencode';
import { createCatalog } from '../../../src/catalog/index.ts';
import { migrateDb, openDb } from '../../../src/db/index.ts';
import { createBus } from '../../../src/events/index.ts';
import { type DumpFileId, JobId, type TorrentId } from '../../../src/lib/index.ts';
import { createHttp, createNodeDisk, createSystemClock, silentLog } from '../../../src/ports/index.ts';
import type { JobContext } from '../../../src/queue/index.ts';
import { createSeeding, type SeedingConfig } from '../../../src/seeding/index.ts';
import { createLayout } from '../../../src/storage/index.ts';
import { createTorrenting } from '../../../src/torrenting/index.ts';
import { createWebseeds } from '../../../src/webseeds/index.ts';
import type { Lifetime } from './lifetime.ts';
import { CYCLE, PIECE, RUN, storeFiles } from './stored-files.ts';

/*
 * What real clients are set on: stored dump files, a cycle torrent and a wiki_run torrent of them, and our seeder.
 */

const ALIGN_FROM = 2 ** 20;

export type Kind = 'cycle' | 'wiki_run';

/** A torrent of ours, as the tests see it. */
export interface Made {
  kind: Kind;
  id: TorrentId;
  infoHash: string;
  infoName: string;
  torrentFile: string;
  /** The folder with its files. */
  root: string;
  /** Of the files, without padding. */
  sizeBytes: number;
  magnetLink: string;
}

export interface WorldOptions {
  /** All that our seeder announces itself to. */
  trackers: readonly string[];
  seeding?: Partial<SeedingConfig>;
}

const context = (): JobContext => ({
  jobId: JobId.parse(1),
  attempt: 1,
  signal: new AbortController().signal,
  clock: createSystemClock(),
  log: silentLog,
  cursor: null,
  progress: () => {},
});

/** Makes both torrents with the real rooms over a real database; nothing is served before `seed`. */
export async function createWorld(lifetime: Lifetime, { trackers, seeding }: WorldOptions) {
  const dataDir = lifetime.folder();
  const layout = createLayout(dataDir);
  const db = openDb(layout.database);
  lifetime.add(() => db.close());
  migrateDb(db, { dataDir, now: new Date(0) });
  const clock = createSystemClock();
  const catalog = createCatalog({ db, clock });
  storeFiles({ catalog, layout, now: clock.now() });
  mkdirSync(layout.torrents, { recursive: true });
  const common = { catalog, layout, clock, log: silentLog };
  const disk = createNodeDisk();
  const askedToRepair: DumpFileId[] = [];
  const torrenting = createTorrenting({
    ...common,
    disk,
    askForRepair: () => {},
    config: {
      pieceLengthBytes: PIECE,
      alignFilesFromBytes: ALIGN_FROM,
      ...{ regularTypes: [], historyTypes: [], trackers, version: '0.1.0' },
    },
  });
  const createTorrent = torrenting.handlers[0]!;
  for (const which of [
    { grouping: 'cycle' },
    { grouping: 'wiki_run', scope: 'aawiki', source: 'classic', runDate: RUN },
  ]) {
    const input = createTorrent.jobType.input.parse({ cycleDate: CYCLE, variant: 'regular', ...which });
    catalog.recordTorrent(await createTorrent.run(input, context()));
  }
  const made = catalog.torrents().map((torrent): Made => {
    const root = join(layout.absolute(torrent.contentPath), torrent.infoName);
    const kind = torrent.grouping as Kind;
    const paths = kind === 'cycle' ? tree(root) : tree(root).filter((path) => path.startsWith(`${RUN}/`));
    return {
      ...{ kind, root, id: torrent.id, infoHash: torrent.infoHash, infoName: torrent.infoName },
      torrentFile: layout.absolute(torrent.torrentFilePath),
      sizeBytes: paths.reduce((sum, path) => sum + statSync(join(root, path)).size, 0),
      magnetLink: torrent.magnetLink,
    };
  });

  const room = createSeeding({
    ...common,
    askForRepair: (ids) => void askedToRepair.push(...ids),
    config: {
      ...{ enabled: true, port: 0, maxConnections: 50, dht: false, lsd: false, utPex: false },
      ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
      ...seeding,
    },
  });
  lifetime.add(() => room.stop());
  const startSeeding = room.handlers.find(({ jobType }) => jobType.type === 'start_seeding')!;

  const http = createHttp({ userAgent: 'WikiSeed/test (+test@example.org)', clock });
  const webseeds = createWebseeds({
    ...common,
    ...{ db, disk, http, bus: createBus({ log: silentLog }) },
    ...{ askForRepair: () => {}, isHalted: () => false, isBeingMade: () => false, remoteProofMaxAgeMs: 0 },
    config: {
      ...{ order: [], dumpsBaseUrl: 'https://dumps.wikimedia.org', mirrors: [] },
      ...{ iaSiteUrl: 'https://archive.org', publicBaseUrl: null },
    },
  });

  return {
    layout,
    serving: webseeds.serving,
    made: (kind: Kind): Made => made.find((each) => each.kind === kind)!,
    /** Starts the seeder; both torrents are served when it resolves. */
    async seed(): Promise<void> {
      await room.start();
      for (const { id } of made) await startSeeding.run({ torrentId: id }, context());
    },
    room,
    /** Files whose repair the seeder asked for. */
    askedToRepair,
    filename: (id: DumpFileId): string => catalog.dumpFile(id)!.filename,
    /** With padding. */
    totalBytes: (kind: Kind): number =>
      catalog.torrents().find(({ grouping }) => grouping === kind)!.totalSizeBytes,
  };
}

export type World = Awaited<ReturnType<typeof createWorld>>;

/** All files below a folder, by path. */
export function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Which files of a torrent a client has, byte by byte; padding aside. Empty = all of them. */
export function differences({ root, infoName, kind }: Made, target: string): string[] {
  const paths = kind === 'cycle' ? tree(root) : tree(root).filter((path) => path.startsWith(`${RUN}/`));
  if (paths.length < 6) throw new Error(`only ${paths.length} files to compare in ${root}`);
  return paths.flatMap((path) => {
    const wanted = readFileSync(join(root, path));
    try {
      return readFileSync(join(target, infoName, path)).equals(wanted) ? [] : [`${path} differs`];
    } catch (error) {
      return [`${path}: ${(error as NodeJS.ErrnoException).code}`];
    }
  });
}

/** A .torrent as it would be published with these trackers and webseeds: the info dictionary stays as it is. */
export function withEnvelope(
  torrentFile: string,
  { trackers, webseeds }: { trackers: readonly string[]; webseeds: readonly string[] },
): Uint8Array {
  const known = bencode.decode(readFileSync(torrentFile)) as Record<string, never>;
  const { announce: _1, 'announce-list': _2, 'url-list': _3, ...rest } = known;
  return bencode.encode({
    ...rest,
    ...(trackers[0] === undefined
      ? {}
      : { announce: trackers[0], 'announce-list': trackers.map((url) => [url]) }),
    ...(webseeds.length === 0 ? {} : { 'url-list': webseeds }),
  });
}

/** Which piece of a torrent has a byte of one of its files. */
export function pieceAt(torrentFile: string, filename: string, at: number): number {
  const { info } = bencode.decode(readFileSync(torrentFile)) as {
    info: { files: { length: number; path: Uint8Array[] }[] };
  };
  let start = 0;
  for (const { length, path } of info.files) {
    if (Buffer.from(path.at(-1)!).toString() === filename) return Math.floor((start + at) / PIECE);
    start += length;
  }
  throw new Error(`${torrentFile} has no ${filename}`);
}
