import type { RenewedFile, SeedSpec, TorrentActivity } from './protocol.ts';

/**
 * What gives torrents to the swarm: the embedded client, or a program beside us. It serves what lies on our disk, never writes
 * to it and never fetches a byte of it.
 */
export interface TorrentEngine {
  readonly name: 'webtorrent' | 'qbittorrent' | 'transmission';
  /**
   * Begins to work, and from then on keeps every wanted torrent served. Resolves when all were tried, or after some seconds; it
   * goes on by itself. Never fails because of one torrent, nor because the program does not answer. Idempotent.
   * @param retired infohashes of what was served once and must not be any more: a program beside us may have missed it
   */
  start(wanted: readonly SeedSpec[], retired?: readonly string[]): Promise<void>;
  /** Ends what it began, within some seconds; a program beside us goes on seeding. Idempotent; safe before `start`. */
  stop(): Promise<void>;
  /**
   * Serves a torrent; resolves when it is served, or resting because others need it more. Serving it twice is a no-op.
   * @throws RetryableError with a code and a hint; Interrupted
   */
  add(spec: SeedSpec, signal: AbortSignal): Promise<void>;
  /**
   * Serves a torrent no more; its files stay. One that is not served is no error. Works before `start`, too.
   * @throws WikiSeedError when it is not known that it is served no more; it is tried again at each look and each start
   */
  remove(infoHash: string): Promise<void>;
  /** A file of a served torrent is sound again. Never fails. */
  renew(file: RenewedFile): Promise<void>;
  /** Says how many others seed a torrent, by infohash; null = unknown. Only for those that serve some and let others rest. */
  noteSeeders?(counts: ReadonlyMap<string, number | null>): void;
  /** What is known now, or was last known if nobody answers soon. */
  snapshot(): Promise<TorrentActivity[]>;
  /** Where peers reach us; null while that is not known. */
  port(): number | null;
  /** By which other peers know it; null where that is not known. */
  peerId(): string | null;
  /** How often it had to be started anew. */
  restarts(): number;
}

/** What an engine tells of its own accord. */
export interface EngineEvents {
  /** A file is not what its torrent was made from: `path` absolute, null when it is not known which. May be told again and again. */
  onDamaged?: (infoHash: string, path: string | null, reason: string) => void;
  /** Something an operator should know of a torrent, or of the engine as a whole (`infoHash` null); null = it is over. */
  onProblem?: (
    infoHash: string | null,
    problem: { code: string; message: string; hint?: string } | null,
  ) => void;
}
