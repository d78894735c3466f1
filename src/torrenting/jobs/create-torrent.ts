import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type { Catalog } from '../../catalog/index.ts';
import { CycleDate, DumpFileId, PermanentError } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import type { Layout } from '../../storage/index.ts';
import { arrange, type PieceSettings } from '../arrangement.ts';
import { type LostDeps, type LostFiles, sendBack, waitForLost } from '../lost-files.ts';
import { encodeTorrent, magnetLink } from '../metainfo.ts';
import { planPayload } from '../payload/payload.ts';
import { hashPieces } from '../piece-hasher.ts';
import { choosePieceLength } from '../piece-length.ts';
import { prove } from '../prove.ts';
import { selectFiles } from '../select-files.ts';
import { type SelectionCatalog, torrentName } from '../selection.ts';
import type { TouchedFile } from '../stored-pieces.ts';
import { buildTree } from '../tree.ts';

const Input = z.object({
  cycleDate: CycleDate,
  variant: z.enum(['regular', 'history']),
  /** Jobs of earlier versions have none. */
  supplement: z.number().int().nonnegative().default(0),
});

/** Paths are relative to the data directory. */
const Output = z.object({
  name: z.string(),
  grouping: z.literal('cycle'),
  cycleDate: CycleDate,
  isHistory: z.boolean(),
  supplement: z.number().int().nonnegative(),
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
    }),
  ),
  gaps: z.array(
    z.object({
      wikiDbName: z.string(),
      source: z.enum(['classic', 'content_current', 'content_history']),
      runDate: z.string(),
      dumpType: z.string(),
      filename: z.string().nullable(),
      sizeBytes: z.number().int().nullable(),
      state: z.enum(['not_included', 'failed_upstream', 'missing', 'quarantined', 'not_offered']),
      reason: z.string(),
    }),
  ),
});

/** Which torrent: the cycle, whether it is one with the full history, and the number of the supplement (0: the cycle's own). */
export type CreateTorrentInput = z.infer<typeof Input>;
/** The finished torrent, as `catalog.recordTorrent` takes it. */
export type CreateTorrentOutput = z.infer<typeof Output>;

/** Makes one torrent of a sealed cycle: folder of hard links, added text files, piece hashes, .torrent file. */
export const createTorrent = defineJob<CreateTorrentInput, CreateTorrentOutput>({
  type: 'create_torrent',
  input: Input,
  output: Output,
  uniqueKey: ({ cycleDate, variant, supplement }) =>
    [cycleDate, variant, ...(supplement > 0 ? [`supplement-${supplement}`] : [])].join(':'),
  target: 'disk',
  subject: (input) => ({ cycleDate: input.cycleDate }),
});

