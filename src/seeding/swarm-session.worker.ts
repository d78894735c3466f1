import type WebTorrent from 'webtorrent';
import type { Torrent, Wire } from 'webtorrent';
import type { SwarmLimits } from './swarm-protocol.ts';
import type { TorrentFileFacts } from './torrent-file.ts';
import { createWireLimits } from './wire-limits.worker.ts';

/*
 * One swarm that was joined to take single pieces from it. Runs in the swarm thread.
 *
 * webtorrent finds the peers, speaks with them and proves each piece by its SHA-1. What it does not do, because it wants whole
 * torrents, is done here: only the piece that was asked for is requested, each piece comes from one peer, so that it is known
 * who sent wrong bytes, and whoever did is not asked again. Nothing is given: our own seeder does that.
 */

/** What joining needs. */
export interface JoinOptions {
  facts: TorrentFileFacts;
  limits: SwarmLimits;
  /** Neither DHT nor local discovery finds peers. */
  isTrackersOnly: boolean;
  /** Whether a peer is our own seeder. */
  isOurs(peerId: string): boolean;
  onRefused(address: string, reason: string): void;
}

/** A joined swarm. */
export interface SwarmSession {
  readonly pieceLength: number;
  /** False: webtorrent gave it up, and it has to be joined anew. */
  readonly isAlive: boolean;
  /** Connections now. */
  peers(): number;
  /** A proved piece of the torrent; null = nobody gave it in time, or it is not waited for. One at a time. */
  piece(index: number, signal: AbortSignal): Promise<Uint8Array | null>;
  /** Says goodbye to trackers and peers. */
  leave(): Promise<void>;
}

/** The piece that is asked for. */
interface Wanted {
  index: number;
  startedMs: number;
  /** Who is asked for it now. */
  chosen: Wire | null;
  /** What webtorrent gathers it in; another one when the bytes were wrong. */
  gathered: unknown;
  missingBytes: number;
  progressMs: number;
  settle(bytes: Uint8Array | null): void;
}

const SHA1_BYTES = 20;
/** Nobody is given anything here, but to tell them so takes memory, too. */
const wireLimits = createWireLimits();
const LOOK_EVERY_MS = 250;

