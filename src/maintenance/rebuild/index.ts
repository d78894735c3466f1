export { assertDatabaseNotLost } from './database-lost.ts';
export { type RebuildOptions, rebuildDatabase } from './rebuild.ts';
export { createRecordKeeper, type RecordKeeper, type RecordKeeperDeps } from './record-keeper.ts';
export type { Finding, RebuildReport } from './report.ts';
export type { VerifyProgress } from './verify-files.ts';
