export * from './care.ts';
export * from './care-thread.ts';
export {
  CHECKPOINT_BUSY_MS,
  CHECKPOINT_MODES,
  type CheckpointMode,
  type CheckpointResult,
} from './checkpoint.ts';
export * from './checkpointer.ts';
export type { LastRun, Recorded } from './records.ts';
export { recordKey, SINCE_KEY } from './records.ts';
export { careError, damaged, diskFull } from './sqlite-trouble.ts';
export type { DatabaseStatistics } from './statistics.ts';
export {
  findTroubles,
  RESTORE_HINT,
  type Thresholds,
  TROUBLE_KEYS,
  type Trouble,
  walTrouble,
} from './troubles.ts';
