export { pruneStorage, type RecordedPrune } from './jobs/prune-storage.ts';
export type { ItemToProve, MadePlan, PlanInput } from './make-plan.ts';
export { createDirectPlanner, createThreadPlanner, type Planner, type PlanOutline } from './planner.ts';
export type { PruneReport } from './prune.ts';
export { createPruning, type PruningDeps, type PruningRoom } from './pruning.ts';
export type { TakenUp } from './take-up.ts';
export type { UnpackedTorrent } from './unpacked.ts';
export type { ChosenSet, SetView } from './views.ts';
export { isBesideUs, lookForWaiting, seedingProgramOf, type Waiting } from './waiting.ts';
