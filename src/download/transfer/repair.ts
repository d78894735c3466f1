import type { DumpFile } from '../../catalog/index.ts';
import { Interrupted } from '../../lib/index.ts';
import { step } from '../../lib/steps.ts';
import type { Clock, DiskFile, Log } from '../../ports/index.ts';
import { SourceFault } from '../sources/source-fault.ts';
import type { ByteRange, ByteSource, RangeClient, SourceBook } from '../sources/types.ts';
import { createHashPace } from './hash-pace.ts';
import type { PartFile } from './part-file.ts';
import { createSecondSources } from './second-sources.ts';
import { type Doubt, doubtsOf, nearestBefore } from './suspects.ts';

/** What repairing needs. */
export interface RepairDeps {
  client: RangeClient;
  book: SourceBook;
  clock: Clock;
  segmentBytes: number;
}

/** A complete part file whose bytes are not what upstream says. */
export interface RepairTask {
  row: DumpFile;
  part: PartFile;
  signal: AbortSignal;
  log: Log;
  /** False at the last attempt: only the origin is waited for then, and what cannot be repaired now is given up. */
  mayWait: boolean;
  /** Where a look at the container says that it is broken; null when that cannot be seen. Reads the file. */
  brokenAt(): Promise<ByteRange | null>;
  /** Hashes the file anew. True when its bytes are proved, or nothing is to be proved any more. */
  isRight(): Promise<boolean>;
  onProgress(checkedBytes: number): void;
}

/** Looks at the container at most so often: each finds one broken place, and reads all that lies before it. */
const LOOKS_MAX = 8;

/**
 * Finds the wrong segments by asking other sources for them one by one, the most suspicious first, and replaces what differs.
 * What the origin says goes before what others say. How far that went is kept with the part file, and a later attempt goes on there.
 * Who gave a wrong file alone is known for a liar at once; of several all are weighed down when it is given up.
 * @returns true when the bytes are right now; false when no other source could help
 * @throws RetryableError `repair_waits` when a source that may help is in passing trouble; UnavailableError when that is the origin; Interrupted
 */
export async function repair(deps: RepairDeps, task: RepairTask): Promise<boolean> {
  const { part, row } = task;
  const isBegun = part.doubts !== null;
  part.doubts ??= doubtsOf(part.held.list(), deps.segmentBytes);
  const doubts = part.doubts;
  const givers = new Set(doubts.map(({ giver }) => giver));
  /** When one source gave every byte, no second one is needed to know who was wrong. */
  const lone = givers.size === 1 ? [...givers][0] : undefined;
  const others = createSecondSources(deps, row, doubts);
  const pace = createHashPace(task.isRight);

  /** @returns what was found: `null` when nobody else could be asked */
  async function askAgain(doubt: Doubt): Promise<'same' | 'replaced' | null> {
    let replacedBytes = 0;
    for (;;) {
      if (task.signal.aborted) throw new Interrupted();
      const source = others.next(doubt);
      if (source === null) return replacedBytes > 0 ? 'replaced' : null;
      const { startBytes, endBytes } = doubt;
      const facts = { dumpFileId: row.id, source: source.id, startBytes, endBytes };
      try {
        await compareAndReplace(deps, task, doubt, source, (bytes) => {
          replacedBytes += bytes;
        });
        task.log.info({ ...facts, replacedBytes }, 'a segment was fetched again');
        others.noteAnswer(doubt, source);
        // Those that were found the same are not to be asked for once more after a crash.
        await part.checkpoint(null);
        return replacedBytes > 0 ? 'replaced' : 'same';
      } catch (error) {
        if (!(error instanceof SourceFault)) throw error;
        task.log.info({ ...facts, kind: error.kind, reason: error.message }, 'a source failed');
        others.noteFault(source, error);
      }
    }
  }

  function blame(id: string, kind: 'wrong_bytes' | 'maybe_wrong', what: string): void {
    const source = deps.book.sourcesFor(row).all.find((one) => one.id === id);
    if (source === undefined || source.kind === 'origin') return;
    deps.book.noteFault(source, row, { kind });
    task.log.warn({ dumpFileId: row.id, source: id, filename: row.filename }, what);
  }

  function settle(): true {
    const liars = new Set(doubts.filter(isReplaced).map(({ giver }) => giver));
    for (const id of liars)
      if (id !== lone) blame(id, 'wrong_bytes', 'a source gave wrong bytes; they were replaced');
    return true;
  }

  /** What the origin has the same is beyond doubt. */
  function weighDown(): void {
    const isCleared = (doubt: Doubt): boolean => doubt.askedAt.includes('origin') && !isReplaced(doubt);
    for (const id of new Set(doubts.filter((one) => !isCleared(one)).map(({ giver }) => giver)))
      if (id !== lone) blame(id, 'maybe_wrong', 'a source gave part of a file that is wrong');
  }

  /** Other bytes than the first giver's are in the file now. */
  const isReplaced = (doubt: Doubt): boolean =>
    doubt.isDisputed && part.held.within(doubt).some(({ giver }) => giver !== doubt.giver);

  async function lookAndAsk(): Promise<boolean> {
    for (let look = 0; look < LOOKS_MAX; look += 1) {
      // With nobody else to ask there is no use in looking.
      if (doubts.length < 2 || !doubts.some((one) => others.next(one) !== null)) return false;
      const broken = await task.brokenAt();
      if (broken === null) return false;
      let hasReplaced = false;
      for (const doubt of doubts.filter((one) => overlaps(one, broken)).sort(byPlace)) {
        hasReplaced = (await askAgain(doubt)) === 'replaced';
        if (hasReplaced) break;
      }
      if (!hasReplaced) {
        doubts.sort(nearestBefore(broken.endBytes));
        return false;
      }
      if (await task.isRight()) return true;
    }
    return false;
  }

  /** Each segment is asked for once at each source; what two of them agree on is asked for a third time at the origin only. */
  async function askForAll(): Promise<boolean> {
    for (let pass = 1; ; pass += 1) {
      let hasAsked = false;
      for (const doubt of doubts.filter((one) => one.isDisputed === pass > 1)) {
        if (pass === 1 && doubt.askedAt.length > 0) continue;
        const found = await askAgain(doubt);
        hasAsked ||= found !== null;
        if (found !== null && (await pace.note(found))) return true;
      }
      // Before others are heard about what was replaced: they may have the same wrong bytes as the first.
      if (await pace.end()) return true;
      if (!hasAsked && pass > 1) break;
    }
    for (const doubt of doubts) {
      if (others.next(doubt)?.kind !== 'origin') continue;
      const found = await askAgain(doubt);
      if (found !== null && (await pace.note(found))) return true;
    }
    return await pace.end();
  }

  if (lone !== undefined && !isBegun) blame(lone, 'wrong_bytes', 'a source gave a file that is wrong');
  if ((await lookAndAsk()) || (await askForAll())) return settle();
  const wait = others.worthWaitingFor(!task.mayWait);
  if (wait !== null) throw wait;
  weighDown();
  return false;
}

