import type { Db } from '../db/index.ts';
import type { Clock } from '../ports/index.ts';
import type { Catalog } from './catalog.ts';
import { createCycleStore } from './cycle-store.ts';
import { createDeletionStore } from './deletion-store.ts';
import { createDumpStore } from './dump-store.ts';
import { createHeldStore } from './held-store.ts';
import { createRunStore } from './run-store.ts';
import { createTorrentCandidates } from './torrent-candidates.ts';
import { createTorrentRecorder } from './torrent-recorder.ts';
import { createTorrentStore } from './torrent-store.ts';
import { createWikiStore } from './wiki-store.ts';

export type { Catalog } from './catalog.ts';
export { type Container, containerOf, isUnverified } from './checkable.ts';
export type { ArchivedFile, Deletion, DeletionFacts, OpenDeletion } from './deletion-store.ts';
export type { HeldCatalog, HeldSummary } from './held-store.ts';
export { gravest, noticeKind } from './notice-kind.ts';
export * from './types.ts';
export { LATE_MS } from './windows.ts';

/** The ledger over one database. */
export function createCatalog(deps: { db: Db; clock: Clock }): Catalog {
  return {
    ...createWikiStore(deps),
    ...createCycleStore(deps),
    ...createRunStore(deps),
    ...createDumpStore(deps),
    ...createTorrentStore(deps),
    ...createTorrentRecorder(deps),
    ...createTorrentCandidates(deps),
    ...createDeletionStore(deps),
    ...createHeldStore(deps),
  };
}
