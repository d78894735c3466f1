import { minutes } from '../lib/index.ts';
import type { Clock, Log } from '../ports/index.ts';
import type { EngineEvents } from './engine.ts';
import type { SeedSpec } from './protocol.ts';
import { FILE_HINT, type News, refusalOf } from './seeder-thread.ts';

/** The same complaint of the same torrent is logged once in this time, with a count. */
const REPEAT_MS = minutes(60);
/** Said of a file of another size or time; what is missing altogether is another matter: its disk may come back. */
const CHANGED = 'seed_file_changed';
const DAMAGED = 'seed_file_damaged';

const DAMAGE_HINT =
  'None of it is given to anybody. Dump files are read again and repaired by themselves, unpacked ones are unpacked again; a text of the torrent itself has to be put back, and is served after a restart. Look at the disk: dmesg, smartctl -a.';

/** What the thread says, for the log, for those who repair, and for the operator. */
export interface SeederEvents {
  heard(news: Exclude<News, { kind: 'fatal' }>): void;
  /** A torrent could not be added. */
  notLoaded(spec: SeedSpec, error: Error): void;
  loaded(infoHash: string): void;
  /** Nothing of it is refused any more. */
  healed(infoHash: string): void;
  forget(infoHash: string): void;
  cannotListen(problem: string, facts: { port: number; reason: string }): void;
  canListen(): void;
}

/** See `SeederEvents`. */
export function createSeederEvents(deps: { clock: Clock; log: Log } & EngineEvents): SeederEvents {
  const { clock, log, onDamaged = () => {}, onProblem = () => {} } = deps;
  const complaints = new Map<string, { count: number; loggedMs: number }>();
  /** Torrents, or null for all together, of which an operator was told. */
  const troubled = new Set<string | null>();

  function complain(level: 'warn' | 'error', infohash: string, reason: string, text: string): void {
    const key = `${infohash} ${reason}`;
    const known = complaints.get(key) ?? { count: 0, loggedMs: Number.NEGATIVE_INFINITY };
    known.count += 1;
    complaints.set(key, known);
    if (clock.monotonicMs() - known.loggedMs < REPEAT_MS) return;
    log[level]({ room: 'seeding', infohash, reason, count: known.count }, text);
    known.loggedMs = clock.monotonicMs();
  }

  function trouble(infoHash: string | null, problem: { code: string; message: string; hint?: string }): void {
    troubled.add(infoHash);
    onProblem(infoHash, problem);
  }

  function over(infoHash: string | null): void {
    if (troubled.delete(infoHash)) onProblem(infoHash, null);
  }

  return {
    heard(news) {
      const { infoHash } = news;
      switch (news.kind) {
        case 'warning':
          complain('warn', infoHash, news.message, 'a tracker or peer source does not answer');
          return;
        case 'fileRefused':
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
      complain('error', infoHash, error.message, 'a torrent cannot be seeded');
      if (code === CHANGED && path !== null) onDamaged(infoHash, path, error.message);
      // Without a code of its own it is the thread that is at fault.
      if (code !== '' && code !== 'seeder_down')
        trouble(infoHash, { code, message: error.message, hint: FILE_HINT });
    },
    loaded: over,
    healed: over,
    forget: over,
    cannotListen(problem, facts) {
      log.error({ room: 'seeding', ...facts }, problem);
      trouble(null, { code: 'seeding_port_taken', message: problem });
    },
    canListen: () => over(null),
  };
}
