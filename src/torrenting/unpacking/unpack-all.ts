import { dirname, join } from 'node:path';
import { containerOf } from '../../catalog/index.ts';
import type { DumpFileId } from '../../lib/index.ts';
import { errorCode, Interrupted, RetryableError } from '../../lib/index.ts';
import type { Clock, Disk, Log } from '../../ports/index.ts';
import { diskFull, type Layout, type SpaceGuard } from '../../storage/index.ts';
import type { ContentFile } from '../payload/content.ts';
import { type DamagedFile, proveSources } from '../sources.ts';
import { type Journal, openJournal } from './journal.ts';
import type { UnpackedFacts } from './protocol.ts';
import { assertRoom, createRoom, type Earlier, NoRoom, noRoomYet } from './room.ts';
import { type ToUnpack, unpackFiles } from './unpack-files.ts';

/** What unpacking needs. */
export interface UnpackDeps {
  disk: Disk;
  layout: Layout;
  log: Log;
  clock: Pick<Clock, 'now'>;
  space: Pick<SpaceGuard, 'reserve' | 'onHardStop' | 'noteFull'>;
  signal: AbortSignal;
  /** Packed bytes. */
  onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Which files. */
export interface UnpackRequest {
  /** Folder of the torrent, finished or not, absolute. */
  target: string;
  /** Each with the path of its unpacked bytes in the torrent. */
  files: readonly ContentFile[];
  /** A file that unpacks to more is left out. */
  maxFileBytes: number;
  /** What the torrent carries, when it was recorded before. */
  recorded: ReadonlyMap<DumpFileId, UnpackedFacts>;
  /** Of the job, from an earlier attempt. */
  cursor: unknown;
}

/** An unpacked file, whole and on the disk. */
export interface UnpackedFile {
  content: ContentFile;
  absolutePath: string;
  facts: UnpackedFacts;
}

/** What came of it. */
export interface UnpackResult {
  unpacked: UnpackedFile[];
  tooLarge: ContentFile[];
  broken: ContentFile[];
  /** Packed files that are not what the catalog says; then the rest is not complete. */
  damaged: DamagedFile[];
}

/** Files that change while they are looked at again and again are somebody else's work in progress. */
const ROUNDS_MAX = 3;

/** Where the unpacked files of a torrent lie until it is recorded; they become names in its folder. */
export function workFolder(target: string): string {
  return join(dirname(target), `.unpacking-${target.slice(dirname(target).length + 1)}`);
}

/**
 * Unpacks files to a folder of their own, with their hashes. What an earlier attempt unpacked is taken as it is; so are the files in
 * the finished folder of a recorded torrent, whose bytes are compared when the pieces are cut. Nothing that is packed is touched.
 *
 * Where there is no room, what was unpacked is given up: downloads need it more, and it can be had again.
 * @throws Snooze without room; Interrupted; RetryableError `unpack_failed`, and as `proveSources`; HaltPipelineError `disk_full`
 */
export async function unpackAll(deps: UnpackDeps, request: UnpackRequest): Promise<UnpackResult> {
  const { disk, space } = deps;
  const earlier: Earlier = { cursor: request.cursor, now: deps.clock.now() };
  const folder = workFolder(request.target);
  const stopped = new AbortController();
  const forget = space.onHardStop((reason) => stopped.abort(reason));
  const signal = AbortSignal.any([deps.signal, stopped.signal]);
  const journal = await openJournal(disk, folder);
  try {
    const result = await inRounds({ ...deps, signal }, request, { folder, journal });
    await journal.close();
    return result;
  } catch (error) {
    await journal.close().catch(() => {});
    if (deps.signal.aborted) throw new Interrupted();
    if (stopped.signal.aborted) {
      await disk.removeTree(folder);
      throw noRoomYet(new NoRoom((stopped.signal.reason as Error).message, 0), earlier);
    }
    if (error instanceof NoRoom) {
      await disk.removeTree(folder);
      throw noRoomYet(error, earlier);
    }
    if (!['ENOSPC', 'EDQUOT'].includes(errorCode(error))) throw error;
    space.noteFull(error);
    await disk.removeTree(folder);
    throw diskFull(
      'The disk was full while files were unpacked; what was unpacked is removed.',
      'Free some space or add a disk, or set torrents.uncompressed.enabled to false and restart.',
      error,
    );
  } finally {
    forget();
  }
}

async function inRounds(
  deps: UnpackDeps,
  request: UnpackRequest,
  { folder, journal }: { folder: string; journal: Journal },
): Promise<UnpackResult> {
  for (let round = 1; ; round += 1) {
    const { result, open } = await sortOut(deps, request, { folder, journal });
    if (open.length === 0) return result;
    if (round === 1) await assertRoom(deps.space, request, leastBytes(open));
    const usedBytes = (): number => result.unpacked.reduce((sum, { facts }) => sum + facts.sizeBytes, 0);
    const suspects = await unpackFiles(
      { ...deps, room: createRoom(deps.space, usedBytes) },
      open,
      (file, outcome) => {
        const { content, absolutePath } = file;
        journal.add({ path: content.path, packedSha1: content.dump.sha1 ?? '', outcome });
        if (outcome.kind === 'unpacked')
          result.unpacked.push({ content, absolutePath, facts: outcome.facts });
        else if (outcome.kind === 'too_large') result.tooLarge.push(content);
        else result.broken.push(content);
      },
    );
    if (suspects.length === 0) return result;
    // Looks again, and gives a file its name back that only a torrent's folder still has.
    const { damaged } = await proveSources({ ...deps, onProgress: () => {} }, suspects);
    if (damaged.length > 0) return { ...result, damaged };
    if (round === ROUNDS_MAX)
      throw new RetryableError(
        'dump_file_changed',
        `${suspects[0]?.dump.localPath ?? 'a file'} was changed while it was unpacked`,
      );
  }
}

/** Packed text is a third of its size at most, with hardly an exception. */
const RATIO_MIN = 3;

/** What will come out at least: who has no room for that need not begin. */
function leastBytes(open: readonly ToUnpack[]): number {
  return open.reduce(
    (sum, { content, maxBytes }) => sum + Math.min(maxBytes, RATIO_MIN * content.dump.sizeBytes),
    0,
  );
}

/** What is known already, and what is to be unpacked. */
async function sortOut(
  { disk, layout }: UnpackDeps,
  { target, files, maxFileBytes, recorded }: UnpackRequest,
  { folder, journal }: { folder: string; journal: Journal },
): Promise<{ result: UnpackResult; open: ToUnpack[] }> {
  const result: UnpackResult = { unpacked: [], tooLarge: [], broken: [], damaged: [] };
  const open: ToUnpack[] = [];
  for (const content of files) {
    const { dump, path } = content;
    const container = containerOf(dump.filename);
    if (container === null || dump.sha1 === null || dump.localPath === null) continue;
    const facts = recorded.get(dump.id);
    const finished = join(target, path);
    if (facts !== undefined && (await disk.stat(finished))?.sizeBytes === facts.sizeBytes) {
      result.unpacked.push({ content, absolutePath: finished, facts });
      continue;
    }
    // What a torrent carries is no larger because the setting is smaller by now.
    const maxBytes = facts?.sizeBytes ?? maxFileBytes;
    const absolutePath = join(folder, path);
    const known = journal.find(path, dump.sha1);
    if (known?.kind === 'broken') result.broken.push(content);
    else if (dump.sizeBytes > maxFileBytes && facts === undefined) result.tooLarge.push(content);
    else if (known?.kind === 'too_large' && known.maxBytes >= maxBytes) result.tooLarge.push(content);
    else if (known?.kind === 'unpacked' && known.facts.sizeBytes > maxBytes) result.tooLarge.push(content);
    else if (known?.kind === 'unpacked' && (await isThere(disk, absolutePath, known)))
      result.unpacked.push({ content, absolutePath, facts: known.facts });
    else
      open.push({
        ...{ content, absolutePath, container, maxBytes, packedSha1: dump.sha1 },
        source: layout.absolute(dump.localPath),
      });
  }
  return { result, open };
}

async function isThere(
  disk: Disk,
  path: string,
  known: { facts: UnpackedFacts; mtimeMs: number },
): Promise<boolean> {
  const found = await disk.stat(path);
  return found !== null && found.sizeBytes === known.facts.sizeBytes && found.mtimeMs === known.mtimeMs;
}
