import { dirname } from 'node:path';
import { z } from 'zod';
import { type Catalog, type DownloadFacts, type DumpFile, HELD_STATUSES } from '../../catalog/index.ts';
import {
  AssertionError,
  CorruptError,
  DumpFileId,
  errorCode,
  formatBytes,
  hours,
  Interrupted,
  PermanentError,
  Snooze,
} from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Disk } from '../../ports/index.ts';
import { defineJob, handleJob, type JobContext, type JobHandler } from '../../queue/index.ts';
import { diskFull, type Layout } from '../../storage/index.ts';
import { type FetchDeps, fetchFile } from '../fetch-file.ts';
import type { FileDigests, HashLane, HashLanes } from '../hash-lanes.ts';
import { hashFromDisk } from '../receive.ts';
import { checkedSourceUrl } from '../source-url.ts';
import { hasUpstreamHash, judge } from '../verdict.ts';

const Input = z.object({ dumpFileId: DumpFileId });
/** The facts of the file; `pieceHashes` is not kept with the job, the catalog has it. */
const Output = z.object({
  sizeBytes: z.number().int().nonnegative(),
  md5: z.string(),
  sha1: z.string(),
  sha256: z.string(),
  verification: z.enum(['sha1', 'md5', 'sha256-upstream', 'structure-only']),
  localPath: z.string(),
  fetchedFromUrl: z.string(),
  pieceHashes: z.object({ pieceLength: z.number().int().positive(), sha1s: z.instanceof(Buffer) }).nullable(),
});
type Input = z.infer<typeof Input>;
type Output = z.infer<typeof Output>;

/** Fetches, proves and stores one dump file. The largest files (100 GB and more at 5 MB/s) take most of a day. */
export const downloadDump = defineJob<Input, Output>({
  type: 'download_dump',
  input: Input,
  output: Output,
  uniqueKey: ({ dumpFileId }) => String(dumpFileId),
  target: ['dumps', 'storage', 'disk'],
  timeoutMs: hours(24),
  subject: ({ dumpFileId }) => ({ dumpId: dumpFileId }),
});

/** What the handler needs. */
export interface DownloadDumpDeps extends FetchDeps {
  catalog: Catalog;
  layout: Layout;
  lanes: HashLanes;
}

/** How long a finished file without any published hash is left alone before we look again. */
const HASH_WAIT_MS = hours(1);

/** Safe to repeat from any point: looks at the row, then at the stored file, then at the part file, and only then asks the network. */
export function handleDownloadDump(deps: DownloadDumpDeps): JobHandler<Input, Output> {
  return handleJob(downloadDump, {
    async run({ dumpFileId }, context) {
      const row = deps.catalog.dumpFile(dumpFileId);
      if (row === null) throw new PermanentError('no_such_dump_file', `there is no dump file ${dumpFileId}`);
      if (HELD_STATUSES.includes(row.ourStatus)) return recordedFacts(deps.catalog, row);
      if (!hasUpstreamHash(row)) throw new Snooze('no upstream hash yet', HASH_WAIT_MS);
      if (row.ourStatus !== 'downloading') deps.catalog.markDownloading(dumpFileId);
      try {
        const url = checkedSourceUrl(row);
        return await deps.lanes.use((lane) => obtain(deps, { row, url, lane, context }));
      } catch (error) {
        if (context.signal.aborted) throw new Interrupted();
        if (!['ENOSPC', 'EDQUOT'].includes(errorCode(error))) throw error;
        throw diskFull(
          `The disk was full while ${row.filename} (${formatBytes(row.sizeBytes)}) was written.`,
          'Free some space or add a disk; downloads go on by themselves from where they stopped.',
          error,
        );
      }
    },
    record({ dumpFileId }, output) {
      // The work was long: the row may be gone, or settled by another hand.
      const row = deps.catalog.dumpFile(dumpFileId);
      if (row === null || HELD_STATUSES.includes(row.ourStatus)) return;
      deps.catalog.recordDownloaded(dumpFileId, output);
    },
    recordFailure({ dumpFileId }, error) {
      const row = deps.catalog.dumpFile(dumpFileId);
      if (row === null || HELD_STATUSES.includes(row.ourStatus)) return;
      // Only bytes that were there and were wrong are a reason to distrust a file; trouble on the way is not its fault.
      const state =
        error instanceof CorruptError
          ? 'quarantined'
          : error instanceof PermanentError
            ? 'failed'
            : 'pending';
      const message = error instanceof Error ? error.message : String(error);
      deps.catalog.recordNotDownloaded(dumpFileId, state, message);
    },
    summarize: ({ pieceHashes: _, ...facts }) => facts,
  });
}

