import { join } from 'node:path';
import { type Config, isLoopbackUrl, type Secrets } from './config/index.ts';
import type { DiscoveryConfig } from './discovery/index.ts';
import type { DownloadDeps } from './download/index.ts';
import type { Bus } from './events/index.ts';
import {
  type Clock,
  createHttp,
  type Http,
  limitConnectionsPerHost,
  type ObjectStore,
} from './ports/index.ts';
import { createS3ObjectStore, type PublishingDeps } from './publishing/index.ts';
import type { Queue } from './queue/index.ts';
import type { CycleCalendar } from './scheduling/index.ts';
import type { ExternalEngineConfig, SeedingConfig } from './seeding/index.ts';
import type { TorrentConfig } from './torrenting/index.ts';
import type { TorrentsWantedConfig } from './torrents-wanted.ts';
import type { UploadConfig } from './upload/index.ts';
import { VERSION } from './version.ts';
import type { WebseedConfig } from './webseeds/index.ts';

/* What the rooms are given of the configuration, where that is more than a section of it. */

/** `WikiSeed/0.1.0 (https://…; mail@example.org)`, the form that Wikimedia asks for. */
export function userAgentOf(config: Config): string {
  const { userAgentUrl, contact } = config.wikiseed;
  return `WikiSeed/${VERSION} (${[userAgentUrl, contact].filter((part) => part !== '').join('; ')})`;
}

/** The calendar as the scheduling room wants it. */
export function calendarOf(config: Config): CycleCalendar {
  return {
    cycleDays: config.scheduling.cycleDays,
    embargoDays: config.scheduling.embargoDays,
    deadlines: {
      firstCycle: config.scheduling.publishDeadlines.firstCycleDay,
      secondCycle: config.scheduling.publishDeadlines.secondCycleDay,
    },
    includeHistory: config.dumps.includeHistory,
    historyMonths: config.dumps.historyMonths,
  };
}

/** The one http client for all rooms, with the budget for each host. */
export function createAppHttp(config: Config, clock: Clock): Http {
  const { perHostConnections } = config.download;
  // Both: an answered request may leave its connection open, and upstream counts connections.
  const http = createHttp({ userAgent: userAgentOf(config), clock, connectionsPerHost: perHostConnections });
  return limitConnectionsPerHost(http, perHostConnections);
}

/** What discovery looks for. */
export function discoveryConfigOf(config: Config): DiscoveryConfig {
  const { cycleDays } = config.scheduling;
  return { ...config.dumps, ...config.discovery, cycleDays };
}

/** Where bytes come from, and how fast. */
export function downloadConfigOf({ discovery, download, torrents }: Config): DownloadDeps['config'] {
  return {
    pieceLengthBytes: torrents.pieceLengthBytes,
    segmentSizeBytes: download.segmentSizeBytes,
    // What a site on this machine has is no copy of Wikimedia's: its names would only find other bytes out there.
    mirrors: isLoopbackUrl(discovery.dumpsBaseUrl)
      ? download.mirrors.filter(isLoopbackUrl)
      : download.mirrors,
    connections: download.perHostConnections,
    bandwidth: { total: download.bandwidthLimit, perHost: download.perHostBandwidthLimit },
  };
}

/** The bandwidth limits that an operator set while running. */
export function downloadRatesOf(
  queue: Pick<Queue, 'rateOf'>,
  bus: Pick<Bus, 'on'>,
): NonNullable<DownloadDeps['ratesByHand']> {
  return {
    total: () => queue.rateOf('download'),
    perHost: () => queue.rateOf('download_per_host'),
    onChange: (listener) => bus.on('rate:changed', listener),
  };
}

/** How files go to the Internet Archive; keys that are not given are empty, and the room is not asked then. */
export function uploadConfigOf(config: Config, secrets: Secrets): UploadConfig {
  const { ia } = config;
  return {
    s3Endpoint: ia.s3Endpoint,
    siteUrl: ia.siteUrl,
    collection: ia.collection,
    access: secrets.iaAccessKey ?? '',
    secret: secrets.iaSecretKey ?? '',
    userAgent: userAgentOf(config),
    verifyPollMs: ia.verifyPollMs,
    maxItemSizeBytes: ia.maxItemSizeBytes,
    maxItemFiles: ia.maxItemFiles,
    newItemsPerHour: ia.newItemsPerHour,
    dailyFiles: ia.dailyFiles,
  };
}

