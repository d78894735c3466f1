export { type StartSeedingInput, type StartSeedingOutput, startSeeding } from './jobs/start-seeding.ts';
export type { TorrentActivity } from './protocol.ts';
export {
  createSeeding,
  type SeedingConfig,
  type SeedingDeps,
  type SeedingFacts,
  type SeedingRoom,
} from './seeding.ts';
export type { SwarmPiece, SwarmPieces } from './swarm-pieces.ts';
export type { SwarmLimits } from './swarm-protocol.ts';