/** The settings this job needs. */
export interface TorrentConfig extends PieceSettings {
  /** Dump types that are wanted of a run. */
  regularTypes: readonly string[];
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

/** What the handler needs. */
export interface CreateTorrentDeps {
  catalog: SelectionCatalog &
    LostDeps['catalog'] &
    Pick<Catalog, 'pieceHashes' | 'recordSound' | 'recordTorrent'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  config: TorrentConfig;
  askForRepair: LostDeps['askForRepair'];
  /** Aborts when the room stops. */
  stopping: AbortSignal;
}

/**
 * The behaviour of `create_torrent`; repeating it from any point gives the same files and the same infohash. It first proves
 * every file it needs. One that is missing goes back to `pending` at once, one that is damaged stays and is repaired, and the job
 * sleeps until each is there again or given up.
 */
export function createTorrentHandler(
  deps: CreateTorrentDeps,
): JobHandler<CreateTorrentInput, CreateTorrentOutput> {
  // Shared by the jobs of both variants: a file that one of them sent back is missing from the other as well.
  const lost: LostFiles = new Map();
  return handleJob(createTorrent, {
    run: (input, context) => makeTorrent(deps, lost, input, context),
    record: (_input, output) => void deps.catalog.recordTorrent(output),
    summarize: ({ files, gaps, ...facts }) => ({
      ...facts,
      dumpFileCount: files.length,
      gapCount: gaps.length,
    }),
  });
}

async function makeTorrent(
  deps: CreateTorrentDeps,
  lost: LostFiles,
  input: CreateTorrentInput,
  context: JobContext,
): Promise<CreateTorrentOutput> {
  const { disk, layout, config, log } = deps;
  const signal = AbortSignal.any([context.signal, deps.stopping]);
  const name = torrentName(input);
  if (deps.catalog.torrents().some((torrent) => torrent.name === name && torrent.retiredAt !== null))
    throw new PermanentError('torrent_retired', `${name} is retired: files of it were deleted to make room`, {
      hint: 'Its record and its .torrent file stay; whoever else seeds it has the bytes.',
    });
  const selection = selectFiles({ catalog: deps.catalog, ...input, ...config });
  waitForLost(deps, lost, selection, context.cursor);
  const { files: payload, leftOut, gaps } = planPayload(selection);
  for (const { dump, reason } of leftOut)
    log.warn(
      { room: 'torrenting', name, dumpFileId: dump.id, wiki: dump.wikiDbName, reason },
      'a file is left out of a torrent',
    );
  const recorded = deps.catalog.torrents().find((torrent) => torrent.name === name);
  const arrangement = arrange(payload, {
    // A recorded torrent keeps what it was made with, whatever the settings say by now.
    pieceLength:
      recorded?.pieceLength ??
      choosePieceLength(
        payload.reduce((sum, file) => sum + file.sizeBytes, 0),
        config.pieceLengthBytes,
      ),
    alignFilesFromBytes: selection.alignFilesFromBytes,
  });
  const startedMs = deps.clock.monotonicMs();
  const proof = await prove(
    {
      ...deps,
      signal,
      onProgress: (doneBytes, totalBytes) =>
        context.progress({ doneBytes, totalBytes, label: 'proving files' }),
    },
    arrangement,
    { isRecorded: recorded !== undefined },
  );
  step('torrenting:proved');
  if (proof.damaged.length > 0) sendBack(deps, lost, proof.damaged);

  context.progress({ label: 'linking files' });
  const root = await buildTree({
    disk,
    layout,
    signal,
    name,
    files: payload,
    isFinal: recorded !== undefined,
  });
  const { pieceLength, totalSizeBytes } = arrangement;
  const pieces =
    'pieces' in proof
      ? proof.pieces
      : await hashPieces({
          files: payload.map((file) => ({ absolutePath: join(root, file.path), sizeBytes: file.sizeBytes })),
          pieceLength,
          signal,
          onProgress: (doneBytes) =>
            context.progress({ doneBytes, totalBytes: totalSizeBytes, label: 'hashing pieces' }),
        });
  // Time has passed since the files were looked at: they must be the same still.
  await proof.assertUnchanged();
  step('torrenting:pieces_hashed');
  if ('touched' in proof) await noteTouched(deps, proof.touched);
  const durationMs = Math.round(deps.clock.monotonicMs() - startedMs);

  const trackers = [...config.trackers];
  const webseeds = ownWebseed(config);
  const { bytes, infoHash } = encodeTorrent(
    { name, files: arrangement.entries, pieceLength, pieces },
    {
      trackers,
      webseeds,
      cycleDate: input.cycleDate,
      createdBy: `WikiSeed ${config.version}`,
      comment: `Wikimedia database dumps${input.variant === 'history' ? ' with full history' : ''}, cycle of ${input.cycleDate}${input.supplement === 0 ? '' : `, supplement ${input.supplement}`}; start with README.txt.`,
    },
  );
  if (recorded !== undefined && recorded.infoHash !== infoHash) {
    throw new PermanentError(
      'torrent_is_final',
      `${name} was made before with infohash ${recorded.infoHash}`,
      {
        hint: 'It stays as it is. Did upstream publish a file anew after ours was lost? Whoever else seeds the torrent has the earlier bytes.',
      },
    );
  }
  const torrentFile = join(layout.torrents, `${name}.torrent`);
  await writeAtomically(disk, torrentFile, bytes);
  step('torrenting:file_written');
  deps.log.info(
    { room: 'torrenting', name, infohash: infoHash, sizeBytes: totalSizeBytes, durationMs },
    'torrent made',
  );

  return {
    name,
    grouping: 'cycle',
    cycleDate: input.cycleDate,
    isHistory: input.variant === 'history',
    supplement: input.supplement,
    payloadVersion: selection.payloadVersion,
    infoHash,
    magnetLink: magnetLink({ infoHash, name, totalSizeBytes, trackers, webseeds }),
    totalSizeBytes,
    fileCount: payload.length,
    pieceLength,
    pieceCount: arrangement.pieceCount,
    alignFilesFromBytes: arrangement.alignFilesFromBytes,
    torrentFilePath: layout.relative(torrentFile),
    contentPath: layout.relative(layout.torrents),
    trackers,
    webseeds,
    files: payload.flatMap((file) =>
      file.kind === 'dump'
        ? [
            {
              dumpId: file.content.dump.id,
              pathInTorrent: file.path,
              sizeBytes: file.sizeBytes,
              verification: selection.payloadVersion === '1.0' ? null : file.content.dump.verification,
            },
          ]
        : [],
    ),
    gaps,
  };
}

/** Files that were read because of their time, and were right: whoever comes next need not read them again. */
async function noteTouched(
  { catalog }: Pick<CreateTorrentDeps, 'catalog'>,
  files: readonly TouchedFile[],
): Promise<void> {
  for (const { dump, mtimeMs } of files) {
    if (dump.sha1 !== null) catalog.recordSound(dump.id, { sha1: dump.sha1, storedMtimeMs: mtimeMs });
    // Each is a transaction of its own, and after an upgrade there may be thousands.
    await nextTurn();
  }
}

/** BEP 19 root: clients append the torrent's name and the path. */
function ownWebseed(config: TorrentConfig): string[] {
  if (config.publicBaseUrl === null) return [];
  return [`${config.publicBaseUrl.replace(/\/+$/, '')}/webseed/`];
}
