import type { Catalog } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { Bus } from '../events/index.ts';
import { DumpFileId } from '../lib/index.ts';
import type { Clock, Disk, Http, Log, Random } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout, SpaceGuard } from '../storage/index.ts';
import { createFileLocks } from './file-locks.ts';
import { createHashLanes } from './hashing/index.ts';
import { createHeld, type HeldDeps, type HeldFiles } from './held/index.ts';
import { downloadDump, handleDownloadDump } from './jobs/download-dump.ts';
import { createSources, type SourcesConfig, type SourcesDeps } from './sources/index.ts';

export * from './held/index.ts';
export { downloadDump } from './jobs/download-dump.ts';
export { repairFile } from './jobs/repair-file.ts';
export { scrubFiles } from './jobs/scrub-files.ts';
export { type DownloadRisk, downloadPriority } from './priority.ts';

/** What the room needs. `http` must already limit connections for each host. */
export interface DownloadDeps {
  db: Db;
  catalog: Catalog;
  http: Http;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  random: Random;
  log: Log;
  space: SpaceGuard;
  /** With it, `dumpFile:downloaded` follows every completed download. */
  bus?: Bus;
  /** Bandwidth limits that an operator set while running. */
  ratesByHand?: SourcesDeps['ratesByHand'];
  config: SourcesConfig & {
    /** `torrents.piece_length`: pieces hashed while downloading serve torrents of this piece length. */
    pieceLengthBytes: number;
    /** `segment_size`: so much a crash may cost; default 100 MB. */
    segmentSizeBytes?: number;
  };
  /** How held files are read again and repaired. */
  held?: Pick<HeldDeps, 'moreSources' | 'scrub' | 'yieldTo' | 'askForRepair'>;
}

const SEGMENT_BYTES = 100_000_000;

/** Fetches dump files and proves every byte. */
export interface DownloadRoom {
  readonly handlers: readonly AnyJobHandler[];
  /** Reads held files again and repairs them. */
  readonly held: Omit<HeldFiles, 'stop'>;
  /** Ends the hashing threads; call it after the executor stopped. */
  stop(): Promise<void>;
}

/** Makes the room; starts nothing before the first job. */
export function createDownload(deps: DownloadDeps): DownloadRoom {
  const lanes = createHashLanes({ log: deps.log });
  const { catalog, disk, layout, clock, space } = deps;
  const sources = createSources(deps);
  const { pieceLengthBytes } = deps.config;
  const locks = createFileLocks();
  const held = createHeld({ ...deps, ...deps.held, locks, sources, pieceLength: pieceLengthBytes });
  /** Of the last record of each file, which may have been rolled back: then another one follows. */
  const recorded = new Map<number, number>();
  const forget = deps.bus?.on('job:completed', ({ jobType, dumpId }) => {
    if (jobType !== downloadDump.type || dumpId === null) return;
    const heldDeltaBytes = recorded.get(dumpId) ?? 0;
    recorded.delete(dumpId);
    const row = catalog.dumpFile(DumpFileId.parse(dumpId));
    if (row !== null)
      deps.bus?.emit('dumpFile:downloaded', { dumpId, sizeBytes: row.sizeBytes, heldDeltaBytes });
  });
  return {
    handlers: [
      handleDownloadDump({
        catalog,
        client: sources.client,
        book: sources.book,
        disk,
        layout,
        clock,
        space,
        lanes,
        locks,
        log: deps.log,
        ...(deps.bus === undefined ? {} : { onRecorded: (id, bytes) => void recorded.set(id, bytes) }),
        pieceLengthBytes,
        segmentBytes: deps.config.segmentSizeBytes ?? SEGMENT_BYTES,
      }),
      ...held.handlers,
    ],
    held,
    async stop() {
      forget?.();
      await held.stop();
      await lanes.stop();
      sources.stop();
    },
  };
}
