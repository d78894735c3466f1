import type { SeederSettings } from './protocol.ts';

/** How long the thread that asks a swarm for pieces waits. */
export interface SwarmLimits {
  /** So long after a torrent was joined, or a piece was asked for, nobody who has it needs to be hoped for. */
  findPeersMs: number;
  /** The same after a tracker answered, where trackers are the only way to find peers. */
  afterTrackersMs: number;
  /** A peer that sends nothing for so long is asked no more. */
  stallMs: number;
  /** For one piece of a torrent, with all its peers together. */
  pieceMs: number;
  /** After so long without a question every swarm is left. */
  idleMs: number;
}

/** What the swarm thread is started with. */
export interface SwarmSettings
  extends Pick<SeederSettings, 'host' | 'maxConnections' | 'dht' | 'lsd' | 'utPex' | 'userAgent'> {
  limits: SwarmLimits;
}

/** Bytes of one file of a torrent. */
export interface SwarmWish {
  infoHash: string;
  /** Absolute. */
  torrentFile: string;
  /** Below the folder of the torrent, with `/`. */
  pathInTorrent: string;
  /** Of the whole file: a torrent that carries it with another size has other bytes. */
  sizeBytes: number;
  /** Of the file. */
  startBytes: number;
  /** Exclusive. */
  endBytes: number;
}

/** What a swarm had. */
export interface SwarmAnswer {
  /** Proved by the hashes of the torrent; null = nobody gave them in time. */
  bytes: Uint8Array<ArrayBuffer> | null;
  /** Connections when it was answered, without our own seeder. */
  peers: number;
}

/** Questions to the thread. */
export type SwarmRequest =
  /** `ownPeerId`: of our own seeder, which has no other bytes than we have; null = it does not run. */
  | { kind: 'fetch'; id: number; wish: SwarmWish; ownPeerId: string | null }
  /** Its answer is not waited for any more. */
  | { kind: 'cancel'; id: number }
  /** Says goodbye to all swarms; the thread ends by itself. */
  | { kind: 'stop' };

/** What the thread says. */
export type SwarmMessage =
  | { kind: 'answer'; id: number; answer: SwarmAnswer }
  | { kind: 'refusal'; id: number; message: string }
  /** A peer sent wrong bytes, or none. */
  | { kind: 'peerRefused'; infoHash: string; address: string; reason: string }
  /** The client cannot go on; the thread ends. */
  | { kind: 'fatal'; message: string };
