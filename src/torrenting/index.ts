export type { TorrentConfig } from './jobs/create-torrent.ts';
export { CreateTorrentInput, type CreateTorrentOutput, createTorrent } from './jobs/torrent-job.ts';
export { findMissingTorrents } from './missing.ts';
export { DEFAULT_BOUNDS, type TorrentBounds } from './parts.ts';
export { createThreadPlanner } from './planning/planner.ts';
export { createTorrenting, type TorrentingDeps, type TorrentingRoom } from './torrenting.ts';
export {
  type Grouping,
  ofCycle,
  torrentName,
  type Variant,
  type WhichTorrent,
  whichIs,
} from './which-torrent.ts';
