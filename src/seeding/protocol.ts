/** What the embedded client is started with. */
export interface SeederSettings {
  /**
   * TCP, and UDP for the distributed hash table and uTP. 0 = any free ports: one of TCP and one of UDP, which with uTP have the
   * same number.
   */
  port: number;
  /** Address to listen on; null = all interfaces. */
  host: string | null;
  /** For each torrent. */
  maxConnections: number;
  dht: boolean;
  lsd: boolean;
  utPex: boolean;
  /** null = unlimited. */
  uploadLimitBytesPerSecond: number | null;
  userAgent: string;
  /** Speak uTP, too, with IPv4 peers. It and WebRTC put the client into a process of its own. Default: false. */
  utp?: boolean;
  /** Speak WebRTC, too, with peers that WebSocket trackers bring. Default: false. */
  webrtc?: boolean;
  /** `stun:host:port`, asked by WebRTC for our address as others see it. Default: those of the library. */
  stunServers?: readonly string[];
}

/** A way to peers that is closed, while the others go on. `code` as Node gives it: `EADDRINUSE`; or `NOT_LOADABLE`. */
export interface Lack {
  what: 'dht' | 'utp' | 'webrtc';
  code: string | null;
  message: string;
}

/** There is no native library for this machine. */
export const NOT_LOADABLE = 'not_loadable';

/** A torrent to be served; paths are absolute. */
export interface SeedSpec {
  infoHash: string;
  torrentFile: string;
  /** Folder that holds the folder of the torrent's name. */
  contentRoot: string;
  /** Seeders besides us when they were last counted; null = unknown. Fewest first where not all can be served at once. */
  seeders?: number | null;
}

/** A file that is sound again, or was so all the time, although it was refused. */
export interface RenewedFile {
  infoHash: string;
  /** Absolute. */
  path: string;
  /** What its modification time has to be, ms. */
  mtimeMs: number;
}

/** One torrent as the swarm sees it. */
export interface TorrentActivity {
  infoHash: string;
  /** Connections now. */
  peers: number;
  /** Since the client started it. */
  uploadedBytes: number;
  uploadBytesPerSecond: number;
  isReady: boolean;
  /** As far as the engine knows of the swarm, itself apart; null = unknown, never zero. */
  seeders: number | null;
  leechers: number | null;
  /** `resting`: others need to be seeded more. `stopped`: by a hand, or because it began to download. */
  state: 'seeding' | 'checking' | 'resting' | 'stopped' | 'broken';
  /** What is wrong, in one sentence; null while nothing is. */
  problem: string | null;
}

/** What came of looking at a file again. */
export interface RenewAnswer {
  /** False: it is not what it should be, or its torrent is not served. */
  isServed: boolean;
  /** Files and pieces of the torrent that are still not served. */
  refused: number;
}

/** Questions to the client; each is answered by one reply of the same id. */
export type SeederRequest =
  | { id: number; kind: 'add'; spec: SeedSpec }
  /** Refuses what `add` would refuse, and serves nothing. */
  | { id: number; kind: 'look'; spec: SeedSpec }
  | { id: number; kind: 'remove'; infoHash: string }
  | { id: number; kind: 'renew'; file: RenewedFile }
  | { id: number; kind: 'snapshot' }
  /** Answered at once by whoever answers at all. */
  | { id: number; kind: 'ping' }
  | { id: number; kind: 'stop' };

/** What a question is answered with. */
export interface SeederAnswers {
  /** Without padding. */
  add: { fileCount: number };
  look: null;
  remove: null;
  renew: RenewAnswer;
  snapshot: TorrentActivity[];
  ping: null;
  stop: null;
}

/** What the client says, unasked or as an answer. */
export type SeederMessage =
  /** `peerId`: by which other peers know it, 40 hex digits. */
  | { kind: 'listening'; port: number; peerId: string }
  | { kind: 'answer'; id: number; value: SeederAnswers[keyof SeederAnswers] }
  /** Said after `listening`, for each. */
  | ({ kind: 'lacks' } & Lack)
  /** `path`: of the file that was to blame; null = none. */
  | { kind: 'refusal'; id: number; code: string; message: string; path: string | null }
  /** Something outside went wrong and heals by itself: a tracker does not answer. */
  | { kind: 'warning'; infoHash: string; message: string }
  /**
   * A file is not what it was when the torrent was added; its bytes are no longer served. `seed_folder_missing`: nothing is there
   * any more, and `path` is the folder of all torrents' folders.
   */
  | { kind: 'fileRefused'; infoHash: string; code: string; path: string; message: string }
  /**
   * A piece on disk is not what the torrent was made from; none of it is served until one of its files is renewed.
   * `paths`: of all files that have bytes of it.
   */
  | { kind: 'pieceDamaged'; infoHash: string; index: number; paths: string[] }
  /** The client dropped a torrent. */
  | { kind: 'torrentLost'; infoHash: string; message: string }
  /** The client cannot go on; its thread or process is to be ended. `code` as Node gives it: `EADDRINUSE`. */
  | { kind: 'fatal'; code: string | null; message: string };
