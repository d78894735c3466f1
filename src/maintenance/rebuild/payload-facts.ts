import { join } from 'node:path';
import { z } from 'zod';
import { isSafeName } from '../../storage/index.ts';
import { METADATA_MAX_BYTES, readText, Unreadable } from './read-file.ts';
import type { TellingReadDeps } from './read-records.ts';
import type { NamedTorrent } from './torrent-name.ts';

const Name = z.string().refine(isSafeName);
const Source = z.enum(['classic', 'content_current', 'content_history']);
const FileFacts = {
  wiki: Name,
  runDate: Name,
  dumpType: z.string(),
  filename: Name,
  sizeBytes: z.number().int().nonnegative(),
};
const HashedFile = z.object({
  ...FileFacts,
  project: z.string(),
  language: z.string(),
  path: z.string(),
  md5: z.string().nullable(),
  sha1: z.string(),
  sha256: z.string().nullable(),
  verifiedBy: z.enum(['sha1', 'md5', 'sha256-upstream', 'structure-only']),
  upstreamUrl: z.string(),
  /** Payload 1.0 has none: there the address tells it. */
  source: Source.optional(),
  /** The dump file; then `filename`, size and hashes are those of the unpacked bytes. */
  unpackedFrom: z.object({ filename: Name }).optional(),
});
const AbsentFile = z.object({
  ...FileFacts,
  /** Payload 1.1 has neither for files that are not in the torrent. */
  project: z.string().optional(),
  language: z.string().optional(),
  source: Source.default('classic'),
  state: z.enum(['included', 'not_included', 'failed_upstream', 'missing', 'quarantined']),
  reason: z.string(),
});
const Hashes = z.object({ files: z.array(HashedFile) });
const LackingType = z.object({
  wiki: Name,
  source: Source.default('classic'),
  runDate: Name,
  dumpType: z.string(),
  reason: z.string(),
});
const Status = z.object({
  /** Since payload 1.1. */
  supplement: z.number().int().nonnegative().optional(),
  files: z.array(AbsentFile),
  failedUpstream: z.array(LackingType).default([]),
  notOffered: z.array(LackingType),
  notFinished: z.array(LackingType).default([]),
  runs: z.array(
    z.object({
      wiki: Name,
      source: Source,
      runDate: Name,
      status: z.enum(['absent', 'in_progress', 'finished']),
    }),
  ),
});

/** A file of a torrent, from its HASH.json. */
export type HashedFile = z.infer<typeof HashedFile>;
/** A file a torrent's cycle expected, from its STATUS.json. */
export type AbsentFile = z.infer<typeof AbsentFile>;

/** A row of `torrent_gaps`, by its columns. */
export type GapRow = Record<
  'wiki_db_name' | 'source' | 'run_date' | 'dump_type' | 'filename' | 'size_bytes' | 'state' | 'reason',
  string | number | null
>;

/** What a torrent's own text files say of its cycle. Empty lists where a text file is missing or cannot be read. */
export interface PayloadFacts {
  files: HashedFile[];
  /** Expected, and not in the torrent. */
  absent: AbsentFile[];
  notices: z.infer<typeof LackingType>[];
  runs: z.infer<typeof Status>['runs'];
  /** Form of the text files. */
  payloadVersion: string;
  /** What it says that it does not carry; none in payload 1.0, where that was not kept. */
  gaps: GapRow[];
}

/** Reads HASH.json and STATUS.json of one torrent's folder; a torrent of a run has neither. @param torrent.infoName must be a safe name */
export async function readPayloadFacts(
  { disk, layout, unreadable }: TellingReadDeps,
  { infoName: name, grouping }: Pick<NamedTorrent, 'infoName' | 'grouping'>,
): Promise<PayloadFacts> {
  const read = async <T>(file: string, schema: z.ZodType<T>): Promise<T | null> => {
    if (grouping === 'wiki_run') return null;
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
  const hasGaps = status?.supplement !== undefined;
  return {
    files: hashes?.files ?? [],
    absent: (status?.files ?? []).filter(({ state }) => state !== 'included' && state !== 'not_included'),
    // Their kind is told from their reasons.
    notices: [...(status?.failedUpstream ?? []), ...(status?.notOffered ?? [])],
    runs: status?.runs ?? [],
    payloadVersion: hasGaps || hashes?.files.some(({ source }) => source !== undefined) ? '1.1' : '1.0',
    gaps: hasGaps ? gapsOf(status) : [],
  };
}

function gapsOf(status: z.infer<typeof Status>): GapRow[] {
  const ofType =
    (state: string) =>
    ({ wiki, source, runDate, dumpType, reason }: z.infer<typeof LackingType>): GapRow => ({
      ...{ wiki_db_name: wiki, source, run_date: runDate, dump_type: dumpType },
      ...{ filename: null, size_bytes: null, state, reason },
    });
  return [
    ...status.files
      .filter(({ state }) => state !== 'included')
      .map(({ wiki, source, runDate, dumpType, filename, sizeBytes, state, reason }) => ({
        ...{ wiki_db_name: wiki, source, run_date: runDate, dump_type: dumpType },
        ...{ filename, size_bytes: sizeBytes, state, reason },
      })),
    ...status.failedUpstream.map(ofType('failed_upstream')),
    ...status.notOffered.map(ofType('not_offered')),
    ...status.notFinished.map(ofType('missing')),
  ];
}
