import { dirname } from 'node:path';
import type { Catalog, DownloadFacts, Verification } from '../catalog/index.ts';
import {
  CorruptError,
  type DumpFileId,
  HaltPipelineError,
  minutes,
  RetryableError,
  Snooze,
  UnavailableError,
} from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Disk, Log } from '../ports/index.ts';
import type { JobContext } from '../queue/index.ts';
import type { Layout, SpaceGuard } from '../storage/index.ts';
import { assertProvable, type Due, dueOf } from './due.ts';
import type { FileDigests, HashLane } from './hashing/index.ts';
import { type Proof, type ProveTask, rightInTheEnd } from './prove.ts';
import { checkedSourceUrl } from './source-url.ts';
import { originOnly } from './sources/origin-only.ts';
import { placeOf, recogniseStored, storeReadOnly } from './stored-file.ts';
import {
  type CompleteDeps,
  completePart,
  isWordOfOrigin,
  openPartFile,
  type PartFile,
  removePart,
} from './transfer/index.ts';
import { hasUpstreamHash } from './verdict.ts';

/** What obtaining needs. */
export interface ObtainDeps extends CompleteDeps {
  catalog: Catalog;
  layout: Layout;
  disk: Disk;
  space: SpaceGuard;
}

/** A file whose proved bytes lie under its final name; not recorded yet. */
export interface Obtained {
  facts: DownloadFacts;
  isReplacement: boolean;
}

interface Task {
  dumpFileId: DumpFileId;
  lane: HashLane;
  context: JobContext;
  /** Wrong bytes are then not kept for another attempt to repair. */
  isLastAttempt: boolean;
  /** The next attempt goes on further than this one did: there are more bytes, or more of them were compared. */
  onGain(): void;
}

/** A file that upstream changes faster than we fetch it is left for a later attempt. */
const ROUNDS = 3;
/** When the origin does not say how long it wants to be left alone. */
const REST_MS = minutes(5);

/**
 * Finds or fetches a file, proves it by what upstream says of it when its last byte is here, and gives it its final name. When
 * that is not what upstream said at the beginning, and the bytes are of the old file, it starts over.
 * @returns null when there is nothing to fetch any more: somebody else was faster
 * @throws CorruptError `checksum_mismatch`, `structure_broken` (a plain RetryableError when the origin did not give these bytes), and whatever `completePart` throws
 */
export async function obtain(deps: ObtainDeps, task: Task): Promise<Obtained | null> {
  const { dumpFileId, context } = task;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const due = dueOf(deps.catalog, dumpFileId);
    if (due === null) return null;
    assertProvable(deps.catalog, due);
    const result = await obtainOnce(deps, task, due);
    if (result !== 'changed') return result;
    context.log.info(
      { dumpFileId, filename: due.row.filename },
      'upstream published another file meanwhile, starting over',
    );
  }
  throw new RetryableError(
    'upstream_changed',
    `upstream changed the file ${ROUNDS} times while it was fetched`,
  );
}

async function obtainOnce(deps: ObtainDeps, task: Task, due: Due): Promise<Obtained | 'changed'> {
  const { context, lane } = task;
  const { row, facts } = due;
  const finalPath = placeOf(deps.layout, row);
  const partPath = deps.layout.partialFile(row);
  const log = context.log.child({ room: 'download' });
  const { signal } = context;
  const stored = await recogniseStored(deps, { due, path: finalPath, lane, signal, log });
  if (stored !== null) {
    // Left by a process that died between the file's final name and the end of its work.
    await removePart(deps.disk, partPath);
    return obtained(deps, due, { ...stored, fetchedFromUrl: row.fetchedFromUrl ?? row.wikimediaUrl });
  }
  // Refuses an unsafe address before anything is promised or asked.
  checkedSourceUrl(row);
  await deps.disk.makeDirectory(dirname(partPath));
  const { pieceLengthBytes } = deps;
  const part = await openPartFile(deps, { path: partPath, facts, pieceLengthBytes });
  try {
    const fetching = { ...task, due, part, finalPath, signal, log };
    // Without a hash only the origin is believed.
    const book = hasUpstreamHash(facts) ? deps.book : originOnly(deps.book);
    return await fetchAndStore({ ...deps, book }, fetching);
  } catch (error) {
    throw waitingAlone(deps, error) ?? error;
  } finally {
    part.release();
    await part.close();
  }
}

