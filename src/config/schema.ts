import { type ConfigOf, part, section } from './fields.ts';
import { seedingSection, storageSection, torrentsSection } from './sections-keeping.ts';
import {
  alertsSection,
  loggingSection,
  maintenanceSection,
  monitoringSection,
  wikiseedSection,
} from './sections-operation.ts';
import { iaSection, pageArchiveSection, publishSection } from './sections-sharing.ts';
import { discoverySection, downloadSection, dumpsSection, schedulingSection } from './sections-sources.ts';

/** The whole configuration file: every key, its kind, its default. The order is that of `config.example.yaml`. */
export const configSection = section({
  wikiseed: part('wikiseed', wikiseedSection),
  scheduling: part('scheduling', schedulingSection),
  discovery: part('discovery', discoverySection),
  dumps: part('dumps', dumpsSection),
  download: part('download', downloadSection),
  storage: part('storage', storageSection),
  torrents: part('torrents', torrentsSection),
  seeding: part('seeding', seedingSection),
  ia: part('ia', iaSection),
  publish: part('publish', publishSection),
  page_archive: part('pageArchive', pageArchiveSection),
  monitoring: part('monitoring', monitoringSection),
  alerts: part('alerts', alertsSection),
  maintenance: part('maintenance', maintenanceSection),
  logging: part('logging', loggingSection),
});

/** The checked configuration: camelCase, units last (`Bytes`, `Ms`, `Percent`, `BytesPerSecond`), all defaults filled in. */
export type Config = ConfigOf<typeof configSection>;

/** One slice a section; a room is given the slices it needs, never the whole. */
export type WikiseedConfig = Config['wikiseed'];
export type SchedulingConfig = Config['scheduling'];
export type DiscoveryConfig = Config['discovery'];
export type DumpsConfig = Config['dumps'];
export type DownloadConfig = Config['download'];
export type StorageConfig = Config['storage'];
export type TorrentsConfig = Config['torrents'];
export type SeedingConfig = Config['seeding'];
export type IaConfig = Config['ia'];
export type PublishConfig = Config['publish'];
export type PageArchiveConfig = Config['pageArchive'];
export type MonitoringConfig = Config['monitoring'];
export type AlertsConfig = Config['alerts'];
export type MaintenanceConfig = Config['maintenance'];
export type LoggingConfig = Config['logging'];

/** The configuration of an empty file. Its contact is empty, so it serves the sandbox and tests, not Wikimedia. */
export function defaultConfig(): Config {
  return configSection.schema.parse({}) as Config;
}
