import type { Clock, Disk, Http, Log } from '../ports/index.ts';
import type { EngineEvents, TorrentEngine } from './engine.ts';
import { createExternalEngine } from './engines/external.ts';
import { createQbittorrent, type EngineAccess } from './engines/qbittorrent.ts';
import { createTransmission } from './engines/transmission.ts';
import type { WatchFolder } from './watch-folder.ts';

/** A program beside us that seeds instead of the embedded client. */
export interface ExternalEngineConfig extends EngineAccess {
  program: 'qbittorrent' | 'transmission';
  /** The data directory as the program sees it; null = the same. */
  engineDataDir: string | null;
}

/** Codes with which a program beside us stops `start_seeding`; an alert of its own tells of it. */
export const ENGINE_HALT_CODES: readonly string[] = ['engine_down', 'engine_refused'];

/** The program that was chosen; nothing is asked of it before `start`. */
export function createProgram(
  deps: EngineEvents & {
    config: ExternalEngineConfig;
    http: Http;
    disk: Disk;
    clock: Clock;
    log: Log;
    dataDir: string;
  },
): TorrentEngine {
  const { config, http } = deps;
  const driver = { qbittorrent: createQbittorrent, transmission: createTransmission }[config.program]({
    ...{ http, access: config },
  });
  return createExternalEngine({ ...deps, driver, engineDataDir: config.engineDataDir });
}

/** The same engine; what it serves lies in the watch folder, too. */
export function withWatchFolder(engine: TorrentEngine, watch: WatchFolder): TorrentEngine {
  return {
    ...engine,
    async start(wanted, retired = []) {
      await engine.start(wanted, retired);
      await watch.fill(wanted, retired);
    },
    async add(spec, signal) {
      await engine.add(spec, signal);
      await watch.put(spec);
    },
    async remove(infoHash) {
      // First, because the other may fail.
      await watch.remove(infoHash);
      await engine.remove(infoHash);
    },
  };
}