interface FetchTask extends Task {
  due: Due;
  part: PartFile;
  finalPath: string;
  signal: AbortSignal;
  log: Log;
}

/**
 * A file that only the origin could give now, which is to be left alone, waits by itself while mirrors go on with others: the error
 * would have the queue stop those as well.
 */
function waitingAlone({ book }: Pick<ObtainDeps, 'book'>, error: unknown): Snooze | null {
  const isRest = error instanceof HaltPipelineError || error instanceof UnavailableError;
  if (!isRest || !['forbidden', 'http_status'].includes(error.code) || !book.hasReadyMirror()) return null;
  const waitMs = error instanceof HaltPipelineError ? error.pauseMs : (error.pauseMs ?? error.retryAfterMs);
  return new Snooze(`only the origin could give it now: ${error.message}`, waitMs ?? REST_MS);
}

async function fetchAndStore(deps: ObtainDeps, task: FetchTask): Promise<Obtained | 'changed'> {
  const { due, part, lane, signal, log, context } = task;
  const { row, facts } = due;
  const startedMs = deps.clock.monotonicMs();
  const tell = (doneBytes: number, doing = ''): void =>
    context.progress({ doneBytes, totalBytes: facts.sizeBytes, label: row.filename + doing });
  const onProgress = (doneBytes: number): void => {
    task.onGain();
    tell(doneBytes);
  };
  const completed = await completePart(deps, {
    ...{ row, part, lane, signal, log, onProgress },
    mayWait: !task.isLastAttempt,
  });
  const { isLastAttempt, onGain } = task;
  const proveTask: ProveTask = { due, part, lane, signal, log, tell, isLastAttempt, onGain };
  const proof = await keepWhenStopped(part, () => rightInTheEnd(deps, proveTask, completed.digests));
  if (proof.kind === 'wrong') {
    // Bytes that only others gave say nothing against the file.
    const WrongBytes = isWordOfOrigin(part) ? CorruptError : RetryableError;
    await part.remove();
    step('download:part_removed');
    if (proof.hasChanged) return 'changed';
    throw new WrongBytes(proof.code, `${row.filename}: ${proof.reason}; the bytes were thrown away`, {
      subject: { dumpFileId: row.id, wiki: row.wikiDbName },
    });
  }
  for (const source of deps.book.sourcesFor(row).all)
    if (part.held.list().some(({ giver }) => giver === source.id)) deps.book.noteGood(source, row);
  await part.file.sync();
  await part.close();
  await storeReadOnly(deps, part.path, task.finalPath);
  const { verification, digests } = proof;
  const details = { wiki: row.wikiDbName, dumpFileId: row.id, filename: row.filename };
  log.info(
    {
      ...details,
      ...{ sizeBytes: facts.sizeBytes, verification, isReplacement: due.isReplacement },
      durationMs: Math.round(deps.clock.monotonicMs() - startedMs),
    },
    'dump file downloaded',
  );
  const fetchedFromUrl = completed.fetchedFromUrl ?? row.fetchedFromUrl ?? row.wikimediaUrl;
  return obtained(deps, due, { digests, verification, fetchedFromUrl });
}

/** Judging may take hours, or may have to wait for upstream: the next attempt is to find the complete file and its digests. */
async function keepWhenStopped(part: PartFile, work: () => Promise<Proof>): Promise<Proof> {
  try {
    return await work();
  } catch (error) {
    await part.checkpoint(null).catch(() => {});
    throw error;
  }
}

async function obtained(
  deps: ObtainDeps,
  due: Due,
  found: { digests: FileDigests; verification: Verification; fetchedFromUrl: string },
): Promise<Obtained> {
  const { md5, sha1, sha256, pieceSha1s } = found.digests;
  const path = placeOf(deps.layout, due.row);
  return {
    isReplacement: due.isReplacement,
    facts: {
      sizeBytes: due.facts.sizeBytes,
      md5,
      sha1,
      sha256,
      verification: found.verification,
      localPath: deps.layout.relative(path),
      fetchedFromUrl: found.fetchedFromUrl,
      pieceHashes: { pieceLength: deps.pieceLengthBytes, sha1s: pieceSha1s },
      // Whatever touches the file later than this shows.
      storedMtimeMs: (await deps.disk.stat(path))?.mtimeMs ?? null,
    },
  };
}
