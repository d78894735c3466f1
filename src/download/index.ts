import type { Catalog } from '../catalog/index.ts';
import type { Bus } from '../events/index.ts';
import { DumpFileId } from '../lib/index.ts';
import type { Clock, Disk, Http, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout, SpaceGuard } from '../storage/index.ts';
import { createHashLanes } from './hash-lanes.ts';
import { downloadDump, handleDownloadDump } from './jobs/download-dump.ts';

export { downloadDump } from './jobs/download-dump.ts';
export { type DownloadRisk, downloadPriority } from './priority.ts';

/** What the room needs. `http` must already limit connections for each host. */
export interface DownloadDeps {
  catalog: Catalog;
  http: Http;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  space: SpaceGuard;
  /** With it, `dumpFile:downloaded` follows every completed download. */
  bus?: Bus;
  config: {
    /** `torrents.piece_length`: pieces hashed while downloading serve torrents of this piece length. */
    pieceLengthBytes: number;
  };
}

/** Fetches dump files and proves every byte. */
export interface DownloadRoom {
  readonly handlers: readonly AnyJobHandler[];
  /** Ends the hashing threads; call it after the executor stopped. */
  stop(): Promise<void>;
}

/** Makes the room; starts nothing before the first job. */
export function createDownload(deps: DownloadDeps): DownloadRoom {
  const lanes = createHashLanes({ log: deps.log });
  const { catalog, http, disk, layout, clock, space } = deps;
  const forget = deps.bus?.on('job:completed', ({ jobType, dumpId }) => {
    if (jobType !== downloadDump.type || dumpId === null) return;
    const row = catalog.dumpFile(DumpFileId.parse(dumpId));
    if (row !== null) deps.bus?.emit('dumpFile:downloaded', { dumpId, sizeBytes: row.sizeBytes });
  });
  return {
    handlers: [
      handleDownloadDump({
        catalog,
        http,
        disk,
        layout,
        clock,
        space,
        lanes,
        log: deps.log,
        pieceLengthBytes: deps.config.pieceLengthBytes,
      }),
    ],
    async stop() {
      forget?.();
      await lanes.stop();
    },
  };
}
