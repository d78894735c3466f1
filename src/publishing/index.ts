import { join } from 'node:path';
import type { Catalog } from '../catalog/index.ts';
import type { Db } from '../db/index.ts';
import type { Clock, Disk, Log, ObjectStore } from '../ports/index.ts';
import type { AnyJobHandler } from '../queue/index.ts';
import type { Layout } from '../storage/index.ts';
import type { ManifestAddresses } from './addresses.ts';
import { createThreadBuilder } from './building/builder.ts';
import { createChanges } from './changes.ts';
import { handlePublishManifest } from './jobs/publish-manifest.ts';
import { createShareStore } from './share-store.ts';
import { createTorrentList } from './torrent-list.ts';

export { type PublishedManifest, publishManifest } from './jobs/publish-manifest.ts';
export { Manifest, ManifestFile, ManifestTorrent } from './manifest.ts';
export { createS3ObjectStore, type S3ObjectStoreConfig } from './s3-object-store.ts';

/** Folder below `publish/`: manifests that are being written. */
const UNFINISHED = '.unfinished';

/** What the room needs. */
export interface PublishingDeps {
  catalog: Catalog;
  db: Db;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  /** null: `publish/` on this disk is all there is. */
  objectStore: ObjectStore | null;
  config: {
    /** Where others reach this host; null = nowhere. */
    publicBaseUrl: string | null;
    /** Where others read the bucket; null = nowhere. */
    r2PublicBaseUrl: string | null;
    /** Of this WikiSeed. */
    version: string;
  };
}

/** Tells the world which torrents there are. */
export interface PublishingRoom {
  readonly handlers: readonly AnyJobHandler[];
}

/** Makes the room; publishes nothing before the first job. */
export function createPublishing(deps: PublishingDeps): PublishingRoom {
  const { catalog, disk, layout, objectStore } = deps;
  const addresses: ManifestAddresses = {
    publicBaseUrl: deps.config.publicBaseUrl,
    r2PublicBaseUrl: objectStore === null ? null : deps.config.r2PublicBaseUrl,
  };
  const unfinished = join(layout.publish, UNFINISHED);
  const { version } = deps.config;
  return {
    handlers: [
      handlePublishManifest({
        ...{ catalog, disk, layout, objectStore, addresses, unfinished },
        torrents: createTorrentList(deps),
        shares: createShareStore(deps),
        changes: createChanges(deps),
        builder: createThreadBuilder({
          ...{ databasePath: deps.db.path, publish: layout.publish, unfinished, addresses, version },
        }),
      }),
    ],
  };
}
