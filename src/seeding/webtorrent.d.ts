/** The part of webtorrent 3 that we use; the package carries no types. */
declare module 'webtorrent' {
  import type { EventEmitter } from 'node:events';

  interface TorrentFile {
    /** `<torrent name>/<path>`, in the order of the info dictionary. */
    path: string;
    length: number;
    /** Bytes before it in the torrent. */
    offset: number;
    done: boolean;
  }
  /** A connection after its handshake. */
  export interface Wire extends EventEmitter {
    /** 40 hex digits. */
    peerId: string;
    /** `tcpIncoming`, `tcpOutgoing`, `utpIncoming`, `utpOutgoing`, `webrtc`. */
    type: string;
    peerChoking: boolean;
    peerPieces: { get(index: number): boolean };
    destroyed: boolean;
    /** What we say of ourselves (BEP 10). */
    extendedHandshake: { metadata_size?: number; reqq?: number };
    /** Gives the torrent file to those who have only a magnet link (BEP 9); `_onRequest` is not documented. */
    ut_metadata: { onMessage(message: Uint8Array): void; _onRequest(part: number): void };
    /** Tells those who know it that we lack a piece after all (BEP 54). */
    lt_donthave: { donthave(index: number): void };
    /** Whether we answer its requests. */
    amChoking: boolean;
    /** Whether both know refusals (BEP 6). */
    hasFast: boolean;
    have(index: number): void;
    choke(): void;
    unchoke(): void;
    piece(index: number, offset: number, bytes: Uint8Array): void;
    reject(index: number, offset: number, length: number): void;
    /** All that goes out; null at the end. */
    push(data: Uint8Array | null): boolean;
    /** Not documented: whatever it asks for. */
    _onRequest(index: number, offset: number, length: number): void;
    /** Not documented: the first four bytes of each message. */
    _onMessageLength(bytes: Uint8Array): void;
    destroy(): void;
  }
  export interface Torrent extends EventEmitter {
    infoHash: string;
    ready: boolean;
    done: boolean;
    numPeers: number;
    /** Bytes since it was added. */
    uploaded: number;
    uploadSpeed: number;
    files: TorrentFile[];
    destroyed: boolean;
    wires: Wire[];
    /** Not documented: those that are being connected to, too, by what they are known by. */
    _peers: Map<string, { type: string }>;
    /** What peers are told that we have. */
    bitfield: { set(index: number, value: boolean): void };
    /** Pieces it lacks, with the bytes that are missing; null = it has them. */
    pieces: ({ missing: number } | null)[];
    discovery: { complete(): void };
    select(start: number, end: number, priority: number): void;
    deselect(start: number, end: number): void;
    /** Not documented: asks one peer for one block; false = it did not. */
    _request(wire: Wire, index: number, isHotswap: boolean): boolean;
    /** Not documented: whether an address may be connected to. */
    _validAddr(address: string): boolean;
    /** Not documented: lacks a piece again, and gathers it anew. */
    _markUnverified(index: number): void;
    destroy(options: { destroyStore: boolean }, done: (error?: Error) => void): void;
  }
  interface ClientOptions {
    torrentPort?: number | { port: number; host: string };
    dhtPort?: number | { port: number; address: string };
    maxConns?: number;
    /** `socket`: as k-rpc-socket wants it; default: one of its own. */
    dht?: boolean | { socket: EventEmitter };
    lsd?: boolean;
    utPex?: boolean;
    utp?: boolean;
    natUpnp?: boolean;
    natPmp?: boolean;
    webSeeds?: boolean;
    uploadLimit?: number;
    userAgent?: string;
    tracker?:
      | { wrtc: false }
      /** The configuration of each RTCPeerConnection. */
      | { rtcConfig: { iceServers?: { urls: string }[]; bindAddress?: string } };
  }
  interface ParsedTorrent {
    infoHash: string;
    infoHashBuffer: Uint8Array;
    name: string;
    length: number;
    pieceLength: number;
    lastPieceLength: number;
    /** Hex. */
    pieces: string[];
    announce: string[];
    urlList: string[];
    info: object;
    files: { path: string; name: string; length: number; offset: number }[];
  }
  interface AddOptions {
    store: new (chunkLength: number, options: never) => object;
    storeOpts: object;
    storeCacheSlots: number;
    path?: string;
    skipVerify: boolean;
    bitfield?: Uint8Array;
    deselect: boolean;
    destroyStoreOnDestroy: boolean;
  }
  export default class WebTorrent extends EventEmitter {
    /** 40 hex digits. */
    peerId: string;
    constructor(options: ClientOptions);
    /** The second form is what webtorrent makes of the first. */
    add(torrent: Uint8Array | ParsedTorrent, options: AddOptions): Torrent;
    address(): { port: number } | null;
    /** Not documented: who connects to us. */
    _connPool: { tcpServer: { maxConnections: number } };
    destroy(done: (error?: Error) => void): void;
  }
}
