import { join } from 'node:path';
import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import { hours, Interrupted, TorrentId } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk, ObjectStore } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { type ManifestAddresses, publicAddress, torrentKey } from '../addresses.ts';
import type { BuiltFile, ManifestBuilder } from '../building/builder.ts';
import type { Changes } from '../changes.ts';
import { createLocalFiles, type LocalFiles, readWhole, sha256Of } from '../local-files.ts';
import { publishObject, type RemoteFile } from '../remote-files.ts';
import type { SharePlatform, ShareStore } from '../share-store.ts';
import type { ListedTorrent } from '../torrent-list.ts';

const Input = z.object({});
const PublishedTorrent = z.object({
  torrentId: TorrentId,
  infoHash: z.string(),
  url: z.string().nullable(),
  contentSha256: z.string(),
  /** The catalog does not say yet that it is published there. */
  isNews: z.boolean(),
});
/** What is published now, and which objects had to be written for it. */
const Output = z.object({
  /** What `Changes` counted before anything was read. */
  changeCount: z.number(),
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
  catalog: Pick<Catalog, 'cycles' | 'torrentsOfCycle' | 'advanceCycle' | 'markPublished'>;
  torrents: () => ListedTorrent[];
  disk: Disk;
  layout: Layout;
  shares: ShareStore;
  /** null: this folder is all there is. */
  objectStore: ObjectStore | null;
  addresses: ManifestAddresses;
  changes: Changes;
  builder: ManifestBuilder;
  /** Folder in which the builder leaves what it wrote. */
  unfinished: string;
}

/** Which manifests name all others, in the order in which they are put in their places. */
const LAST = ['manifest.txt', 'manifest.json'];

/** Repeating it with the same catalog writes nothing. */
export function handlePublishManifest(deps: PublishManifestDeps): JobHandler<Input, Output> {
  const { catalog, shares } = deps;
  const local = createLocalFiles(deps.disk, deps.layout.publish);
  return handleJob(publishManifest, {
    run: (_input, context) => publishOnce(deps, local, context),
    record(_input, output): PublishedManifest {
      const platforms: [SharePlatform, ReadonlySet<string>][] = [['local', new Set(output.writtenLocal)]];
      if (deps.objectStore !== null) platforms.push(['r2', new Set(output.writtenRemote)]);
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
            isWritten: written.has(key),
          });
        for (const torrent of output.torrents)
          share(torrent.infoHash, torrentKey(torrent.infoHash), torrent.contentSha256);
        share('manifest', 'manifest.json', output.manifestSha256);
      }
      for (const { torrentId, url, isNews } of output.torrents)
        if (isNews) catalog.markPublished(torrentId, url);
      const published = new Set(output.torrents.map(({ infoHash }) => infoHash));
      for (const { cycleDate, status } of catalog.cycles()) {
        if (status !== 'seeding') continue;
        const torrents = catalog.torrentsOfCycle(cycleDate);
        if (torrents.length > 0 && torrents.every(({ infoHash }) => published.has(infoHash)))
          catalog.advanceCycle(cycleDate, 'published');
      }
      return { isCurrent: deps.changes.count() === output.changeCount };
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
  // First: what is learnt from here on is not sure to be in it.
  const changeCount = deps.changes.count();
  const listed = deps.torrents();
  const torrentFiles = await localTorrentFiles(deps, local, listed, context, writtenLocal);
  const torrents = listed.filter(({ infoHash }) => torrentFiles.has(infoHash));
  const manifests = await buildManifests(deps, local, [...torrentFiles.keys()], context, writtenLocal);
  step('publishing:manifest_written');
  if (deps.objectStore !== null)
    await publishRemotely(deps.objectStore, local, torrentFiles, manifests, context, writtenRemote);
  step('publishing:published');
  context.log.info(
    { room: 'publishing', torrents: torrents.length, local: writtenLocal.size, remote: writtenRemote.size },
    'manifest published',
  );
  return {
    changeCount,
    manifestSha256: manifests.find(({ key }) => key === 'manifest.json')?.sha256 ?? '',
    torrents: torrents.map(({ id, infoHash, publishedAt, torrentUrl }) => {
      const url = publicAddress(deps.addresses, torrentKey(infoHash));
      return {
        ...{ torrentId: id, infoHash, url, contentSha256: torrentFiles.get(infoHash) ?? '' },
        isNews: publishedAt === null || torrentUrl !== url,
      };
    }),
    leftOut: listed.map(({ infoHash }) => infoHash).filter((infoHash) => !torrentFiles.has(infoHash)),
    writtenLocal: [...writtenLocal],
    writtenRemote: [...writtenRemote],
  };
}

/** Copies every .torrent file to `publish/torrents/`. @returns SHA-256 by infohash, without those that are nowhere on disk */
async function localTorrentFiles(
  deps: PublishManifestDeps,
  local: LocalFiles,
  torrents: readonly ListedTorrent[],
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
 * Puts `manifests/<cycle>.json` in their places, and then the two manifests that name everything. All of them change: Internet
 * Archive addresses arrive weeks after the torrent.
 * @returns what names others last
 */
async function buildManifests(
  deps: PublishManifestDeps,
  local: LocalFiles,
  infoHashes: readonly string[],
  context: JobContext,
  written: Set<string>,
): Promise<BuiltFile[]> {
  const built = await deps.builder.build(
    { infoHashes },
    { signal: context.signal, told: (name) => context.progress({ label: name }) },
  );
  step('publishing:manifest_built');
  const order = (key: string): number => LAST.indexOf(key);
  const files = built.sort((a, b) => order(a.key) - order(b.key) || (a.key < b.key ? -1 : 1));
  for (const { key, isChanged } of files) {
    if (!isChanged) continue;
    await local.adopt(key, join(deps.unfinished, ...key.split('/')));
    written.add(key);
  }
  await deps.disk.removeTree(deps.unfinished);
  return files;
}

/** What others name goes first, what names others last: no reader ever sees a manifest that names a missing object. */
async function publishRemotely(
  store: ObjectStore,
  local: LocalFiles,
  torrentFiles: ReadonlyMap<string, string>,
  manifests: readonly BuiltFile[],
  context: JobContext,
  written: Set<string>,
): Promise<void> {
  const publish = async (file: RemoteFile): Promise<void> => {
    if (await publishObject(store, file, context.signal)) written.add(file.key);
    context.progress({ label: file.key });
  };
  for (const [infoHash, sha256] of torrentFiles) {
    const key = torrentKey(infoHash);
    const content = await local.read(key);
    if (content !== null) await publish({ key, content, sha256, changesSlowly: true });
  }
  for (const { key, sizeBytes, sha256, md5 } of manifests) {
    const content = { sizeBytes, md5, chunks: () => local.chunks(key, sizeBytes) };
    await publish({ key, content, sha256, changesSlowly: false });
  }
}
