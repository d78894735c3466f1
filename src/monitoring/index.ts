export { createMonitoring, type MonitoringDeps, type MonitoringRoom } from './server.ts';
export {
  judge,
  readStatus,
  type StatusReport,
  type StatusSources,
  stuckReason,
  type Verdict,
  wordsOf,
} from './status.ts';
export { createStatusQueries, type FileFilter, type StatusQueries } from './status-queries.ts';
export * from './types.ts';
