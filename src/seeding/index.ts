export { checkTorrent, type TorrentCheck } from './checking/check-torrent.ts';
export type { FileFault } from './checking/check-torrent.worker.ts';
export { ENGINE_HALT_CODES, type ExternalEngineConfig } from './choose-engine.ts';
export { type CollectStatsOutput, collectStats } from './jobs/collect-stats.ts';
export { type StartSeedingInput, type StartSeedingOutput, startSeeding } from './jobs/start-seeding.ts';
export type { TorrentActivity } from './protocol.ts';
export {
  createSeeding,
  type SeedingConfig,
  type SeedingDeps,
  type SeedingFacts,
  type SeedingRoom,
} from './seeding.ts';
export type { SwarmStatisticsDeps } from './statistics/index.ts';
export type { SwarmPiece, SwarmPieces } from './swarm-pieces.ts';
export type { SwarmLimits } from './swarm-protocol.ts';
