import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import WebTorrent, { type Torrent } from 'webtorrent';
import type {
  RenewedFile,
  SeederAnswers,
  SeederMessage,
  SeederRequest,
  SeederSettings,
  SeedSpec,
} from './protocol.ts';
import { inspectFiles, ReadOnlyStore, type SeedFileError } from './read-only-store.worker.ts';
import { readTorrentFile } from './torrent-file.ts';

/*
 * The seeding thread: one webtorrent client, created and destroyed here and nowhere else. A thread of its own, because
 * adding a torrent of terabytes blocks for a second, and hashing of handshakes and copying of blocks never ends.
 */

const port = parentPort!;
const settings = workerData as SeederSettings;
const torrents = new Map<string, Torrent>();
/** What each torrent is read from, and which of its files were complained of. */
const stores = new Map<string, { store: ReadOnlyStore; refused: Set<string> }>();
/** Of each torrent; to the client padding is a file like any other. */
const fileCounts = new Map<string, number>();

const say = (message: SeederMessage): void => port.postMessage(message);

const client = new WebTorrent({
  // webtorrent hands this to `server.listen`, which takes a host too; there is no other way to name one.
  torrentPort: settings.host === null ? settings.port : { port: settings.port, host: settings.host },
  maxConns: settings.maxConnections,
  dht: settings.dht,
  lsd: settings.lsd,
  utPex: settings.utPex,
  uploadLimit: settings.uploadLimitBytesPerSecond ?? -1,
  userAgent: settings.userAgent,
  // Opening the operator's router is the operator's decision.
  natUpnp: false,
  natPmp: false,
  utp: false,
  tracker: { wrtc: false },
  // We have every byte: nothing is to be fetched from anywhere.
  webSeeds: false,
});

client.on('listening', () => {
  say({ kind: 'listening', port: client.address()?.port ?? 0, peerId: client.peerId });
});
client.on('error', (error: NodeJS.ErrnoException) => {
  say({ kind: 'fatal', code: error.code ?? null, message: error.message });
  port.close();
});

async function add(spec: SeedSpec): Promise<SeederAnswers['add']> {
  const present = torrents.get(spec.infoHash);
  if (present !== undefined) return { fileCount: fileCounts.get(spec.infoHash) ?? 0 };
  const bytes = await readFile(spec.torrentFile);
  const { infoHash, name, files } = readTorrentFile(bytes);
  if (infoHash !== spec.infoHash) {
    throw Object.assign(new Error(`${spec.torrentFile} holds ${infoHash}, not ${spec.infoHash}`), {
      code: 'torrent_file_differs',
    });
  }
  const knownFiles = await inspectFiles(
    files.map((file) => ({
      absolutePath: file.isPadding ? null : join(spec.contentRoot, name, ...file.path),
      sizeBytes: file.sizeBytes,
    })),
  );
  const refused = new Set<string>();
  const torrent = client.add(bytes, {
    path: spec.contentRoot,
    store: ReadOnlyStore,
    storeOpts: {
      knownFiles,
      onMade: (store: ReadOnlyStore) => stores.set(infoHash, { store, refused }),
      onRefused: (error: SeedFileError) => {
        if (refused.has(error.path)) return;
        refused.add(error.path);
        const { code, path, message } = error;
        say({ kind: 'fileRefused', infoHash, code, path, message });
      },
    },
    // Its cache keeps whole pieces, 20 x 16 MiB for each torrent; the operating system's page cache does that better.
    storeCacheSlots: 0,
    // The torrent was hashed from these very files, and their sizes were just compared.
    skipVerify: true,
    deselect: true,
    destroyStoreOnDestroy: false,
  });
  torrents.set(infoHash, torrent);
  torrent.on('warning', (error: Error) => say({ kind: 'warning', infoHash, message: error.message }));
  await new Promise<void>((resolve, reject) => {
    torrent.once('ready', () => {
      // Otherwise it believes to have just finished and tells the trackers "completed" at every start.
      torrent.done = true;
      resolve();
    });
    torrent.on('error', (error: Error) => {
      torrents.delete(infoHash);
      reject(error);
      say({ kind: 'torrentLost', infoHash, message: error.message });
    });
  });
  const fileCount = files.filter(({ isPadding }) => !isPadding).length;
  fileCounts.set(infoHash, fileCount);
  return { fileCount };
}

/** Its peers are told goodbye; its files stay where they are. One that is not served is no error. */
function remove(infoHash: string): Promise<null> {
  const torrent = torrents.get(infoHash);
  torrents.delete(infoHash);
  stores.delete(infoHash);
  if (torrent === undefined) return Promise.resolve(null);
  return new Promise((resolve) => torrent.destroy({ destroyStore: false }, () => resolve(null)));
}

async function renew({ infoHash, path, mtimeMs }: RenewedFile): Promise<boolean> {
  const served = stores.get(infoHash);
  if (served === undefined || !(await served.store.renew(path, mtimeMs))) return false;
  served.refused.delete(path);
  return true;
}

function snapshot(): SeederAnswers['snapshot'] {
  return [...torrents].map(([infoHash, torrent]) => ({
    infoHash,
    peers: torrent.numPeers,
    uploadedBytes: torrent.uploaded,
    uploadBytesPerSecond: torrent.uploadSpeed,
    isReady: torrent.ready,
    seeders: null,
    leechers: null,
    state: 'seeding',
    problem: null,
  }));
}

/** Says goodbye to trackers and peers. */
function stop(): Promise<null> {
  return new Promise((resolve) => client.destroy(() => resolve(null)));
}

async function answer(request: SeederRequest): Promise<SeederAnswers[keyof SeederAnswers]> {
  switch (request.kind) {
    case 'add':
      return add(request.spec);
    case 'remove':
      return remove(request.infoHash);
    case 'renew':
      return renew(request.file);
    case 'snapshot':
      return snapshot();
    case 'stop':
      return stop();
  }
}

port.on('message', (request: SeederRequest) => {
  answer(request).then(
    (value) => say({ kind: 'answer', id: request.id, value }),
    (error: NodeJS.ErrnoException) => {
      const { code = 'seeder_failed', message, path = null } = error;
      say({ kind: 'refusal', id: request.id, code, message, path });
    },
  );
});
