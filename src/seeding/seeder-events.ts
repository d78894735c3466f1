import { minutes } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { EngineEvents } from './engine.ts';
import { type Lack, NOT_LOADABLE, type SeedSpec } from './protocol.ts';
import { FILE_HINT, FOLDER_HINT, type News, refusalOf } from './seeder-launch.ts';

/** The same complaint of the same torrent is logged once in this time, with a count. */
const REPEAT_MS = minutes(60);
/** Said of a file of another size or time; what is missing altogether is another matter: its disk may come back. */
const CHANGED = 'seed_file_changed';
const DAMAGED = 'seed_file_damaged';
/** All of a disk is gone; told once for all its torrents. */
export const FOLDER_MISSING = 'seed_folder_missing';

const DAMAGE_HINT =
  'None of it is given to anybody. Dump files are read again and repaired by themselves, unpacked ones are unpacked again; a text of the torrent itself has to be put back, and is served after a restart. Look at the disk: dmesg, smartctl -a.';

/** What the client says, for the log, for those who repair, and for the operator. */
export interface SeederEvents {
  heard(news: Exclude<News, { kind: 'fatal' | 'lacks' }>): void;
  /** A torrent could not be added. */
  notLoaded(spec: SeedSpec, error: Error): void;
  loaded(infoHash: string): void;
  /** It can be served, and is when it is its turn. */
  found(infoHash: string): void;
  /** Nothing of it is refused any more. */
  healed(infoHash: string): void;
  forget(infoHash: string): void;
  cannotListen(problem: string, facts: { port: number; reason: string }): void;
  /** The client is not even there to listen. Told once until `canListen`. */
  cannotRun(problem: { code: 'seeder_not_started' | 'seeder_hangs'; message: string }): void;
  canListen(): void;
  /** Told after `canListen`. */
  lacks(lack: Lack, problem: string, facts: { port: number; reason: string }): void;
}

interface Problem {
  code: string;
  message: string;
  hint?: string;
}

/** See `SeederEvents`. */
export function createSeederEvents(deps: { clock: Clock; log: Log } & EngineEvents): SeederEvents {
  const { clock, log, onDamaged = () => {}, onProblem = () => {} } = deps;
  const complaints = new Map<string, { count: number; loggedMs: number }>();
  /** Torrents of which an operator was told. */
  const troubled = new Set<string>();
  /** What is wrong with all together, the first first. */
  const common = new Map<string, Problem>();
  /** Torrents whose folder is gone, by that folder. */
  const homeless = new Map<string, Set<string>>();

  function complain(level: 'warn' | 'error', infohash: string, reason: string, text: string): void {
    const key = `${infohash} ${reason}`;
    const known = complaints.get(key) ?? { count: 0, loggedMs: Number.NEGATIVE_INFINITY };
    known.count += 1;
    complaints.set(key, known);
    if (clock.monotonicMs() - known.loggedMs < REPEAT_MS) return;
    log[level]({ room: 'seeding', infohash, reason, count: known.count }, text);
    known.loggedMs = clock.monotonicMs();
  }

  function trouble(infoHash: string, problem: Problem): void {
    troubled.add(infoHash);
    onProblem(infoHash, problem);
  }

  /** One torrent of a folder is served again: so the folder is there, also for those that wait for a place. */
  function isThere(infoHash: string): void {
    for (const [folder, torrents] of homeless) {
      if (!torrents.has(infoHash)) continue;
      homeless.delete(folder);
      commonOver(folder);
    }
    over(infoHash);
  }

  function over(infoHash: string): void {
    notHomeless(infoHash);
    if (troubled.delete(infoHash)) onProblem(infoHash, null);
  }

  function commonTrouble(key: string, problem: Problem): void {
    common.set(key, problem);
    tellCommon();
  }

  function commonOver(key: string): void {
    if (common.delete(key)) tellCommon();
  }

  /** There is one place for all of it, so that the second does not hide the first. */
  function tellCommon(): void {
    const [first, ...others] = common.values();
    const messages = [first, ...others].map((problem) => problem?.message);
    onProblem(null, first === undefined ? null : { ...first, message: messages.join(' ') });
  }

  /** A disk that is away takes thousands of torrents with it: they are told of once. */
  function folderGone(infoHash: string, folder: string): void {
    const known = homeless.get(folder);
    if (known !== undefined) return void known.add(infoHash);
    homeless.set(folder, new Set([infoHash]));
    const message = `Nothing below ${folder} is seeded: it is not there, or it is empty. Is the disk mounted?`;
    log.error({ room: 'seeding', path: folder }, message);
    commonTrouble(folder, { code: FOLDER_MISSING, message, hint: FOLDER_HINT });
  }

  function notHomeless(infoHash: string): void {
    for (const [folder, torrents] of homeless) {
      if (!torrents.delete(infoHash) || torrents.size > 0) continue;
      homeless.delete(folder);
      commonOver(folder);
    }
  }

  return {
    heard(news) {
      const { infoHash } = news;
      switch (news.kind) {
        case 'warning':
          complain('warn', infoHash, news.message, 'a tracker or peer source does not answer');
          return;
        case 'fileRefused':
          if (news.code === FOLDER_MISSING) return folderGone(infoHash, news.path);
          complain('error', infoHash, news.message, 'a file changed and is no longer served');
          if (news.code === CHANGED) onDamaged(infoHash, news.path, news.message);
          trouble(infoHash, { code: news.code, message: news.message, hint: FILE_HINT });
          return;
        case 'pieceDamaged': {
          const [first = 'nothing', ...others] = news.paths;
          const where = others.length === 0 ? first : `${first} or one of ${others.length} files after it`;
          const message = `${where} is damaged: piece ${news.index} is not what the torrent was made from`;
          complain('error', infoHash, message, 'a piece is damaged and is not served');
          for (const path of news.paths) onDamaged(infoHash, path, message);
          trouble(infoHash, { code: DAMAGED, message, hint: DAMAGE_HINT });
          return;
        }
        case 'torrentLost':
          complain('error', infoHash, news.message, 'a torrent is no longer served');
          trouble(infoHash, { code: 'torrent_lost', message: news.message });
      }
    },
    notLoaded({ infoHash }, error) {
      const { code, path } = refusalOf(error);
      if (code === FOLDER_MISSING && path !== null) return folderGone(infoHash, path);
      notHomeless(infoHash);
      complain('error', infoHash, error.message, 'a torrent cannot be seeded');
      if (code === CHANGED && path !== null) onDamaged(infoHash, path, error.message);
      // Without a code of its own it is the client that is at fault.
      if (code !== '' && code !== 'seeder_down')
        trouble(infoHash, { code, message: error.message, hint: FILE_HINT });
    },
    loaded: isThere,
    found: isThere,
    healed: isThere,
    forget: over,
    cannotListen(problem, facts) {
      log.error({ room: 'seeding', ...facts }, problem);
      commonTrouble('port', { code: 'seeding_port_taken', message: problem });
    },
    cannotRun(problem) {
      if (common.get('run')?.code === problem.code) return;
      log.error({ room: 'seeding' }, problem.message);
      commonTrouble('run', problem);
    },
    canListen() {
      for (const key of ['run', 'port', 'dht', 'utp', 'webrtc']) commonOver(key);
    },
    lacks({ what, code }, problem, facts) {
      log.warn({ room: 'seeding', ...facts }, problem);
      const isLibrary = code === NOT_LOADABLE;
      commonTrouble(what, { code: `${what}_${isLibrary ? 'not_loadable' : 'port_taken'}`, message: problem });
    },
  };
}
