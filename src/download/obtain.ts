import { dirname } from 'node:path';
import type { Catalog, DownloadFacts, Verification } from '../catalog/index.ts';
import { CorruptError, type DumpFileId, RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { JobContext } from '../queue/index.ts';
import type { Layout } from '../storage/index.ts';
import { assertProvable, type Due, dueOf } from './due.ts';
import { type FetchDeps, fetchFile } from './fetch-file.ts';
import type { FileDigests, HashLane } from './hash-lanes.ts';
import { type DownloadCursor, parseDownloadCursor } from './resume.ts';
import { checkedSourceUrl } from './source-url.ts';
import { placeOf, recogniseStored, storeReadOnly } from './stored-file.ts';
import { checkStructure, type StructureVerdict } from './structure/check-structure.ts';
import { judge, maySameBytesFit, type Verdict } from './verdict.ts';

/** What obtaining needs. */
export interface ObtainDeps extends FetchDeps {
  catalog: Catalog;
  layout: Layout;
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
  /** What is known of the bytes in the part file. */
  cursor: DownloadCursor;
}

/** A file that upstream changes faster than we fetch it is left for a later attempt. */
const ROUNDS = 3;

/**
 * Finds or fetches a file, proves it by what upstream says of it when its last byte is here, and gives it its final name. When
 * that is not what upstream said at the beginning, and the bytes are of the old file, it starts over.
 * @returns null when there is nothing to fetch any more: somebody else was faster
 * @throws CorruptError `checksum_mismatch`, `structure_broken`, and whatever `fetchFile` throws
 */
export async function obtain(
  deps: ObtainDeps,
  { dumpFileId, lane, context }: Omit<Task, 'cursor'>,
): Promise<Obtained | null> {
  const task = { dumpFileId, lane, context, cursor: parseDownloadCursor(context.cursor) };
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
  const { row } = due;
  const startedMs = deps.clock.monotonicMs();
  const finalPath = placeOf(deps.layout, row);
  const partPath = deps.layout.partialFile(row);
  const log = context.log.child({ room: 'download' });
  const { signal } = context;
  const stored = await recogniseStored(deps, { due, path: finalPath, lane, signal, log });
  if (stored !== null)
    return obtained(deps, due, { ...stored, fetchedFromUrl: row.fetchedFromUrl ?? row.wikimediaUrl });

  await deps.disk.makeDirectory(dirname(partPath));
  if (task.cursor.facts !== null && !maySameBytesFit(task.cursor.facts, due.facts)) {
    // What was fetched of another file would only spoil this one.
    await deps.disk.remove(partPath);
    task.cursor = { facts: due.facts, resume: null };
  }
  const fetched = await fetchFile(deps, {
    dumpFileId: row.id,
    sizeBytes: due.facts.sizeBytes,
    url: checkedSourceUrl(row),
    partPath,
    lane,
    signal,
    log,
    cursor: task.cursor.resume,
    onProgress: ({ doneBytes, cursor: resume }) => {
      task.cursor = { facts: due.facts, resume };
      context.progress({
        doneBytes,
        totalBytes: due.facts.sizeBytes,
        label: row.filename,
        cursor: task.cursor,
      });
    },
  });
  const proof = await prove(deps, task, due, fetched.digests);
  if (proof.kind === 'wrong') {
    await deps.disk.remove(partPath);
    step('download:part_removed');
    if (proof.hasChanged) return 'changed';
    throw new CorruptError(proof.code, `${row.filename}: ${proof.reason}; the bytes were thrown away`, {
      subject: { dumpFileId: row.id, wiki: row.wikiDbName },
    });
  }
  await storeReadOnly(deps, partPath, finalPath);
  const { verification } = proof;
  log.info(
    {
      wiki: row.wikiDbName,
      dumpFileId: row.id,
      filename: row.filename,
      sizeBytes: due.facts.sizeBytes,
      verification,
      isReplacement: due.isReplacement,
      durationMs: Math.round(deps.clock.monotonicMs() - startedMs),
    },
    'dump file downloaded',
  );
  const { digests, fetchedFromUrl } = fetched;
  return obtained(deps, due, { digests, verification, fetchedFromUrl });
}

type Proof =
  | { kind: 'proved'; verification: Verification }
  | { kind: 'wrong'; hasChanged: true }
  | { kind: 'wrong'; hasChanged: false; code: string; reason: string };

/** Judges the part file by what upstream says now, and by its structure when upstream gives no hash. */
async function prove(deps: ObtainDeps, task: Task, due: Due, digests: FileDigests): Promise<Proof> {
  let now = judgeNow(deps, due, digests);
  if (now?.verdict.kind === 'unprovable') {
    assertProvable(deps.catalog, now.due);
    const structure = await checkPart(deps, task, due);
    // That may have taken hours, and a published hash is the better judge.
    now = judgeNow(deps, due, digests);
    if (now?.verdict.kind === 'unprovable')
      return structure.isSound
        ? { kind: 'proved', verification: 'structure-only' }
        : { kind: 'wrong', hasChanged: false, code: 'structure_broken', reason: structure.reason };
  }
  if (now?.verdict.kind === 'proved') return now.verdict;
  if (now?.verdict.kind !== 'wrong' || !maySameBytesFit(now.due.facts, due.facts))
    return { kind: 'wrong', hasChanged: true };
  const { what, expected, got } = now.verdict;
  const reason = `${what} should be ${expected} but is ${got}`;
  return { kind: 'wrong', hasChanged: false, code: 'checksum_mismatch', reason };
}

/** null when nothing is to be fetched any more, or a replacement became a first copy or the other way round. */
function judgeNow(
  { catalog }: ObtainDeps,
  before: Due,
  digests: FileDigests,
): { due: Due; verdict: Verdict } | null {
  const isKnown = catalog.dumpFile(before.row.id) !== null;
  const due = isKnown ? dueOf(catalog, before.row.id) : null;
  if (due === null || due.isReplacement !== before.isReplacement) return null;
  return { due, verdict: judge(due.facts, { ...digests, sizeBytes: before.facts.sizeBytes }) };
}

function checkPart(
  { layout }: ObtainDeps,
  { context }: Task,
  { row, facts }: Due,
): Promise<StructureVerdict> {
  return checkStructure({
    path: layout.partialFile(row),
    name: row.filename,
    signal: context.signal,
    onProgress: (doneBytes) =>
      context.progress({
        doneBytes,
        totalBytes: facts.sizeBytes,
        label: `${row.filename}: checking its structure`,
      }),
  });
}

function obtained(
  deps: ObtainDeps,
  due: Due,
  found: { digests: FileDigests; verification: Verification; fetchedFromUrl: string },
): Obtained {
  const { md5, sha1, sha256, pieceSha1s } = found.digests;
  return {
    isReplacement: due.isReplacement,
    facts: {
      sizeBytes: due.facts.sizeBytes,
      md5,
      sha1,
      sha256,
      verification: found.verification,
      localPath: deps.layout.relative(placeOf(deps.layout, due.row)),
      fetchedFromUrl: found.fetchedFromUrl,
      pieceHashes: { pieceLength: deps.pieceLengthBytes, sha1s: pieceSha1s },
    },
  };
}
