import type { Catalog } from '../catalog/index.ts';
import type { Bus } from '../events/index.ts';
import { hours, minutes, seconds } from '../lib/index.ts';
import type { Clock, Disk, Http, Log } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout } from '../storage/index.ts';
import { createArchiveReader } from './ia-metadata.ts';
import { createArchivePut } from './ia-put.ts';
import { handleProveRemote } from './jobs/prove-remote.ts';
import { handleUploadIa } from './jobs/upload-ia.ts';
import { createPace } from './pace.ts';

export { type ProvedItem, proveRemote } from './jobs/prove-remote.ts';
export { uploadIa } from './jobs/upload-ia.ts';

/** The room's slice of the configuration. */
export interface UploadConfig {
  /** `https://s3.us.archive.org` */
  s3Endpoint: string;
  /** `https://archive.org` */
  siteUrl: string;
  collection: string;
  access: string;
  secret: string;
  userAgent: string;
  /** Waiting times between looks after an upload; the last one repeats. Default 30 s, 1 min, 2 min, 10 min. */
  verifyPollMs?: readonly number[];
  /** After this the bytes are sent once more. Default 48 h. */
  verifyDeadlineMs?: number;
  /** Default 500 GB. */
  maxItemSizeBytes?: number;
  /** Default 500. */
  maxItemFiles?: number;
  /** Default 5. */
  newItemsPerHour?: number;
  /** Default 5,000. */
  dailyFiles?: number;
}

/** What the room needs. */
export interface UploadDeps {
  catalog: Catalog;
  http: Http;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** Hears of copies that the archive has no more. */
  bus: Pick<Bus, 'emit'>;
  config: UploadConfig;
}

/** Puts dump files into the Internet Archive. */
export interface UploadRoom {
  readonly handlers: readonly AnyJobHandler[];
  /** Nothing lives between jobs; here so that every room can be stopped alike. */
  stop(): Promise<void>;
}

/** Makes the room; sends nothing before the first job. */
export function createUpload(deps: UploadDeps): UploadRoom {
  const { catalog, http, disk, layout, clock } = deps;
  const withoutSlash = (url: string): string => url.replace(/\/+$/, '');
  const config = {
    verifyPollMs: [seconds(30), minutes(1), minutes(2), minutes(10)],
    verifyDeadlineMs: hours(48),
    maxItemSizeBytes: 500e9,
    maxItemFiles: 500,
    newItemsPerHour: 5,
    dailyFiles: 5000,
    ...deps.config,
    s3Endpoint: withoutSlash(deps.config.s3Endpoint),
    siteUrl: withoutSlash(deps.config.siteUrl),
    authorization: `LOW ${deps.config.access}:${deps.config.secret}`,
  };
  const reader = createArchiveReader({ http, clock, config });
  return {
    handlers: [
      handleUploadIa({
        catalog,
        disk,
        layout,
        clock,
        reader,
        archive: createArchivePut({ clock, userAgent: config.userAgent }),
        pace: createPace({
          clock,
          newItemsPerHour: config.newItemsPerHour,
          dailyFiles: config.dailyFiles,
          busyItemWaitMs: config.verifyPollMs[0] ?? seconds(30),
        }),
        config,
      }),
      handleProveRemote({ catalog, reader, bus: deps.bus }),
    ],
    stop: async () => deps.log.debug({ room: 'upload' }, 'upload stopped'),
  };
}
