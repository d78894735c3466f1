import { z } from 'zod';
import type { Catalog, Torrent } from '../../catalog/index.ts';
import { CycleDate, hours, Interrupted, TorrentId } from '../../lib/index.ts';
import type { Disk, ObjectStore } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { createLocalFiles, type LocalFiles, readWhole, sha256Of } from '../local-files.ts';
import {
  buildManifest,
  Manifest,
  type ManifestAddresses,
  manifestJson,
  manifestText,
  publicAddress,
  torrentKey,
} from '../manifest.ts';
import { publishObject } from '../remote-files.ts';
import type { SharePlatform, ShareStore } from '../share-store.ts';

const Input = z.object({ cycleDate: CycleDate.optional() });
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
  /** Keys written below `publish/` and in the object store; empty when nothing had changed. */
  writtenLocal: z.array(z.string()),
  writtenRemote: z.array(z.string()),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/**
 * Publishes the manifest of all torrents with their .torrent files. `cycleDate` only tells requests apart: the content is
 * always the whole manifest. Target `r2`: bad keys there halt publishing and nothing else.
 */
export const publishManifest = defineJob<Input, Output>({
  type: 'publish_manifest',
  input: Input,
  output: Output,
  uniqueKey: ({ cycleDate }) => cycleDate ?? 'all',
  target: 'r2',
  timeoutMs: hours(6),
  priority: 50,
  subject: ({ cycleDate }) => (cycleDate === undefined ? {} : { cycleDate }),
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

/** A torrent may be recorded while we publish; then we publish again, but not for ever. */
const ROUNDS_MAX = 3;

/** Repeating it with the same catalog writes nothing. */
export function handlePublishManifest(deps: PublishManifestDeps): JobHandler<Input, Output> {
  const { catalog, shares } = deps;
  const local = createLocalFiles(deps.disk, deps.layout.publish);
  // Two jobs of different cycles must not write the same files at the same time.
  let last: Promise<unknown> = Promise.resolve();
  return handleJob(publishManifest, {
    run(_input, context) {
      const run = last.then(() => publishUntilCurrent(deps, local, context));
      last = run.catch(() => {});
      return run;
    },
    record(_input, output) {
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
    },
    summarize: ({ torrents, ...facts }) => ({ ...facts, torrentCount: torrents.length }),
  });
}

async function publishUntilCurrent(
  deps: PublishManifestDeps,
  local: LocalFiles,
  context: JobContext,
): Promise<Output> {
  const writtenLocal = new Set<string>();
  const writtenRemote = new Set<string>();
  for (let round = 1; ; round += 1) {
    const listed = deps.catalog.torrents();
    const torrentFiles = await localTorrentFiles(deps, local, listed, context, writtenLocal);
    const torrents = listed.filter(({ infoHash }) => torrentFiles.has(infoHash));
    const manifest = buildManifest(deps.catalog, torrents, deps.addresses);
    const json = manifestJson(manifest);
    const cycleKeys = await writeManifests(deps, local, manifest, json, writtenLocal);
    if (deps.objectStore !== null)
      await publishRemotely(
        deps.objectStore,
        local,
        [...torrentFiles.keys()],
        cycleKeys,
        context,
        writtenRemote,
      );
    const isCurrent =
      manifestJson(buildManifest(deps.catalog, deps.catalog.torrents(), deps.addresses)) === json;
    const isWhole = torrents.length === listed.length;
    if (!isCurrent && isWhole && round < ROUNDS_MAX) continue;
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
      writtenLocal: [...writtenLocal],
      writtenRemote: [...writtenRemote],
    };
  }
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
 * Writes `manifests/<cycle>.json` and then the two manifests that name everything.
 * A cycle's own manifest is frozen: it changes only when its torrents do (a supplement), not when later facts such as
 * Internet Archive addresses arrive, because readers may keep it for ever.
 */
async function writeManifests(
  deps: PublishManifestDeps,
  local: LocalFiles,
  manifest: Manifest,
  json: string,
  written: Set<string>,
): Promise<string[]> {
  const write = async (key: string, content: string): Promise<void> => {
    if (await local.write(key, content)) written.add(key);
  };
  const keys: string[] = [];
  for (const cycleDate of [...new Set(manifest.torrents.map((torrent) => torrent.cycle_date))].sort()) {
    const torrents = deps.catalog.torrentsOfCycle(cycleDate);
    const own = manifest.torrents.filter((torrent) => torrent.cycle_date === cycleDate);
    const key = `manifests/${cycleDate}.json`;
    keys.push(key);
    const frozen = parseManifest(await local.read(key));
    const hashes = (of: Manifest['torrents']): string => of.map(({ infohash }) => infohash).join();
    if (frozen !== null && hashes(frozen.torrents) === hashes(own)) continue;
    const ids = new Set(own.map(({ infohash }) => infohash));
    const rows = torrents.filter(({ infoHash }) => ids.has(infoHash));
    await write(key, manifestJson(buildManifest(deps.catalog, rows, deps.addresses)));
  }
  await write('manifest.txt', manifestText(manifest, deps));
  await write('manifest.json', json);
  return keys;
}

function parseManifest(content: Uint8Array | null): Manifest | null {
  if (content === null) return null;
  try {
    return Manifest.parse(JSON.parse(new TextDecoder().decode(content)));
  } catch {
    // Not ours, or from another version: it is written anew.
    return null;
  }
}

/** What others name goes first, what names others last: no reader ever sees a manifest that names a missing object. */
async function publishRemotely(
  store: ObjectStore,
  local: LocalFiles,
  infoHashes: readonly string[],
  cycleKeys: readonly string[],
  context: JobContext,
  written: Set<string>,
): Promise<void> {
  const immutable = [...infoHashes.map(torrentKey), ...cycleKeys];
  for (const [index, key] of [...immutable, 'manifest.txt', 'manifest.json'].entries()) {
    const content = await local.read(key);
    if (content === null) continue;
    const isImmutable = index < immutable.length;
    if (await publishObject(store, { key, content, isImmutable }, context.signal)) written.add(key);
    context.progress({ label: key });
  }
}