/** True when every byte is what the origin gave, or was compared with it. */
export function isWordOfOrigin({ held, doubts }: Pick<PartFile, 'held' | 'doubts'>): boolean {
  const isHis = ({ giver }: { giver: string }): boolean => giver === 'origin';
  if (doubts === null) return held.list().every(isHis);
  return doubts.every((doubt) => isHis(doubt) || doubt.askedAt.includes('origin'));
}

/** Replaces what is other at this source, chunk by chunk; it counts as the giver of that. */
async function compareAndReplace(
  { client }: Pick<RepairDeps, 'client'>,
  { part, signal, onProgress }: RepairTask,
  doubt: Doubt,
  source: ByteSource,
  onReplaced: (bytes: number) => void,
): Promise<void> {
  let isFirst = true;
  const { startBytes, endBytes } = doubt;
  const { sizeBytes } = part.facts;
  const body = await client.open(source, { startBytes, endBytes, sizeBytes, validator: null, signal });
  let at = startBytes;
  try {
    for await (const chunk of body.chunks) {
      if (signal.aborted) throw new Interrupted();
      const range = { startBytes: at, endBytes: at + chunk.length };
      at = range.endBytes;
      if (await isSame(part.file, chunk, range.startBytes)) continue;
      // Nothing that is known of the old bytes holds any more, not even after a crash.
      if (isFirst) {
        part.digests = null;
        doubt.isDisputed = true;
        await part.checkpoint(null);
      }
      isFirst = false;
      await part.file.write(chunk, range.startBytes);
      part.held.add({ ...range, giver: source.id });
      onReplaced(chunk.length);
      step('download:segment_replaced');
    }
  } finally {
    body.discard();
  }
  onProgress(at);
}

async function isSame(file: DiskFile, chunk: Buffer, position: number): Promise<boolean> {
  const stored = Buffer.allocUnsafe(chunk.length);
  for (let done = 0; done < stored.length; ) {
    const count = await file.read(stored.subarray(done), position + done);
    if (count === 0) return false;
    done += count;
  }
  return stored.equals(chunk);
}

const overlaps = (a: ByteRange, b: ByteRange): boolean =>
  a.startBytes < b.endBytes && b.startBytes < a.endBytes;
const byPlace = (a: ByteRange, b: ByteRange): number => a.startBytes - b.startBytes;