interface Task {
  row: DumpFile;
  url: string;
  lane: HashLane;
  context: JobContext;
}

async function obtain(deps: DownloadDumpDeps, task: Task): Promise<Output> {
  const { row, context, lane } = task;
  const startedMs = deps.clock.monotonicMs();
  const finalPath = deps.layout.dumpFile(row);
  const partPath = deps.layout.partialFile(row);
  const stored = await recogniseStored(deps, task, finalPath);
  if (stored !== null) return stored;

  await deps.disk.makeDirectory(dirname(partPath));
  const fetched = await fetchFile(deps, {
    row,
    url: task.url,
    partPath,
    lane,
    signal: context.signal,
    log: context.log,
    cursor: context.cursor,
    onProgress: ({ doneBytes, cursor }) =>
      context.progress({ doneBytes, totalBytes: row.sizeBytes, label: row.filename, cursor }),
  });
  // Upstream may have published the file anew while we fetched it; what it says now decides.
  const fresh = deps.catalog.dumpFile(row.id) ?? row;
  const verdict = judge(fresh, { ...fetched.digests, sizeBytes: row.sizeBytes });
  if (!verdict.isProved) {
    await deps.disk.remove(partPath);
    step('download:part_removed');
    throw new CorruptError(
      'checksum_mismatch',
      `${row.filename}: ${verdict.what} should be ${verdict.expected} but is ${verdict.got}; the bytes were thrown away`,
      { subject: { dumpFileId: row.id, wiki: row.wikiDbName } },
    );
  }
  await storeReadOnly(deps.disk, deps.layout, partPath, finalPath);
  context.log.info(
    {
      room: 'download',
      wiki: row.wikiDbName,
      dumpFileId: row.id,
      filename: row.filename,
      sizeBytes: row.sizeBytes,
      verification: verdict.verification,
      durationMs: Math.round(deps.clock.monotonicMs() - startedMs),
    },
    'dump file downloaded',
  );
  return facts(deps, row, fetched.digests, verdict.verification, fetched.fetchedFromUrl);
}

/** A file under its final name that the row does not know: we stopped between rename and commit. Proved again, or removed. */
async function recogniseStored(deps: DownloadDumpDeps, task: Task, path: string): Promise<Output | null> {
  const { row, lane, context } = task;
  const stat = await deps.disk.stat(path);
  if (stat === null) return null;
  if (stat.sizeBytes === row.sizeBytes) {
    const file = await deps.disk.open(path, 'read');
    try {
      lane.begin(deps.pieceLengthBytes);
      const sizeBytes = await hashFromDisk({ file, lane, signal: context.signal }, stat.sizeBytes);
      const digests = await lane.finish();
      const verdict = judge(row, { ...digests, sizeBytes });
      if (verdict.isProved) {
        await deps.disk.chmod(path, 0o444);
        step('download:recognised');
        context.log.info({ room: 'download', dumpFileId: row.id }, 'dump file was stored already');
        return facts(deps, row, digests, verdict.verification, row.fetchedFromUrl ?? row.wikimediaUrl);
      }
    } finally {
      await file.close();
    }
  }
  context.log.warn(
    { room: 'download', dumpFileId: row.id, path },
    'a stored file was not what it should be; removed',
  );
  await deps.disk.remove(path);
  return null;
}

async function storeReadOnly(disk: Disk, layout: Layout, partPath: string, finalPath: string): Promise<void> {
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
  step('download:stored');
}

function facts(
  deps: DownloadDumpDeps,
  row: DumpFile,
  digests: FileDigests,
  verification: Output['verification'],
  fetchedFromUrl: string,
): Output {
  const { md5, sha1, sha256, pieceSha1s } = digests;
  return {
    sizeBytes: row.sizeBytes,
    md5,
    sha1,
    sha256,
    verification,
    localPath: deps.layout.relative(deps.layout.dumpFile(row)),
    fetchedFromUrl,
    pieceHashes: { pieceLength: deps.pieceLengthBytes, sha1s: pieceSha1s },
  } satisfies DownloadFacts;
}

/** The answer for a file that is held already: what the catalog knows. */
function recordedFacts(catalog: Catalog, row: DumpFile): Output {
  const { md5, sha1, sha256, verification, localPath } = row;
  if (md5 === null || sha1 === null || sha256 === null || verification === null || localPath === null)
    throw new AssertionError(`dump file ${row.id} counts as held but its facts are incomplete`);
  return {
    sizeBytes: row.sizeBytes,
    md5,
    sha1,
    sha256,
    verification,
    localPath,
    fetchedFromUrl: row.fetchedFromUrl ?? row.wikimediaUrl,
    pieceHashes: catalog.pieceHashes(row.id),
  };
}
