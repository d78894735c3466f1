export {
  type CreateTorrentInput,
  type CreateTorrentOutput,
  createTorrent,
  type TorrentConfig,
} from './jobs/create-torrent.ts';
export { findMissingTorrents } from './missing.ts';
export { createTorrenting, type TorrentingDeps, type TorrentingRoom } from './torrenting.ts';
