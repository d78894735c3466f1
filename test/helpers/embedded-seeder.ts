import { onTestFinished } from 'vitest';
import { type Clock, createSystemClock, type Log, silentLog } from '../../src/ports/index.ts';
import type { EngineEvents } from '../../src/seeding/engine.ts';
import type { SeederSettings } from '../../src/seeding/protocol.ts';
import { createSeeder, type Seeder } from '../../src/seeding/seeder.ts';
import { type LaunchedSeeder, launchSeeder } from '../../src/seeding/seeder-launch.ts';
import type { TurnBook } from '../../src/seeding/turn-book.ts';
import type { PlainTorrent } from './plain-torrent.ts';

/** The embedded seeder on loopback, with nothing switched on but trackers; what it tells is kept. */
export function embeddedSeeder(
  options: {
    clock?: Clock;
    log?: Log;
    maxActiveTorrents?: number;
    turns?: TurnBook;
    settings?: Partial<SeederSettings>;
    hangClock?: Clock;
    /** Before each start; what it throws, the start does. */
    onLaunch?: () => void;
  } = {},
) {
  const damaged: { infoHash: string; path: string | null }[] = [];
  /** What is wrong now. */
  const problems = new Map<string | null, string>();
  /** Everything that was told, also that it is over. */
  const told: { infoHash: string | null; code: string | null; message: string | null }[] = [];
  const waiting: { isThere: () => boolean; resolve: () => void }[] = [];
  const wake = (): void => {
    for (const each of waiting.filter(({ isThere }) => isThere())) {
      waiting.splice(waiting.indexOf(each), 1);
      each.resolve();
    }
  };
  let launched: LaunchedSeeder | null = null;
  const events: EngineEvents = {
    onDamaged(infoHash, path) {
      damaged.push({ infoHash, path });
      wake();
    },
    onProblem(infoHash, problem) {
      told.push({ infoHash, code: problem?.code ?? null, message: problem?.message ?? null });
      if (problem === null) problems.delete(infoHash);
      else problems.set(infoHash, problem.code);
      wake();
    },
  };
  const seeder: Seeder = createSeeder({
    settings: {
      ...{ port: 0, host: '127.0.0.1', maxConnections: 20, dht: false, lsd: false, utPex: false },
      ...{ uploadLimitBytesPerSecond: null, userAgent: 'WikiSeed/test' },
      ...options.settings,
    },
    clock: options.clock ?? createSystemClock(),
    log: options.log ?? silentLog,
    ...(options.maxActiveTorrents === undefined ? {} : { maxActiveTorrents: options.maxActiveTorrents }),
    ...(options.turns === undefined ? {} : { turns: options.turns }),
    ...(options.hangClock === undefined ? {} : { hangClock: options.hangClock }),
    launch(given) {
      options.onLaunch?.();
      launched = launchSeeder(given);
      return launched;
    },
    ...events,
  });
  onTestFinished(() => seeder.stop());
  /** Resolves when what was told makes it true. */
  const until = (isThere: () => boolean): Promise<void> =>
    isThere() ? Promise.resolve() : new Promise((resolve) => waiting.push({ isThere, resolve }));
  /** Ends the thread or process as a crash would. */
  const kill = async (): Promise<void> => launched?.terminate();
  return { seeder, damaged, problems, told, until, kill };
}

export function specOf({ infoHash, torrentFile, contentRoot }: PlainTorrent) {
  return { infoHash, torrentFile, contentRoot };
}
