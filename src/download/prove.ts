import { type Catalog, containerOf, type Verification } from '../catalog/index.ts';
import { RetryableError } from '../lib/index.ts';
import { step } from '../lib/steps.ts';
import type { Log } from '../ports/index.ts';
import { assertProvable, type Due, dueOf } from './due.ts';
import type { FileDigests, HashLane } from './hashing/index.ts';
import { checkStructure, type StructureVerdict } from './structure/check-structure.ts';
import type { BrokenPlace } from './structure/protocol.ts';
import { type CompleteDeps, type PartFile, repair } from './transfer/index.ts';
import { judge, maySameBytesFit, type Verdict } from './verdict.ts';

/** What judging needs from outside. */
export interface ProveDeps extends CompleteDeps {
  catalog: Catalog;
}

/** A complete part file to judge. */
export interface ProveTask {
  due: Due;
  part: PartFile;
  lane: HashLane;
  signal: AbortSignal;
  log: Log;
  /** What cannot be repaired at the last attempt is given up. */
  isLastAttempt: boolean;
  tell(doneBytes: number, doing?: string): void;
  /** More was compared, and is kept. */
  onGain(): void;
}

/** What the bytes are. `hasChanged`: upstream speaks of another file by now. */
export type Proof =
  | { kind: 'proved'; verification: Verification; digests: FileDigests }
  | { kind: 'wrong'; hasChanged: true }
  | { kind: 'wrong'; hasChanged: false; code: string; reason: string; where: BrokenPlace };

/**
 * Judges the part file, and when it is wrong looks for the wrong segments at other sources.
 * @throws Snooze while upstream has no hash that may still come, RetryableError `repair_waits`, Interrupted
 */
export async function rightInTheEnd(deps: ProveDeps, task: ProveTask, digests: FileDigests): Promise<Proof> {
  const { due, part, signal } = task;
  const found: { proof: Proof } = { proof: await prove(deps, task, digests) };
  const { proof } = found;
  if (proof.kind === 'proved' || proof.hasChanged) return proof;
  task.log.warn({ dumpFileId: due.row.id, reason: proof.reason }, 'a complete file is wrong');
  const isRepaired = await repair(deps, {
    ...{ row: due.row, part, signal, log: task.log, mayWait: !task.isLastAttempt },
    async brokenAt() {
      if (proof.code === 'structure_broken') return lastPlace(found.proof);
      // Bzip2 says where, block by block; gzip says at most that it was before some place. To unpack a 7z takes longer than to fetch
      // it again, and it tells of a member only, which is most of the file.
      if (!['bz2', 'gz'].includes(containerOf(due.row.filename) ?? '')) return null;
      const structure = await checkPart(task);
      return structure.isSound ? null : structure.where;
    },
    async isRight() {
      found.proof = await prove(deps, task, await hashAgain(deps, task));
      return found.proof.kind === 'proved' || found.proof.hasChanged;
    },
    onProgress(checkedBytes) {
      task.onGain();
      task.tell(checkedBytes, ': looking for wrong bytes');
    },
  });
  if (isRepaired && found.proof.kind === 'proved')
    task.log.info({ dumpFileId: due.row.id, filename: due.row.filename }, 'a wrong file was repaired');
  return found.proof;
}

const lastPlace = (proof: Proof): BrokenPlace =>
  proof.kind === 'wrong' && !proof.hasChanged ? proof.where : null;

async function hashAgain(deps: ProveDeps, { part, lane, signal }: ProveTask): Promise<FileDigests> {
  const { pieceLengthBytes } = deps;
  lane.begin({ path: part.path, pieceLengthBytes, library: 'openssl', from: null });
  lane.upTo(part.facts.sizeBytes);
  const [digests] = await Promise.all([lane.finish(signal), part.file.syncData()]);
  part.digests = digests;
  step('download:hashed_again');
  return digests;
}

/** Judges by what upstream says now, and by the structure when upstream gives no hash. */
async function prove(deps: ProveDeps, task: ProveTask, digests: FileDigests): Promise<Proof> {
  const { due } = task;
  let now = judgeNow(deps, due, digests);
  if (now?.verdict.kind === 'unprovable') {
    assertProvable(deps.catalog, now.due);
    assertFromOrigin(task);
    const structure = await checkPart(task);
    // That may have taken hours, and a published hash is the better judge.
    now = judgeNow(deps, due, digests);
    if (now?.verdict.kind === 'unprovable')
      return structure.isSound
        ? { kind: 'proved', verification: 'structure-only', digests }
        : { kind: 'wrong', hasChanged: false, code: 'structure_broken', ...structure };
  }
  if (now?.verdict.kind === 'proved') return { ...now.verdict, digests };
  if (now?.verdict.kind !== 'wrong' || !maySameBytesFit(now.due.facts, due.facts))
    return { kind: 'wrong', hasChanged: true };
  const { what, expected, got } = now.verdict;
  const reason = `${what} should be ${expected} but is ${got}`;
  return { kind: 'wrong', hasChanged: false, code: 'checksum_mismatch', reason, where: null };
}

/**
 * A hash that was there when the file was begun is gone, and what is here came from others as well.
 * @throws RetryableError `hash_withdrawn`: the next attempt fetches from the origin what others gave
 */
function assertFromOrigin({ part, due }: ProveTask): void {
  if (part.held.list().every(({ giver }) => giver === 'origin')) return;
  throw new RetryableError(
    'hash_withdrawn',
    `upstream took back the hash of ${due.row.filename}; what mirrors gave of it is fetched from the origin`,
  );
}

/** null when nothing is to be fetched any more, or a replacement became a first copy or the other way round. */
function judgeNow(
  { catalog }: ProveDeps,
  before: Due,
  digests: FileDigests,
): { due: Due; verdict: Verdict } | null {
  const isKnown = catalog.dumpFile(before.row.id) !== null;
  const due = isKnown ? dueOf(catalog, before.row.id) : null;
  if (due === null || due.isReplacement !== before.isReplacement) return null;
  return { due, verdict: judge(due.facts, { ...digests, sizeBytes: before.facts.sizeBytes }) };
}

function checkPart({ due, part, signal, tell }: ProveTask): Promise<StructureVerdict> {
  return checkStructure({
    ...{ path: part.path, name: due.row.filename, signal },
    onProgress: (doneBytes) => tell(doneBytes, ': checking its structure'),
  });
}
