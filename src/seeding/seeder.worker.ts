import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Torrent, Wire } from 'webtorrent';
import {
  assertFolder,
  folderMissing,
  inspectFiles,
  isFolderThere,
  type SeedFileError,
} from './known-files.worker.ts';
import { openClient } from './open-client.worker.ts';
import { OpenFiles } from './open-files.worker.ts';
import { createPeerPlaces } from './peer-places.worker.ts';
import type { RenewedFile, SeederAnswers, SeederRequest, SeedSpec } from './protocol.ts';
import { createProvenMemory } from './proven-memory.ts';
import { type DamagedPiece, ReadOnlyStore } from './read-only-store.worker.ts';
import { openSeederChannel } from './seeder-channel.worker.ts';
import { readTorrentFile } from './torrent-file.ts';
import { createWireLimits } from './wire-limits.worker.ts';

/*
 * The seeder: one webtorrent client, created and destroyed here and nowhere else. In a thread or a process of its own, because
 * adding a torrent of terabytes blocks for a second, and hashing of handshakes and copying of blocks never ends.
 */

const { settings, say, onRequest } = openSeederChannel();

/** A torrent as it is served. */
interface Served {
  torrent: Torrent;
  contentRoot: string;
  store: ReadOnlyStore | null;
  /** Files that were complained of. */
  refused: Set<string>;
  /** Pieces that are not what they should be. */
  damaged: Set<number>;
  /** To the client padding is a file like any other. */
  fileCount: number;
}
const torrents = new Map<string, Served>();

/** Of all torrents together. */
const openFiles = new OpenFiles();
const memory = createProvenMemory();
/** Of all torrents together. */
const limits = createWireLimits();
const places = createPeerPlaces({ max: settings.maxConnections });

/** Whose request is being handed to a store. */
let asker = '';

const { client, lacks, isWebrtc } = await openClient(settings);

client.on('listening', () => {
  say({ kind: 'listening', port: client.address()?.port ?? 0, peerId: client.peerId });
  for (const lack of lacks) say({ kind: 'lacks', ...lack });
});
client.on('error', (error: NodeJS.ErrnoException) => {
  say({ kind: 'fatal', code: error.code ?? null, message: error.message });
});

/**
 * Reads what a torrent promises, and looks for it.
 * @throws SeedFileError; Error `torrent_file_differs`; what reading the torrent file throws
 */
async function inspect(spec: SeedSpec) {
  await assertFolder(spec.contentRoot);
  const bytes = await readFile(spec.torrentFile);
  const { infoHash, name, files, pieces } = readTorrentFile(bytes);
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
  return { bytes, infoHash, files, pieces, knownFiles };
}

async function add(spec: SeedSpec): Promise<SeederAnswers['add']> {
  const present = torrents.get(spec.infoHash);
  if (present !== undefined) return { fileCount: present.fileCount };
  const { bytes, infoHash, files, pieces, knownFiles } = await inspect(spec);
  const torrent = client.add(bytes, {
    path: spec.contentRoot,
    store: ReadOnlyStore,
    storeOpts: {
      ...{ knownFiles, sha1s: pieces, openFiles, memory, askedBy: () => asker },
      onMade: (store: ReadOnlyStore) => {
        served.store = store;
      },
      onRefused: (error: SeedFileError) => void refuse(served, error),
      onDamaged: (piece: DamagedPiece) => withhold(served, piece),
    },
    // Its cache keeps whole pieces, 20 x 16 MiB for each torrent, and nothing proves them.
    storeCacheSlots: 0,
    // The torrent was hashed from these very files, their sizes were just compared, and the store proves what it gives.
    skipVerify: true,
    deselect: true,
    destroyStoreOnDestroy: false,
  });
  const fileCount = files.filter(({ isPadding }) => !isPadding).length;
  const served: Served = {
    ...{ torrent, contentRoot: spec.contentRoot, store: null, fileCount },
    ...{ refused: new Set(), damaged: new Set() },
  };
  torrents.set(infoHash, served);
  torrent.on('wire', noteAsker);
  torrent.on('wire', limits.watch);
  torrent.on('wire', (wire: Wire) => places.receive(torrent, wire));
  torrent.on('peer', (peer: Offered | string) => boundOffers(torrent, peer));
  torrent.on('warning', ({ message }: Error) => {
    // What was chosen is no trouble.
    if (isWebrtc || !message.startsWith('Unsupported tracker protocol: ws'))
      say({ kind: 'warning', infoHash, message });
  });
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
  return { fileCount };
}

