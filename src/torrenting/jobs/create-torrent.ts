import { join } from 'node:path';
import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import { CycleDate, DumpFileId, PermanentError } from '../../lib/index.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { encodeTorrent, magnetLink } from '../metainfo.ts';
import { planPayload } from '../payload/payload.ts';
import { hashPieces } from '../piece-hasher.ts';
import { choosePieceLength } from '../piece-length.ts';
import { selectFiles, torrentName } from '../selection.ts';
import { buildTree } from '../tree.ts';

const Input = z.object({ cycleDate: CycleDate, variant: z.enum(['regular', 'history']) });

/** The facts `catalog.recordTorrent` takes; paths are relative to the data directory. */
const Output = z.object({
  name: z.string(),
  grouping: z.literal('cycle'),
  cycleDate: CycleDate,
  isHistory: z.boolean(),
  infoHash: z.string().regex(/^[0-9a-f]{40}$/),
  magnetLink: z.string(),
  totalSizeBytes: z.number().int(),
  /** Dumps and the added text files. */
  fileCount: z.number().int(),
  pieceLength: z.number().int(),
  pieceCount: z.number().int(),
  torrentFilePath: z.string(),
  contentPath: z.string(),
  trackers: z.array(z.string()),
  webseeds: z.array(z.string()),
  /** The dump files only: each row of `torrent_files` points to a row of `dumps`. */
  files: z.array(z.object({ dumpId: DumpFileId, pathInTorrent: z.string(), sizeBytes: z.number().int() })),
});

export type CreateTorrentInput = z.infer<typeof Input>;
export type CreateTorrentOutput = z.infer<typeof Output>;

/** Makes one torrent of a sealed cycle: folder of hard links, added text files, piece hashes, .torrent file. */
export const createTorrent = defineJob<CreateTorrentInput, CreateTorrentOutput>({
  type: 'create_torrent',
  input: Input,
  output: Output,
  uniqueKey: (input) => `${input.cycleDate}:${input.variant}`,
  subject: (input) => ({ cycleDate: input.cycleDate }),
});

/** The settings this job needs. */
export interface TorrentConfig {
  /** Power of two; small torrents take less, see `choosePieceLength`. */
  pieceLengthBytes: number;
  /** Dump types of the history torrent beside the files marked as history. */
  historyTypes: readonly string[];
  trackers: readonly string[];
  /**
   * Where others reach this host's `/webseed/`; null = no webseed. No other webseed is written: it must hold the
   * torrent's own tree, which only we do.
   */
  publicBaseUrl: string | null;
  /** Of the program; named as the maker, outside the info dictionary. */
  version: string;
}

export interface CreateTorrentDeps {
  catalog: Pick<Catalog, 'dumpFiles' | 'runs' | 'wikis' | 'torrents' | 'recordTorrent'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  config: TorrentConfig;
  /** Aborts when the room stops. */
  stopping: AbortSignal;
}

/** The behaviour of `create_torrent`; repeating it from any point gives the same files and the same infohash. */
export function createTorrentHandler(
  deps: CreateTorrentDeps,
): JobHandler<CreateTorrentInput, CreateTorrentOutput> {
  return handleJob(createTorrent, {
    run: (input, context) => makeTorrent(deps, input, context),
    record: (_input, output) => void deps.catalog.recordTorrent(output),
    summarize: ({ files, ...facts }) => ({ ...facts, dumpFileCount: files.length }),
  });
}

async function makeTorrent(
  deps: CreateTorrentDeps,
  input: CreateTorrentInput,
  context: JobContext,
): Promise<CreateTorrentOutput> {
  const { disk, layout, config } = deps;
  const signal = AbortSignal.any([context.signal, deps.stopping]);
  const name = torrentName(input.cycleDate, input.variant);
  const payload = planPayload(selectFiles({ catalog: deps.catalog, ...input, ...config }));
  const recorded = deps.catalog.torrents().find((torrent) => torrent.name === name);
  context.progress({ label: 'linking files' });
  const root = await buildTree({
    disk,
    layout,
    signal,
    name,
    files: payload,
    isFinal: recorded !== undefined,
  });

  const totalSizeBytes = payload.reduce((sum, file) => sum + file.sizeBytes, 0);
  const pieceLength = choosePieceLength(totalSizeBytes, config.pieceLengthBytes);
  const startedMs = deps.clock.monotonicMs();
  const pieces = await hashPieces({
    files: payload.map((file) => ({ absolutePath: join(root, file.path), sizeBytes: file.sizeBytes })),
    pieceLength,
    signal,
    onProgress: (doneBytes) =>
      context.progress({ doneBytes, totalBytes: totalSizeBytes, label: 'hashing pieces' }),
  });
  const durationMs = Math.round(deps.clock.monotonicMs() - startedMs);

  const trackers = [...config.trackers];
  const webseeds = ownWebseed(config);
  const { bytes, infoHash } = encodeTorrent(
    { name, files: payload, pieceLength, pieces },
    {
      trackers,
      webseeds,
      cycleDate: input.cycleDate,
      createdBy: `WikiSeed ${config.version}`,
      comment: `Wikimedia database dumps${input.variant === 'history' ? ' with full history' : ''}, cycle of ${input.cycleDate}; start with README.txt.`,
    },
  );
  if (recorded !== undefined && recorded.infoHash !== infoHash) {
    throw new PermanentError(
      'torrent_is_final',
      `${name} was made before with infohash ${recorded.infoHash}`,
      {
        hint: 'Was torrents.piece_length changed? A published torrent keeps the one it was made with.',
      },
    );
  }
  const torrentFile = join(layout.torrents, `${name}.torrent`);
  await writeAtomically(disk, torrentFile, bytes);
  deps.log.info(
    { room: 'torrenting', name, infohash: infoHash, sizeBytes: totalSizeBytes, durationMs },
    'torrent made',
  );

  return {
    name,
    grouping: 'cycle',
    cycleDate: input.cycleDate,
    isHistory: input.variant === 'history',
    infoHash,
    magnetLink: magnetLink({ infoHash, name, totalSizeBytes, trackers, webseeds }),
    totalSizeBytes,
    fileCount: payload.length,
    pieceLength,
    pieceCount: pieces.length / 20,
    torrentFilePath: layout.relative(torrentFile),
    contentPath: layout.relative(layout.torrents),
    trackers,
    webseeds,
    files: payload.flatMap((file) =>
      file.kind === 'dump'
        ? [{ dumpId: file.content.dump.id, pathInTorrent: file.path, sizeBytes: file.sizeBytes }]
        : [],
    ),
  };
}

/** BEP 19 root: clients append the torrent's name and the path. */
function ownWebseed(config: TorrentConfig): string[] {
  if (config.publicBaseUrl === null) return [];
  return [`${config.publicBaseUrl.replace(/\/+$/, '')}/webseed/`];
}
