import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Catalog, Torrent } from '../../catalog/index.ts';
import { inTurns } from '../../lib/in-turns.ts';
import { assert, PermanentError, type TorrentId } from '../../lib/index.ts';
import { magnetLink } from '../../lib/magnet.ts';
import { step } from '../../lib/steps.ts';
import { type Clock, type Disk, type Log, writeAtomically } from '../../ports/index.ts';
import { handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import { assertSafeName, type Layout } from '../../storage/index.ts';
import { type Arrangement, arrange, arrangePlain, type PieceSettings } from '../arrangement.ts';
import { type LostDeps, type LostFiles, sendBack, waitForLost } from '../lost-files.ts';
import { torrentEncoding } from '../metainfo.ts';
import { DEFAULT_BOUNDS, type TorrentBounds } from '../parts.ts';
import type { PayloadFile } from '../payload/payload.ts';
import { hashPieces } from '../piece-hasher.ts';
import { choosePieceLength } from '../piece-length.ts';
import { type PayloadPlan, type PlanInput, refused, type TorrentPlan } from '../planning/make-plan.ts';
import type { TorrentPlanner } from '../planning/planner.ts';
import { prove } from '../prove.ts';
import { UnpackedFileChanged } from '../prove-and-hash.ts';
import { kindOf, type Selection, type SelectionCatalog, type UncompressedSettings } from '../selection.ts';
import type { TouchedFile } from '../stored-pieces.ts';
import { buildTree } from '../tree.ts';
import {
  DEFAULT_UNCOMPRESSED,
  longerPieces,
  planUnpacked,
  type UnpackedPlan,
} from '../unpacking/plan-unpacked.ts';
import { type UnpackDeps, workFolder } from '../unpacking/unpack-all.ts';
import { commentOf, torrentName, type WhichTorrent, whichOf } from '../which-torrent.ts';
import { CreateTorrentInput, type CreateTorrentOutput, createTorrent } from './torrent-job.ts';

/** The settings this job needs. */
export interface TorrentConfig extends PieceSettings {
  /** Dump types that are wanted of a run. */
  regularTypes: readonly string[];
  /** Dump types of the history torrent beside the files marked as history. */
  historyTypes: readonly string[];
  trackers: readonly string[];
  /** Beyond which a torrent is split; default `DEFAULT_BOUNDS`. */
  bounds?: TorrentBounds;
  /** Of torrents of unpacked files; default `DEFAULT_UNCOMPRESSED`. */
  uncompressed?: UncompressedSettings;
  /** Of the program; named as the maker, outside the info dictionary. */
  version: string;
}

/** What the handler needs. */
export interface CreateTorrentDeps {
  catalog: SelectionCatalog &
    LostDeps['catalog'] &
    Pick<Catalog, 'pieceHashes' | 'prepareTorrent' | 'recordSound' | 'recordTorrent'>;
  disk: Disk;
  layout: Layout;
  clock: Clock;
  log: Log;
  config: TorrentConfig;
  askForRepair: LostDeps['askForRepair'];
  planner: TorrentPlanner;
  /** Gives room for unpacked files; without it no torrents of them are made. */
  space?: UnpackDeps['space'];
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
  // Shared by all jobs: a file that one of them sent back is missing from the others as well.
  const lost: LostFiles = new Map();
  return handleJob(createTorrent, {
    run: (input, context) => makeTorrent(deps, lost, CreateTorrentInput.parse(input), context),
    record: (_input, { hasMore: _hasMore, ...output }): TorrentId => deps.catalog.recordTorrent(output),
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
  const recorded = recordedOf(deps.catalog, input);
  const which: WhichTorrent = recorded === null ? input : { ...input, part: recorded.part };
  if (recorded !== null && recorded.retiredAt !== null)
    throw new PermanentError(
      'torrent_retired',
      `${recorded.name} is retired: files of it were deleted to make room`,
      { hint: 'Its record and its .torrent file stay; whoever else seeds it has the bytes.' },
    );
  const planned = await deps.planner.plan({ ...whichOf(which), ...settingsOf(config) }, signal);
  const { selection } = planned;
  const name = assertSafeName(selection.name);
  const infoName = assertSafeName(selection.infoName);
  waitForLost(deps, lost, selection, context.cursor);
  const isUnpacked = selection.variant === 'uncompressed';
  const plan = isUnpacked
    ? await unpackedPlan(deps, selection, { recorded, signal, context })
    : { ...payloadOf(planned), damaged: [] };
  if (plan.damaged.length > 0) sendBack(deps, lost, plan.damaged);
  const { files: payload, leftOut, gaps } = plan;
  for (const { dump, reason } of leftOut)
    log.warn(
      { room: 'torrenting', name, dumpFileId: dump.id, wiki: dump.wikiDbName, reason },
      'a file is left out of a torrent',
    );
  await nextTurn();
  const arrangement = layOut(selection, payload, { recorded, config });
  await nextTurn();
  const startedMs = deps.clock.monotonicMs();
  const proof = await prove(
    {
      ...deps,
      signal,
      onProgress: (doneBytes, totalBytes) =>
        context.progress({ doneBytes, totalBytes, label: 'proving files' }),
    },
    arrangement,
    { isRecorded: recorded !== null },
  ).catch(async (error: unknown) => {
    // Nobody's last copy: the packed file is held.
    if (error instanceof UnpackedFileChanged) await disk.remove(error.path);
    throw error;
  });
  step('torrenting:proved');
  if (proof.damaged.length > 0) sendBack(deps, lost, proof.damaged);

  const isStored = selection.grouping === 'wiki_run';
  let root = join(layout.dumps, infoName);
  if (!isStored) {
    context.progress({ label: 'linking files' });
    root = await buildTree({ disk, layout, signal, name, files: payload, isFinal: recorded !== null });
  }
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

  await nextTurn();
  const trackers = [...config.trackers];
  // Addresses are looked at, and written into the file, once there is a torrent; what is known of a recorded one stays.
  const webseeds = [...(recorded?.webseeds ?? [])];
  const encoding = torrentEncoding(
    { name: infoName, files: arrangement.entries, pieceLength, pieces },
    {
      trackers,
      webseeds,
      cycleDate: input.cycleDate,
      createdBy: `WikiSeed ${config.version}`,
      comment: commentOf(selection),
    },
  );
  const { bytes, infoHash } = await inTurns(encoding);
  if (recorded !== null && recorded.infoHash !== infoHash) {
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

  if (isUnpacked) await disk.removeTree(workFolder(root));
  const facts = {
    name,
    infoName,
    ...kindOf(selection),
    cycleDate: selection.cycleDate,
    supplement: selection.supplement,
    part: selection.part,
    payloadVersion: selection.payloadVersion,
    infoHash,
    magnetLink: magnetLink({ infoHash, name: infoName, totalSizeBytes, trackers, webseeds }),
    totalSizeBytes,
    fileCount: payload.length,
    pieceLength,
    pieceCount: arrangement.pieceCount,
    alignFilesFromBytes: arrangement.alignFilesFromBytes,
    torrentFilePath: layout.relative(torrentFile),
    contentPath: layout.relative(isStored ? layout.dumps : layout.torrents),
    trackers,
    webseeds,
    files: payload.flatMap((file) =>
      file.kind !== 'text'
        ? [
            {
              dumpId: file.content.dump.id,
              pathInTorrent: file.path,
              sizeBytes: file.sizeBytes,
              verification: selection.payloadVersion === '1.0' ? null : file.content.dump.verification,
              ...hashesOf(file),
            },
          ]
        : [],
    ),
    gaps,
  };
  context.progress({ label: 'recording' });
  await inTurns(deps.catalog.prepareTorrent(facts));
  step('torrenting:prepared');
  return { ...facts, hasMore: selection.hasMore };
}

/** Unpacks first: what the torrent is made of is known only then. */
async function unpackedPlan(
  deps: CreateTorrentDeps,
  selection: Selection,
  { recorded, signal, context }: { recorded: Torrent | null; signal: AbortSignal; context: JobContext },
): Promise<UnpackedPlan> {
  const { space, layout, config } = deps;
  if (space === undefined)
    throw new PermanentError('no_room_for_unpacked', 'nobody gives room for unpacked files here');
  const onProgress = (doneBytes: number, totalBytes: number): void =>
    context.progress({ doneBytes, totalBytes, label: 'unpacking files' });
  return await planUnpacked({ ...deps, space, signal, onProgress }, selection, {
    ...{ recorded, cursor: context.cursor, target: join(layout.torrents, selection.infoName) },
    settings: config.uncompressed ?? DEFAULT_UNCOMPRESSED,
  });
}

function payloadOf({ payload, refusal }: TorrentPlan): PayloadPlan {
  if (refusal !== null) throw refused(refusal);
  assert(payload !== null, 'a plan that is not refused says what is in the torrent');
  return payload;
}

/** What decides what a torrent is made of. */
function settingsOf(config: TorrentConfig): Omit<PlanInput, keyof WhichTorrent> {
  const { pieceLengthBytes, alignFilesFromBytes, regularTypes, historyTypes, uncompressed, bounds } = config;
  return {
    ...{ pieceLengthBytes, alignFilesFromBytes, regularTypes, historyTypes },
    ...(uncompressed === undefined ? {} : { uncompressed }),
    ...(bounds === undefined ? {} : { bounds }),
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

/**
 * What is recorded of the torrent that is asked for. Whoever asks for all of it means the first part of one that was split.
 */
function recordedOf(catalog: Pick<Catalog, 'torrentsOfCycle'>, input: CreateTorrentInput): Torrent | null {
  const made = catalog.torrentsOfCycle(input.cycleDate);
  const find = (part: number): Torrent | undefined =>
    made.find(({ name }) => name === torrentName({ ...input, part }));
  return find(input.part) ?? (input.part === 0 ? find(1) : undefined) ?? null;
}

/** Of unpacked bytes; those of a dump file are in its own row. */
function hashesOf(file: PayloadFile): Record<'md5' | 'sha1' | 'sha256', string | null> {
  if (file.kind !== 'unpacked') return { md5: null, sha1: null, sha256: null };
  const { md5, sha1, sha256 } = file;
  return { md5, sha1, sha256 };
}

/** Where each file lies. A recorded torrent keeps what it was made with, whatever the settings say by now. */
function layOut(
  { grouping, variant, alignFilesFromBytes }: Selection,
  payload: readonly PayloadFile[],
  { recorded, config }: { recorded: Torrent | null; config: TorrentConfig },
): Arrangement {
  const totalSizeBytes = payload.reduce((sum, file) => sum + file.sizeBytes, 0);
  const chosen = choosePieceLength(totalSizeBytes, config.pieceLengthBytes);
  const { maxPieces } = config.bounds ?? DEFAULT_BOUNDS;
  const wanted = variant === 'uncompressed' ? longerPieces(chosen, { totalSizeBytes, maxPieces }) : chosen;
  const pieceLength = recorded?.pieceLength ?? wanted;
  return grouping === 'wiki_run'
    ? arrangePlain(payload, { pieceLength })
    : arrange(payload, { pieceLength, alignFilesFromBytes });
}