/** Joins a swarm; peers are looked for from now on. */
export function joinSwarm(client: WebTorrent, options: JoinOptions): SwarmSession {
  const { limits } = options;
  const { pieceLength } = options.facts;
  const joinedMs = performance.now();
  /** Addresses and peer identifiers. */
  const refused = new Set<string>();
  const addresses = new WeakMap<Wire, string>();
  let wanted: Wanted | null = null;
  let isAlive = true;
  /** When a tracker answered first; infinity = not yet. */
  let trackedMs = Number.POSITIVE_INFINITY;

  const torrent: Torrent = client.add(withoutFiles(options.facts), {
    store: PassingStore,
    storeOpts: {
      onPiece(index: number, bytes: Uint8Array) {
        if (wanted?.index === index) wanted.settle(bytes);
      },
    },
    storeCacheSlots: 0,
    skipVerify: false,
    // Nothing is there, and to look for it would take minutes in a torrent of many files.
    bitfield: new Uint8Array(Math.ceil(options.facts.pieces.length / SHA1_BYTES / 8)),
    deselect: true,
    destroyStoreOnDestroy: false,
  });
  const { _request: request, _validAddr: isValid } = torrent;
  torrent._request = (wire, index, isHotswap) =>
    wire === wanted?.chosen && index === wanted.index && request.call(torrent, wire, index, isHotswap);
  // webtorrent connects again and again to whoever it lost.
  torrent._validAddr = (address) => !refused.has(address) && isValid.call(torrent, address);

  torrent.on('ready', () => {
    // A torrent of one piece would be told to the trackers as completed.
    torrent.discovery.complete = () => {};
    choose();
  });
  torrent.on('trackerAnnounce', () => {
    trackedMs = Math.min(trackedMs, performance.now());
  });
  torrent.on('error', () => {
    isAlive = false;
    wanted?.settle(null);
  });
  // What was handed on is kept nowhere.
  torrent.on('verified', (index: number) => queueMicrotask(() => forget(index)));
  torrent.on('warning', () => {
    const { chosen = null, index = 0, gathered } = wanted ?? {};
    // Of trackers, too; webtorrent gathers a piece anew only when its hash was wrong.
    if (chosen !== null && torrent.pieces[index] !== gathered) refuse(chosen, 'it sent wrong bytes');
  });
  torrent.on('wire', wireLimits.watch);
  torrent.on('wire', (wire: Wire, address?: string) => {
    wire.have = () => {};
    wire.unchoke = () => {};
    // What we gave webtorrent is not what its infohash stands for: nobody may have it from us.
    wire.ut_metadata.onMessage = () => {};
    delete wire.extendedHandshake.metadata_size;
    if (address !== undefined) addresses.set(wire, address);
    if (options.isOurs(wire.peerId) || refused.has(wire.peerId)) {
      shut(wire);
      return;
    }
    wire.once('close', () => {
      if (wanted?.chosen !== wire) return;
      wanted.chosen = null;
      choose();
    });
    // After webtorrent's own listeners.
    for (const event of ['unchoke', 'bitfield', 'have', 'have-all'])
      wire.on(event, () => queueMicrotask(choose));
  });

  function shut(wire: Wire): void {
    refused.add(wire.peerId);
    const address = addresses.get(wire);
    if (address !== undefined) refused.add(address);
    wire.destroy();
  }

  function refuse(wire: Wire, reason: string): void {
    options.onRefused(addresses.get(wire) ?? wire.peerId, reason);
    shut(wire);
  }

  function forget(index: number): void {
    if (!torrent.destroyed) torrent._markUnverified(index);
  }

  const holders = (index: number): Wire[] =>
    torrent.wires.filter((wire) => !wire.destroyed && wire.peerPieces.get(index));

  function choose(): void {
    if (wanted === null || wanted.chosen !== null || torrent.destroyed || !torrent.ready) return;
    const { index } = wanted;
    const chosen = holders(index).find((wire) => !wire.peerChoking);
    if (chosen === undefined) return;
    // Blocks of another peer would hide who sent wrong ones.
    forget(index);
    const gathered = torrent.pieces[index] as { missing: number };
    Object.assign(wanted, {
      chosen,
      gathered,
      missingBytes: gathered.missing,
      progressMs: performance.now(),
    });
    torrent.deselect(index, index);
    torrent.select(index, index, 1);
  }

  function look(): void {
    if (wanted === null) return;
    if (wanted.chosen === null) choose();
    const now = performance.now();
    if (wanted.chosen === null) {
      const hasHolders = holders(wanted.index).length > 0;
      const hopeMs = hasHolders ? wanted.startedMs : joinedMs;
      const isAlone = options.isTrackersOnly && !hasHolders && now - trackedMs > limits.afterTrackersMs;
      if (isAlone || now - hopeMs > limits.findPeersMs) wanted.settle(null);
    } else if (now - wanted.startedMs > limits.pieceMs) {
      wanted.settle(null);
    } else {
      const missingBytes = torrent.pieces[wanted.index]?.missing ?? 0;
      if (missingBytes !== wanted.missingBytes) Object.assign(wanted, { missingBytes, progressMs: now });
      else if (now - wanted.progressMs > limits.stallMs) refuse(wanted.chosen, 'it sent nothing');
    }
  }

  return {
    pieceLength,
    get isAlive() {
      return isAlive;
    },
    peers: () => (torrent.destroyed ? 0 : torrent.wires.length),
    async piece(index, signal) {
      if (signal.aborted || !isAlive) return null;
      const looking = setInterval(look, LOOK_EVERY_MS);
      const onAbort = (): void => wanted?.settle(null);
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        return await new Promise<Uint8Array | null>((settle) => {
          const now = performance.now();
          wanted = {
            ...{ index, startedMs: now, chosen: null, gathered: null, missingBytes: 0, progressMs: now },
            settle,
          };
          choose();
        });
      } finally {
        wanted = null;
        clearInterval(looking);
        signal.removeEventListener('abort', onAbort);
        if (!torrent.destroyed && torrent.ready) torrent.deselect(index, index);
      }
    },
    leave: () =>
      new Promise((resolve) => {
        isAlive = false;
        wanted?.settle(null);
        if (torrent.destroyed) resolve();
        else torrent.destroy({ destroyStore: false }, () => resolve());
      }),
  };
}

/**
 * A torrent as one file. To find and prove pieces takes no more, and hundreds of thousands of files would cost webtorrent more than
 * a gigabyte of memory, and seconds for each connection.
 */
function withoutFiles({ infoHash, name, pieceLength, pieces, trackers, files }: TorrentFileFacts) {
  const length = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    ...{ infoHash, infoHashBuffer: Buffer.from(infoHash, 'hex'), name, length, pieceLength },
    ...{ info: {}, announce: trackers, urlList: [] },
    lastPieceLength: length % pieceLength || pieceLength,
    pieces: Array.from({ length: pieces.length / SHA1_BYTES }, (_, index) =>
      pieces.toString('hex', index * SHA1_BYTES, (index + 1) * SHA1_BYTES),
    ),
    files: [{ path: name, name, length, offset: 0 }],
  };
}

/** A chunk store that hands proved pieces on and keeps none. */
class PassingStore {
  readonly chunkLength: number;
  readonly #onPiece: (index: number, bytes: Uint8Array) => void;

  constructor(chunkLength: number, options: { onPiece: (index: number, bytes: Uint8Array) => void }) {
    this.chunkLength = chunkLength;
    this.#onPiece = options.onPiece;
  }

  put(index: number, bytes: Uint8Array, done: (error: Error | null) => void = () => {}): void {
    done(null);
    this.#onPiece(index, bytes);
  }

  get(_index: number, options: unknown, callback?: (error: Error) => void): void {
    const done = (typeof options === 'function' ? options : callback) as ((error: Error) => void) | undefined;
    queueMicrotask(() => done?.(new Error('nothing is kept here')));
  }

  close(done: (error: Error | null) => void = () => {}): void {
    queueMicrotask(() => done(null));
  }

  destroy(done: (error: Error | null) => void = () => {}): void {
    this.close(done);
  }
}