/** What becomes a torrent, and how it is cut. */
export function torrentConfigOf({ torrents, dumps }: Config): TorrentConfig {
  return {
    pieceLengthBytes: torrents.pieceLengthBytes,
    alignFilesFromBytes: torrents.alignFilesFromBytes,
    trackers: torrents.trackers,
    regularTypes: dumps.regularTypes,
    historyTypes: dumps.historyTypes,
    bounds: { maxPieces: torrents.maxPieces, maxTorrentSizeBytes: torrents.maxTorrentSizeBytes },
    uncompressed: torrents.uncompressed,
    version: VERSION,
  };
}

/** Which torrents a cycle should have. */
export function torrentsWantedConfigOf({ torrents, dumps }: Config): TorrentsWantedConfig {
  return {
    groupings: torrents.groupings,
    wikiRunMinSizeBytes: torrents.wikiRunMinSizeBytes,
    historyTypes: dumps.historyTypes,
    hasUncompressed: torrents.uncompressed.enabled,
  };
}

/** Where torrents can be fetched from over HTTP. */
export function webseedConfigOf({ torrents, discovery, download, ia, wikiseed }: Config): WebseedConfig {
  return {
    order: torrents.webseeds,
    dumpsBaseUrl: discovery.dumpsBaseUrl,
    mirrors: download.mirrors,
    iaSiteUrl: ia.siteUrl,
    publicBaseUrl: wikiseed.publicBaseUrl,
  };
}

/** Who seeds, and how. */
export function seedingConfigOf(config: Config, secrets: Secrets): SeedingConfig {
  const { seeding, wikiseed } = config;
  const { watchDir } = seeding;
  return {
    enabled: seeding.engine !== 'none',
    program: seedingProgramOf(config, secrets),
    watchFolder: watchDir === true ? join(wikiseed.dataDir, 'seeder', 'watch') : watchDir,
    port: seeding.port,
    maxConnections: seeding.maxConnections,
    dht: seeding.dht,
    utPex: seeding.pex,
    lsd: seeding.lsd,
    utp: seeding.utp,
    webrtc: seeding.webrtc,
    maxActiveTorrents: seeding.maxActiveTorrents,
    uploadLimitBytesPerSecond: seeding.uploadLimitBytesPerSecond,
    host: seeding.listenHost,
    userAgent: `WikiSeed/${VERSION}`,
  };
}

/** The program that seeds instead of the embedded client, and how we come in; null = none. */
function seedingProgramOf({ seeding }: Config, secrets: Secrets): ExternalEngineConfig | null {
  const { engine: program, url } = seeding;
  if ((program !== 'qbittorrent' && program !== 'transmission') || url === null) return null;
  const own = {
    qbittorrent: { username: secrets.qbittorrentUsername, password: secrets.qbittorrentPassword },
    transmission: { username: secrets.transmissionUsername, password: secrets.transmissionPassword },
  }[program];
  return {
    ...{ program, url, engineDataDir: seeding.engineDataDir },
    username: own.username ?? secrets.seedingUsername,
    password: own.password ?? secrets.seedingPassword,
    uploadLimitBytesPerSecond: seeding.uploadLimitBytesPerSecond,
  };
}

/** Where published files go besides our own host; null = nowhere. */
export function objectStoreOf({ publish }: Config, secrets: Secrets, clock: Clock): ObjectStore | null {
  const { r2 } = publish;
  if (!r2.enabled) return null;
  return createS3ObjectStore({
    endpoint: r2.endpoint ?? `https://${secrets.r2AccountId ?? ''}.r2.cloudflarestorage.com`,
    bucket: r2.bucket,
    region: r2.region,
    accessKeyId: secrets.r2AccessKeyId ?? '',
    secretAccessKey: secrets.r2SecretAccessKey ?? '',
    clock,
  });
}

/** Where what we publish can be fetched. */
export function publishConfigOf({ wikiseed, publish }: Config): PublishingDeps['config'] {
  return {
    publicBaseUrl: wikiseed.publicBaseUrl,
    r2PublicBaseUrl: publish.r2.publicBaseUrl,
    version: VERSION,
  };
}
