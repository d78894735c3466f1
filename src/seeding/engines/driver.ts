import { UnavailableError, WikiSeedError } from '../../lib/index.ts';

/** A torrent as the program has it. */
export interface EngineView {
  infoHash: string;
  /** `downloading`: it lacks bytes and would take them from others. `failed`: it gave up, `message` says why. */
  state: 'seeding' | 'checking' | 'stopped' | 'downloading' | 'failed';
  /** Every byte is there, as far as the program knows; meaningless while it is checking. */
  isWhole: boolean;
  /** As the program writes it, without a slash at the end. */
  savePath: string;
  peers: number;
  uploadedBytes: number;
  uploadBytesPerSecond: number;
  /** Besides the program itself; null = unknown. */
  seeders: number | null;
  leechers: number | null;
  /** What the program says is wrong; null = nothing. */
  message: string | null;
  /** Its category and tags, or labels. */
  labels: readonly string[];
}

/** What we mark our torrents with in a program: category and tag, or label. */
export const OUR_LABEL = 'wikiseed';

/** What a program is asked to serve. */
export interface EngineTorrent {
  infoHash: string;
  /** The .torrent file itself, and its path as the program sees it. */
  bytes: Buffer;
  torrentFile: string;
  /** Folder that holds the torrent's folder, as the program sees it. */
  savePath: string;
  /** With padding. */
  fileCount: number;
}

/**
 * A torrent program beside us, in the few words that we need. Every call may fail with `EngineDown` or `EngineRefusal`;
 * none ever deletes a file.
 */
export interface EngineDriver {
  readonly name: 'qbittorrent' | 'transmission';
  /** As its users call it. */
  readonly title: string;
  /** What is added stopped is read at once; else it has to be told (`readAgain`), after it was told what it wants. */
  readonly readsWhatIsAdded: boolean;
  /** Those of the torrents that it has. */
  look(infoHashes: readonly string[], signal: AbortSignal): Promise<Map<string, EngineView>>;
  /** Adds a torrent stopped, over the data that is there. One that it has already is no error. */
  addStopped(torrent: EngineTorrent, signal: AbortSignal): Promise<void>;
  /**
   * Tells it that it wants no file: it serves what is there, and does not fetch what is not. Heard by qBittorrent only while it does
   * not have everything.
   * @throws RetryableError `engine_rejects`
   */
  wantNothing(torrent: Pick<EngineTorrent, 'infoHash' | 'fileCount'>, signal: AbortSignal): Promise<void>;
  /** Marks it as ours (`OUR_LABEL`), and tells it how fast it may give: one that it has already may have been told otherwise. */
  setUp(view: Pick<EngineView, 'infoHash' | 'labels'>, signal: AbortSignal): Promise<void>;
  start(infoHash: string, signal: AbortSignal): Promise<void>;
  stop(infoHash: string, signal: AbortSignal): Promise<void>;
  /** Takes the torrent out and leaves its files; one that it does not have is no error. */
  remove(infoHash: string, signal: AbortSignal): Promise<void>;
  /** Reads every byte; what was stopped stays so. It says that it is reading a moment later. */
  readAgain(infoHash: string, signal: AbortSignal): Promise<void>;
  /** As if it were new: its files were wrong or gone, and are right now. It stays stopped. */
  beginAgain(torrent: EngineTorrent, signal: AbortSignal): Promise<void>;
  /** Files that lack bytes, with the torrent's own folder, `/` between the segments. */
  wrongFiles(infoHash: string, signal: AbortSignal): Promise<string[]>;
  /** Where it listens for peers; null = it does not say. */
  peersPort(signal: AbortSignal): Promise<number | null>;
}

/** The program does not answer; it is asked again. */
export class EngineDown extends UnavailableError {
  constructor(title: string, url: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super('engine_down', `${title} does not answer at ${url}: ${why}`, {
      hint: `Start ${title}, or correct seeding.url; what it is to seed is given to it as soon as it answers.`,
    });
  }
}

/** The program answers and will not have us: it is asked again much later, because it bans whoever insists. */
export class EngineRefusal extends WikiSeedError {
  constructor(message: string, hint: string) {
    super('engine_refused', message, { hint });
  }
}
