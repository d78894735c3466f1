export type { WebseedLimits } from './client-limits.ts';
export type { Control } from './control-api.ts';
export {
  type Copy,
  type Coverage,
  type CoverageQueries,
  type CoverageRow,
  type CoverageTotals,
  createCoverageQueries,
  type Place,
  type WikiJudge,
} from './coverage-queries.ts';
export { ageInDays, coverageCsv, percentCovered, placeWords, stateOf } from './coverage-words.ts';
export { type CycleKey, type CycleQueries, createCycleQueries } from './cycle-queries.ts';
export * from './cycle-types.ts';
export {
  createOperatorActions,
  DAMAGE_AT_ONCE,
  type OperatorActions,
  REASON_MAX,
  REPAIR_AT_ONCE,
  type RetriedJobs,
  readRate,
} from './operator-actions.ts';
export {
  jobCommand,
  mirrorStanding,
  QUARANTINE,
  rateName,
  rateWords,
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
export { storageWords, usedOf } from './storage-words.ts';
export { createTorrentQueries } from './torrent-queries.ts';
export * from './torrent-types.ts';
export { torrentKind, torrentState } from './torrent-words.ts';
export * from './types.ts';
export type { Webseed, WebseedAnswer } from './webseed-routes.ts';
