/** The configuration room: one YAML file and the environment in, a checked and typed `Config` out. Pure; file access is passed in. */

export { isLoopbackHost, isLoopbackUrl, isPrivateUrl } from './addresses.ts';
export { type BandwidthLimit, type BandwidthWindow, bandwidthAt } from './bandwidth.ts';
export type { HourRange } from './kinds-time.ts';
export { DEFAULT_PATHS, type LoadOptions, type LoadResult, loadConfig } from './load.ts';
export { formatProblem, type Problem } from './problem.ts';
export {
  type AlertsConfig,
  type Config,
  type DiscoveryConfig,
  type DownloadConfig,
  type DumpsConfig,
  defaultConfig,
  type IaConfig,
  type LoggingConfig,
  type MaintenanceConfig,
  type MonitoringConfig,
  type PageArchiveConfig,
  type PublishConfig,
  type SchedulingConfig,
  type SeedingConfig,
  type StorageConfig,
  type TorrentsConfig,
  type WikiseedConfig,
} from './schema.ts';
export {
  type Environment,
  loadSecrets,
  noSecrets,
  type ReadTextFile,
  type SecretName,
  type SecretOrigin,
  type SecretOrigins,
  type Secrets,
} from './secrets.ts';
export { describeConfig, showConfig, toFileForm } from './show.ts';
export { nearestName } from './suggest.ts';
