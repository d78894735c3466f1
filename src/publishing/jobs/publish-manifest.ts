import { z } from 'zod';
import type { Catalog, Torrent } from '../../catalog/index.ts';
import { hours, Interrupted, TorrentId } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk, ObjectStore } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { createLocalFiles, type LocalFiles, readWhole, sha256Of } from '../local-files.ts';
import {
  buildManifest,
  type Manifest,
  type ManifestAddresses,
  manifestJson,
  publicAddress,
  torrentKey,
} from '../manifest.ts';
import { manifestText } from '../manifest-text.ts';
import { publishObject } from '../remote-files.ts';
import type { SharePlatform, ShareStore } from '../share-store.ts';

const Input = z.object({});
const PublishedTorrent = z.object({
  torrentId: TorrentId,
  infoHash: z.string(),
  url: z.string().nullable(),
  contentSha256: z.string(),
});
/** What is published now, and which objects had to be written for it. */
const Output = z.object({
  manifestSha256: z.string(),
  torrents: z.array(PublishedTorrent),
  /** Infohashes of recorded torrents that were left out, because their .torrent file is nowhere. */
  leftOut: z.array(z.string()),
  /** Keys written below `publish/` and in the object store; empty when nothing had changed. */
  writtenLocal: z.array(z.string()),
  writtenRemote: z.array(z.string()),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** What recording a publication tells the follow-ups. */
export interface PublishedManifest {
  /** False when the catalog learnt something while we published: then it must be published again. */
  isCurrent: boolean;
}

/**
 * Publishes the manifest of all torrents with their .torrent files. There is one such job at a time. Target `r2`: bad keys
 * there halt publishing and nothing else.
 */
export const publishManifest = defineJob<Input, Output>({
  type: 'publish_manifest',
  input: Input,
  output: Output,
  uniqueKey: () => 'all',
  target: ['r2', 'disk'],
  timeoutMs: hours(6),
  priority: 50,
});

/** What the handler needs. */
export interface PublishManifestDeps {
  catalog: Catalog;
  disk: Disk;
  layout: Layout;
  shares: ShareStore;
  /** null: this folder is all there is. */
  objectStore: ObjectStore | null;
  addresses: ManifestAddresses;
  version: string;
}

/** Repeating it with the same catalog writes nothing. */
export function handlePublishManifest(deps: PublishManifestDeps): JobHandler<Input, Output> {
  const { catalog, shares } = deps;
  const local = createLocalFiles(deps.disk, deps.layout.publish);
  return handleJob(publishManifest, {
    run: (_input, context) => publishOnce(deps, local, context),
    record(_input, output): PublishedManifest {
      const platforms: [SharePlatform, readonly string[]][] = [['local', output.writtenLocal]];
      if (deps.objectStore !== null) platforms.push(['r2', output.writtenRemote]);
      for (const [platform, written] of platforms) {
        const base = platform === 'local' ? deps.addresses.publicBaseUrl : deps.addresses.r2PublicBaseUrl;
        const at = (key: string): string | null =>
          publicAddress({ publicBaseUrl: base, r2PublicBaseUrl: null }, key);
        const share = (subject: string, key: string, contentSha256: string): void =>
          shares.recordActive({
            subject,
            platform,
            platformUrl: at(key),
            contentSha256,
            isWritten: written.includes(key),
          });
        for (const torrent of output.torrents)
          share(torrent.infoHash, torrentKey(torrent.infoHash), torrent.contentSha256);
        share('manifest', 'manifest.json', output.manifestSha256);
      }
      for (const { torrentId, url } of output.torrents) {
        const row = catalog.torrent(torrentId);
        if (row !== null && (row.publishedAt === null || row.torrentUrl !== url))
          catalog.markPublished(torrentId, url);
      }
      const published = new Set(output.torrents.map(({ infoHash }) => infoHash));
      for (const { cycleDate, status } of catalog.cycles()) {
        if (status !== 'seeding') continue;
        const torrents = catalog.torrentsOfCycle(cycleDate);
        if (torrents.length > 0 && torrents.every(({ infoHash }) => published.has(infoHash)))
          catalog.advanceCycle(cycleDate, 'published');
      }
      const expected = catalog.torrents().filter(({ infoHash }) => !output.leftOut.includes(infoHash));
      const json = manifestJson(buildManifest(catalog, expected, deps.addresses));
      return { isCurrent: sha256Of(json) === output.manifestSha256 };
    },
    // Counts, not keys: the row is kept for ever, and there are two keys for each torrent.
    summarize: ({ manifestSha256, torrents, leftOut, writtenLocal, writtenRemote }) => ({
      manifestSha256,
      torrentCount: torrents.length,
      leftOutCount: leftOut.length,
      writtenLocalCount: writtenLocal.length,
      writtenRemoteCount: writtenRemote.length,
    }),
  });
}

async function publishOnce(
  deps: PublishManifestDeps,
  local: LocalFiles,
  context: JobContext,
): Promise<Output> {
  const writtenLocal = new Set<string>();
  const writtenRemote = new Set<string>();
  const listed = deps.catalog.torrents();
  const torrentFiles = await localTorrentFiles(deps, local, listed, context, writtenLocal);
  const torrents = listed.filter(({ infoHash }) => torrentFiles.has(infoHash));
  const manifest = buildManifest(deps.catalog, torrents, deps.addresses);
  const json = manifestJson(manifest);
  const changingKeys = await writeManifests(deps, local, { torrents, manifest, json }, writtenLocal);
  step('publishing:manifest_written');
  const torrentKeys = [...torrentFiles.keys()].map(torrentKey);
  if (deps.objectStore !== null)
    await publishRemotely(deps.objectStore, local, torrentKeys, changingKeys, context, writtenRemote);
  step('publishing:published');
  context.log.info(
    { room: 'publishing', torrents: torrents.length, local: writtenLocal.size, remote: writtenRemote.size },
    'manifest published',
  );
  return {
    manifestSha256: sha256Of(json),
    torrents: torrents.map(({ id, infoHash }) => ({
      torrentId: id,
      infoHash,
      url: publicAddress(deps.addresses, torrentKey(infoHash)),
      contentSha256: torrentFiles.get(infoHash) ?? '',
    })),
    leftOut: listed.map(({ infoHash }) => infoHash).filter((infoHash) => !torrentFiles.has(infoHash)),
    writtenLocal: [...writtenLocal],
    writtenRemote: [...writtenRemote],
  };
}

/** Copies every .torrent file to `publish/torrents/`. @returns SHA-256 by infohash, without those that are nowhere on disk */
async function localTorrentFiles(
  deps: PublishManifestDeps,
  local: LocalFiles,
  torrents: readonly Torrent[],
  context: JobContext,
  written: Set<string>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { infoHash, torrentFilePath, name } of torrents) {
    if (context.signal.aborted) throw new Interrupted();
    const key = torrentKey(infoHash);
    const made = await readWhole(deps.disk, deps.layout.absolute(torrentFilePath));
    const content = made ?? (await local.read(key));
    if (content === null) {
      // A manifest must not name what nobody can fetch; the torrent comes back into it with its file.
      context.log.error(
        { room: 'publishing', infohash: infoHash, name },
        'a .torrent file is missing; left out',
      );
      continue;
    }
    if (await local.write(key, content)) written.add(key);
    found.set(infoHash, sha256Of(content));
    context.progress({ label: name });
  }
  return found;
}

/**
 * Writes `manifests/<cycle>.json`, the same facts for one cycle alone, and then the two manifests that name everything.
 * All of them change: Internet Archive addresses arrive weeks after the torrent.
 * @returns the keys, what names others last
 */
async function writeManifests(
  deps: PublishManifestDeps,
  local: LocalFiles,
  content: { torrents: readonly Torrent[]; manifest: Manifest; json: string },
  written: Set<string>,
): Promise<string[]> {
  const { torrents, manifest, json } = content;
  const keys: string[] = [];
  const write = async (key: string, content: string): Promise<void> => {
    if (await local.write(key, content)) written.add(key);
    keys.push(key);
  };
  for (const cycleDate of [...new Set(torrents.map((torrent) => torrent.cycleDate))].sort()) {
    const own = torrents.filter((torrent) => torrent.cycleDate === cycleDate);
    await write(
      `manifests/${cycleDate}.json`,
      manifestJson(buildManifest(deps.catalog, own, deps.addresses)),
    );
  }
  await write('manifest.txt', manifestText(manifest, deps));
  await write('manifest.json', json);
  return keys;
}

/** What others name goes first, what names others last: no reader ever sees a manifest that names a missing object. */
async function publishRemotely(
  store: ObjectStore,
  local: LocalFiles,
  torrentKeys: readonly string[],
  changingKeys: readonly string[],
  context: JobContext,
  written: Set<string>,
): Promise<void> {
  const publish = async (key: string, changesSlowly: boolean): Promise<void> => {
    const content = await local.read(key);
    if (content === null) return;
    if (await publishObject(store, { key, content, changesSlowly }, context.signal)) written.add(key);
    context.progress({ label: key });
  };
  for (const key of torrentKeys) await publish(key, true);
  for (const key of changingKeys) await publish(key, false);
}
