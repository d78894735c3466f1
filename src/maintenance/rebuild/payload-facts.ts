import { join } from 'node:path';
import { z } from 'zod';
import { isSafeName } from '../../storage/index.ts';
import { METADATA_MAX_BYTES, readText, Unreadable } from './read-file.ts';
import type { TellingReadDeps } from './read-records.ts';

const Name = z.string().refine(isSafeName);
const FileFacts = {
  wiki: Name,
  project: z.string(),
  language: z.string(),
  runDate: Name,
  dumpType: z.string(),
  filename: Name,
  sizeBytes: z.number().int().nonnegative(),
};
const HashedFile = z.object({
  ...FileFacts,
  path: z.string(),
  md5: z.string().nullable(),
  sha1: z.string(),
  sha256: z.string().nullable(),
  verifiedBy: z.enum(['sha1', 'md5', 'sha256-upstream', 'structure-only']),
  upstreamUrl: z.string(),
});
const AbsentFile = z.object({
  ...FileFacts,
  state: z.enum(['included', 'not_included', 'failed_upstream', 'missing', 'quarantined']),
  reason: z.string(),
});
const Hashes = z.object({ files: z.array(HashedFile) });
const Status = z.object({
  files: z.array(AbsentFile),
  notOffered: z.array(z.object({ wiki: Name, runDate: Name, dumpType: z.string(), reason: z.string() })),
  runs: z.array(
    z.object({
      wiki: Name,
      source: Name,
      runDate: Name,
      status: z.enum(['absent', 'in_progress', 'finished']),
    }),
  ),
});

/** A file of a torrent, from its HASH.json. */
export type HashedFile = z.infer<typeof HashedFile>;
/** A file a torrent's cycle expected, from its STATUS.json. */
export type AbsentFile = z.infer<typeof AbsentFile>;

/** What a torrent's own text files say of its cycle. Empty lists where a text file is missing or cannot be read. */
export interface PayloadFacts {
  files: HashedFile[];
  /** Expected, and not in the torrent. */
  absent: AbsentFile[];
  notices: z.infer<typeof Status>['notOffered'];
  runs: z.infer<typeof Status>['runs'];
}

/** Reads HASH.json and STATUS.json of one torrent's folder. @param name must be a safe name */
export async function readPayloadFacts(
  { disk, layout, unreadable }: TellingReadDeps,
  name: string,
): Promise<PayloadFacts> {
  const read = async <T>(file: string, schema: z.ZodType<T>): Promise<T | null> => {
    const path = join(layout.torrents, name, file);
    const text = await readText(disk, path, METADATA_MAX_BYTES);
    if (text instanceof Unreadable) {
      unreadable.add(
        path,
        `${text.reason}; to have the torrent's folder made again, move torrents/${name} away`,
      );
      return null;
    }
    try {
      return text === null ? null : schema.parse(JSON.parse(text));
    } catch {
      return null;
    }
  };
  const hashes = await read('HASH.json', Hashes);
  const status = await read('STATUS.json', Status);
  return {
    files: hashes?.files ?? [],
    absent: (status?.files ?? []).filter(({ state }) => state !== 'included' && state !== 'not_included'),
    notices: status?.notOffered ?? [],
    runs: status?.runs ?? [],
  };
}
