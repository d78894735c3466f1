export {
  type Care,
  type CareDeps,
  createCare,
  MAINTAIN_TASKS,
  type MaintainReport,
  type MaintainTask,
} from './care.ts';
export { createCareThread, spawnCareWorker } from './care-thread.ts';
export { CHECKPOINT_MODES, type CheckpointMode } from './checkpoint.ts';
export { createCheckpointer } from './checkpointer.ts';
export { type LastRun, SINCE_KEY } from './records.ts';
export type { DatabaseStatistics } from './statistics.ts';
export { findTroubles, type Thresholds, type Trouble } from './troubles.ts';