/** A WebRTC connection that a tracker brought. */
type Offered = { destroy(): void };

/** Whoever a WebSocket tracker brings is answered at once, and each answer costs a socket, however many come. */
function boundOffers(torrent: Torrent, peer: Offered | string): void {
  if (typeof peer === 'string') return;
  const known = [...torrent._peers.values()].filter(({ type }) => type === 'webrtc');
  if (known.length > settings.maxConnections) peer.destroy();
}

/** All connections of one address count as one, however many there are. */
function noteAsker(wire: Wire, address: string | undefined): void {
  const host = address?.replace(/:\d+$/, '') ?? wire.peerId;
  // Before the client's own listener, which asks the store at once.
  wire.prependListener('request', () => {
    asker = host;
  });
}

async function refuse({ torrent, contentRoot, refused }: Served, error: SeedFileError): Promise<void> {
  const { infoHash } = torrent;
  if (refused.has(error.path)) return;
  refused.add(error.path);
  const isAllGone = error.code === 'seed_file_missing' && !(await isFolderThere(contentRoot));
  const { code, path, message } = isAllGone ? folderMissing(contentRoot) : error;
  say({ kind: 'fileRefused', infoHash, code, path, message });
}

/**
 * Peers that know how to hear it are told that we lack the piece, and new ones do not hear of it. Whoever asks all the same is
 * refused and goes on with other pieces.
 */
function withhold({ torrent, damaged }: Served, { index, paths }: DamagedPiece): void {
  damaged.add(index);
  torrent.bitfield.set(index, false);
  for (const wire of torrent.wires) wire.lt_donthave.donthave(index);
  say({ kind: 'pieceDamaged', infoHash: torrent.infoHash, index, paths });
}

/** Its peers are told goodbye; its files stay where they are. One that is not served is no error. */
function remove(infoHash: string): Promise<null> {
  const served = torrents.get(infoHash);
  torrents.delete(infoHash);
  if (served === undefined) return Promise.resolve(null);
  return new Promise((resolve) => served.torrent.destroy({ destroyStore: false }, () => resolve(null)));
}

async function renew({ infoHash, path, mtimeMs }: RenewedFile): Promise<SeederAnswers['renew']> {
  const served = torrents.get(infoHash);
  const forgiven = (await served?.store?.renew(path, mtimeMs)) ?? null;
  if (served === undefined || forgiven === null) return { isServed: false, refused: 0 };
  const { torrent, refused, damaged } = served;
  refused.delete(path);
  for (const index of forgiven) {
    damaged.delete(index);
    if (torrent.destroyed) continue;
    torrent.bitfield.set(index, true);
    for (const wire of torrent.wires) wire.have(index);
  }
  return { isServed: true, refused: refused.size + damaged.size };
}

function snapshot(): SeederAnswers['snapshot'] {
  return [...torrents].map(([infoHash, { torrent, refused, damaged }]) => ({
    infoHash,
    peers: torrent.numPeers,
    uploadedBytes: torrent.uploaded,
    uploadBytesPerSecond: torrent.uploadSpeed,
    isReady: torrent.ready,
    seeders: null,
    leechers: null,
    state: torrent.ready ? 'seeding' : 'checking',
    problem:
      refused.size + damaged.size === 0
        ? null
        : `not served: ${refused.size} changed or missing files, ${damaged.size} damaged pieces`,
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
    case 'look':
      await inspect(request.spec);
      return null;
    case 'remove':
      return remove(request.infoHash);
    case 'renew':
      return renew(request.file);
    case 'snapshot':
      return snapshot();
    case 'ping':
      return null;
    case 'stop':
      return stop();
  }
}

onRequest((request) => {
  answer(request).then(
    (value) => say({ kind: 'answer', id: request.id, value }),
    (error: NodeJS.ErrnoException) => {
      const { code = 'seeder_failed', message, path = null } = error;
      say({ kind: 'refusal', id: request.id, code, message, path });
    },
  );
});
