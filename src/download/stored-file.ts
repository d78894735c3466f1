import { dirname } from 'node:path';
import type { DumpFile, Verification } from '../catalog/index.ts';
import { describeError, WikiSeedError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Disk, Log } from '../ports/index.ts';
import type { Layout } from '../storage/index.ts';
import type { Due } from './due.ts';
import type { FileDigests, HashLane } from './hashing/index.ts';
import { checkStructure } from './structure/check-structure.ts';
import { removeState } from './transfer/index.ts';
import { judge } from './verdict.ts';

/** Where the bytes of a file lie, or will lie: what is held stays where it was put. */
export function placeOf(layout: Layout, row: DumpFile): string {
  return row.localPath === null ? layout.dumpFile(row) : layout.absolute(row.localPath);
}

/**
 * A file under its final name that the catalog does not know: we stopped between rename and commit. Proved again; when it is
 * not what is due, it stays all the same until better bytes are renamed over it.
 */
export async function recogniseStored(
  deps: { disk: Disk; pieceLengthBytes: number },
  task: { due: Due; path: string; lane: HashLane; signal: AbortSignal; log: Log },
): Promise<{ digests: FileDigests; verification: Verification } | null> {
  const { due, path, log } = task;
  const stat = await deps.disk.stat(path);
  if (stat === null) return null;
  const isRightSize = stat.isFile && stat.sizeBytes === due.facts.sizeBytes;
  const found = isRightSize ? await proveStored(deps, task) : null;
  if (found === null) {
    // Of a file that upstream published anew nothing else is to be expected.
    if (!due.isReplacement)
      log.warn(
        { dumpFileId: due.row.id, path },
        'a stored file is not what it should be; it is fetched again, and kept until then',
      );
    return null;
  }
  await deps.disk.chmod(path, 0o444);
  step('download:recognised');
  log.info({ dumpFileId: due.row.id }, 'dump file was stored already');
  return found;
}

async function proveStored(
  deps: { disk: Disk; pieceLengthBytes: number },
  task: { due: Due; path: string; lane: HashLane; signal: AbortSignal; log: Log },
): Promise<{ digests: FileDigests; verification: Verification } | null> {
  const { due, path, lane, signal } = task;
  let digests: FileDigests;
  const { sizeBytes } = due.facts;
  try {
    const { pieceLengthBytes } = deps;
    lane.begin({ path, pieceLengthBytes, library: 'openssl', from: null });
    lane.upTo(sizeBytes);
    digests = await lane.finish(signal);
  } catch (error) {
    if (error instanceof WikiSeedError) throw error;
    // A spot of the disk that cannot be read must not keep us from fetching the file to another one.
    task.log.warn(
      { dumpFileId: due.row.id, path, reason: describeError(error) },
      'a stored file cannot be read',
    );
    return null;
  }
  const verdict = judge(due.facts, { ...digests, sizeBytes });
  if (verdict.kind === 'proved') return { digests, verification: verdict.verification };
  if (verdict.kind === 'wrong') return null;
  // The old bytes of a file that upstream published anew are whole as well.
  if (due.isReplacement && digests.sha1 === due.row.sha1) return null;
  const structure = await checkStructure({ path, name: due.row.filename, signal });
  return structure.isSound ? { digests, verification: 'structure-only' } : null;
}

/**
 * Gives a proved part file its final name, in place of whatever had it. Other names of the old bytes, in the folders of
 * torrents, keep them.
 */
export async function storeReadOnly(
  deps: { disk: Disk; layout: Layout },
  partPath: string,
  finalPath: string,
): Promise<void> {
  const { disk, layout } = deps;
  const runFolder = dirname(finalPath);
  const isNewFolder = (await disk.stat(runFolder)) === null;
  await disk.makeDirectory(runFolder);
  step('download:storing');
  await disk.rename(partPath, finalPath);
  step('download:renamed');
  await disk.syncDirectory(runFolder);
  if (isNewFolder) {
    await disk.syncDirectory(dirname(runFolder));
    await disk.syncDirectory(layout.dumps);
  }
  await disk.chmod(finalPath, 0o444);
  await removeState(disk, partPath);
  step('download:stored');
}
