export type { Control } from './control-api.ts';
export {
  createOperatorActions,
  type OperatorActions,
  REASON_MAX,
  type RetriedJobs,
} from './operator-actions.ts';
export {
  jobCommand,
  QUARANTINE,
  resumeCommand,
  scopeWords,
  sentenceCase,
  tryWords,
  wordsOf,
} from './operator-words.ts';
export { jobTypeOf, RefusedChange } from './scope-names.ts';
export { createMonitoring, type MonitoringDeps, type MonitoringRoom } from './server.ts';
export {
  judge,
  readStatus,
  type StatusReport,
  type StatusSources,
  standstillReason,
  type Verdict,
} from './status.ts';
export { createStatusQueries, type FileFilter, type StatusQueries } from './status-queries.ts';
export * from './types.ts';
