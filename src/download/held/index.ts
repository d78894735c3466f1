import type { Catalog } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';
import type { DumpFileId } from '../../lib/index.ts';
import type { Clock, Disk, Log } from '../../ports/index.ts';
import type { AnyJobHandler } from '../../queue/index.ts';
import type { Layout, SpaceGuard } from '../../storage/index.ts';
import type { FileLocks } from '../file-locks.ts';
import { handleRepairFile } from '../jobs/repair-file.ts';
import { handleScrubFiles } from '../jobs/scrub-files.ts';
import type { Sources } from '../sources/index.ts';
import { createHeldFiles, type HeldFiles } from './held-files.ts';
import type { PieceSource } from './piece-source.ts';
import { createReadPace } from './read-pace.ts';
import { createServerPieces } from './server-pieces.ts';

export { DAMAGE_ALERT } from './damage-alert.ts';
export { createHeldHashers, type HeldHasher, type HeldHashers } from './hash-thread.ts';
export type { FoundDamage, HeldFiles, HeldOutcome, HeldTask } from './held-files.ts';
export type { OfferedPiece, PieceGiver, PieceSource } from './piece-source.ts';
export { type HeldFile, type HeldReading, heldFileOf, type ReadSoFar } from './types.ts';
export { type ReadTask, verifyFile } from './verify-file.ts';

/** Settings of the second reading: `maintenance.scrub`. */
export interface ScrubConfig {
  periodMs: number;
  /** null = unlimited. */
  readLimitBytesPerSecond: number | null;
}

/** What looking after held files needs. */
export interface HeldDeps {
  catalog: Catalog;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** Shared with whatever else changes dump files. */
  locks: FileLocks;
  space: Pick<SpaceGuard, 'reserve' | 'onHardStop'>;
  sources: Pick<Sources, 'book' | 'client'>;
  /** Places beside the servers that may have pieces: asked after them. */
  moreSources?: readonly PieceSource[];
  bus?: Bus;
  pieceLength: number;
  /** Default: never read again by itself. */
  scrub?: ScrubConfig;
  /** Job types that have the disk for themselves while they run. */
  yieldTo?: readonly string[];
  /** Default: nobody is asked. */
  askForRepair?: (ids: readonly DumpFileId[]) => void;
}

/** Held files that are read again and repaired, with the jobs for it. */
export interface Held extends HeldFiles {
  readonly handlers: readonly AnyJobHandler[];
}

/** Wires the reading and the repair of held files. */
export function createHeld(deps: HeldDeps): Held {
  const { catalog, clock } = deps;
  const servers = { book: deps.sources.book, client: deps.sources.client, clock };
  const isContested = ({ id }: { id: DumpFileId }): boolean => catalog.replacement(id) !== null;
  const held = createHeldFiles({
    ...deps,
    servers,
    isContested,
    sources: [createServerPieces({ ...servers, isContested }), ...(deps.moreSources ?? [])],
  });
  const readPace = createReadPace({
    ...deps,
    bytesPerSecond: deps.scrub?.readLimitBytesPerSecond ?? null,
  });
  return {
    ...held,
    handlers: [
      handleRepairFile({ held }),
      handleScrubFiles({
        ...{ catalog, held, pace: readPace.pace },
        periodMs: deps.scrub?.periodMs ?? Number.POSITIVE_INFINITY,
        askForRepair: deps.askForRepair ?? (() => {}),
      }),
    ],
    async stop() {
      readPace.stop();
      await held.stop();
    },
  };
}
