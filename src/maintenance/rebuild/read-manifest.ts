import { join } from 'node:path';
import { z } from 'zod';
import { isSafeName } from '../../storage/index.ts';
import { listFolder, METADATA_MAX_BYTES, readText, Unreadable } from './read-file.ts';
import type { TellingReadDeps } from './read-records.ts';

const PublishedFile = z.object({
  project: z.string(),
  language: z.string(),
  dump_type: z.string(),
  filename: z.string().refine(isSafeName),
  path_in_torrent: z.string().refine((path) => path.split('/').every(isSafeName)),
  size_bytes: z.number().int().nonnegative(),
  md5: z.string().nullable(),
  sha1: z.string().nullable(),
  sha256: z.string().nullable(),
  wikimedia_url: z.string(),
  ia_url: z.string().nullable(),
});
const PublishedTorrent = z.object({
  name: z.string().refine(isSafeName),
  infohash: z.string().regex(/^[0-9a-f]{40}$/),
  magnet: z.string(),
  url: z.string().nullable(),
  cycle_date: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
  is_uncompressed: z.boolean().optional(),
  files: z.array(PublishedFile),
});
const LocalManifest = z.object({ last_updated: z.iso.datetime(), torrents: z.array(PublishedTorrent) });

/** One dump file as it was published. */
export type PublishedFile = z.infer<typeof PublishedFile>;
/** One torrent as it was published; `updatedAt` is the time of the newest fact in its manifest, epoch ms. */
export type PublishedTorrent = z.infer<typeof PublishedTorrent> & { updatedAt: number };

/** What the local manifest says; `isReadable` is false when there is none, or none that can be read. */
export interface LocalManifest {
  isReadable: boolean;
  /** By infohash. */
  torrents: Map<string, PublishedTorrent>;
}

/** Reads `publish/manifest.json`, and where that fails the manifests of the single cycles, which say the same. */
export async function readLocalManifest(deps: TellingReadDeps): Promise<LocalManifest> {
  const { disk, layout, unreadable } = deps;
  const read = async (path: string): Promise<PublishedTorrent[] | null> => {
    const text = await readText(disk, path, METADATA_MAX_BYTES);
    if (!(text instanceof Unreadable)) return parse(text);
    unreadable.add(path, text.reason);
    return null;
  };
  const whole = await read(join(layout.publish, 'manifest.json'));
  if (whole !== null)
    return { isReadable: true, torrents: new Map(whole.map((entry) => [entry.infohash, entry])) };
  const torrents = new Map<string, PublishedTorrent>();
  const folder = join(layout.publish, 'manifests');
  const names = await listFolder(disk, folder);
  if (names instanceof Unreadable) unreadable.add(folder, names.reason);
  for (const name of names instanceof Unreadable ? [] : names) {
    if (!/^\d{4}-\d{2}-\d{2}\.json$/.test(name)) continue;
    const cycle = await read(join(folder, name));
    for (const entry of cycle ?? []) torrents.set(entry.infohash, entry);
  }
  return { isReadable: false, torrents };
}

function parse(text: string | null): PublishedTorrent[] | null {
  if (text === null) return null;
  try {
    const { last_updated, torrents } = LocalManifest.parse(JSON.parse(text));
    return torrents.map((entry) => ({ ...entry, updatedAt: Date.parse(last_updated) }));
  } catch {
    return null;
  }
}
