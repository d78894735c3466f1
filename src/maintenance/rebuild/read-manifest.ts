import { join } from 'node:path';
import { z } from 'zod';
import { isSafeName } from '../../storage/index.ts';
import type { ReadDeps } from './read-records.ts';

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
export async function readLocalManifest({ disk, layout }: ReadDeps): Promise<LocalManifest> {
  const whole = parse(await disk.readText(join(layout.publish, 'manifest.json')));
  if (whole !== null)
    return { isReadable: true, torrents: new Map(whole.map((entry) => [entry.infohash, entry])) };
  const torrents = new Map<string, PublishedTorrent>();
  for (const name of await disk.list(join(layout.publish, 'manifests'))) {
    if (!/^\d{4}-\d{2}-\d{2}\.json$/.test(name)) continue;
    const cycle = parse(await disk.readText(join(layout.publish, 'manifests', name)));
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
