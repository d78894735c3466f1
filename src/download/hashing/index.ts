export type { FileDigests, HashLane } from './lane.ts';
export { createHashLanes, type HashLanes } from './lanes.ts';
export type { HashLibrary, HashState } from './protocol.ts';
