import { z } from 'zod';
import { SOURCE_NAMES } from '../../catalog/index.ts';
import { CycleDate, DumpFileId } from '../../lib/index.ts';
import { defineJob } from '../../queue/index.ts';
import { GROUPINGS, VARIANTS } from '../which-torrent.ts';

const SOURCE = z.enum(SOURCE_NAMES);

/** Jobs of earlier versions have only the first three, or two, of these. */
export const CreateTorrentInput = z.object({
  cycleDate: CycleDate,
  variant: z.enum(VARIANTS),
  supplement: z.number().int().nonnegative().default(0),
  grouping: z.enum(GROUPINGS).default('cycle'),
  scope: z.string().nullable().default(null),
  source: SOURCE.nullable().default(null),
  runDate: z.string().nullable().default(null),
  /** 0: the job decides whether one torrent is enough, and makes the first part when it is not. */
  part: z.number().int().nonnegative().default(0),
});

/** Paths are relative to the data directory. */
const Output = z.object({
  name: z.string(),
  infoName: z.string(),
  grouping: z.enum(GROUPINGS),
  scope: z.string().nullable(),
  source: SOURCE.nullable(),
  runDate: z.string().nullable(),
  cycleDate: CycleDate,
  isHistory: z.boolean(),
  isUncompressed: z.boolean(),
  supplement: z.number().int().nonnegative(),
  part: z.number().int().nonnegative(),
  /** True: a further part must carry the rest. Always false of a torrent that was made again. */
  hasMore: z.boolean(),
  payloadVersion: z.string(),
  infoHash: z.string().regex(/^[0-9a-f]{40}$/),
  magnetLink: z.string(),
  totalSizeBytes: z.number().int(),
  /** Dumps and the added text files; no padding. */
  fileCount: z.number().int(),
  pieceLength: z.number().int(),
  pieceCount: z.number().int(),
  /** Jobs of earlier versions aligned nothing. */
  alignFilesFromBytes: z.number().int().positive().nullable().default(null),
  torrentFilePath: z.string(),
  contentPath: z.string(),
  trackers: z.array(z.string()),
  webseeds: z.array(z.string()),
  /** The dump files only: each row of `torrent_files` points to a row of `dumps`. */
  files: z.array(
    z.object({
      dumpId: DumpFileId,
      pathInTorrent: z.string(),
      sizeBytes: z.number().int(),
      verification: z.enum(['sha1', 'md5', 'sha256-upstream', 'structure-only']).nullable(),
      /** Of the unpacked bytes; null where the torrent carries the dump file as it is. */
      md5: z.string().nullable().default(null),
      sha1: z.string().nullable().default(null),
      sha256: z.string().nullable().default(null),
    }),
  ),
  gaps: z.array(
    z.object({
      wikiDbName: z.string(),
      source: SOURCE,
      runDate: z.string(),
      dumpType: z.string(),
      filename: z.string().nullable(),
      sizeBytes: z.number().int().nullable(),
      state: z.enum(['not_included', 'failed_upstream', 'missing', 'quarantined', 'not_offered']),
      reason: z.string(),
    }),
  ),
});

/** Which torrent. */
export type CreateTorrentInput = z.infer<typeof CreateTorrentInput>;
/** The finished torrent, as `catalog.recordTorrent` takes it. */
export type CreateTorrentOutput = z.infer<typeof Output>;

/** Makes one torrent of a sealed cycle: piece hashes and .torrent file, and but for the run of a wiki a folder of hard links with added text files. */
export const createTorrent = defineJob<CreateTorrentInput, CreateTorrentOutput>({
  type: 'create_torrent',
  input: CreateTorrentInput,
  output: Output,
  // As in earlier versions for a whole cycle.
  uniqueKey: ({ cycleDate, variant, supplement, grouping, scope, source, runDate, part }) =>
    [
      cycleDate,
      variant,
      ...(grouping === 'cycle' ? [] : [grouping, scope, source, runDate].filter((word) => word !== null)),
      ...(supplement > 0 ? [`supplement-${supplement}`] : []),
      ...(part > 0 ? [`part-${part}`] : []),
    ].join(':'),
  target: 'disk',
  subject: (input) => ({ cycleDate: input.cycleDate }),
});
